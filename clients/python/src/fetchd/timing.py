"""The durations of the phases of a request."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import Optional

from google.protobuf import duration_pb2

from .v1 import fetchd_pb2 as pb


@dataclass(frozen=True)
class Timing:
    """The durations of the phases of one request, in seconds. ``None`` if a phase was not reached
    or not needed."""

    queued: float
    """Waiting for a slot of the service, also before each retry."""
    first_byte: Optional[float]
    """From the dispatch to the head of the final response."""
    total: Optional[float]
    """From the first dispatch to the end."""
    dns: Optional[float]
    """Looking up the name, in the last hop of the last attempt."""
    connect: Optional[float]
    """Connecting by TCP."""
    tls: Optional[float]
    """The TLS handshake."""
    connection_reused: bool
    """True if the last hop of the last attempt used a connection that had carried a request
    before."""
    earlier: Optional[float]
    """From the first dispatch to the last hop of the last attempt: earlier attempts, redirects and
    the waits between them."""


def from_message(timing: pb.Timing) -> Timing:
    """Returns the durations of a message."""

    def seconds(name: str) -> Optional[float]:
        return to_seconds(getattr(timing, name)) if timing.HasField(name) else None

    return Timing(
        queued=seconds("queued") or 0.0,
        first_byte=seconds("first_byte"),
        total=seconds("total"),
        dns=seconds("dns"),
        connect=seconds("connect"),
        tls=seconds("tls"),
        connection_reused=timing.connection_reused,
        earlier=seconds("earlier"),
    )


def to_seconds(duration: duration_pb2.Duration) -> float:
    """Returns a duration in seconds."""
    return duration.seconds + duration.nanos / 1e9


def to_message(name: str, value: object) -> duration_pb2.Duration:
    """Returns the duration of an option called ``name``.

    Raises ``TypeError`` or ``ValueError`` unless it is a positive number of seconds.
    """
    seconds = parse_seconds(name, value)
    whole = int(seconds)
    # At least 1 ns: zero would be another value than the one given.
    nanos = min(999_999_999, round((seconds - whole) * 1e9))
    return duration_pb2.Duration(seconds=whole, nanos=nanos or (1 if whole == 0 else 0))


_LONGEST = 315_576_000_000.0


def parse_seconds(name: str, value: object) -> float:
    """Returns the seconds of a setting called ``name``, which must be greater than zero."""
    if isinstance(value, datetime.timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    else:
        raise TypeError(
            f"{name}: expected seconds as a number or a timedelta, got {type(value).__name__}"
        )
    # Written so that NaN fails too.
    if not seconds > 0:
        raise ValueError(f"{name}: expected a duration greater than 0 s, got {value!r}")
    return min(seconds, _LONGEST)
