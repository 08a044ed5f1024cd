"""The client for asyncio."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from typing import TYPE_CHECKING, Any, AsyncIterable, AsyncIterator, Deque, Dict, Iterable, List, Optional, Tuple, Union

import grpc
import grpc.aio

from ._assembly import Body
from ._async_source import AsyncSource
from ._credentials import Pem
from ._endpoint import Endpoint
from ._list import Call, Settings, Taker
from ._list import List as RequestList
from ._options import CHANNEL_OPTIONS, METHOD, ClientOptions, Metadata
from ._order import Order
from ._source import Source
from ._stream import AsyncStreamedResponse, StreamedBody
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


class AsyncClient:
    """Like :class:`fetchd.Client`, for asyncio.

    It connects in the event loop of its first list, and connects anew if a list runs in another
    one.
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
        self._connections: List[_Connection] = []
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._process: Optional[int] = None
        self._abandoned: List[_Connection] = []
        self._is_closed = False

    async def fetch_all(
        self,
        requests: Union[Iterable[RequestInput], AsyncIterable[RequestInput]],
        *,
        concurrency: Optional[int] = None,
        timeout: Optional[Seconds] = None,
        metadata: Optional[Metadata] = None,
        **limits: Unpack[Limits],
    ) -> List[Result]:
        """Fetches a list, and returns one result for each request, in the same order.

        See :meth:`fetchd.Client.fetch_all`. Cancelling the task cancels the requests.
        """
        fetch = self.fetch(
            requests, concurrency=concurrency, timeout=timeout, metadata=metadata, **limits
        )
        try:
            results = [result async for result in fetch]
        finally:
            await fetch.aclose()  # type: ignore[attr-defined]
        results.sort(key=lambda result: result.index)
        return results

    def fetch(
        self,
        requests: Union[Iterable[RequestInput], AsyncIterable[RequestInput]],
        *,
        concurrency: Optional[int] = None,
        timeout: Optional[Seconds] = None,
        metadata: Optional[Metadata] = None,
        ordered: bool = False,
        **limits: Unpack[Limits],
    ) -> AsyncIterator[Result]:
        """Like :meth:`fetch_all`, but returns the results as they arrive.

        See :meth:`fetchd.Client.fetch`. Python doesn't close an asynchronous generator when a loop
        over it is left: use ``contextlib.aclosing``, or cancel the task. Requests may also come
        from an asynchronous iterator.
        """
        settings = self._options.settings(concurrency, timeout, metadata, limits)
        if isinstance(requests, AsyncIterable):
            return self._results(AsyncSource(requests), settings, ordered)
        return self._results(Source(requests, is_list(requests)), settings, ordered)

    def stream(
        self,
        request: RequestInput,
        *,
        timeout: Optional[Seconds] = None,
        metadata: Optional[Metadata] = None,
        **limits: Unpack[Limits],
    ) -> AsyncStreamedResponse:
        """Sends one request. Use it with ``async with``, which returns when the head has arrived.

        See :meth:`fetchd.Client.stream`.
        """
        settings = self._options.settings(1, timeout, metadata, limits)
        body = StreamedBody()
        steps = self._steps(Source([request], True), settings, body.begin)
        return AsyncStreamedResponse(body, steps)

    async def close(self) -> None:
        """Closes the connections. Lists that are not complete end with an error."""
        self._is_closed = True
        connections, self._connections = self._connections, []
        if self._loop is asyncio.get_running_loop():
            for connection in connections:
                await connection.channel.close()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        names = ", ".join(address.name for address in self._options.addresses)
        return f"<AsyncClient {names}>"

    async def _results(
        self, source: Union[Taker, AsyncSource], settings: Settings, ordered: bool
    ) -> AsyncIterator[Result]:
        order = Order() if ordered else None
        steps = self._steps(source, settings, Body)
        try:
            async for requests in steps:
                if order is not None:
                    for result in order.take(requests):
                        yield result
                while requests.results:
                    yield requests.results.popleft()
        finally:
            await steps.aclose()  # type: ignore[attr-defined]

    async def _steps(
        self, source: Union[Taker, AsyncSource], settings: Settings, make_body: Any
    ) -> AsyncIterator[RequestList]:
        """Runs a list. Yields it whenever there may be something to take from it."""
        events = _Events()
        if isinstance(source, AsyncSource):
            source.start(events.wake)
        requests = RequestList(source, self._connected(), settings, time.monotonic(), make_body)
        try:
            while True:
                now = time.monotonic()
                if self._is_closed:
                    requests.abort(client_closed())
                for call in requests.advance(now):
                    events.start(call, self._options.call_metadata(settings))
                yield requests
                paused = time.monotonic() - now
                requests.pause(paused)
                if requests.is_done():
                    return
                now += paused
                await events.wait(requests, requests.next_time(now))
        finally:
            requests.cancel()
            events.close()
            if isinstance(source, AsyncSource):
                source.stop()

    def _connected(self) -> List[_Connection]:
        """Returns the connections of the running event loop."""
        if self._is_closed:
            raise ValueError("the client is closed")
        loop = asyncio.get_running_loop()
        if self._loop is not loop or self._process != os.getpid():
            # Those of another loop can't be used, nor closed.
            self._abandoned += self._connections
            self._connections = [
                _Connection(address.name, self._channel(address.target, address.uses_tls))
                for address in self._options.addresses
            ]
            self._loop, self._process = loop, os.getpid()
        return self._connections

    def _channel(self, target: str, uses_tls: bool) -> grpc.aio.Channel:
        if uses_tls and self._options.credentials is not None:
            return grpc.aio.secure_channel(
                target, self._options.credentials, options=CHANNEL_OPTIONS
            )
        return grpc.aio.insecure_channel(target, options=CHANNEL_OPTIONS)


class _Connection(Endpoint):
    """An endpoint and its channel."""

    def __init__(self, name: str, channel: grpc.aio.Channel) -> None:
        super().__init__(name)
        self.channel = channel
        self.fetch_batch: Any = channel.unary_stream(
            METHOD,
            request_serializer=pb.FetchBatchRequest.SerializeToString,
            response_deserializer=pb.FetchBatchResponse.FromString,
        )


class _Events:
    """What arrives on the calls of a list. Each call has a task that reads it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        # Bounded by the permits of the readers.
        self._arrived: Deque[Tuple[Call, Any, Any]] = deque()
        self._waiter: Optional[asyncio.Future[None]] = None
        self._readers: Dict[Call, Tuple[asyncio.Task[None], asyncio.Semaphore]] = {}

    def start(self, call: Call, metadata: Any) -> None:
        """Makes a call."""
        connection = call.endpoint
        assert isinstance(connection, _Connection)
        stream = connection.fetch_batch(call.message, metadata=metadata)
        call.cancel = stream.cancel
        permits = asyncio.Semaphore(_AHEAD)
        reader = self._loop.create_task(self._read(call, stream, permits))
        self._readers[call] = reader, permits

    def wake(self) -> None:
        """Ends a wait."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, requests: RequestList, until: Optional[float]) -> None:
        """Waits for something to arrive, and passes all that has arrived to the list.

        Cancel-safe: what has arrived is passed on without waiting.
        """
        if not self._arrived:
            self._waiter = self._loop.create_future()
            timer = None
            if until is not None:
                timer = self._loop.call_later(max(0.0, until - time.monotonic()), self.wake)
            try:
                await self._waiter
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()
        while self._arrived:
            self._pass_on(requests, *self._arrived.popleft())

    def close(self) -> None:
        """Lets all readers run to the end of their calls."""
        for _, permits in self._readers.values():
            for _ in range(_AHEAD):
                permits.release()

    def _pass_on(self, requests: RequestList, call: Call, message: Any, error: Any) -> None:
        now = time.monotonic()
        if message is not None:
            self._readers[call][1].release()
            requests.on_message(call, message, now)
        else:
            del self._readers[call]
            requests.on_end(call, error, now)

    def _arrive(self, call: Call, message: Any, error: Any) -> None:
        self._arrived.append((call, message, error))
        self.wake()

    async def _read(self, call: Call, stream: Any, permits: asyncio.Semaphore) -> None:
        error: Optional[grpc.RpcError] = None
        try:
            while True:
                message = await stream.read()
                if message is grpc.aio.EOF:
                    break
                self._arrive(call, message, None)
                await permits.acquire()
            code = await stream.code()
            if code is not grpc.StatusCode.OK:
                error = _Status(code, await stream.details(), await stream.trailing_metadata())
        except grpc.RpcError as caught:
            error = caught
        except asyncio.CancelledError:
            # Raised when the call itself is cancelled, too.
            error = _Status(grpc.StatusCode.CANCELLED, "the call was cancelled", ())
        self._arrive(call, None, error)


class _Status(grpc.RpcError):
    """The status of a call that has ended without an exception."""

    def __init__(self, code: grpc.StatusCode, details: Optional[str], metadata: Any) -> None:
        super().__init__()
        self._parts = code, details, metadata

    def code(self) -> grpc.StatusCode:
        return self._parts[0]

    def details(self) -> Optional[str]:
        return self._parts[1]

    def trailing_metadata(self) -> Any:
        return self._parts[2]
