"""Requests, and the options that limit them."""

from __future__ import annotations

import datetime
import json as json_module
from typing import Any, Optional, Union

from . import timing
from .headers import Headers, HeadersInput, to_lines
from .v1 import fetchd_pb2 as pb

Seconds = Union[float, datetime.timedelta]

IDEMPOTENT = frozenset(("", "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"))
"""The methods that are safe to send twice (RFC 9110, section 9.2.2)."""


class Request:
    """One HTTP request.

    The service checks the URL and the method: an invalid one ends with an ``INVALID_REQUEST`` error
    in its place of the list. Options that cannot be sent at all raise ``TypeError`` or
    ``ValueError`` here.

    :param url: an absolute http or https URL of at most 16 KiB
    :param method: the method, in upper case
    :param headers: a dict or pairs; see :data:`fetchd.headers.HeadersInput`
    :param body: bytes, or text to be encoded as UTF-8
    :param json: an object to send as JSON instead of a body. Sets ``Content-Type`` if ``headers``
        don't.
    :param timeout: seconds from the dispatch to the last byte, with retries and redirects.
        Default 30 s; services lower it to their maximum, usually 10 min.
    :param idle_timeout: seconds that the origin may be silent. Default 15 s.
    :param connect_timeout: seconds for DNS, TCP and TLS. Default 5 s.
    :param max_redirects: default 10, at most 20. With 0, a redirect is the response.
    :param max_body_bytes: the largest body, decompressed. Default 10 MiB; services lower it to
        their maximum, usually 1 GiB.
    :param truncate: cut a larger body off instead of failing
    :param max_attempts: attempts, with the first one. Default 3, at most 10. The service makes
        another one only if the method is idempotent or nothing was written.
    """

    __slots__ = ("_message",)

    def __init__(
        self,
        url: str,
        method: str = "GET",
        *,
        headers: Optional[HeadersInput] = None,
        body: Union[bytes, str, None] = None,
        json: Any = None,
        timeout: Optional[Seconds] = None,
        idle_timeout: Optional[Seconds] = None,
        connect_timeout: Optional[Seconds] = None,
        max_redirects: Optional[int] = None,
        max_body_bytes: Optional[int] = None,
        truncate: Optional[bool] = None,
        max_attempts: Optional[int] = None,
    ) -> None:
        message = pb.FetchRequest(url=_text("url", url), method=_text("method", method))
        lines = to_lines(headers) if headers is not None else []
        if json is not None:
            if body is not None:
                raise ValueError("json: expected no body beside it")
            body = json_module.dumps(json).encode()
            if not any(name.lower() == "content-type" for name, _ in lines):
                lines.append(("content-type", b"application/json"))
        for name, value in lines:
            message.headers.add(name=name, value=value)
        if isinstance(body, str):
            message.body = body.encode()
        elif isinstance(body, (bytes, bytearray, memoryview)):
            message.body = bytes(body)
        elif body is not None:
            raise TypeError(f"body: expected bytes or str, got {type(body).__name__}")
        limits = options(
            timeout=timeout,
            idle_timeout=idle_timeout,
            connect_timeout=connect_timeout,
            max_redirects=max_redirects,
            max_body_bytes=max_body_bytes,
            truncate=truncate,
            max_attempts=max_attempts,
        )
        if limits is not None:
            message.options.CopyFrom(limits)
        self._message = message

    @property
    def url(self) -> str:
        """The URL."""
        return self._message.url

    @property
    def method(self) -> str:
        """The method."""
        return self._message.method or "GET"

    @property
    def headers(self) -> Headers:
        """The header lines of the request itself, without those of the client."""
        lines = self._message.headers
        return Headers((line.name, line.value.decode("latin-1")) for line in lines)

    @property
    def body(self) -> bytes:
        """The body. Empty if there is none."""
        return self._message.body

    def __repr__(self) -> str:
        return f"<Request {self.method} {redact(self.url)}>"

    def __getstate__(self) -> bytes:
        return self._message.SerializeToString()

    def __setstate__(self, state: bytes) -> None:
        self._message = pb.FetchRequest.FromString(state)


RequestInput = Union[str, Request]
"""A URL, or a request."""


def to_message(request: object) -> pb.FetchRequest:
    """Returns the message of a URL or a request.

    Raises ``TypeError`` for anything else, and ``ValueError`` for text that cannot be encoded.
    """
    if isinstance(request, str):
        try:
            return pb.FetchRequest(url=request)
        except ValueError:
            return pb.FetchRequest(url=_text("url", request))
    if isinstance(request, Request):
        return request._message
    raise TypeError(f"requests: expected a URL or a Request, got {type(request).__name__}")


def options(
    *,
    timeout: Optional[Seconds] = None,
    idle_timeout: Optional[Seconds] = None,
    connect_timeout: Optional[Seconds] = None,
    max_redirects: Optional[int] = None,
    max_body_bytes: Optional[int] = None,
    truncate: Optional[bool] = None,
    max_attempts: Optional[int] = None,
    timeout_name: str = "timeout",
) -> Optional[pb.FetchOptions]:
    """Returns the options as a message, or ``None`` if none is set."""
    message = pb.FetchOptions()
    if timeout is not None:
        message.timeout.CopyFrom(timing.to_message(timeout_name, timeout))
    if idle_timeout is not None:
        message.idle_timeout.CopyFrom(timing.to_message("idle_timeout", idle_timeout))
    if connect_timeout is not None:
        message.connect_timeout.CopyFrom(timing.to_message("connect_timeout", connect_timeout))
    if max_redirects is not None:
        message.max_redirects = count("max_redirects", max_redirects, 0, 2**32 - 1)
    if max_body_bytes is not None:
        message.max_body_bytes = count("max_body_bytes", max_body_bytes, 0, 2**64 - 1)
    if max_attempts is not None:
        message.max_attempts = count("max_attempts", max_attempts, 1, 2**32 - 1)
    if truncate is not None:
        if not isinstance(truncate, bool):
            raise TypeError(f"truncate: expected a bool, got {type(truncate).__name__}")
        overflow = pb.BODY_OVERFLOW_TRUNCATE if truncate else pb.BODY_OVERFLOW_FAIL
        message.body_overflow = overflow
    return message if message.ByteSize() else None


def count(name: str, value: object, least: int, most: int) -> int:
    """Returns the integer setting called ``name``, if it is from ``least`` to ``most``."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{name}: expected an integer, got {type(value).__name__}")
    if not least <= value <= most:
        limit = f"at least {least}" if value < least else f"at most {most}"
        raise ValueError(f"{name}: expected {limit}, got {value}")
    return value


def redact(url: str) -> str:
    """Returns a URL without its query string, fragment and credentials."""
    url = url.split("#", 1)[0].split("?", 1)[0]
    scheme, separator, rest = url.partition("://")
    authority, slash, path = rest.partition("/")
    return f"{scheme}{separator}{authority.rpartition('@')[2]}{slash}{path}"


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name}: expected str, got {type(value).__name__}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name}: expected text that UTF-8 can encode") from None
    return value


def is_list(requests: object) -> bool:
    """Returns true if the length of ``requests`` is known. Raises ``TypeError`` for a single
    request, which a caller may pass instead of a list."""
    if isinstance(requests, (str, bytes, Request)):
        raise TypeError(
            f"requests: expected a list of URLs or Requests, got {type(requests).__name__}"
        )
    return hasattr(requests, "__len__")
