"""The rules of a list, without a network."""

from __future__ import annotations

from typing import List, Optional, Sequence, Tuple

import grpc
from google.protobuf import duration_pb2

from fetchd import FetchError, Request
from fetchd._endpoint import Endpoint
from fetchd._list import Call, Settings
from fetchd._list import List as RequestList
from fetchd._source import Source
from fetchd.internal import status_pb2
from fetchd.v1 import fetchd_pb2 as pb


class Network:
    """Plays services. Time passes only if a test says so."""

    def __init__(self, requests: Sequence[object], names: str = "a", **settings: object) -> None:
        self.now = 100.0
        self.endpoints = [Endpoint(name) for name in names]
        source = Source(requests, True)
        self.list = RequestList(source, self.endpoints, Settings(**settings), self.now)  # type: ignore[arg-type]
        self.in_flight = 0

    def calls(self) -> List[Call]:
        """Returns the next calls with requests. Probes are answered at once."""
        found: List[Call] = []
        while True:
            calls = self.list.advance(self.now)
            if not calls:
                return found
            for call in calls:
                if call.is_probe:
                    self.list.on_end(call, None, self.now)
                else:
                    found.append(call)

    def answer(self, call: Call, index: int, error: Optional[int] = None, attempts: int = 1) -> None:
        """Ends a request."""
        part = pb.ResultPart(index=index, end=pb.FetchEnd(attempts=attempts))
        if error is None:
            part.head.status = 200
        else:
            part.end.error.reason = error  # type: ignore[assignment]
        self.list.on_message(call, pb.FetchBatchResponse(parts=[part]), self.now)

    def errors(self) -> List[Optional[str]]:
        results = sorted(self.list.results, key=lambda result: result.index)
        return [result.error.reason if result.error else None for result in results]


def test_at_most_the_concurrency_is_in_flight() -> None:
    network = Network(["http://o/"] * 12_000, concurrency=10)
    running: List[Call] = []
    remaining = {}
    done = 0
    while done < 12_000:
        for call in network.calls():
            running.append(call)
            remaining[id(call)] = list(range(len(call.message.requests)))
        slots = sum(min(call.message.concurrency, len(remaining[id(call)])) for call in running)
        assert 0 < slots <= 10
        # The last call is the slowest, so that the others free their slots one by one.
        call = next(call for call in running if remaining[id(call)])
        network.answer(call, remaining[id(call)].pop())
        running = [call for call in running if remaining[id(call)]]
        done += 1
    assert network.list.is_done() and len(network.list.results) == 12_000


def test_a_short_list_is_one_call_of_the_default_of_the_service() -> None:
    [call] = Network(["http://o/"] * 10_000).calls()
    assert len(call.message.requests) == 10_000 and call.message.concurrency == 0


def test_posts_do_not_wait_in_a_call_of_a_long_list() -> None:
    posts = [Request("http://o/", "POST")] * 10_001
    [call] = Network(posts, concurrency=7).calls()
    assert len(call.message.requests) == 7


def test_a_post_needs_an_endpoint_that_has_just_answered() -> None:
    network = Network([Request("http://o/", "POST")] * 10_001, concurrency=1)
    [call] = network.calls()
    network.now += 5
    network.answer(call, 0)
    network.now += 0.5
    [call] = network.list.advance(network.now)
    assert not call.is_probe
    network.now += 5
    network.answer(call, 0)
    network.now += 5
    [probe] = network.list.advance(network.now)
    assert probe.is_probe


class Unavailable(Exception):
    """The status of a call whose connection has broken."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.UNAVAILABLE

    def details(self) -> str:
        return "broken"

    def trailing_metadata(self) -> Optional[List[Tuple[str, bytes]]]:
        return None


class Full(Unavailable):
    """The status of a call that a service has no room for."""

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.RESOURCE_EXHAUSTED

    def trailing_metadata(self) -> Optional[List[Tuple[str, bytes]]]:
        status = status_pb2.Status(code=8)
        detail = status.details.add(type_url="type.googleapis.com/google.rpc.RetryInfo")
        delay = duration_pb2.Duration(seconds=1)
        detail.value = status_pb2.RetryInfo(retry_delay=delay).SerializeToString()
        return [("grpc-status-details-bin", status.SerializeToString())]


def test_losses_are_bounded_and_back_off_is_shared() -> None:
    network = Network(["http://o/"] * 100, give_up_after=1000.0)
    waits = []
    calls = network.calls()
    while calls:
        [call] = calls
        assert len(call.message.requests) == 100, "all requests wait together"
        network.list.on_end(call, Unavailable(), network.now)
        before = network.now
        after = network.list.next_time(network.now)
        if not network.list.results:
            assert after is not None
            network.now = after
            waits.append(network.now - before)
        calls = network.calls()
    assert len(waits) == 5
    for wait, expected in zip(waits, [0.2, 0.4, 0.8, 1.6, 3.2]):
        assert expected <= wait <= 1.5 * expected
    assert network.errors() == ["SERVICE_LOST"] * 100


def test_an_endpoint_that_has_failed_is_probed_before_it_gets_requests() -> None:
    network = Network(["http://o/"])
    [call] = network.calls()
    network.list.on_end(call, Unavailable(), network.now)
    network.now += 1
    [probe] = network.list.advance(network.now)
    assert probe.is_probe
    assert network.list.advance(network.now) == []
    network.list.on_end(probe, None, network.now)
    [again] = network.list.advance(network.now)
    assert not again.is_probe


def test_a_dead_endpoint_costs_one_call() -> None:
    network = Network(["http://o/"] * 10, names="ab")
    [call] = network.calls()
    network.list.on_end(call, Unavailable(), network.now)
    [again] = network.calls()
    assert again.endpoint is not call.endpoint
    for index in range(10):
        network.answer(again, index)
    assert network.errors() == [None] * 10 and network.list.is_done()


def test_a_list_does_not_wait_for_the_probe_of_another_endpoint() -> None:
    network = Network(["http://o/"], names="ab")
    probe, open_probe = network.list.advance(network.now)
    assert probe.is_probe and open_probe.is_probe
    network.list.on_end(probe, None, network.now)
    [call] = network.list.advance(network.now)
    network.answer(call, 0)
    assert network.errors() == [None] and network.list.is_done()


def test_a_list_gives_up_on_all_its_requests_at_once() -> None:
    network = Network(["http://o/"] * 10_500, give_up_after=3.0, concurrency=5)
    [probe] = network.list.advance(network.now)
    network.list.on_end(probe, Unavailable(), network.now)
    while network.now < 103.5:
        for call in network.list.advance(network.now):
            network.list.on_end(call, Unavailable(), network.now)
        network.now += 0.05
    results = 0
    while not network.list.is_done() or network.list.results:
        assert network.list.advance(network.now) == []
        results += len(network.list.results)
        network.list.results.clear()
    assert results == 10_500


def give_up_time(status: Exception, probe: Optional[Exception]) -> float:
    """Returns how long a list goes on whose calls and probes all end with these statuses."""
    network = Network([Request("http://o/", "POST")], give_up_after=3.0)
    first = network.calls()
    network.list.on_end(first[0], status, network.now)
    begun = network.now
    while not network.list.results:
        for call in network.list.advance(network.now):
            network.list.on_end(call, probe if call.is_probe else status, network.now)
        network.now += 0.05
    return network.now - begun


def test_full_services_get_four_times_as_long() -> None:
    assert 11.9 < give_up_time(Full(), probe=None) < 12.5, "they do answer probes"


def test_an_answer_ends_an_outage() -> None:
    network = Network(["http://o/"] * 3, give_up_after=3.0)
    for index in range(3):
        [call] = network.calls()
        network.now += 2
        network.list.on_end(call, Unavailable(), network.now)
        network.now += 2
        [call] = network.calls()
        network.answer(call, 0)
        network.list.on_end(call, Unavailable(), network.now)
        network.now += 2
    assert network.errors() == [None] * 3


def test_requests_that_miss_the_deadline_end_in_time() -> None:
    network = Network(["http://o/"] * 3, timeout=2.0)
    [call] = network.calls()
    assert 1.9 < call.message.timeout.seconds + call.message.timeout.nanos / 1e9 <= 2.0
    network.answer(call, 0)
    cancelled: List[bool] = []
    call.cancel = lambda: cancelled.append(True)
    network.now += 2.5
    assert network.calls() == [] and not cancelled, "services report the ends themselves"
    network.now += 0.6
    network.calls()
    assert network.errors() == [None, "BATCH_DEADLINE", "BATCH_DEADLINE"] and cancelled


def test_an_end_after_a_shutdown_may_be_sent_again() -> None:
    get, post = "http://o/", Request("http://o/", "POST")
    network = Network([get, post, post])
    [call] = network.calls()
    network.answer(call, 0, error=pb.REASON_SHUTTING_DOWN, attempts=1)
    network.answer(call, 1, error=pb.REASON_SHUTTING_DOWN, attempts=1)
    network.answer(call, 2, error=pb.REASON_SHUTTING_DOWN, attempts=0)
    assert network.errors() == ["SHUTTING_DOWN"]
    network.now += 1
    [again] = network.calls()
    assert [request.method for request in again.message.requests] == ["", "POST"]


def test_a_paused_reader_makes_no_call_silent() -> None:
    network = Network(["http://o/"], silence_timeout=10.0)
    [call] = network.calls()
    cancelled: List[bool] = []
    call.cancel = lambda: cancelled.append(True)
    network.list.pause(60)
    network.now += 60
    assert network.calls() == [] and not cancelled
    network.now += 20
    network.calls()
    assert cancelled and not network.list.results, "the request is sent again"


def test_errors_are_exceptions_with_a_line_of_text() -> None:
    assert str(FetchError("CALL_FAILED", "no", code="UNAUTHENTICATED")) == "CALL_FAILED (UNAUTHENTICATED): no"
