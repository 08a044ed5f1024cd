"""A response whose body is read in pieces."""

from __future__ import annotations

import datetime
from collections import deque
from typing import Any, AsyncIterator, Deque, Iterator, Optional

from ._assembly import Body
from ._list import List as RequestList
from ._pending import Pending
from .errors import HTTPStatusError
from .headers import Headers
from .request import redact
from .result import Meta, Result
from .timing import Timing


class StreamedBody:
    """The pieces of one body that have arrived and have not been read."""

    def __init__(self) -> None:
        self.head: Optional[Meta] = None
        self.status_code = 0
        self.pieces: Deque[bytes] = deque()

    def begin(self, request: Pending, status: int, head: bytes) -> Body:
        """Begins the response of a request. There can't be another one."""
        request.has_begun = True
        self.head = Meta(head)
        self.status_code = status
        return _Tee(request, status, head, self.pieces)


class _Tee(Body):
    """A body that keeps no pieces."""

    def __init__(
        self, request: Pending, status: int, head: bytes, pieces: Deque[bytes]
    ) -> None:
        super().__init__(request, status, head)
        self._unread = pieces

    def append(self, piece: bytes) -> None:
        self.size += len(piece)
        self._unread.append(piece)


class _Response:
    """The parts of a streamed response that need no waiting."""

    def __init__(self, body: StreamedBody) -> None:
        self._body = body
        self._result: Optional[Result] = None

    @property
    def status_code(self) -> int:
        """The HTTP status code."""
        return self._body.status_code

    @property
    def headers(self) -> Headers:
        """The header lines."""
        return self._head.headers

    @property
    def url(self) -> str:
        """The URL that responded, after redirects."""
        return self._head.head.url

    @property
    def http_version(self) -> Optional[str]:
        """The HTTP version, such as ``HTTP/1.1``."""
        return self._head.http_version

    @property
    def ok(self) -> bool:
        """True if the status is below 400. The body may still fail."""
        return self.status_code < 400

    @property
    def attempts(self) -> Optional[int]:
        """The number of attempts. ``None`` until the body has been read."""
        return self._result.attempts if self._result else None

    @property
    def redirects(self) -> Optional[int]:
        """The number of redirects. ``None`` until the body has been read."""
        return self._result.redirects if self._result else None

    @property
    def truncated(self) -> Optional[bool]:
        """True if the body was cut at ``max_body_bytes``. ``None`` until it has been read."""
        return self._result.truncated if self._result else None

    @property
    def timing(self) -> Optional[Timing]:
        """The durations of the phases. ``None`` until the body has been read."""
        return self._result.timing if self._result else None

    @property
    def elapsed(self) -> Optional[datetime.timedelta]:
        """The time from the dispatch to the end. ``None`` until the body has been read."""
        return self._result.elapsed if self._result else None

    def raise_for_status(self) -> None:
        """Raises :class:`fetchd.HTTPStatusError` if the status is 400 or above."""
        if self.status_code >= 400:
            raise HTTPStatusError(self.status_code, redact(self.url))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{self.status_code}]>"

    @property
    def _head(self) -> Meta:
        assert self._body.head is not None, "responses are made after their head has arrived"
        return self._body.head

    def _take_result(self, requests: RequestList) -> None:
        if requests.results:
            self._result = requests.results.popleft()
            if self._body.head is None and self._result.error is not None:
                raise self._result.error

    def _check_end(self) -> None:
        """Raises the error if the body is incomplete."""
        if self._result is not None and self._result.error is not None:
            raise self._result.error


class StreamedResponse(_Response):
    """A response whose body is read in pieces, by iteration or with :meth:`iter_content`.

    If the body ends early, reading raises the :class:`fetchd.FetchError` after the last piece.
    """

    def __init__(self, body: StreamedBody, steps: Iterator[RequestList]) -> None:
        super().__init__(body)
        self._steps = steps
        try:
            while body.head is None:
                self._take_result(next(steps))
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        try:
            while True:
                while self._body.pieces:
                    piece = self._body.pieces.popleft()
                    if piece:
                        yield piece
                if self._result is not None:
                    break
                self._take_result(next(self._steps))
        finally:
            self.close()
        self._check_end()

    def iter_content(self, chunk_size: Optional[int] = None) -> Iterator[bytes]:
        """Returns the pieces of the body: as they arrive, up to 64 KiB each, or of ``chunk_size``
        bytes each apart from the last."""
        if chunk_size is None:
            yield from self
            return
        if chunk_size < 1:
            raise ValueError(f"chunk_size: expected at least 1, got {chunk_size}")
        buffer = bytearray()
        for piece in self:
            buffer += piece
            while len(buffer) >= chunk_size:
                yield bytes(buffer[:chunk_size])
                del buffer[:chunk_size]
        if buffer:
            yield bytes(buffer)

    def read(self) -> bytes:
        """Returns the rest of the body."""
        return b"".join(self)

    def close(self) -> None:
        """Cancels the request if it is still running."""
        self._steps.close()  # type: ignore[attr-defined]

    def __enter__(self) -> StreamedResponse:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class AsyncStreamedResponse(_Response):
    """A response whose body is read in pieces, by ``async for`` or with :meth:`iter_content`.

    If the body ends early, reading raises the :class:`fetchd.FetchError` after the last piece.
    """

    def __init__(self, body: StreamedBody, steps: Any) -> None:
        super().__init__(body)
        self._steps = steps

    async def __aenter__(self) -> AsyncStreamedResponse:
        try:
            while self._body.head is None:
                self._take_result(await self._steps.__anext__())
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while True:
                while self._body.pieces:
                    piece = self._body.pieces.popleft()
                    if piece:
                        yield piece
                if self._result is not None:
                    break
                self._take_result(await self._steps.__anext__())
        finally:
            await self.close()
        self._check_end()

    async def iter_content(self, chunk_size: Optional[int] = None) -> AsyncIterator[bytes]:
        """Returns the pieces of the body: as they arrive, up to 64 KiB each, or of ``chunk_size``
        bytes each apart from the last."""
        if chunk_size is None:
            async for piece in self:
                yield piece
            return
        if chunk_size < 1:
            raise ValueError(f"chunk_size: expected at least 1, got {chunk_size}")
        buffer = bytearray()
        async for piece in self:
            buffer += piece
            while len(buffer) >= chunk_size:
                yield bytes(buffer[:chunk_size])
                del buffer[:chunk_size]
        if buffer:
            yield bytes(buffer)

    async def read(self) -> bytes:
        """Returns the rest of the body."""
        return b"".join([piece async for piece in self])

    async def close(self) -> None:
        """Cancels the request if it is still running."""
        await self._steps.aclose()
