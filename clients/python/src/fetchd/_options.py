"""The settings of a client and of its lists."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Iterable, List, Mapping, Optional, Sequence, Tuple, Union

from . import _address, request
from ._credentials import Pem, Token, channel_credentials
from ._list import Settings
from ._version import __version__
from .headers import HeadersInput, to_lines
from .request import Seconds
from .timing import parse_seconds
from .v1 import fetchd_pb2 as pb

if TYPE_CHECKING:
    from typing_extensions import TypedDict

    class Limits(TypedDict, total=False):
        """The options of requests that don't set their own."""

        request_timeout: Optional[Seconds]
        idle_timeout: Optional[Seconds]
        connect_timeout: Optional[Seconds]
        max_redirects: Optional[int]
        max_body_bytes: Optional[int]
        truncate: Optional[bool]
        max_attempts: Optional[int]


METHOD = "/fetchd.v1.FetchService/FetchBatch"

Metadata = Mapping[str, Union[str, bytes]]
"""gRPC headers for the calls of a list, such as ``{"traceparent": "00-…"}``."""

CHANNEL_OPTIONS: List[Tuple[str, Any]] = [
    # Calls go round the addresses of a name. The default is to use one of them.
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    # A lost replica leads to a new look-up of its name, but no more than one in this time. With
    # the default of 30 s, all replicas may be gone by then.
    ("grpc.dns_min_time_between_resolutions_ms", 1_000),
    # Finds a replica that has vanished without a word.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.max_pings_without_data", 0),
    # The default maximum is 120 s.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),
    ("grpc.max_reconnect_backoff_ms", 5_000),
    # Clients share no connections, so each can be closed on its own, and after a fork there are
    # none of the parent's.
    ("grpc.use_local_subchannel_pool", 1),
    # Larger calls are not made again, even if they have not left. The default is 256 KiB.
    ("grpc.per_rpc_retry_buffer_size", 16 << 20),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_receive_message_length", -1),
    # How many unread bytes a call may have. By default that grows with the round trip, which on
    # a busy machine makes it tens of MiB.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 2 << 20),
    # A part of a body in one frame takes less CPU. The default is 16 KiB.
    ("grpc.http2.max_frame_size", 64 << 10),
    ("grpc.enable_http_proxy", 0),
    # The thread that reads a call also waits for it, which saves a hop for each message
    # (grpc.experimental.ChannelOptions).
    ("SingleThreadedUnaryStream", 1),
    ("grpc.primary_user_agent", f"fetchd-python/{__version__}"),
]


class ClientOptions:
    """The settings of a client, checked."""

    def __init__(
        self,
        endpoints: Union[str, Iterable[str]],
        *,
        tls_ca: Optional[Pem],
        tls_cert: Optional[Pem],
        tls_key: Optional[Pem],
        token: Optional[str],
        token_file: Any,
        give_up_after: Seconds,
        silence_timeout: Seconds,
        headers: Optional[HeadersInput],
        limits: Limits,
    ) -> None:
        tls = {"tls_ca": tls_ca, "tls_cert": tls_cert, "tls_key": tls_key}
        first_tls = next((name for name, value in tls.items() if value is not None), None)
        self.addresses = _address.parse(endpoints, first_tls is not None)
        uses_tls = any(address.uses_tls for address in self.addresses)
        if first_tls is not None and not uses_tls:
            raise ValueError(f"{first_tls}: expected an https address with it")
        self.credentials = channel_credentials(tls_ca, tls_cert, tls_key) if uses_tls else None
        has_token = token is not None or token_file is not None
        self._token = Token(token, token_file) if has_token else None
        self._give_up_after = parse_seconds("give_up_after", give_up_after)
        self._silence_timeout = parse_seconds("silence_timeout", silence_timeout)
        self._headers = to_lines(headers) if headers is not None else []
        self._limits = limits
        _request_options(limits)

    def settings(
        self,
        concurrency: Optional[int],
        timeout: Optional[Seconds],
        metadata: Optional[Metadata],
        limits: Limits,
    ) -> Settings:
        """Returns the settings of a list. Raises ``TypeError`` or ``ValueError`` if one is not
        valid."""
        if concurrency is not None:
            concurrency = request.count("concurrency", concurrency, 1, 2**32 - 1)
        return Settings(
            concurrency=concurrency or 0,
            timeout=None if timeout is None else parse_seconds("timeout", timeout),
            options=_request_options(self._limits, limits),
            headers=self._headers,
            metadata=_metadata(metadata),
            silence_timeout=self._silence_timeout,
            give_up_after=self._give_up_after,
        )

    def call_metadata(self, settings: Settings) -> Sequence[Tuple[str, Union[str, bytes]]]:
        """Returns the metadata of the next call."""
        if self._token is None:
            return settings.metadata
        return (*settings.metadata, ("authorization", self._token.authorization()))


_LIMITS = (
    "request_timeout",
    "idle_timeout",
    "connect_timeout",
    "max_redirects",
    "max_body_bytes",
    "truncate",
    "max_attempts",
)


def _request_options(*limits: Limits) -> Optional[pb.FetchOptions]:
    """Returns the options as a message. Later limits replace earlier ones."""
    given: dict[str, Any] = {}
    for some in limits:
        given.update((name, value) for name, value in some.items() if value is not None)
        for name in some:
            if name not in _LIMITS:
                raise TypeError(f"unexpected option {name!r}, expected one of {', '.join(_LIMITS)}")
    timeout = given.pop("request_timeout", None)
    return request.options(timeout=timeout, timeout_name="request_timeout", **given)


def _metadata(metadata: Optional[Metadata]) -> Tuple[Tuple[str, Union[str, bytes]], ...]:
    pairs: List[Tuple[str, Union[str, bytes]]] = []
    for name, value in (metadata or {}).items():
        is_binary = isinstance(name, str) and name.lower().endswith("-bin")
        if not isinstance(value, bytes if is_binary else str):
            kind = "bytes" if is_binary else "str"
            raise TypeError(f"metadata: expected {kind} as the value of {name!r}")
        pairs.append((name.lower(), value))
    return tuple(pairs)
