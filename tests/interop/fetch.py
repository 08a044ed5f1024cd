"""Calls the service from Python, with a client generated from the proto file.

Usage: fetch.py FETCHD PROTO_DIR

Starts the binary FETCHD, generates the client from PROTO_DIR, and checks that the
service respects the deadline of a call. The deadline is 2 s. Half of the origins
answer in 1 s, and their responses must arrive. The others answer in 60 s, and must
end with REASON_BATCH_DEADLINE. The call itself must end with OK before the deadline.
"""

import http.server
import importlib
import pathlib
import sys
import tempfile
import threading
import time

import grpc
import grpc_tools.protoc
import grpc_tools

from service import start_service

COUNT = 40
DEADLINE = 2.0


class Origin(http.server.BaseHTTPRequestHandler):
    """Answers /fast in 1 s, and /slow in 60 s or when the test ends."""

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
            pass  # The service closes the connections of abandoned requests.

    def log_message(self, *_):
        pass


class OriginServer(http.server.ThreadingHTTPServer):
    """Serves each connection in a thread, with a backlog for all of them."""

    daemon_threads = True
    request_queue_size = 2 * COUNT


def generate_client(proto):
    """Generates the client, and returns its two modules."""
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
    assert code == 0, f"protoc failed with exit code {code}"
    sys.path.insert(0, folder)
    return (
        importlib.import_module("fetchd.v1.fetchd_pb2"),
        importlib.import_module("fetchd.v1.fetchd_pb2_grpc"),
    )


def call(pb2, stub, origin):
    """Fetches alternating fast and slow URLs, and returns the parts of each index."""
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
    pb2, pb2_grpc = generate_client(proto)
    server = OriginServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    service, address = start_service([binary, "serve"])
    try:
        with grpc.insecure_channel(address) as channel:
            grpc.channel_ready_future(channel).result(timeout=10)
            stub = pb2_grpc.FetchServiceStub(channel)
            started = time.monotonic()
            results = call(pb2, stub, f"http://127.0.0.1:{server.server_port}")
            elapsed = time.monotonic() - started
    finally:
        service.terminate()
        Origin.over.set()
        server.shutdown()
    assert elapsed < DEADLINE, f"expected the call to end within {DEADLINE} s, it took {elapsed:.3f} s"
    assert sorted(results) == list(range(COUNT)), "some requests have no result"
    for index, parts in results.items():
        assert sum(part.HasField("end") for part in parts) == 1, f"expected one end for request {index}"
        end = parts[-1].end
        if index % 2 == 0:
            assert not end.HasField("error"), end
            assert parts[0].head.status == 200
            assert b"".join(part.body for part in parts) == b"/fast/%d" % index
        else:
            assert end.error.reason == pb2.REASON_BATCH_DEADLINE, end
    assert service.wait(timeout=10) == 0, "the service exited with an error"
    print(f"{COUNT // 2} responses and {COUNT // 2} deadlines in {elapsed:.3f} s of {DEADLINE} s")


if __name__ == "__main__":
    main(*sys.argv[1:])
