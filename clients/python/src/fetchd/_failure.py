"""Failed calls, and what they mean for their requests."""

from __future__ import annotations

import enum
from typing import Any, Optional, Type, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from . import timing
from .errors import FetchError, service_lost
from .internal import status_pb2

_M = TypeVar("_M", bound=Message)

_TRANSIENT = frozenset(
    ("CANCELLED", "UNKNOWN", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "ABORTED", "UNAVAILABLE")
)


class Disposition(enum.Enum):
    """Whether the requests of a failed call may be sent again, and whether to blame the
    endpoint."""

    FINAL = enum.auto()
    """Sending them again would not change the result."""
    REFUSED = enum.auto()
    """The endpoint rejected the call and dispatched nothing. Another one may accept it."""
    FOREIGN = enum.auto()
    """As ``REFUSED``, and the endpoint is no fetchd service, or doesn't accept this client."""
    NOT_DISPATCHED = enum.auto()
    """Nothing was dispatched. All requests may be sent again."""
    LOST = enum.auto()
    """The requests may have been dispatched. Only the idempotent ones may be sent again."""


class Failure:
    """A failed call."""

    def __init__(
        self,
        error: FetchError,
        disposition: Disposition,
        retry_after: Optional[float] = None,
    ) -> None:
        self.error = error
        """The error of the requests that are not sent again."""
        self.disposition = disposition
        self.retry_after = retry_after
        """Set if the endpoint is full: it may have room again after this many seconds."""

    def at(self, endpoint: str) -> Failure:
        """Returns the failure with the name of its endpoint."""
        error = self.error
        named = FetchError(error.reason, f"{endpoint}: {error.message}", error.retryable, error.code)
        return Failure(named, self.disposition, self.retry_after)

    def as_not_dispatched(self) -> Failure:
        """Returns the failure of a call that had no requests."""
        if self.disposition is not Disposition.LOST:
            return self
        return Failure(self.error, Disposition.NOT_DISPATCHED, self.retry_after)

    def final_error(self) -> FetchError:
        """Returns the error of a request that is not sent again."""
        if self.disposition is not Disposition.LOST:
            return self.error
        message = (
            f"{self.error.message}; the request may have reached its origin and was not sent again"
        )
        return FetchError(self.error.reason, message, self.error.retryable, self.error.code)


def lost(error: FetchError) -> Failure:
    """A call that failed on this side, and may have dispatched its requests."""
    return Failure(error, Disposition.LOST)


def silent(timeout: float) -> Failure:
    """A call on which nothing arrived for ``timeout`` seconds."""
    return lost(service_lost(f"the service sent nothing for {timeout:g} s while requests were open"))


def of_status(error: Any, has_begun: bool) -> Failure:
    """Returns what the ``grpc.RpcError`` of a call means.

    ``has_begun`` is true if messages had already arrived, so that requests were dispatched.
    """
    code = error.code()
    disposition = Disposition.LOST
    retry_after = None
    if not has_begun:
        disposition, retry_after = _disposition(code, _details(error))
    name = code.name
    if disposition is Disposition.LOST:
        failure = FetchError("SERVICE_LOST", error.details() or name, True, name)
    else:
        failure = FetchError("CALL_FAILED", error.details() or "", name in _TRANSIENT, name)
    return Failure(failure, disposition, retry_after)


def of_end(error: Optional[FetchError], attempts: int) -> Disposition:
    """Returns what the end of a single request means for it."""
    if error is None or error.reason != "SHUTTING_DOWN":
        return Disposition.FINAL
    return Disposition.NOT_DISPATCHED if attempts == 0 else Disposition.LOST


def _disposition(
    code: grpc.StatusCode, details: status_pb2.Status
) -> tuple[Disposition, Optional[float]]:
    if code in (
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNAUTHENTICATED,
    ):
        return Disposition.REFUSED, None
    if code in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.PERMISSION_DENIED):
        return Disposition.FOREIGN, None
    if code is grpc.StatusCode.UNAVAILABLE:
        info = _detail(details, status_pb2.ErrorInfo)
        if info is not None and info.reason == "DRAINING" and info.domain == "fetchd":
            return Disposition.NOT_DISPATCHED, None
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        retry = _detail(details, status_pb2.RetryInfo)
        if retry is not None:
            return Disposition.NOT_DISPATCHED, max(0.0, timing.to_seconds(retry.retry_delay))
    return Disposition.LOST, None


def _details(error: Any) -> status_pb2.Status:
    for key, value in error.trailing_metadata() or ():
        if key == "grpc-status-details-bin":
            try:
                return status_pb2.Status.FromString(value)
            except DecodeError:
                break
    return status_pb2.Status()


def _detail(status: status_pb2.Status, kind: Type[_M]) -> Optional[_M]:
    """Returns the detail with the fields of ``kind``, whose name in google.rpc is the same."""
    for detail in status.details:
        if detail.type_url.rpartition("/")[2] == f"google.rpc.{kind.DESCRIPTOR.name}":
            try:
                return kind.FromString(detail.value)
            except DecodeError:
                return None
    return None
