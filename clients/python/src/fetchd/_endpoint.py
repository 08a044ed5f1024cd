"""The health of an endpoint."""

from __future__ import annotations

import random
from typing import Iterable, List, Optional

from ._failure import Disposition, Failure

_BACKOFF_MIN = 0.2
_BACKOFF_MAX = 5.0
"""Seconds of the first ejection, and of the longest, before jitter."""
_RETRY_AFTER_MAX = 60.0
"""The longest wait for a full endpoint, before jitter."""
_FRESH = 1.0
"""Seconds for which an answer shows that an endpoint can be reached."""


class Endpoint:
    """An address of a service, or a name of several.

    An endpoint that has failed is ejected for a while, and has to answer a probe before it gets
    requests again. All lists of a client share its endpoints. Threads may use one at once: each
    method sets fields that are valid on their own.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.slots = 0
        """The slots of the open calls."""
        self.last: Optional[Failure] = None
        """The last failure."""
        self._failures = 0
        """Failures since the last result."""
        self._needs_probe = True
        self._ejected_until = 0.0
        self._answered_at: Optional[float] = None

    def is_admitted(self, now: float) -> bool:
        """Returns true if the endpoint may get a probe or requests."""
        return now >= self._ejected_until

    def ejected_until(self) -> float:
        """Returns the time at which the ejection ends, in monotonic seconds."""
        return self._ejected_until

    def is_proven(self) -> bool:
        """Returns true if the endpoint has not failed since its last answer."""
        return not self._needs_probe

    def is_fresh(self, now: float) -> bool:
        """Returns true if the endpoint has answered within the last second."""
        return self._answered_at is not None and now - self._answered_at < _FRESH

    def record_answer(self, now: float) -> None:
        """Records a message of a call, or a probe that succeeded."""
        self._answered_at = now
        self._needs_probe = False

    def record_result(self) -> None:
        """Records the result of a request."""
        self._failures = 0

    def record_failure(self, failure: Failure, now: float) -> None:
        """Records a failed call. It ejects the endpoint, unless it is ejected already: then it is
        most likely a late result of the same problem."""
        self.last = failure
        if failure.disposition in (Disposition.FINAL, Disposition.REFUSED):
            return
        if not self.is_admitted(now):
            return
        backoff = min(_BACKOFF_MIN * 2.0 ** min(self._failures, 10), _BACKOFF_MAX)
        wait = backoff
        if failure.retry_after is not None:
            wait = min(max(failure.retry_after, backoff / 2), _RETRY_AFTER_MAX)
        self._failures += 1
        self._answered_at = None
        self._needs_probe = True
        # The jitter keeps clients from coming back all at once.
        self._ejected_until = now + wait * random.uniform(1.0, 1.5)


def choose(endpoints: Iterable[Endpoint], failed_at: Iterable[str], now: float) -> Optional[Endpoint]:
    """Returns the endpoint for a request that has failed at others: the admitted one with the
    fewest slots in use, first among those that are proven."""
    admitted = [endpoint for endpoint in endpoints if endpoint.is_admitted(now)]
    avoided = set(failed_at)
    others = [endpoint for endpoint in admitted if endpoint.name not in avoided]
    candidates: List[Endpoint] = others or admitted
    if not candidates:
        return None
    random.shuffle(candidates)
    return min(candidates, key=lambda endpoint: (not endpoint.is_proven(), endpoint.slots))
