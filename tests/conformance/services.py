"""The services of a case: real ones, and those whose answers are data."""

import base64
import collections
import concurrent.futures
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time

import grpc
from google.protobuf import duration_pb2
from google.rpc import error_details_pb2, status_pb2  # of grpcio-status

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "interop"))

from service import start_service  # noqa: E402


class Services:
    """The replicas of a case."""

    def __init__(self, binary, flags=(), replicas=1):
        self._all = [start_service([binary, "serve", *flags]) for _ in range(replicas)]
        self.addresses = [address for _, address in self._all]

    def act(self, action, replica):
        """Drains, kills or freezes a replica: that of a number, or the busiest."""
        signals = {"drain": signal.SIGTERM, "kill": signal.SIGKILL, "freeze": signal.SIGSTOP}
        services = [service for service, _ in self._all]
        service = max(services, key=open_files) if replica == "busy" else services[replica]
        service.send_signal(signals[action])

    def stop(self):
        for service, _ in self._all:
            service.kill()
        for service, _ in self._all:
            service.wait()


def open_files(process):
    """Returns how many files a process has open, which are mostly its connections."""
    return len(os.listdir(f"/proc/{process.pid}/fd"))


class Fake:
    """A service that plays the events of a case, and records what it receives."""

    def __init__(self, calls, messages):
        self._calls = list(calls)
        self._messages = messages
        self._lock = threading.Lock()
        self._over = threading.Event()
        self.received = []
        unlimited = [("grpc.max_receive_message_length", -1)]
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(32), options=unlimited)
        handler = grpc.unary_stream_rpc_method_handler(
            self._fetch_batch,
            messages.FetchBatchRequest.FromString,
            messages.FetchBatchResponse.SerializeToString,
        )
        services = {"FetchBatch": handler}
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("fetchd.v1.FetchService", services)]
        )
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def stop(self):
        self._over.set()
        self._server.stop(0)

    def _fetch_batch(self, batch, context):
        with self._lock:
            is_probe = not batch.requests
            if not is_probe:
                self.received.append((batch, dict(context.invocation_metadata())))
            events = [] if is_probe else (self._calls.pop(0) if self._calls else [{"serve": True}])
        sizes = collections.Counter()
        for event in events:
            if "serve" in event:
                yield self._serve(batch)
            elif "status" in event:
                self._abort(event, context)
            elif "hang" in event:
                while context.is_active() and not self._over.wait(0.01):
                    pass
            elif "sleep" in event:
                self._over.wait(event["sleep"])
            else:
                parts = [self._part(part, sizes) for part in event["parts"]]
                yield self._messages.FetchBatchResponse(parts=parts)

    def _serve(self, batch):
        parts = [
            {"index": index, "status": 200, "body": request.url, "end": {}}
            for index, request in enumerate(batch.requests)
        ]
        sizes = collections.Counter()
        return self._messages.FetchBatchResponse(parts=[self._part(part, sizes) for part in parts])

    def _part(self, data, sizes):
        part = self._messages.ResultPart(index=data["index"])
        if "status" in data:
            part.head.status = data["status"]
            part.head.url = data.get("url", "http://fake.example/")
            part.head.version = 2
        part.body = data.get("body", "").encode()
        sizes[part.index] += len(part.body)
        if "end" in data:
            end = data["end"]
            part.end.attempts = end.get("attempts", 1)
            part.end.body_bytes = end.get("body_bytes", sizes[part.index])
            if "error" in end:
                reason = end["error"]
                known = isinstance(reason, str)
                part.end.error.reason = self._messages.Reason.Value(f"REASON_{reason}") if known else reason
                part.end.error.message = "as the case says"
                part.end.error.retryable = end.get("retryable", False)
            part.end.SetInParent()
            # What follows is another result, as far as the fake knows.
            del sizes[part.index]
        return part

    def _abort(self, event, context):
        code = grpc.StatusCode[event["status"]]
        details = status_pb2.Status(code=code.value[0], message=event.get("message", "as the case says"))
        if "retry_after" in event:
            delay = duration_pb2.Duration()
            delay.FromNanoseconds(int(event["retry_after"] * 1e9))
            details.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
        if "reason" in event:
            info = error_details_pb2.ErrorInfo(reason=event["reason"], domain="fetchd")
            details.details.add().Pack(info)
        context.set_trailing_metadata([("grpc-status-details-bin", details.SerializeToString())])
        context.abort(code, details.message)
