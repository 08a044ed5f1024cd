"""Why a request has no complete response."""

from __future__ import annotations

from typing import Optional

from .v1 import fetchd_pb2 as pb

_REASONS = {number: name[len("REASON_") :] for name, number in pb.Reason.items()}


class FetchError(Exception):
    """The reason why a request has no complete response.

    It is the ``error`` of a result. ``raise_for_status`` raises it, and so does a streamed
    response.
    """

    reason: str
    """The kind of the failure, such as ``TIMEOUT`` or ``BLOCKED``: a ``Reason`` of the contract
    without ``REASON_``. The client itself adds

    - ``SERVICE_LOST``: no replica answered for as long as the client waits, or a replica was lost
      with the request, which must not be sent again since it may have reached its origin,
    - ``CALL_FAILED``: the service refused the call (``code`` says why),
    - ``CONTRACT_BROKEN``: the service sent a response that violates the contract,
    - ``CANCELLED``: the client was closed,
    - ``INVALID_REQUEST`` if the request cannot be sent.
    """
    message: str
    """A description for people. It contains no credentials and no query string."""
    retryable: bool
    """True if the same request may succeed later. Says nothing about whether it is safe to send it
    twice."""
    code: Optional[str]
    """The gRPC status code if the service refused the call, such as ``UNAUTHENTICATED``."""

    def __init__(
        self, reason: str, message: str, retryable: bool = False, code: Optional[str] = None
    ) -> None:
        super().__init__(reason, message, retryable, code)
        self.reason = reason
        self.message = message
        self.retryable = retryable
        self.code = code

    def __str__(self) -> str:
        name = f"{self.reason} ({self.code})" if self.code else self.reason
        return f"{name}: {self.message}"

    def __repr__(self) -> str:
        return f"<FetchError {self}>"


class HTTPStatusError(Exception):
    """A complete response with a status of 400 or above, as ``raise_for_status`` raises it."""

    status_code: int
    """The HTTP status code."""
    url: str
    """The URL that responded, without its query string and credentials."""

    def __init__(self, status_code: int, url: str) -> None:
        super().__init__(status_code, url)
        self.status_code = status_code
        self.url = url

    def __str__(self) -> str:
        kind = "client error" if self.status_code < 500 else "server error"
        return f"{self.status_code} {kind} for url {self.url}"


def from_message(error: pb.FetchError) -> FetchError:
    """Returns the error that the service reports for a request."""
    number = error.reason
    reason = _REASONS.get(number, f"REASON_{number}")
    return FetchError(reason, error.message, error.retryable)


def contract_broken(violation: str) -> FetchError:
    """Returns the error for a response that violates the contract."""
    return FetchError("CONTRACT_BROKEN", f"the service broke its contract: {violation}")


def service_lost(message: str) -> FetchError:
    """Returns the error for a service that is gone."""
    return FetchError("SERVICE_LOST", message, retryable=True)


def deadline_passed() -> FetchError:
    """Returns the error for requests that missed the time limit of their list."""
    return FetchError("BATCH_DEADLINE", "the deadline of the batch passed first", retryable=True)


def client_closed() -> FetchError:
    """Returns the error for requests of a client that was closed."""
    return FetchError("CANCELLED", "the client was closed")
