"""Puts results in the order of their requests."""

from __future__ import annotations

from typing import Dict, Iterator, List

from ._list import List as RequestList
from .result import Result

_MAX_WAITING = 10_000
"""Results that may wait for an earlier one, before no more requests are sent."""


class Order:
    """Holds results back until all earlier ones have arrived."""

    def __init__(self) -> None:
        self._waiting: Dict[int, Result] = {}
        self._next = 0

    def take(self, requests: RequestList) -> List[Result]:
        """Takes the results of a list, and returns those whose turn it is."""
        while requests.results:
            result = requests.results.popleft()
            self._waiting[result.index] = result
        ready: List[Result] = []
        while self._next in self._waiting:
            ready.append(self._waiting.pop(self._next))
            self._next += 1
        requests.is_paused = len(self._waiting) >= _MAX_WAITING
        return ready


def in_order(steps: Iterator[RequestList]) -> Iterator[Result]:
    """Returns the results of a list in the order of its requests."""
    order = Order()
    try:
        for requests in steps:
            yield from order.take(requests)
    finally:
        steps.close()  # type: ignore[attr-defined]
