"""Fetches through the service, with grpcio and the generated stubs."""

import time

import grpc

import fetchd_pb2
import fetchd_pb2_grpc
from jobs import Times, serve

# The most requests that the service takes in one call.
MOST = 10_000


def fetch_all(job):
    times = Times()
    address = job["server"].removeprefix("http://")
    with grpc.insecure_channel(address) as channel:
        stub = fetchd_pb2_grpc.FetchServiceStub(channel)
        for start in range(0, job["count"], MOST):
            count = min(MOST, job["count"] - start)
            batch = fetchd_pb2.FetchBatchRequest(
                requests=[fetchd_pb2.FetchRequest(url=job["url"])] * count,
                concurrency=job["concurrency"],
            )
            results = [None] * count
            begun = time.perf_counter()
            for message in stub.FetchBatch(batch):
                for part in message.parts:
                    if part.HasField("head"):
                        results[part.index] = (part.head.status, part.body)
                    if part.HasField("end"):
                        total = part.end.timing.total
                        took = total.seconds + total.nanos / 1e9
                        times.note(took, part.end.body_bytes)
            assert all(status == 200 for status, _ in results), begun
    return times.answer()


serve(fetch_all)
