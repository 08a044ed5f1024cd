"""Compares the answer of a driver with what a case expects."""

import re

from origin import content_of, digest


class Unexpected(Exception):
    """Something else than the case expects."""


def check(expected, actual, what):
    """Fails unless a value is what a case expects.

    A list of alternatives is written as {"any of": [...]}, a pattern as {"matches": "..."} and
    bounds as {"least": 1, "most": 2}.
    """
    if isinstance(expected, dict) and "any of" in expected:
        is_right = actual in expected["any of"]
    elif isinstance(expected, dict) and "matches" in expected:
        is_right = isinstance(actual, str) and re.search(expected["matches"], actual)
    elif isinstance(expected, dict) and ("least" in expected or "most" in expected):
        least, most = expected.get("least", float("-inf")), expected.get("most", float("inf"))
        is_right = actual is not None and least <= actual <= most
    else:
        is_right = actual == expected
    if not is_right:
        raise Unexpected(f"{what}: expected {shorten(expected)}, got {shorten(actual)}")


def check_result(expected, actual, what):
    """Compares the fields that a case names."""
    if actual is None:
        raise Unexpected(f"{what}: expected a result, got none")
    for field, value in expected.items():
        if field == "body":
            check(digest(content_of(value)), {k: actual[k] for k in ("size", "sha256")}, f"{what}: body")
        elif field == "error":
            check_error(value, actual["error"], what)
        elif field == "text":
            # A client may leave the text to its callers.
            if "text" in actual:
                check(value, actual["text"], f"{what}: text")
        elif field == "headers":
            for name in {name for name, _ in value}:
                mine = [v for n, v in value if n == name]
                theirs = [v for n, v in actual["headers"] if n.lower() == name]
                check(mine, theirs, f"{what}: header {name}")
        else:
            check(value, actual.get(field), f"{what}: {field}")


def check_error(expected, actual, what):
    if expected is None:
        if actual is not None:
            raise Unexpected(f"{what}: expected no error, got {shorten(actual)}")
        return
    if not isinstance(expected, dict) or "any of" in expected:
        expected = {"name": expected}
    if actual is None:
        raise Unexpected(f"{what}: expected the error {shorten(expected)}, got none")
    for field, value in expected.items():
        check(value, actual.get(field), f"{what}: {field} of the error")


def shorten(value, most=400):
    text = repr(value)
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"
