"""The samples of the README run as they are printed."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys
from typing import List, Tuple

import pytest

from conftest import Origin

README = (pathlib.Path(__file__).parent.parent / "README.md").read_text()

SAMPLES: List[Tuple[str, str]] = re.findall(
    r"^```python\n(.*?)^```$(?:\n+```text\n(.*?)^```$)?", README, re.MULTILINE | re.DOTALL
)


@pytest.mark.parametrize("sample, printed", SAMPLES, ids=range(len(SAMPLES)))
def test_sample(sample: str, printed: str, service: str, origin: Origin) -> None:
    local = sample.replace("localhost:50051", service)
    local = local.replace("https://example.com/missing", f"{origin.url}/status/404")
    local = local.replace("https://example.com/", f"{origin.url}/bytes/513?")
    run = [sys.executable, "-c", local]
    done = subprocess.run(run, timeout=30, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    output = done.stdout.replace(f"{origin.url}/status/404", "https://example.com/missing")
    output = output.replace(f"{origin.url}/bytes/513?", "https://example.com/")
    assert output.strip() and output == (printed or output)


def test_there_are_samples() -> None:
    assert len(SAMPLES) >= 4
