"""Threads, forks and exits."""

from __future__ import annotations

import gc
import os
import resource
import subprocess
import sys
import threading
import time
from typing import List, Optional

import pytest

from fetchd import Client, Result
from fetchd._client import _Reader

from conftest import Origin


def test_threads_share_a_client(client: Client, origin: Origin) -> None:
    results: List[List[Result]] = []

    def fetch() -> None:
        results.append(client.fetch_all([f"{origin.url}/bytes/{size}" for size in range(50)]))

    threads = [threading.Thread(target=fetch) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    for result in results:
        assert [len(one.content) for one in result] == list(range(50))


def test_fork_before_the_first_list(service: str, origin: Origin) -> None:
    script = FORK.format(service=service, url=origin.url, forks=3, before="", after="fetch()")
    assert subprocess.run([sys.executable, "-c", script], timeout=40).returncode == 0


def test_fork_after_the_parent_has_used_its_client(service: str, origin: Origin) -> None:
    script = FORK.format(service=service, url=origin.url, forks=30, before="fetch()", after="fetch()")
    assert subprocess.run([sys.executable, "-c", script], timeout=40).returncode == 0


@pytest.mark.parametrize("taken", [1, 3])
def test_a_list_leaves_no_thread_behind(client: Client, origin: Origin, taken: int) -> None:
    for _ in range(50):
        results = client.fetch([f"{origin.url}/"] * 3)
        for _ in range(taken):
            next(results)
        results.close()  # type: ignore[attr-defined]
        assert "fetchd-call" not in [thread.name for thread in threading.enumerate()]


def test_an_interrupt_as_a_thread_begins_is_no_other_error() -> None:
    # The list is closed before start() has returned.
    _Reader(lambda *_: None, None, None).end(0.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("taken", [1, 3])
def test_lists_leave_no_memory_behind(client: Client, origin: Origin, taken: int) -> None:
    def run(lists: int) -> None:
        for _ in range(lists):
            results = client.fetch([f"{origin.url}/"] * 3)
            for _ in range(taken):
                next(results)
            results.close()  # type: ignore[attr-defined]

    run(100)
    before = memory()
    run(300)
    assert memory() - before < 2 << 20


def memory() -> int:
    """Returns how many bytes this process takes."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


# Runs in a process without other threads, as a server that forks its workers does.
FORK = """
import os, sys, time
from fetchd import Client
client = Client("{service}")
def fetch():
    assert [result.status_code for result in client.fetch_all(["{url}/"] * 3)] == [200] * 3
children = []
for _ in range({forks}):
    {before}
    child = os.fork()
    if child == 0:
        try:
            fetch()
            fetch()
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(1)
        os._exit(0)
    children.append(child)
end = time.monotonic() + 15
while children and time.monotonic() < end:
    child, status = os.waitpid(-1, os.WNOHANG)
    if child:
        assert status == 0, status
        children.remove(child)
    time.sleep(0.01)
for child in children:
    os.kill(child, 9)
assert not children, "a child hangs"
{after}
"""


@pytest.mark.parametrize(
    "leave",
    ["", "sys.exit()", "raise SystemExit", "del results", "client.close()", "results.close()"],
)
def test_a_program_ends_while_a_list_is_running(service: str, origin: Origin, leave: str) -> None:
    script = f"""
import sys
from fetchd import Client
client = Client("{service}")
results = client.fetch(["{origin.url}/"] + ["{origin.url}/hang"] * 10)
print(next(results).status_code)
{leave}
"""
    done = subprocess.run([sys.executable, "-c", script], timeout=20, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "200\n", "")


def test_another_thread_closes_the_client(service: str, origin: Origin) -> None:
    client = Client(service)
    timer = threading.Timer(0.3, client.close)
    timer.start()
    results = client.fetch_all([f"{origin.url}/hang"] * 3)
    assert [result.error and result.error.reason for result in results] == ["CANCELLED"] * 3
    with pytest.raises(ValueError, match="closed"):
        client.fetch_all([origin.url])


def test_a_short_list_costs_little(client: Client, origin: Origin) -> None:
    client.fetch_all([origin.url])
    before = resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(20):
        # All but one of the URLs are refused at once, so that the origin in this process does
        # next to nothing.
        client.fetch_all(["nonsense"])
    after = resource.getrusage(resource.RUSAGE_SELF)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 0.4
