"""How a client proves itself to a service, and the service to the client."""

from __future__ import annotations

import os
import pathlib
from typing import Optional, Union

import grpc

Pem = Union[str, "os.PathLike[str]", bytes]
"""The path of a file, or its contents as bytes."""

_MAX_TOKEN = 4096


class Token:
    """A token, or the file that has it."""

    def __init__(self, token: Optional[str], path: Union[str, "os.PathLike[str]", None]) -> None:
        if token is not None and path is not None:
            raise ValueError("token_file: expected no token beside it")
        self._path = None if path is None else pathlib.Path(path)
        self._token = _check("token", token) if token is not None else ""
        if self._path is not None:
            self._token = _check("token_file", self._read(self._path))

    def authorization(self) -> str:
        """Returns the value of the ``authorization`` header of a call.

        The file is read again for each call, since tokens are rotated. If it has no token then,
        this is the last one that it had.
        """
        if self._path is not None:
            try:
                self._token = _check("token_file", self._read(self._path))
            except (OSError, ValueError):
                pass
        return f"Bearer {self._token}"

    @staticmethod
    def _read(path: pathlib.Path) -> str:
        try:
            return path.read_text("ascii").strip()
        except UnicodeDecodeError:
            return ""


def _check(setting: str, token: object) -> str:
    if not isinstance(token, str):
        raise TypeError(f"{setting}: expected str, got {type(token).__name__}")
    is_visible = all("!" <= character <= "~" for character in token)
    if not (0 < len(token) <= _MAX_TOKEN and is_visible):
        raise ValueError(f"{setting}: expected 1 to {_MAX_TOKEN} visible ASCII characters")
    return token


def channel_credentials(
    ca: Optional[Pem], cert: Optional[Pem], key: Optional[Pem]
) -> grpc.ChannelCredentials:
    """Returns the credentials of a channel with TLS.

    Raises ``OSError`` if a file cannot be read, and ``ValueError`` if one is no PEM.
    """
    if (cert is None) != (key is None):
        missing, given = ("tls_key", "tls_cert") if key is None else ("tls_cert", "tls_key")
        raise ValueError(f"{given}: expected {missing} beside it")
    return grpc.ssl_channel_credentials(
        root_certificates=_pem("tls_ca", ca, b"CERTIFICATE"),
        private_key=_pem("tls_key", key, b"PRIVATE KEY"),
        certificate_chain=_pem("tls_cert", cert, b"CERTIFICATE"),
    )


def _pem(setting: str, source: Optional[Pem], kind: bytes) -> Optional[bytes]:
    if source is None:
        return None
    if isinstance(source, bytes):
        content = source
    elif isinstance(source, (str, os.PathLike)):
        content = pathlib.Path(source).read_bytes()
    else:
        raise TypeError(
            f"{setting}: expected the path of a file, or bytes, got {type(source).__name__}"
        )
    if b"-----BEGIN " not in content or kind not in content:
        raise ValueError(f"{setting}: expected PEM with a {kind.decode().lower()}")
    return content
