"""Fetches through the service with grpcio and a generated client."""

import grpc

import fetchd_pb2
import fetchd_pb2_grpc
from jobs import Times, serve

# The maximum number of requests in one call.
MAX_REQUESTS = 10_000


def fetch_all(job):
    times = Times()
    address = job["server"].removeprefix("http://")
    with grpc.insecure_channel(address) as channel:
        stub = fetchd_pb2_grpc.FetchServiceStub(channel)
        for start in range(0, job["count"], MAX_REQUESTS):
            count = min(MAX_REQUESTS, job["count"] - start)
            batch = fetchd_pb2.FetchBatchRequest(
                requests=[fetchd_pb2.FetchRequest(url=job["url"])] * count,
                concurrency=job["concurrency"],
            )
            results = [None] * count
            for message in stub.FetchBatch(batch):
                for part in message.parts:
                    if part.HasField("head"):
                        results[part.index] = (part.head.status, part.body)
                    if part.HasField("end"):
                        total = part.end.timing.total
                        elapsed = total.seconds + total.nanos / 1e9
                        times.record(elapsed, part.end.body_bytes)
            assert all(status == 200 for status, _ in results)
    return times.result()


serve(fetch_all)
