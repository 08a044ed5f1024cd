"""Calls the service from another language, with nothing but the contract.

Usage: fetch.py FETCHD PROTO_DIR

Starts the binary FETCHD, generates the client from PROTO_DIR, and shows what
the contract says of deadlines: with 2 s for the call, over origins that answer
in 1 s and in 60 s, the fast ones have their responses, each slow one ends with
REASON_BATCH_DEADLINE, and the call ends OK before its deadline.
"""

import http.server
import importlib
import json
import pathlib
import subprocess
import sys
import tempfile
import threading
import time

import grpc
import grpc_tools.protoc
import grpc_tools

COUNT = 40
DEADLINE = 2.0


class Origin(http.server.BaseHTTPRequestHandler):
    """Answers /fast in 1 s, and /slow in 60 s unless the test is over."""

    protocol_version = "HTTP/1.1"
    over = threading.Event()

    def do_GET(self):
        self.over.wait(1 if self.path.startswith("/fast") else 60)
        body = self.path.encode()
        try:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass  # The service has closed what it no longer waits for.

    def log_message(self, *_):
        pass


class OriginServer(http.server.ThreadingHTTPServer):
    """A thread for each connection, and room for all to come at once."""

    daemon_threads = True
    request_queue_size = 2 * COUNT


def generated(proto):
    """The client modules of the contract."""
    folder = tempfile.mkdtemp()
    well_known = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    code = grpc_tools.protoc.main(
        [
            "protoc",
            f"-I{proto}",
            f"-I{well_known}",
            f"--python_out={folder}",
            f"--grpc_python_out={folder}",
            "fetchd/v1/fetchd.proto",
        ]
    )
    assert code == 0, "the contract compiles"
    sys.path.insert(0, folder)
    return (
        importlib.import_module("fetchd.v1.fetchd_pb2"),
        importlib.import_module("fetchd.v1.fetchd_pb2_grpc"),
    )


def served(binary):
    """A running service and its address."""
    service = subprocess.Popen(
        [binary, "serve", "--listen", "127.0.0.1:0", "--allow-net", "127.0.0.0/8"]
        + ["--log-format", "json"],
        stderr=subprocess.PIPE,
        text=True,
    )
    for line in service.stderr:
        address = json.loads(line).get("address")
        if address:
            return service, address
    raise AssertionError("the service did not start")


def call(pb2, stub, origin):
    """Fetches fast and slow URLs in turn, and gives their parts by index."""
    paths = ["fast" if index % 2 == 0 else "slow" for index in range(COUNT)]
    batch = pb2.FetchBatchRequest(
        requests=[
            pb2.FetchRequest(url=f"{origin}/{path}/{index}")
            for index, path in enumerate(paths)
        ]
    )
    results = {}
    for message in stub.FetchBatch(batch, timeout=DEADLINE):
        for part in message.parts:
            results.setdefault(part.index, []).append(part)
    return results


def main(binary, proto):
    pb2, pb2_grpc = generated(proto)
    server = OriginServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    service, address = served(binary)
    try:
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(timeout=10)
            stub = pb2_grpc.FetchServiceStub(channel)
            started = time.monotonic()
            results = call(pb2, stub, f"http://127.0.0.1:{server.server_port}")
            took = time.monotonic() - started
    finally:
        service.terminate()
        Origin.over.set()
        server.shutdown()
    assert took < DEADLINE, f"the call ended after {took:.3f} s"
    assert sorted(results) == list(range(COUNT)), "every index is answered"
    for index, parts in results.items():
        assert sum(part.HasField("end") for part in parts) == 1, "one end each"
        end = parts[-1].end
        if index % 2 == 0:
            assert not end.HasField("error"), end
            assert parts[0].head.status == 200
            assert b"".join(part.body for part in parts) == b"/fast/%d" % index
        else:
            assert end.error.reason == pb2.REASON_BATCH_DEADLINE, end
    assert service.wait(timeout=10) == 0, "the service ends in order"
    print(f"{COUNT // 2} responses and {COUNT // 2} deadlines in {took:.3f} s of {DEADLINE} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
