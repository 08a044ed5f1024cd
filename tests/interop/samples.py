"""Finds the samples in a page of the documentation."""

import re


def blocks(text, language):
    """Returns the contents of the code blocks of `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
