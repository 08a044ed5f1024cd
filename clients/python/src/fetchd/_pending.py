"""A request without a result."""

from __future__ import annotations

import urllib.parse
from typing import Optional, Sequence, Set, Tuple

from .errors import FetchError
from .request import IDEMPOTENT, to_message
from .v1 import fetchd_pb2 as pb

_OVERHEAD = 6
"""What a request takes in a call besides its own message: the tag and the length, in bytes."""
_URL_OVERHEAD = 2 * _OVERHEAD
"""What a plain URL takes besides its text."""


class Pending:
    """A request that has no result yet, and how often and where it was lost."""

    __slots__ = (
        "failed_at",
        "has_begun",
        "index",
        "is_idempotent",
        "losses",
        "message",
        "refusal",
        "request",
        "size",
    )

    def __init__(self, index: int, request: object) -> None:
        self.index = index
        self.request = request
        self.message: Optional[pb.FetchRequest] = None
        """The message. ``None`` for a plain URL, which its call writes without one."""
        if isinstance(request, str) and request.isascii():
            self.size = len(request) + _URL_OVERHEAD
            self.is_idempotent = True
        else:
            self.message = to_message(request)
            self.size = self.message.ByteSize() + _OVERHEAD
            self.is_idempotent = self.message.method in IDEMPOTENT
        self.losses = 0
        self.failed_at: Optional[Set[str]] = None
        """Names of the endpoints that have failed the request."""
        self.refusal: Optional[FetchError] = None
        """The error of the last endpoint that has refused the request."""
        self.has_begun = False
        """True if the caller has a part of the result, so that there can't be another one."""

    def add_headers(self, lines: Sequence[Tuple[str, bytes]]) -> None:
        """Adds the header lines whose names the request doesn't set itself.

        User and password in the URL count as ``authorization``, since the service turns them into
        that header.
        """
        message = pb.FetchRequest()
        # The caller may use the request again, with a client that has other headers.
        message.CopyFrom(self.message or to_message(self.request))
        own = {line.name.lower() for line in message.headers}
        if "@" in urllib.parse.urlsplit(message.url).netloc:
            own.add("authorization")
        for name, value in lines:
            if name.lower() not in own:
                message.headers.add(name=name, value=value)
        self.message = message
        self.size = message.ByteSize() + _OVERHEAD

    def write_to(self, batch: pb.FetchBatchRequest) -> None:
        """Adds the request to a call."""
        if self.message is not None:
            batch.requests.add().CopyFrom(self.message)
        else:
            assert isinstance(self.request, str)
            batch.requests.add(url=self.request)

    def avoid(self, endpoint: str) -> None:
        """Makes the request avoid an endpoint, if there is another one."""
        if self.failed_at is None:
            self.failed_at = set()
        self.failed_at.add(endpoint)

    def count_loss(self) -> int:
        """Counts a loss, and returns how many there are."""
        self.losses += 1
        return self.losses
