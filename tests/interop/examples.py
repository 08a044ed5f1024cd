"""Runs the commands in the READMEs of the web examples, and the JSON view of each server.

Usage: examples.py FETCHD ROOT

The packages of the examples are installed beside the Python that runs this test. The
commands run as they are printed, apart from the ports.
"""

import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from samples import commands
from service import start_service

COUNT = 100
# How long a list may take on a busy machine, in seconds. It takes 1.5 s on an idle one.
MAX_SECONDS = 4
ADDRESS = re.compile(r"http://(127\.0\.0\.1:\d+)")


class Process:
    """A process that prints an address, and then other lines."""

    def __init__(self, command, **options):
        self.child = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
        )
        self.lines = []
        for line in self.child.stdout:
            self.lines.append(line)
            if found := ADDRESS.search(line):
                self.address = found[1]
                break
        else:
            raise AssertionError(f"{command} exited: {''.join(self.lines)}")
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        self.lines.extend(self.child.stdout)


class Flask:
    """How the views of examples/flask_app are called."""

    too_many = 413

    def check(self, app, urls):
        return json.load(self.post(app, "/check", urls))

    def stream(self, app, urls):
        return self.post(app, "/stream", urls)

    def post(self, app, path, urls):
        form = urllib.parse.urlencode({"urls": "\n".join(urls)})
        return urllib.request.urlopen(f"http://{app.address}{path}", form.encode(), timeout=30)


class FastApi:
    """How the endpoints of examples/fastapi_app are called."""

    too_many = 422

    def check(self, app, urls):
        body, headers = json.dumps(urls).encode(), {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://{app.address}/check", body, headers)
        return json.load(urllib.request.urlopen(request, timeout=30))

    def stream(self, app, urls):
        query = urllib.parse.urlencode({"url": urls}, doseq=True)
        return urllib.request.urlopen(f"http://{app.address}/events?{query}", timeout=30)


def check_server(example, app, origin):
    """Fetches a slow list, and several at the same time."""
    urls = [f"http://{origin.address}/{number}" for number in range(COUNT)]
    urls[40] = "http://10.0.0.1/blocked"
    started = time.monotonic()
    rows = example.check(app, urls)
    alone = time.monotonic() - started
    assert [row["index"] for row in rows] == list(range(COUNT)), rows
    for index, row in enumerate(rows):
        if index == 40:
            assert row["status"] is None and "10.0.0.1" in row["error"], row
        else:
            assert row["status"] == 200 and row["error"] is None, row
    assert alone < MAX_SECONDS, f"the list took {alone:.2f} s"

    started = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        lists = list(pool.map(lambda _: example.check(app, urls), range(8)))
    together = time.monotonic() - started
    assert all([row["index"] for row in rows] == list(range(COUNT)) for rows in lists)
    assert together < 2 * MAX_SECONDS, f"8 lists at once took {together:.2f} s"

    try:
        example.check(app, ["http://127.0.0.1:1/"] * 1_001)
    except urllib.error.HTTPError as error:
        assert error.code == example.too_many, error.code
    else:
        raise AssertionError("the view took 1,001 URLs")
    return alone, together


def check_leaving(example, app, origin):
    """Leaves during a list, and returns how long its fetches went on."""
    held = 20
    urls = [f"http://{origin.address}/held{number}?seconds=60" for number in range(held)]
    # A WSGI server notices that its reader has left when it sends the next results.
    urls += [f"http://{origin.address}/next{number}?seconds={number / 10}" for number in range(20)]
    before = len(origin.lines)
    started = time.monotonic()
    response = example.stream(app, urls)
    assert response.readline()
    assert time.monotonic() - started < MAX_SECONDS, "the first result takes too long"
    response.close()
    started = time.monotonic()
    while sum(line.startswith("/held") for line in origin.lines[before:]) < held:
        elapsed = time.monotonic() - started
        # Without a reader they would end with the time limit of the list, after 10 s.
        assert elapsed < 6, "the fetches go on after their reader has left"
        time.sleep(0.01)
    return time.monotonic() - started


def check_workers(example, app, origin, count):
    """Asserts that each of `count` forked workers has fetched something."""
    urls = [f"http://{origin.address}/?seconds=0.01"]
    deadline = time.monotonic() + 30
    seen = set()
    while len(seen) < count:
        assert time.monotonic() < deadline, f"only the workers {seen} answered"
        assert [row["status"] for row in example.check(app, urls)] == [200]
        seen = {line for line in app.lines if line.startswith("worker=")}


def check_curl(command, app, origin, urls, root, environment):
    command = re.sub(r"127\.0\.0\.1:(5000|8000)", app.address, command)
    command = command.replace("127.0.0.1:8001", origin.address)
    command = command.replace("examples/urls.txt", str(urls))
    output = subprocess.run(
        ["bash", "-c", command.replace("curl ", "curl --silent --show-error --fail ", 1)],
        cwd=root, env=environment, capture_output=True, text=True, timeout=30, check=True,
    ).stdout
    if output.startswith("["):
        rows = json.loads(output)
    else:
        lines = [line.removeprefix("data: ") for line in output.splitlines() if "{" in line]
        rows = [json.loads(line) for line in lines]
    expected = COUNT if "@" in command else 2
    assert sorted(row["index"] for row in rows) == list(range(expected)), output


def run_readme(name, example, binary, root, folder):
    readme = root / "examples" / name / "README.md"
    environment = dict(os.environ)
    environment["PATH"] = f"{pathlib.Path(sys.executable).parent}:{environment['PATH']}"
    environment["GUNICORN_CMD_ARGS"] = "--access-logfile - --access-logformat worker=%(p)s"
    urls = folder / "urls.txt"
    started, app, served = [], None, []
    try:
        for command, _ in commands(readme.read_text()):
            if command in ("python -m venv .venv", "source .venv/bin/activate"):
                pass
            elif command.startswith("pip install "):
                # All of it is there, in these versions.
                check = shlex.split(command.replace("./clients/python", "fetchd"))
                check[2:2] = ["--no-index", "--dry-run", "--quiet"]
                subprocess.run(check, cwd=root, env=environment, check=True, timeout=120)
            elif command.endswith(" serve --allow-net 127.0.0.0/8"):
                service, address = start_service([binary, "serve"])
                started.append(service)
                environment["FETCHD"] = address
            elif command == "python examples/slow_origin.py":
                origin = Process([sys.executable, root / "examples/slow_origin.py", "0"])
                started.append(origin.child)
                text = (root / "examples/urls.txt").read_text()
                urls.write_text(text.replace("127.0.0.1:8001", origin.address))
            elif command.startswith(("flask ", "uvicorn ", "gunicorn ")):
                free = command.replace("127.0.0.1:8000", "127.0.0.1:0")
                if free == command:
                    free += " --port 0"
                server = Process(shlex.split(free), cwd=root, env=environment)
                started.append(server.child)
                app = app or server
                alone, together = check_server(example, server, origin)
                if workers := re.search(r"--workers (\d+)", command):
                    check_workers(example, server, origin, int(workers[1]))
                left = check_leaving(example, server, origin)
                print(f"{command}\n  {COUNT} URLs of 1.5 s: {alone:.2f} s; 8 such lists at once: "
                      f"{together:.2f} s; the fetches end {left:.2f} s after their reader has left")
            elif command.startswith("curl "):
                check_curl(command, app, origin, urls, root, environment)
            else:
                raise AssertionError(f"no check for the command: {command}")
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait(timeout=30)


def main(binary, root):
    with tempfile.TemporaryDirectory() as folder:
        run_readme("flask_app", Flask(), binary, root, pathlib.Path(folder))
        run_readme("fastapi_app", FastApi(), binary, root, pathlib.Path(folder))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve())
