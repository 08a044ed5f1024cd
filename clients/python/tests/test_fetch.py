"""Lists, results and streams, through a real service."""

from __future__ import annotations

import concurrent.futures
import copy
import datetime
import itertools
import json
import pickle
import threading
import time
from typing import Any, Callable, Iterator, List, Tuple, Type

import grpc
import pytest

from fetchd import Client, FetchError, HTTPStatusError, Request, Result

from conftest import Origin


def test_results_have_the_order_of_the_requests(client: Client, origin: Origin) -> None:
    urls = [f"{origin.url}/bytes/{size}" for size in range(300)]
    results = client.fetch_all(urls, concurrency=100)
    assert [result.index for result in results] == list(range(300))
    assert [len(result.content) for result in results] == list(range(300))
    assert all(result.ok and result.url == url for result, url in zip(results, urls))


def test_ordered_results_wait_for_earlier_ones(client: Client, origin: Origin) -> None:
    urls = (f"{origin.url}/bytes/1" if n % 100 == 0 else "nonsense" for n in range(12_000))
    indices = [result.index for result in client.fetch(urls, ordered=True)]
    assert indices == list(range(12_000))


def test_an_endless_iterator_is_read_as_needed(client: Client) -> None:
    taken: List[int] = []

    def urls() -> Iterator[str]:
        for number in itertools.count():
            taken.append(number)
            yield "nonsense"

    results = client.fetch(urls(), concurrency=10)
    assert len(list(itertools.islice(results, 3000))) == 3000
    results.close()  # type: ignore[attr-defined]
    assert len(taken) < 6000


def test_a_slow_iterator_does_not_hold_up_its_first_requests(
    client: Client, origin: Origin
) -> None:
    taken: List[int] = []

    def urls() -> Iterator[str]:
        for number in range(20):
            taken.append(number)
            yield f"{origin.url}/bytes/{number}"
            time.sleep(0.06)

    results = client.fetch(urls())
    assert next(results).ok
    assert len(taken) < 15
    assert len(list(results)) == 19


def test_an_iterator_that_fails_raises_its_error(client: Client, origin: Origin) -> None:
    def urls() -> Iterator[str]:
        yield f"{origin.url}/hang"
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        client.fetch_all(urls())


def test_a_result_reads_like_one_of_requests(client: Client, origin: Origin) -> None:
    request = Request(
        f"{origin.url}/echo", "POST", headers={"X-One": "1", "X-Many": ["a", "b"]}, json={"a": 1}
    )
    [result] = client.fetch_all([request])
    assert result.raise_for_status() is result
    assert (result.status_code, result.reason, result.ok) == (200, "OK", True)
    assert result.headers["CONTENT-TYPE"] == "application/json"
    assert "content-type" in result.headers and result.headers.get("x") is None
    assert result.json()["method"] == "POST"
    assert result.json()["headers"]["content-type"] == "application/json"
    assert json.loads(result.json()["body"]) == {"a": 1}
    assert result.request is request and result.http_version == "HTTP/1.1"
    assert result.encoding == "utf-8" and result.text == result.content.decode()
    assert result.elapsed > datetime.timedelta(0)
    assert result.timing.total == pytest.approx(result.elapsed.total_seconds(), abs=1e-5)
    assert result.attempts == 1 and not result.truncated and result.error is None


def test_failures_raise_only_if_asked(client: Client, origin: Origin) -> None:
    urls = [f"{origin.url}/status/404?secret=1", "http://user:secret@127.0.0.1:1/?secret=1"]
    missing, refused = client.fetch_all(urls, max_attempts=1)
    assert (missing.ok, missing.error) == (False, None)
    with pytest.raises(HTTPStatusError, match="404 client error for url"):
        missing.raise_for_status()
    assert refused.status_code is None and refused.headers.get("a") is None
    assert refused.error is not None and refused.error.reason == "CONNECT"
    assert refused.error.retryable
    with pytest.raises(FetchError) as caught:
        refused.raise_for_status()
    assert caught.value is refused.error
    with pytest.raises(FetchError):
        refused.json()
    for shown in (missing, refused, missing.request, refused.request, caught.value, client):
        assert "secret" not in repr(shown) + str(caught.value)


def test_results_can_be_copied(client: Client, origin: Origin) -> None:
    [result] = client.fetch_all([f"{origin.url}/bytes/3"])
    [failed] = client.fetch_all(["nonsense"])
    for duplicate in (pickle.loads(pickle.dumps(result)), copy.deepcopy(result)):
        assert isinstance(duplicate, Result)
        assert (duplicate.content, duplicate.url) == (b"xxx", result.url)
        assert duplicate.headers == result.headers
    again = pickle.loads(pickle.dumps(failed))
    assert str(again.error) == str(failed.error) and again.error.reason == "INVALID_REQUEST"


def test_options_of_client_list_and_request(service: str, origin: Origin) -> None:
    headers = {"User-Agent": "mine", "X-Both": "client"}
    with Client(service, headers=headers, max_body_bytes=5, truncate=True) as client:
        own = Request(f"{origin.url}/bytes/9", headers={"x-both": "own"}, max_body_bytes=7)
        results = client.fetch_all([f"{origin.url}/bytes/9", own])
        assert [len(result.content) for result in results] == [5, 7]
        [result] = client.fetch_all([f"{origin.url}/bytes/9"], max_body_bytes=6)
        assert len(result.content) == 6 and result.truncated
        echoes = client.fetch_all(
            [f"{origin.url}/echo", Request(f"{origin.url}/echo", headers=[("x-both", b"own")])],
            max_body_bytes=10_000,
        )
        assert [echo.json()["headers"]["x-both"] for echo in echoes] == ["client", "own"]
        assert [echo.json()["headers"]["user-agent"] for echo in echoes] == ["mine", "mine"]


def test_a_body_is_streamed(client: Client, origin: Origin) -> None:
    with client.stream(f"{origin.url}/bytes/1000000") as response:
        assert (response.status_code, response.ok) == (200, True)
        assert response.headers["content-length"] == "1000000"
        assert response.attempts is None
        sizes = [len(piece) for piece in response.iter_content(300_000)]
    assert sizes == [300_000, 300_000, 300_000, 100_000]
    assert response.attempts == 1 and response.timing is not None
    with pytest.raises(FetchError, match="CONNECT"):
        client.stream("http://127.0.0.1:1/", max_attempts=1)


# As code that is not checked calls it.
request: Any = Request
client_of: Any = Client

WRONG: List[Tuple[Type[Exception], str, Callable[[Any], object]]] = [
    (TypeError, "expected a list of URLs", lambda client: client.fetch_all("http://o/")),
    (TypeError, "expected a URL or a Request, got int", lambda client: client.fetch_all([1])),
    (ValueError, "concurrency: expected at least 1, got 0", lambda client: client.fetch_all([], concurrency=0)),
    (TypeError, "concurrency: expected an integer", lambda client: client.fetch_all([], concurrency="9")),
    (ValueError, "timeout: expected a duration greater than 0 s, got -1", lambda client: client.fetch([], timeout=-1)),
    (ValueError, "timeout: expected a duration", lambda client: client.fetch([], timeout=float("nan"))),
    (TypeError, "timeout: expected seconds", lambda client: client.fetch([], timeout="1s")),
    (ValueError, "request_timeout: expected", lambda client: client.fetch([], request_timeout=0)),
    (TypeError, "unexpected option 'timout'", lambda client: client.fetch([], timout=3)),
    (ValueError, "max_attempts: expected at least 1", lambda _: request("http://o/", max_attempts=0)),
    (ValueError, "max_body_bytes: expected at least 0", lambda _: request("http://o/", max_body_bytes=-1)),
    (TypeError, "truncate: expected a bool", lambda _: request("http://o/", truncate="yes")),
    (TypeError, "url: expected str, got bytes", lambda _: request(b"http://o/")),
    (ValueError, "headers: expected a name in ASCII", lambda _: request("http://o/", headers={"ä": "1"})),
    (ValueError, "headers: expected text that Latin-1", lambda _: request("http://o/", headers={"a": "世"})),
    (TypeError, "headers: expected str or bytes", lambda _: request("http://o/", headers={"a": 1})),
    (TypeError, "body: expected bytes or str", lambda _: request("http://o/", body={"a": 1})),
    (ValueError, "json: expected no body", lambda _: request("http://o/", body=b"", json={})),
    (ValueError, "endpoints: expected an address", lambda _: Client("")),
    (ValueError, "endpoints: expected an address .* got 'ftp://o'", lambda _: Client("ftp://o")),
    (TypeError, "endpoints: expected an address .* got NoneType", lambda _: client_of(None)),
    (ValueError, "endpoints: expected an address", lambda _: Client("http://localhost:50051/path")),
    (ValueError, "endpoints: expected an address", lambda _: Client("localhost:99999")),
    (ValueError, "tls_cert: expected tls_key", lambda _: Client("https://o", tls_cert=b"")),
    (ValueError, "tls_ca: expected PEM", lambda _: Client("https://o", tls_ca=b"nonsense")),
    (ValueError, "tls_ca: expected an https address", lambda _: Client("http://o", tls_ca=b"x")),
    (OSError, "missing.pem", lambda _: Client("https://o", tls_ca="/missing.pem")),
    (ValueError, "token: expected 1 to 4096 visible", lambda _: Client("o", token="s e")),
    (ValueError, "give_up_after: expected", lambda _: Client("o", give_up_after=0)),
]


@pytest.mark.parametrize("error, message, call", WRONG, ids=[message for _, message, _ in WRONG])
def test_wrong_arguments_are_named(
    client: Client, error: Type[Exception], message: str, call: Callable[[Any], object]
) -> None:
    with pytest.raises(error, match=message) as caught:
        call(client)
    assert "s e" not in str(caught.value), "the value of a secret"


def test_text_that_cannot_be_encoded_takes_its_place(client: Client, origin: Origin) -> None:
    good, bad = client.fetch_all([f"{origin.url}/bytes/1", "http://o/\ud800"])
    assert good.ok
    assert bad.error is not None and bad.error.reason == "INVALID_REQUEST"


class _Garbage(grpc.GenericRpcHandler):
    """Answers with a message that is none, and keeps the call open."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        def answer(message: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            if message:
                yield b"\xff\xff\xff\xff"
                self.over.wait()

        return grpc.unary_stream_rpc_method_handler(answer)


def test_a_call_that_stays_open_after_garbage_is_not_waited_for() -> None:
    garbage = _Garbage()
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(32), handlers=[garbage])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with Client(f"127.0.0.1:{port}", give_up_after=0.5) as client:
        [result] = client.fetch_all(["http://origin.example/"])
    assert result.error is not None and result.error.reason == "SERVICE_LOST"
    garbage.over.set()
    server.stop(None)
