"""Compares ways in which a web handler in Python fetches many slow URLs.

Usage: main.py FETCHD

Prints a Markdown table for each case. Each handler runs in a process of its own, and the CPU
time, memory and sockets are those of this process alone. The last table has what the services
used in all their runs. If all URLs are harmless, a row is the run with the median time of
three.
"""

import collections
import contextlib
import json
import os
import pathlib
import select
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).parent
COUNT = 400
# A handler that takes more is stopped.
MAX_SECONDS = 60
MAX_MEMORY_MIB = 1_024


@contextlib.contextmanager
def process(command, **options):
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


@contextlib.contextmanager
def service(fetchd, *flags):
    """Starts the service, and yields its process and its address."""
    command = [fetchd, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "off"]
    command += ["--allow-net", "127.0.0.0/8", "--log-format", "json", *flags]
    with process(command, stderr=subprocess.PIPE) as child:
        address = next(filter(None, (json.loads(line).get("address") for line in child.stderr)))
        # A full pipe would stop the service.
        threading.Thread(target=collections.deque, args=(child.stderr, 0), daemon=True).start()
        yield child, address


def status(pid, field):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(text.split(field)[1].split()[0]) / 1024


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")")[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def sockets(pid):
    """Counts the open sockets of a process."""
    count = 0
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            count += os.readlink(f"/proc/{pid}/fd/{descriptor}").startswith("socket:")
    return count


def measure(name, address, urls, handlers=1):
    """Runs the handler called `name`, and returns what it took."""
    command = [sys.executable, HERE / "handlers.py", name, address]
    with process(command, stdin=subprocess.PIPE) as child:
        assert child.stdout.readline() == "ready\n", name
        started_with = status(child.pid, "VmRSS:")
        idle_sockets = sockets(child.pid)
        child.stdin.write(json.dumps({"urls": urls, "handlers": handlers}) + "\n")
        child.stdin.flush()
        started, most = time.monotonic(), 0
        while not select.select([child.stdout], [], [], 0.05)[0]:
            most = max(most, sockets(child.pid))
            elapsed = time.monotonic() - started
            grown = status(child.pid, "VmRSS:") - started_with
            if grown > MAX_MEMORY_MIB or elapsed > MAX_SECONDS:
                return {
                    "wall_s": elapsed,
                    "cpu_s": cpu_seconds(child.pid),
                    "memory_mib": grown,
                    "sockets": most,
                    "answered": 0,
                    "other": ["stopped"],
                }
        return {**json.loads(child.stdout.readline()), "sockets": max(most, idle_sockets)}


def median(*job, **options):
    """Returns the run with the median time of three."""
    runs = [measure(*job, **options) for _ in range(3)]
    return sorted(runs, key=lambda run: run["wall_s"])[1]


def row(label, result):
    other = ", ".join(result["other"])
    print(
        f"| {label} | {result['wall_s']:.2f} | {result['cpu_s']:.2f} | {result['memory_mib']:.0f} "
        f"| {result['sockets']} | {result['answered']:,.0f} | {other} |",
        flush=True,
    )


def table(title):
    print(f"\n## {title}\n")
    print("| | wall s | CPU s | memory + MiB | sockets | answered | else |")
    print("| --- | --- | --- | --- | --- | --- | --- |", flush=True)


CONTENDERS = {
    "ThreadPool of requests": "threads",
    "asyncio.gather, aiohttp": "gather",
    "the same with limits": "careful_gather",
    "through fetchd": "through_fetchd",
}


def main(fetchd):
    origin_command = [sys.executable, HERE / "origin.py"]
    with process(origin_command) as origin, service(fetchd) as (server, address):
        base = origin.stdout.readline().strip()
        slow = [f"{base}/slow/{number}" for number in range(COUNT)]

        table(f"{COUNT} URLs of 1.5 s")
        few = measure("one_by_one", address, slow[:20])
        scale = COUNT / 20
        scaled = {key: few[key] * scale for key in ("wall_s", "cpu_s", "answered")}
        row("one by one (20, times 20)", {**few, **scaled})
        for label, name in CONTENDERS.items():
            row(label, median(name, address, slow))

        for path, what in {"endless": "has an endless body", "drip": "sends a byte a second"}.items():
            table(f"One of them {what}")
            hostile = slow[:200] + [f"{base}/{path}"] + slow[201:]
            for label, name in CONTENDERS.items():
                row(label, measure(name, address, hostile))

        table("20 handlers at once in one process")
        for label, name in CONTENDERS.items():
            row(label, median(name, address, slow, handlers=20))
        label = "the same with limits, in one event loop"
        row(label, median("careful_gather", address, slow * 20))
        figures = {"defaults": (cpu_seconds(server.pid), status(server.pid, "VmHWM:"))}
        # A quarter of the slots is reserved for further batches.
        with service(fetchd, "--max-in-flight", "12288") as (large, address):
            label = "through fetchd, --max-in-flight 12288"
            row(label, median("through_fetchd", address, slow, handlers=20))
            figures["--max-in-flight 12288"] = (cpu_seconds(large.pid), status(large.pid, "VmHWM:"))

    print("\n| service, all runs | CPU s | peak MiB |\n| --- | --- | --- |")
    for label, (cpu, peak) in figures.items():
        print(f"| {label} | {cpu:.2f} | {peak:.0f} |")


if __name__ == "__main__":
    main(sys.argv[1])
