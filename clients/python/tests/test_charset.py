"""The encoding of a body."""

from __future__ import annotations

import time

import pytest

from fetchd.charset import decode, encoding_of


@pytest.mark.parametrize(
    "content_type, encoding",
    [
        (None, "utf-8"),
        ("", "utf-8"),
        ("text/html", "utf-8"),
        ("text/html; charset=UTF-8", "utf-8"),
        ('text/html;CHARSET="Shift_JIS"; x=y', "shift_jis"),
        ("text/html ; charset = 'iso-8859-2'", "iso8859-2"),
        ("text/html; charset=latin1", "cp1252"),
        ("text/html; charset=us-ascii", "cp1252"),
        ("text/html; charset=utf-8; charset=latin1", "utf-8"),
        ("text/html; xcharset=latin1", "utf-8"),
        *((f"text/html; charset={name}", "utf-8") for name in
          ["", '"', "nothing", "base64", "zip", "hex", "rot13", "idna", "punycode", "undefined",
           "unicode_escape", "utf-7", "mbcs", "\0"]),
    ],
)
def test_encoding(content_type: str, encoding: str) -> None:
    assert encoding_of(content_type, b"abc\xff") == encoding
    assert decode(b"abc\xff", encoding).startswith("abc")


def test_bodies_tell_their_encoding() -> None:
    assert encoding_of("text/html; charset=latin1", b"\xef\xbb\xbfa") == "utf-8-sig"
    assert decode("a".encode("utf-16"), encoding_of(None, "a".encode("utf-16"))) == "a"
    assert encoding_of("application/json", '{"a": 1}'.encode("utf-16-le")) == "utf-16-le"


@pytest.mark.parametrize("content_type", [";" * 65_000, "charset=" * 8_000, "; charset " * 6_000])
def test_a_hostile_content_type_costs_little(content_type: str) -> None:
    begun = time.process_time()
    encoding_of(content_type, b"")
    assert time.process_time() - begun < 0.1
