"""Decides whether a request is sent again. No other code does."""

from __future__ import annotations

from ._failure import Disposition
from ._pending import Pending

MAX_LOSSES = 6
"""How often a request may be lost, at least. With many endpoints it is twice for each. Otherwise a
request that kills every service that it reaches would go on doing so."""


def may_resend(request: Pending, disposition: Disposition, endpoint: str, endpoints: int) -> bool:
    """Returns true if a request may be sent again after it failed at one of ``endpoints``
    endpoints. From now on, it avoids that one."""
    request.avoid(endpoint)
    if request.has_begun:
        return False
    if disposition is Disposition.NOT_DISPATCHED:
        return True
    if disposition is Disposition.LOST:
        may = request.is_idempotent
    elif disposition in (Disposition.REFUSED, Disposition.FOREIGN):
        may = len(request.failed_at or ()) < endpoints
    else:
        may = False
    return may and request.count_loss() < max(MAX_LOSSES, 2 * endpoints)
