"""Header lines, in both directions."""

from __future__ import annotations

from typing import Any, Iterable, Iterator, List, Mapping, Sequence, Tuple, Union

HeaderValue = Union[str, bytes]
HeadersInput = Union[
    Mapping[str, Union[HeaderValue, Sequence[HeaderValue]]], Iterable[Tuple[str, HeaderValue]]
]
"""A mapping of names to a value or a list of values, or pairs of names and values. Values are
bytes, or text that Latin-1 can encode."""


class Headers(Mapping[str, str]):
    """The header lines of a response. Names are case-insensitive.

    ``headers[name]`` joins the values of several lines with ``", "``. ``get_all(name)`` returns
    them apart, which matters for ``Set-Cookie``. Bytes beyond ASCII are decoded as Latin-1, so
    ``value.encode("latin-1")`` returns the bytes that the origin sent.
    """

    __slots__ = ("_lines", "_values")

    def __init__(self, lines: Iterable[Tuple[str, str]] = ()) -> None:
        self._lines = [(name.lower(), value) for name, value in lines]
        self._values: dict[str, List[str]] = {}
        for name, value in self._lines:
            self._values.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._values[name.lower()])

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        # Values are often secrets.
        return f"<Headers {sorted(self._values)}>"

    def get_all(self, name: str) -> List[str]:
        """Returns the values of all lines called ``name``, in their order."""
        return list(self._values.get(name.lower(), ()))

    def multi_items(self) -> List[Tuple[str, str]]:
        """Returns all lines as pairs of name and value, including duplicates."""
        return list(self._lines)


def to_lines(headers: HeadersInput) -> List[Tuple[str, bytes]]:
    """Returns the lines to send.

    Raises ``TypeError`` or ``ValueError`` if a name or a value is not possible in HTTP.
    """
    if isinstance(headers, (str, bytes)):
        raise TypeError(f"headers: expected a dict or pairs, got {type(headers).__name__}")
    lines: List[Tuple[str, bytes]] = []
    pairs: Iterable[Any] = headers.items() if isinstance(headers, Mapping) else headers
    for pair in pairs:
        if isinstance(pair, (str, bytes)) or len(pair) != 2:
            raise ValueError("headers: expected pairs of a name and a value")
        name, values = pair
        if not (isinstance(headers, Mapping) and isinstance(values, (list, tuple))):
            values = [values]
        lines.extend((_name(name), _value(name, value)) for value in values)
    return lines


def _name(name: object) -> str:
    if isinstance(name, str) and name.isascii() and name:
        return name
    raise ValueError(f"headers: expected a name in ASCII, got {name!r}")


def _value(name: object, value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        try:
            return value.encode("latin-1")
        except UnicodeEncodeError:
            raise ValueError(
                f"headers: expected text that Latin-1 can encode, or bytes, as the value of {name}"
            ) from None
    raise TypeError(
        f"headers: expected str or bytes as the value of {name}, got {type(value).__name__}"
    )
