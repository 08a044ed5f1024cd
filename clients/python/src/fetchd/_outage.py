"""Measures how long no endpoint has answered."""

from __future__ import annotations

from typing import Iterable, Optional

from ._failure import Failure
from .errors import FetchError, service_lost

_FULL_FACTOR = 4
"""Full endpoints do answer, and will have room sooner or later."""


class Outage:
    """A time in which no endpoint accepts requests, from the point of view of one list.

    If it takes too long, all remaining requests end together. Otherwise each of them would wait
    for the same time, one after the other.
    """

    def __init__(self, give_up_after: float) -> None:
        self._give_up_after = give_up_after
        self._since: Optional[float] = None
        self._last: Optional[Failure] = None

    def begin(self, failure: Optional[Failure], now: float) -> None:
        """Records that a call failed, or that no endpoint is admitted."""
        if self._since is None:
            self._since = now
        self._last = failure or self._last

    def record_answer(self) -> None:
        """Ends the outage, since a call with requests was answered."""
        self._since = self._last = None

    def record_probe(self) -> None:
        """Ends the outage, unless the endpoints are full: a full one answers a probe, and rejects
        all other calls."""
        if not self._is_full():
            self.record_answer()

    def pause(self, seconds: float) -> None:
        """Excludes a time in which the caller didn't take results."""
        if self._since is not None:
            self._since += seconds

    def end(self) -> Optional[float]:
        """Returns when the outage will have lasted too long."""
        return None if self._since is None else self._since + self._limit()

    def error(self, endpoints: Iterable[str]) -> FetchError:
        """Returns the error of the remaining requests."""
        cause = f"; last error: {self._last.error.message}" if self._last else ""
        names = ", ".join(endpoints)
        return service_lost(
            f"no replica accepted a request for {self._limit():g} s (of {names}){cause}"
        )

    def _limit(self) -> float:
        return self._give_up_after * (_FULL_FACTOR if self._is_full() else 1)

    def _is_full(self) -> bool:
        return self._last is not None and self._last.retry_after is not None
