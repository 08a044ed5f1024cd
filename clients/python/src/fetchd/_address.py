"""Addresses of services."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from typing import Iterable, List, Union

_EXPECTED = "an address such as localhost:50051, http://localhost:50051 or https://fetchd.example"
_PORTS = {"http": 50051, "https": 443}


@dataclass(frozen=True)
class Address:
    """An address of a service."""

    name: str
    """Host and port."""
    uses_tls: bool

    @property
    def target(self) -> str:
        """The target of a channel. gRPC looks the name up, and connects to all its addresses."""
        return f"dns:///{self.name}"


def parse(endpoints: Union[str, Iterable[str]], tls_by_default: bool) -> List[Address]:
    """Returns the addresses in a list, or in a text with commas.

    An address without a scheme uses TLS if ``tls_by_default``. Raises ``TypeError`` or
    ``ValueError`` if one is not valid, or if there is none.
    """
    if isinstance(endpoints, str):
        endpoints = endpoints.split(",")
    if not isinstance(endpoints, Iterable):
        raise TypeError(f"endpoints: expected {_EXPECTED}, got {type(endpoints).__name__}")
    addresses: List[Address] = []
    for endpoint in endpoints:
        if not isinstance(endpoint, str):
            raise TypeError(f"endpoints: expected str, got {type(endpoint).__name__}")
        address = _parse_one(endpoint.strip(), tls_by_default)
        if address not in addresses:
            addresses.append(address)
    if not addresses:
        raise ValueError(f"endpoints: expected {_EXPECTED}, got none")
    return addresses


def _parse_one(text: str, tls_by_default: bool) -> Address:
    error = ValueError(f"endpoints: expected {_EXPECTED}, got {text!r}")
    url = text if "://" in text else f"{'https' if tls_by_default else 'http'}://{text}"
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError:
        raise error from None
    scheme, host = parts.scheme, parts.hostname
    has_more = parts.path not in ("", "/") or parts.query or parts.fragment or "@" in parts.netloc
    if scheme not in _PORTS or not host or has_more or any(c.isspace() for c in host):
        raise error
    if port is None:
        port = _PORTS["http" if "://" not in text else scheme]
    elif port == 0:
        raise error
    name = f"[{host}]" if ":" in host else host
    return Address(f"{name}:{port}", scheme == "https")
