"""The client for threads."""

from __future__ import annotations

import atexit
import contextlib
import os
import queue
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Dict, Iterable, Iterator, List, Optional, Tuple, Union

import grpc

from ._assembly import Body
from ._credentials import Pem
from ._endpoint import Endpoint
from ._list import Call, Settings, Taker
from ._list import List as RequestList
from ._options import CHANNEL_OPTIONS, METHOD, ClientOptions, Metadata
from ._order import in_order
from ._source import Source
from ._stream import StreamedBody, StreamedResponse
from .errors import client_closed
from .headers import HeadersInput
from .request import RequestInput, Seconds, is_list
from .result import Result
from .v1 import fetchd_pb2 as pb

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._options import Limits

_AHEAD = 2
"""Messages of a call that are received before the list has handled them."""
_TRAILERS_TIMEOUT = 0.1
"""Seconds in which a call should end by itself once it has all its results."""
_END_TIMEOUT = 1.0
"""Seconds to wait for the thread of a call that has ended."""


class Client:
    """Fetches lists of requests through one fetchd service, or several replicas of it.

    A client may be used by several threads at once, and also after a fork, if no list was running
    at that moment. Making one does no I/O apart from reading files; it connects with its first
    list. It keeps its connections, so keep the client too.

    :param endpoints: an address such as ``localhost:50051``, ``http://localhost:50051`` or
        ``https://fetchd.example``; several, as a list or separated by commas; or a name with many
        addresses, such as that of a headless Service
    :param tls_ca: the certificates to trust, as the path of a PEM file or as bytes. Default: those
        that come with grpcio.
    :param tls_cert: the client's certificate, if the service asks for one, likewise
    :param tls_key: its private key, likewise
    :param token: the token to send with each call
    :param token_file: a file with the token, which is read again for each call
    :param give_up_after: seconds for which no replica may answer, before the remaining requests
        end with ``SERVICE_LOST``. Four times as long if the replicas are full.
    :param silence_timeout: seconds for which a replica may send nothing on a call. Services send
        an empty message every 10 s, so keep it well above that.
    :param headers: header lines of all requests that don't set the same header
    :param limits: ``request_timeout``, ``idle_timeout``, ``connect_timeout``, ``max_redirects``,
        ``max_body_bytes``, ``truncate`` and ``max_attempts`` of all requests that set none.
        :class:`fetchd.Request` describes them.

    Raises ``TypeError``, ``ValueError`` or ``OSError`` if a setting cannot be used.
    """

    def __init__(
        self,
        endpoints: Union[str, Iterable[str]],
        *,
        tls_ca: Optional[Pem] = None,
        tls_cert: Optional[Pem] = None,
        tls_key: Optional[Pem] = None,
        token: Optional[str] = None,
        token_file: Union[str, "os.PathLike[str]", None] = None,
        give_up_after: Seconds = 30.0,
        silence_timeout: Seconds = 30.0,
        headers: Optional[HeadersInput] = None,
        **limits: Unpack[Limits],
    ) -> None:
        self._options = ClientOptions(
            endpoints,
            tls_ca=tls_ca,
            tls_cert=tls_cert,
            tls_key=tls_key,
            token=token,
            token_file=token_file,
            give_up_after=give_up_after,
            silence_timeout=silence_timeout,
            headers=headers,
            limits=limits,
        )
        self._lock = threading.Lock()
        self._connections: List[_Connection] = []
        self._process: Optional[int] = None
        self._inherited: List[_Connection] = []
        self._is_closed = False

    def fetch_all(
        self,
        requests: Iterable[RequestInput],
        *,
        concurrency: Optional[int] = None,
        timeout: Optional[Seconds] = None,
        metadata: Optional[Metadata] = None,
        **limits: Unpack[Limits],
    ) -> List[Result]:
        """Fetches a list, and returns one result for each request, in the same order.

        A request that fails has an ``error`` in its result.

        :param requests: URLs and :class:`fetchd.Request` objects, of any number
        :param concurrency: requests in flight at once. Default 50; services lower it to their
            maximum, usually 512.
        :param timeout: seconds for the whole list. Requests that are unfinished by then end with
            ``BATCH_DEADLINE``. Default: no limit.
        :param metadata: gRPC headers for the calls, such as ``traceparent``
        :param limits: ``request_timeout``, ``idle_timeout``, ``connect_timeout``,
            ``max_redirects``, ``max_body_bytes``, ``truncate`` and ``max_attempts`` of the requests
            that don't set their own. They replace those of the client.

        Raises ``TypeError`` or ``ValueError`` for wrong arguments, before anything is sent.
        """
        results = list(
            self.fetch(
                requests, concurrency=concurrency, timeout=timeout, metadata=metadata, **limits
            )
        )
        results.sort(key=lambda result: result.index)
        return results

    def fetch(
        self,
        requests: Iterable[RequestInput],
        *,
        concurrency: Optional[int] = None,
        timeout: Optional[Seconds] = None,
        metadata: Optional[Metadata] = None,
        ordered: bool = False,
        **limits: Unpack[Limits],
    ) -> Iterator[Result]:
        """Like :meth:`fetch_all`, but returns the results as they arrive.

        ``result.index`` and ``result.request`` tell which request a result belongs to. Closing the
        iterator, or leaving a loop over it, cancels the requests that have no result. An iterator
        of requests may be endless. It is read in the calling thread, up to 1,000 requests ahead.

        While no results are taken, the service sends no more of them. After its stall timeout,
        usually 60 s, it takes the caller for gone.

        :param ordered: return each result as soon as it and all earlier ones have arrived. Up to
            10,000 results wait for an earlier one.
        """
        listed = is_list(requests)
        settings = self._options.settings(concurrency, timeout, metadata, limits)
        source = Source(requests, listed)
        return self._results(source, settings, ordered)

    def stream(
        self,
        request: RequestInput,
        *,
        timeout: Optional[Seconds] = None,
        metadata: Optional[Metadata] = None,
        **limits: Unpack[Limits],
    ) -> StreamedResponse:
        """Sends one request, and returns its response when the head has arrived.

        Use it for bodies that are too large for memory, with ``max_body_bytes`` (default 10 MiB)
        and ``request_timeout`` (default 30 s) to match. Leave the response's ``with`` block, or
        close it, to cancel the rest.

        Raises :class:`fetchd.FetchError` if there is no response.
        """
        settings = self._options.settings(1, timeout, metadata, limits)
        body = StreamedBody()
        steps = self._steps(Source([request], True), settings, body.begin)
        return StreamedResponse(body, steps)

    def close(self) -> None:
        """Closes the connections. Lists that are not complete end with an error."""
        with self._lock:
            self._is_closed = True
            connections, self._connections = self._connections, []
            is_own = self._process == os.getpid()
        if is_own:
            for connection in connections:
                connection.channel.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        names = ", ".join(address.name for address in self._options.addresses)
        return f"<Client {names}>"

    def _results(self, source: Taker, settings: Settings, ordered: bool) -> Iterator[Result]:
        steps = self._steps(source, settings, Body)
        # The generator begins when its first result is taken.
        return in_order(steps) if ordered else _flatten(steps)

    def _steps(self, source: Taker, settings: Settings, make_body: Any) -> Iterator[RequestList]:
        """Runs a list. Yields it whenever there may be something to take from it."""
        connections = self._connected()
        requests = RequestList(source, connections, settings, time.monotonic(), make_body)
        events = _Events()
        try:
            while True:
                now = time.monotonic()
                if self._is_closed:
                    requests.abort(client_closed())
                for call in requests.advance(now):
                    metadata = self._options.call_metadata(settings)
                    events.start(call, metadata)
                yield requests
                paused = time.monotonic() - now
                requests.pause(paused)
                if requests.is_done():
                    return
                now += paused
                events.wait(requests, requests.next_time(now))
        finally:
            # A child that was forked meanwhile leaves the calls to its parent.
            if events.process == os.getpid():
                requests.cancel()
                events.close()

    def _connected(self) -> List[_Connection]:
        """Returns the connections of this process."""
        with self._lock:
            if self._is_closed:
                raise ValueError("the client is closed")
            if self._process != os.getpid():
                # The parent's connections can't be used, nor closed, after a fork.
                self._inherited += self._connections
                self._connections = [
                    _Connection(address.name, self._channel(address.target, address.uses_tls))
                    for address in self._options.addresses
                ]
                self._process = os.getpid()
            return self._connections

    def _channel(self, target: str, uses_tls: bool) -> grpc.Channel:
        if uses_tls and self._options.credentials is not None:
            return grpc.secure_channel(target, self._options.credentials, options=CHANNEL_OPTIONS)
        return grpc.insecure_channel(target, options=CHANNEL_OPTIONS)


class _Connection(Endpoint):
    """An endpoint and its channel."""

    def __init__(self, name: str, channel: grpc.Channel) -> None:
        super().__init__(name)
        self.channel = channel
        self.fetch_batch: Any = channel.unary_stream(
            METHOD,
            request_serializer=pb.FetchBatchRequest.SerializeToString,
            response_deserializer=pb.FetchBatchResponse.FromString,
        )


class _Events:
    """What arrives on the calls of a list. Each call has a thread that reads it."""

    def __init__(self) -> None:
        # Bounded by the permits of the readers.
        self._queue: queue.SimpleQueue[Tuple[Call, Any, Any]] = queue.SimpleQueue()
        self._readers: Dict[Call, _Reader] = {}
        self._is_closed = False
        self.process = os.getpid()
        _open.add(self)

    def start(self, call: Call, metadata: Any) -> None:
        """Makes a call."""
        connection = call.endpoint
        assert isinstance(connection, _Connection)
        try:
            stream = connection.fetch_batch(call.message, metadata=metadata)
        except ValueError:
            # Another thread has closed the client, which the list notices in its next turn.
            self._queue.put((call, None, None))
            return
        call.cancel = stream.cancel
        reader = _Reader(self._read, call, stream)
        self._readers[call] = reader
        reader.start()

    def wait(self, requests: RequestList, until: Optional[float]) -> None:
        """Waits for something to arrive, and passes all that has arrived to the list."""
        timeout = None if until is None else max(0.0, until - time.monotonic())
        try:
            event = self._queue.get(timeout=timeout)
            while True:
                self._pass_on(requests, *event)
                event = self._queue.get_nowait()
        except queue.Empty:
            pass

    def close(self) -> None:
        """Waits until all readers have come to the end of their calls, which are complete or
        cancelled. A thread that is still inside gRPC can break a child that is forked now, and
        keep the interpreter from ending."""
        self._is_closed = True
        readers = dict(self._readers)
        for reader in readers.values():
            reader.permit()
        end = time.monotonic() + _TRAILERS_TIMEOUT
        for reader in readers.values():
            reader.end(max(0.0, end - time.monotonic()))
        for call, reader in readers.items():
            if reader.is_alive():
                call.cancel()
                reader.end(_END_TIMEOUT)

    def abort(self) -> None:
        """Cancels all calls, and waits until their readers have ended."""
        for call in list(self._readers):
            call.cancel()
        self.close()

    def _pass_on(self, requests: RequestList, call: Call, message: Any, error: Any) -> None:
        now = time.monotonic()
        if message is not None:
            self._readers[call].permit()
            requests.on_message(call, message, now)
        else:
            reader = self._readers.pop(call, None)
            if reader is not None:
                reader.end(_END_TIMEOUT)
            requests.on_end(call, error, now)

    def _read(self, reader: _Reader, call: Call, stream: Any) -> None:
        error: Optional[grpc.RpcError] = None
        try:
            for message in stream:
                if not self._is_closed:
                    self._queue.put((call, message, None))
                    reader.wait_for_permit()
        except grpc.RpcError as caught:
            error = caught
            if stream.cancelled():
                _take_rest(stream)
        self._queue.put((call, None, error))


class _Reader(threading.Thread):
    """The thread that reads one call."""

    def __init__(self, read: Any, call: Call, stream: Any) -> None:
        super().__init__(target=read, args=(self, call, stream), name="fetchd-call", daemon=True)
        # A semaphore isn't reentrant, but the garbage collector may close a list at any point.
        self._permits: queue.SimpleQueue[None] = queue.SimpleQueue()
        for _ in range(_AHEAD):
            self.permit()

    def permit(self) -> None:
        """Lets the thread receive another message."""
        self._permits.put(None)

    def wait_for_permit(self) -> None:
        """Waits until the thread may receive another message."""
        self._permits.get()

    def end(self, timeout: float) -> None:
        """Waits until the thread has ended, for up to ``timeout`` seconds."""
        # Raised if an interrupt came before the thread had begun, or if this is the thread, which
        # the garbage collector may use to close a list.
        with contextlib.suppress(RuntimeError):
            self.join(timeout)


def _take_rest(stream: Any) -> None:
    """Takes the last events of a call that has been cancelled, which come at once.

    grpcio frees a call only then, but its iterator ends before (1.60 to 1.85, if one thread reads
    the call).
    """
    with contextlib.suppress(AttributeError):
        while stream._state.due:
            stream._consume_next_event()


_open: weakref.WeakSet[_Events] = weakref.WeakSet()


@atexit.register
def _end_all() -> None:
    """Ends the lists that are still running when the program ends."""
    for events in list(_open):
        if events.process == os.getpid():
            events.abort()


def _flatten(steps: Iterator[RequestList]) -> Iterator[Result]:
    """Returns the results of a list as they arrive."""
    try:
        for requests in steps:
            while requests.results:
                yield requests.results.popleft()
    finally:
        steps.close()  # type: ignore[attr-defined]
