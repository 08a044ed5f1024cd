"""The requests of a list, as they are taken from the caller."""

from __future__ import annotations

import time
from typing import Iterable, Iterator, List, Optional, Union

from ._pending import Pending
from .errors import FetchError
from .result import Result, failed

MAX_LIST_REQUESTS = 10_000
MAX_CALL_REQUESTS = 1_000
MAX_CALL_BYTES = 8 << 20
"""Limits of a call, well below those of services. A list that fits one call may have more requests
than a call of a longer list."""

_PATIENCE = 0.05
"""Seconds to read requests for one call. A slow iterator gets smaller calls, so that its first
requests don't wait for the later ones."""


class Source:
    """Reads the requests of a list when there is room for them."""

    def __init__(self, requests: Iterable[object], is_list: bool) -> None:
        self._iterator: Iterator[object] = iter(requests)
        self._index = 0
        self._held: Optional[Union[Pending, Result]] = None
        self._is_exhausted = False
        self._first: List[Union[Pending, Result]] = []
        self.fits_one_call = False
        """True if one call can carry all requests."""
        if is_list:
            self._first = self._take(MAX_LIST_REQUESTS + 1, MAX_CALL_BYTES, float("inf"))
            self.fits_one_call = self._is_exhausted and len(self._first) <= MAX_LIST_REQUESTS

    @property
    def has_ended(self) -> bool:
        """True if there are no more requests."""
        return self._is_exhausted and not self._first

    def take(self, count: int, size: int) -> List[Union[Pending, Result]]:
        """Returns up to ``count`` requests of ``size`` bytes, and at least one unless the list has
        ended. A request that cannot be sent is returned as its result."""
        if self._first:
            taken, self._first = self._first, []
            return taken
        return self._take(count, size, time.monotonic() + _PATIENCE)

    def _take(self, count: int, size: int, until: float) -> List[Union[Pending, Result]]:
        taken: List[Union[Pending, Result]] = []
        while len(taken) < count and not self._is_exhausted:
            pending = self._next()
            if pending is None:
                break
            if isinstance(pending, Pending):
                size -= pending.size
                if size < 0 and taken:
                    self._held = pending
                    break
            taken.append(pending)
            if time.monotonic() > until:
                break
        return taken

    def _next(self) -> Optional[Union[Pending, Result]]:
        if self._held is not None:
            held, self._held = self._held, None
            return held
        try:
            request = next(self._iterator)
        except StopIteration:
            self._is_exhausted = True
            return None
        index, self._index = self._index, self._index + 1
        return pending_of(index, request)


def pending_of(index: int, request: object) -> Union[Pending, Result]:
    """Returns a request that can be sent, or the result of one that cannot.

    Raises ``TypeError`` if it is neither a URL nor a request.
    """
    try:
        return Pending(index, request)
    except ValueError as error:
        return failed(index, request, FetchError("INVALID_REQUEST", str(error)))
