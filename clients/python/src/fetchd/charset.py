"""The text of a body."""

from __future__ import annotations

import codecs
import json
import re
from typing import Optional

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

_CHARSET = re.compile(r"""(?:^|;)\s{0,9}charset\s{0,9}=\s{0,9}["']?([\w.:-]+)""", re.IGNORECASE)
_NO_CHARSETS = frozenset(
    "base64 bz2 hex idna mbcs oem palmos punycode quopri raw-unicode-escape rot13 rot-13 undefined "
    "unicode-escape utf-7 uu zlib".split()
)
"""Codecs of Python that are no encodings of text, or that no page has."""


def encoding_of(content_type: Optional[str], content: bytes) -> str:
    """Returns the encoding of a body: that of a byte order mark, else that of the charset
    parameter if Python knows it, else UTF-8."""
    for bom, name in _BOMS:
        if content.startswith(bom):
            return name
    charset = charset_of(content_type)
    if charset is not None:
        return charset
    if is_json(content_type) and content:
        return json.detect_encoding(content)
    return "utf-8"


def charset_of(content_type: Optional[str]) -> Optional[str]:
    """Returns the charset parameter of a content type, if it names an encoding of pages."""
    found = _CHARSET.search(content_type or "")
    if found is None:
        return None
    try:
        name = codecs.lookup(found[1]).name
    except LookupError:
        return None
    if name in _NO_CHARSETS:
        return None
    # Latin-1 in a content type means Windows-1252 (WHATWG Encoding, section 4.2).
    return "cp1252" if name in ("iso8859-1", "ascii") else name


def is_json(content_type: Optional[str]) -> bool:
    """Returns true if a content type is one of JSON."""
    kind = (content_type or "").split(";", 1)[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


def decode(content: bytes, encoding: str) -> str:
    """Returns the text of a body. Bytes that are not valid become U+FFFD."""
    try:
        return content.decode(encoding, "replace")
    except (LookupError, ValueError):
        return content.decode("utf-8", "replace")
