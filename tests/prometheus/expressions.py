"""Takes expressions of PromQL apart, as far as those of alerts and dashboards need it."""

import re

KEYWORDS = {"and", "or", "unless", "bool", "offset", "group_left", "group_right", "by", "on"}
GROUPING = r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)"
SELECTOR = r"\b([a-zA-Z_:][\w:]*)\b\s*(\{[^}]*\})?(?!\s*\()"
MATCHER = r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"'


def selectors(expression):
    """Yields the selectors of an expression: names of metrics, and their matchers."""
    text = re.sub(GROUPING, " ", re.sub(r"\[[^\]]*\]", " ", expression))
    for name, matchers in re.findall(SELECTOR, text):
        if name not in KEYWORDS:
            yield name, re.findall(MATCHER, matchers)


def alternatives(name, matchers):
    """Yields selectors that each must select something.

    There is one for each alternative of a regular expression. A negative matcher must
    exclude something.
    """
    yield name + braces((label, "=~", ".+") for label, _, _ in matchers)
    for label, operator, value in matchers:
        for one in value.split("|") if "~" in operator else [value]:
            others = [m for m in matchers if m[0] != label and m[1] in ("=", "=~")]
            yield name + braces([(label, "=", one), *others])


def braces(matchers):
    text = ", ".join(f'{label}{operator}"{value}"' for label, operator, value in matchers)
    return f"{{{text}}}"


def grouping_labels(expression):
    """Returns the labels that an expression groups or matches by."""
    lists = re.findall(GROUPING, expression)
    return {label.strip() for one in lists for label in one.split(",")} - {""}


def without_threshold(expression):
    """Returns an expression without the comparison that makes it an alert."""
    return re.sub(r"\s*(?:==|!=|>=|<=|<|>)\s*[\d.]+\s*$", "", expression)
