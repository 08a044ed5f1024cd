"""The outcome of one request."""

from __future__ import annotations

import datetime
import http
import json
from typing import Any, Optional

from . import charset, timing
from .errors import FetchError, HTTPStatusError
from .headers import Headers
from .request import Request, redact
from .timing import Timing
from .v1 import fetchd_pb2 as pb

_VERSIONS = {
    pb.HTTP_VERSION_HTTP_1_0: "HTTP/1.0",
    pb.HTTP_VERSION_HTTP_1_1: "HTTP/1.1",
    pb.HTTP_VERSION_HTTP_2: "HTTP/2",
    pb.HTTP_VERSION_HTTP_3: "HTTP/3",
}


class Meta:
    """The head and the end of a result, decoded when they are read.

    They are kept as bytes, since a part of a message would keep the whole message in memory, and
    most callers read a few fields only.
    """

    __slots__ = ("_encoded_end", "_encoded_head", "_end", "_head", "_headers")

    def __init__(self, head: Optional[bytes], end: bytes = b"") -> None:
        self._encoded_head = head
        self._encoded_end = end
        self._head: Optional[pb.ResponseHead] = None
        self._end: Optional[pb.FetchEnd] = None
        self._headers: Optional[Headers] = None

    @property
    def head(self) -> pb.ResponseHead:
        if self._head is None:
            self._head = pb.ResponseHead.FromString(self._encoded_head or b"")
        return self._head

    @property
    def end(self) -> pb.FetchEnd:
        if self._end is None:
            self._end = pb.FetchEnd.FromString(self._encoded_end)
        return self._end

    @property
    def headers(self) -> Headers:
        """The header lines of the response. Empty if no response arrived."""
        if self._headers is None:
            lines = self.head.headers
            self._headers = Headers((line.name, line.value.decode("latin-1")) for line in lines)
        return self._headers

    @property
    def http_version(self) -> Optional[str]:
        """The HTTP version of the response, such as ``HTTP/1.1``."""
        return _VERSIONS.get(self.head.version)

    @property
    def attempts(self) -> int:
        """The number of attempts. 0 if the request was never dispatched."""
        return self.end.attempts

    @property
    def redirects(self) -> int:
        """The number of redirects that the last attempt followed."""
        return self.end.redirects

    @property
    def truncated(self) -> bool:
        """True if the body was cut at ``max_body_bytes``, because of ``truncate``."""
        return self.end.truncated

    @property
    def timing(self) -> Timing:
        """The durations of the phases."""
        return timing.from_message(self.end.timing)

    @property
    def elapsed(self) -> datetime.timedelta:
        """The time from the first dispatch to the end. Zero if there was no dispatch."""
        return datetime.timedelta(seconds=timing.to_seconds(self.end.timing.total))


class Result(Meta):
    """The outcome of one request: a response, an error, or both if the response is incomplete."""

    __slots__ = ("_encoding", "_input", "content", "error", "index", "status_code")

    index: int
    """The position of the request in its list, from 0."""
    status_code: Optional[int]
    """The HTTP status code. ``None`` if no response arrived."""
    content: bytes
    """The body. Empty if there is none, and incomplete if there is an error."""
    error: Optional[FetchError]
    """The reason why the response is missing or incomplete. ``None`` if it is complete."""

    def __init__(
        self,
        index: int,
        request: object,
        status_code: Optional[int],
        content: bytes,
        error: Optional[FetchError],
        head: Optional[bytes],
        end: bytes,
    ) -> None:
        # Repeats that of Meta, which saves a call for each result.
        self._encoded_head = head
        self._encoded_end = end
        self._head = None
        self._end = None
        self._headers = None
        self._encoding: Optional[str] = None
        self._input = request
        self.index = index
        self.status_code = status_code
        self.content = content
        self.error = error

    @property
    def request(self) -> Request:
        """The request."""
        if isinstance(self._input, str):
            self._input = Request(self._input)
        assert isinstance(self._input, Request)
        return self._input

    @property
    def url(self) -> str:
        """The URL that responded, after redirects. That of the request if no response arrived."""
        if self.status_code is not None:
            return self.head.url
        return self._input if isinstance(self._input, str) else self.request.url

    @property
    def ok(self) -> bool:
        """True if the response is complete and its status is below 400."""
        return self.error is None and self.status_code is not None and self.status_code < 400

    @property
    def reason(self) -> str:
        """The usual phrase for the status, such as ``Not Found``. Empty if there is none."""
        try:
            return http.HTTPStatus(self.status_code or 0).phrase
        except ValueError:
            return ""

    @property
    def encoding(self) -> str:
        """The encoding of ``text``: that of a byte order mark, else of the charset in the
        ``Content-Type``, else UTF-8. Can be set."""
        if self._encoding is None:
            return charset.encoding_of(self.headers.get("content-type"), self.content)
        return self._encoding

    @encoding.setter
    def encoding(self, encoding: Optional[str]) -> None:
        self._encoding = encoding

    @property
    def text(self) -> str:
        """The body as text. Bytes that are not valid become U+FFFD."""
        return charset.decode(self.content, self.encoding)

    def json(self, **options: Any) -> Any:
        """Returns the body, which has to be JSON. ``options`` are those of ``json.loads``.

        Raises the error of the result, or ``ValueError`` if the body is no JSON.
        """
        if self.error is not None:
            raise self.error
        return json.loads(self.text, **options)

    def raise_for_status(self) -> Result:
        """Returns the result itself if the response is complete and its status is below 400.

        Raises the error of the result, else :class:`fetchd.HTTPStatusError`.
        """
        if self.error is not None:
            raise self.error
        if self.status_code is not None and self.status_code >= 400:
            raise HTTPStatusError(self.status_code, redact(self.url))
        return self

    def __repr__(self) -> str:
        outcome = self.error.reason if self.error is not None else self.status_code
        return f"<Result {self.index} [{outcome}]>"


def failed(index: int, request: object, error: FetchError) -> Result:
    """Returns the result of a request that failed before any part of its response arrived."""
    return Result(index, request, None, b"", error, None, b"")
