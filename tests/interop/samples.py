"""Finds the samples in a page of the documentation."""

import re


def blocks(text, language):
    """Returns the contents of the code blocks of `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(text):
    """Returns each command of the console blocks with the output printed below it."""
    found = []
    for block in blocks(text, "console"):
        continues = False
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append([line[2:], []])
            elif continues:
                found[-1][0] += "\n" + line
            else:
                found[-1][1].append(line)
            continues = found[-1][0].endswith("|") and not found[-1][1]
    return found
