"""Sends a list of requests, without doing any I/O itself.

A shell (in ``_client`` or ``_aio``) makes the calls that :meth:`List.advance` returns, passes on
what arrives on them, and takes the results.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Callable, Deque, Dict, Optional, Protocol, Sequence, Tuple, Union
from typing import List as ListOf

from . import _failure
from ._assembly import Assembly, Body
from ._endpoint import Endpoint, choose
from ._failure import Disposition, Failure
from ._outage import Outage
from ._pending import Pending
from ._resend import may_resend
from ._source import MAX_CALL_BYTES, MAX_CALL_REQUESTS, MAX_LIST_REQUESTS
from .errors import FetchError, contract_broken, deadline_passed
from .result import Result, failed
from .timing import to_message
from .v1 import fetchd_pb2 as pb

_DEFAULT_CONCURRENCY = 50
"""That of services."""
_GRACE = 1.0
"""Seconds that services get after the deadline to report the ends of their requests."""
_MIN_PACE = 128 << 10
"""The slowest upload to tolerate, in bytes per second."""
_PROBE_TIMEOUT = 5.0
"""Seconds to wait for the answer to a probe."""


class Taker(Protocol):
    """Where the requests of a list come from."""

    fits_one_call: bool

    @property
    def has_ended(self) -> bool:
        """True if there are no more requests."""
        ...

    def take(self, count: int, size: int) -> ListOf[Union[Pending, Result]]:
        """Returns the next requests, or none if there are none at the moment."""
        ...


@dataclass(frozen=True)
class Settings:
    """The settings of one list."""

    concurrency: int = 0
    """Requests in flight. 0 for the default."""
    timeout: Optional[float] = None
    options: Optional[pb.FetchOptions] = None
    """The options of requests that don't set their own."""
    headers: Sequence[Tuple[str, bytes]] = ()
    """The header lines of requests that don't set the same header."""
    metadata: Tuple[Tuple[str, Union[str, bytes]], ...] = ()
    silence_timeout: float = 30.0
    give_up_after: float = 30.0


class Call:
    """A call to an endpoint. One without requests is a probe."""

    def __init__(
        self,
        endpoint: Endpoint,
        requests: Sequence[Pending],
        slots: int,
        silence_timeout: float,
        now: float,
        make_body: Callable[[Pending, int, bytes], Body] = Body,
    ) -> None:
        self.endpoint = endpoint
        self.assembly = Assembly(requests, make_body)
        self.message = pb.FetchBatchRequest()
        for pending in requests:
            pending.write_to(self.message)
        self.slots = slots
        self.silence_timeout = silence_timeout
        size = sum(pending.size for pending in requests)
        self.silent_at = now + silence_timeout + size / _MIN_PACE
        """When the call counts as lost, unless a message arrives before."""
        self.has_begun = False
        """True if a message has arrived."""
        self.is_probe = not requests
        self.cancel: Callable[[], None] = lambda: None
        """Cancels the call. The shell sets it."""

    def in_flight(self) -> int:
        """Returns how many of its slots the call uses."""
        return min(self.slots, self.assembly.unfinished)


class List:
    """A list of requests, which ends when each of them has a result."""

    def __init__(
        self,
        source: Taker,
        endpoints: Sequence[Endpoint],
        settings: Settings,
        now: float,
        make_body: Callable[[Pending, int, bytes], Body] = Body,
    ) -> None:
        self.results: Deque[Result] = deque()
        """The results that have not been taken yet."""
        self.is_paused = False
        """True while no more requests may be sent."""
        self._source = source
        self._endpoints = endpoints
        self._settings = settings
        self._make_body = make_body
        self._concurrency = settings.concurrency or _DEFAULT_CONCURRENCY
        self._is_whole = source.fits_one_call
        self._queue: ListOf[Pending] = []
        self._calls: Dict[Call, None] = {}
        self._in_flight = 0
        self._is_hungry = False
        """True if another call may be made at once."""
        self._deadline = None if settings.timeout is None else now + settings.timeout
        self._outage = Outage(settings.give_up_after)
        self._closed_by: Optional[FetchError] = None
        """The error of all requests that have not been taken from the source."""

    def is_done(self) -> bool:
        """Returns true if all requests have their results. A probe may still be open."""
        is_open = any(not call.is_probe for call in self._calls)
        return self._source.has_ended and not self._queue and not is_open

    def advance(self, now: float) -> ListOf[Call]:
        """Ends what has taken too long, and returns the calls to make now."""
        self._expire(now)
        self._is_hungry = False
        if not self._has_room():
            return []
        self._take_requests()
        calls = self._next_calls(now) if self._queue else []
        for call in calls:
            self._calls[call] = None
            self._in_flight += call.in_flight()
            call.endpoint.slots += call.slots
        # One call at a time, since a slow iterator must not hold up the results.
        self._is_hungry = bool(calls) and self._has_room()
        return calls

    def next_time(self, now: float) -> Optional[float]:
        """Returns when to call :meth:`advance` again, in monotonic seconds, if nothing arrives."""
        if self._is_hungry:
            return now
        times = [call.silent_at for call in self._calls]
        if self._deadline is not None:
            times += [self._deadline, self._deadline + _GRACE]
        outage_end = self._outage.end()
        if outage_end is not None:
            times.append(outage_end)
        if self._queue:
            times += [endpoint.ejected_until() for endpoint in self._endpoints]
        return min((time for time in times if time > now), default=None)

    def pause(self, seconds: float) -> None:
        """Excludes a time in which the caller took no results from the waits."""
        self._outage.pause(seconds)
        for call in self._calls:
            call.silent_at += seconds

    def cancel(self) -> None:
        """Cancels all calls."""
        for call in list(self._calls):
            self._close(call)
            call.cancel()

    def abort(self, error: FetchError) -> None:
        """Cancels all calls, and ends all requests with ``error``."""
        self._close_source(error)
        self._fail_calls(error)

    def on_message(self, call: Call, message: pb.FetchBatchResponse, now: float) -> None:
        """Handles a message of a call."""
        if call not in self._calls:
            return
        call.has_begun = True
        call.silent_at = now + call.silence_timeout
        call.endpoint.record_answer(now)
        if call.is_probe:
            return
        self._outage.record_answer()
        failure = None
        completed: ListOf[Tuple[Pending, Result]] = []
        before = call.in_flight()
        try:
            call.assembly.add(message, completed)
        except FetchError as error:
            failure = _failure.lost(error)
        self._in_flight += call.in_flight() - before
        for request, result in completed:
            self._finish_or_resend(request, call.endpoint, result, now)
        if failure is not None:
            call.cancel()
            self._end(call, failure, now)
        elif call.assembly.unfinished == 0:
            # The call itself may end later. There is nothing left to learn from it.
            self._close(call)

    def on_end(self, call: Call, status: Optional[object], now: float) -> None:
        """Handles the end of a call, with the ``grpc.RpcError`` unless it ended with OK."""
        if call not in self._calls:
            return
        if status is not None:
            self._end(call, _failure.of_status(status, call.has_begun), now)
        elif call.is_probe:
            self._close(call)
            call.endpoint.record_answer(now)
            self._outage.record_probe()
        else:
            error = contract_broken("the stream ended without an end for each request")
            self._end(call, _failure.lost(error), now)

    def _expire(self, now: float) -> None:
        if self._deadline is not None and now >= self._deadline:
            self._close_source(deadline_passed())
            if now >= self._deadline + _GRACE:
                self._fail_calls(deadline_passed())
        for call in [call for call in self._calls if now >= call.silent_at]:
            call.cancel()
            self._end(call, _failure.silent(call.silence_timeout), now)
        outage_end = self._outage.end()
        if outage_end is not None and now >= outage_end:
            self.abort(self._outage.error(endpoint.name for endpoint in self._endpoints))

    def _has_room(self) -> bool:
        if self._closed_by is not None:
            return not self.results
        free = self._concurrency - self._in_flight
        return not self.is_paused and (self._in_flight == 0 or 2 * free >= self._concurrency)

    def _take_requests(self) -> None:
        """Reads the requests of the next call from the source, unless some are waiting."""
        if self._queue:
            return
        count = MAX_LIST_REQUESTS if self._is_whole else MAX_CALL_REQUESTS
        for taken in self._source.take(count, MAX_CALL_BYTES):
            if isinstance(taken, Result):
                self.results.append(taken)
            elif self._closed_by is not None:
                self._finish(taken, self._closed_by)
            else:
                if self._settings.headers:
                    taken.add_headers(self._settings.headers)
                self._queue.append(taken)

    def _next_calls(self, now: float) -> ListOf[Call]:
        """Returns the next call, or the probes that have to come before it."""
        endpoint = choose(self._endpoints, self._queue[0].failed_at or (), now)
        if endpoint is None:
            last = next((e.last for e in self._endpoints if e.last is not None), None)
            self._outage.begin(last, now)
            return []
        if not endpoint.is_proven():
            return [
                self._probe(other, now)
                for other in self._endpoints
                if other.is_admitted(now) and not other.is_proven() and not self._probes(other)
            ]
        requests, rest = self._split(endpoint, now)
        if not endpoint.is_fresh(now) and not all(request.is_idempotent for request in requests):
            return [] if self._probes(endpoint) else [self._probe(endpoint, now)]
        self._queue = rest
        return [self._call(endpoint, requests, now)]

    def _split(
        self, endpoint: Endpoint, now: float
    ) -> Tuple[ListOf[Pending], ListOf[Pending]]:
        """Returns the queued requests of the next call to an endpoint, and the others."""
        if self._is_whole:
            return self._queue, []
        slots = self._concurrency - self._in_flight
        requests: ListOf[Pending] = []
        rest: ListOf[Pending] = []
        size = 0
        for request in self._queue:
            # If the call is lost, nobody knows whether a request was still waiting for a slot. So
            # one that must not be sent twice doesn't wait in a call.
            may_wait = request.is_idempotent or len(requests) < slots
            fits = len(requests) < MAX_CALL_REQUESTS and (
                not requests or size + request.size <= MAX_CALL_BYTES
            )
            if may_wait and fits and self._suits(request, endpoint, now):
                size += request.size
                requests.append(request)
            else:
                rest.append(request)
        return requests, rest

    def _suits(self, request: Pending, endpoint: Endpoint, now: float) -> bool:
        """Returns true unless the request should go to another endpoint."""
        avoided = request.failed_at
        if avoided is None or endpoint.name not in avoided:
            return True
        return not any(
            other.is_admitted(now) and other.name not in avoided for other in self._endpoints
        )

    def _probe(self, endpoint: Endpoint, now: float) -> Call:
        timeout = min(_PROBE_TIMEOUT, self._settings.silence_timeout)
        return Call(endpoint, (), 0, timeout, now)

    def _probes(self, endpoint: Endpoint) -> bool:
        return any(call.is_probe and call.endpoint is endpoint for call in self._calls)

    def _call(self, endpoint: Endpoint, requests: ListOf[Pending], now: float) -> Call:
        slots = self._concurrency - self._in_flight
        timeout = self._settings.silence_timeout
        call = Call(endpoint, requests, slots, timeout, now, self._make_body)
        # The service knows its default for a list that it gets as a whole.
        call.message.concurrency = self._settings.concurrency if self._is_whole else slots
        self._is_whole = False
        if self._settings.options is not None:
            call.message.options.CopyFrom(self._settings.options)
        if self._deadline is not None:
            # Zero would mean that there is no timeout.
            remaining = max(self._deadline - now, 0.001)
            call.message.timeout.CopyFrom(to_message("timeout", remaining))
        return call

    def _finish_or_resend(
        self, request: Pending, endpoint: Endpoint, result: Result, now: float
    ) -> None:
        error = result.error
        if error is None or error.reason != "SHUTTING_DOWN":
            endpoint.record_result()
            self.results.append(result)
            return
        disposition = _failure.of_end(error, result.attempts)
        endpoint.record_failure(Failure(error, disposition).at(endpoint.name), now)
        if may_resend(request, disposition, endpoint.name, len(self._endpoints)):
            self._queue.append(request)
        else:
            self.results.append(result)

    def _end(self, call: Call, failure: Failure, now: float) -> None:
        """Ends a failed call: its requests are sent again, or end with its error."""
        self._close(call)
        if call.assembly.unfinished == 0 and not call.is_probe:
            return
        failure = failure.at(call.endpoint.name)
        requests = [pending for pending in call.assembly.pending if pending is not None]
        if call.is_probe:
            failure = failure.as_not_dispatched()
            if failure.disposition in (Disposition.REFUSED, Disposition.FOREIGN):
                # Calls with requests would be refused for the same reason.
                requests, self._queue = self._queue, []
        call.endpoint.record_failure(failure, now)
        self._outage.begin(failure, now)
        name, count = call.endpoint.name, len(self._endpoints)
        for request in requests:
            if not may_resend(request, failure.disposition, name, count):
                self._finish(request, failure.final_error())
                continue
            if failure.disposition in (Disposition.REFUSED, Disposition.FOREIGN):
                request.refusal = failure.error
            self._queue.append(request)

    def _close(self, call: Call) -> None:
        if call in self._calls:
            del self._calls[call]
            self._in_flight -= call.in_flight()
            call.endpoint.slots -= call.slots

    def _close_source(self, error: FetchError) -> None:
        """Ends all requests that are not in a call, and those that the source still has."""
        if self._closed_by is None:
            self._closed_by = error
        queue, self._queue = self._queue, []
        for request in queue:
            self._finish(request, request.refusal or error)

    def _fail_calls(self, error: FetchError) -> None:
        for call in list(self._calls):
            self._close(call)
            call.cancel()
            for request in call.assembly.pending:
                if request is not None:
                    self._finish(request, error)

    def _finish(self, request: Pending, error: FetchError) -> None:
        self.results.append(failed(request.index, request.request, error))
