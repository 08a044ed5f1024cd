"""A service and an origin, on real sockets of this machine.

The environment variable FETCHD names the binary of the service.
"""

from __future__ import annotations

import collections
import http.server
import json
import os
import subprocess
import threading
from typing import Iterator, List

import pytest

from fetchd import Client


class Origin(http.server.ThreadingHTTPServer):
    """Answers /bytes/N with N bytes, /hang never, and all else with what it received."""

    daemon_threads = True
    request_queue_size = 512

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: List[str] = []
        self.over = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """Connections of cancelled requests break."""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # A head and a body in two packets would wait for a delayed acknowledgement.
    wbufsize = 1 << 16

    def do_GET(self) -> None:
        assert isinstance(self.server, Origin)
        self.server.received.append(self.path)
        status, body = 200, b""
        kind, _, argument = self.path.partition("?")[0].strip("/").partition("/")
        if kind == "bytes":
            body = b"x" * int(argument)
        elif kind == "hang":
            self.server.over.wait()
        elif kind == "status":
            status = int(argument)
        else:
            length = int(self.headers.get("content-length", 0))
            received = {
                "method": self.command,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "body": self.rfile.read(length).decode(),
            }
            body = json.dumps(received).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_PUT = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


def start_service(*flags: str) -> "tuple[subprocess.Popen[str], str]":
    """Starts a service, and returns it with its address."""
    command = [os.environ["FETCHD"], "serve", "--listen", "127.0.0.1:0", "--admin-listen", "off"]
    command += ["--allow-net", "127.0.0.0/8", "--log-format", "json", *flags]
    service = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert service.stderr is not None
    for line in service.stderr:
        address = json.loads(line).get("address")
        if address:
            # A full pipe would stop the service.
            drain = threading.Thread(target=collections.deque, args=(service.stderr, 0))
            drain.daemon = True
            drain.start()
            return service, address
    raise AssertionError("the service exited before it logged its address")


@pytest.fixture(scope="session")
def service() -> Iterator[str]:
    process, address = start_service()
    yield address
    process.kill()
    process.wait()


@pytest.fixture
def origin() -> Iterator[Origin]:
    server = Origin()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(service: str) -> Iterator[Client]:
    with Client(service) as client:
        yield client
