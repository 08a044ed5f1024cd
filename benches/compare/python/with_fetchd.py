"""Fetches through the service with the Python client."""

import time

from fetchd import Client

from jobs import serve


def work(job):
    options = {"max_body_bytes": job["max_body_bytes"] or None}
    read = {"arrive": arrive, "collect": collect, "stream": stream}[job["mode"]]
    with Client(job["server"]) as client:
        started = time.perf_counter()
        size = sum(read(client, job, options) for _ in range(job["repeat"]))
        return {"wall_s": time.perf_counter() - started, "bytes": size}


def arrive(client, job, options):
    """Reads each result of a list when it arrives, and returns the size of the bodies."""
    urls = [job["url"]] * job["count"]
    size = 0
    for result in client.fetch(urls, concurrency=job["concurrency"], **options):
        assert result.status_code == 200
        size += len(result.content)
    return size


def collect(client, job, options):
    """Fetches a list into memory, and returns the size of the bodies."""
    urls = [job["url"]] * job["count"]
    results = client.fetch_all(urls, concurrency=job["concurrency"], **options)
    assert all(result.status_code == 200 for result in results)
    return sum(len(result.content) for result in results)


def stream(client, job, options):
    """Reads one body as a stream, and returns its size."""
    with client.stream(job["url"], **options) as response:
        return sum(len(chunk) for chunk in response)


serve(work)
