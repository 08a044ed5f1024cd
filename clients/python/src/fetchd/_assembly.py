"""Assembles results from the parts of a call."""

from __future__ import annotations

from typing import Callable, Dict, List, Optional, Sequence, Tuple

from ._pending import Pending
from .errors import contract_broken, from_message
from .result import Result
from .v1 import fetchd_pb2 as pb


class Body:
    """A response whose end has not arrived, with the pieces of its body."""

    def __init__(self, request: Pending, status: int, head: bytes) -> None:
        self.status = status
        self.head = head
        self.size = 0
        self._pieces: List[bytes] = []

    def append(self, piece: bytes) -> None:
        """Adds the next piece of the body."""
        self.size += len(piece)
        self._pieces.append(piece)

    def join(self) -> bytes:
        """Returns the whole body."""
        return b"".join(self._pieces)


class Assembly:
    """The requests of one call that have no result yet, and the parts of their results.

    Each request gets exactly one result. A part that contradicts another one raises a
    ``CONTRACT_BROKEN`` error. Results that were complete before remain valid.
    """

    def __init__(
        self,
        requests: Sequence[Pending],
        make_body: Callable[[Pending, int, bytes], Body] = Body,
    ) -> None:
        self.pending: List[Optional[Pending]] = list(requests)
        """The requests by their index in the call. ``None`` if they have ended."""
        self.unfinished = len(requests)
        self._bodies: Dict[int, Body] = {}
        self._make_body = make_body

    def add(
        self, message: pb.FetchBatchResponse, results: List[Tuple[Pending, Result]]
    ) -> None:
        """Adds the parts of a message, and the results that they complete to ``results``."""
        collects = self._make_body is Body
        for part in message.parts:
            index = part.index
            request = self._request(index)
            has_end = part.HasField("end")
            if collects and has_end and part.HasField("head") and index not in self._bodies:
                # Most results arrive in one part.
                head = part.head
                status: Optional[int] = head.status
                encoded_head: Optional[bytes] = head.SerializeToString()
                content = part.body
                size = len(content)
            else:
                body = self._add_to_body(request, part)
                if not has_end:
                    continue
                status = body.status if body else None
                encoded_head = body.head if body else None
                content = body.join() if body else b""
                size = body.size if body else 0
            end = part.end
            error = from_message(end.error) if end.HasField("error") else None
            if status is None and error is None:
                raise contract_broken("an end with neither response nor error")
            if status is not None and size != end.body_bytes:
                raise contract_broken("a body of another size than its end reports")
            self.pending[index] = None
            self.unfinished -= 1
            self._bodies.pop(index, None)
            encoded_end = end.SerializeToString()
            result = Result(
                request.index, request.request, status, content, error, encoded_head, encoded_end
            )
            results.append((request, result))

    def _request(self, index: int) -> Pending:
        if index >= len(self.pending):
            raise contract_broken("a part with an index out of range")
        request = self.pending[index]
        if request is None:
            raise contract_broken("a part after the end")
        return request

    def _add_to_body(self, request: Pending, part: pb.ResultPart) -> Optional[Body]:
        """Adds a part to the body of its response. Returns ``None`` if there is no response."""
        body = self._bodies.get(part.index)
        if part.HasField("head"):
            if body is not None:
                raise contract_broken("a second head")
            head = part.head
            body = self._make_body(request, head.status, head.SerializeToString())
            self._bodies[part.index] = body
        if part.body:
            if body is None:
                raise contract_broken("a body before its head")
            body.append(part.body)
        return body
