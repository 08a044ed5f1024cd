"""Fetches through the service with the Python client for asyncio."""

import asyncio
import time

from fetchd import AsyncClient

from jobs import serve


async def work(job):
    options = {"max_body_bytes": job["max_body_bytes"] or None}
    read = {"arrive": arrive, "collect": collect, "stream": stream}[job["mode"]]
    async with AsyncClient(job["server"]) as client:
        started = time.perf_counter()
        size = sum([await read(client, job, options) for _ in range(job["repeat"])])
        return {"wall_s": time.perf_counter() - started, "bytes": size}


async def arrive(client, job, options):
    """Reads each result of a list when it arrives, and returns the size of the bodies."""
    urls = [job["url"]] * job["count"]
    size = 0
    async for result in client.fetch(urls, concurrency=job["concurrency"], **options):
        assert result.status_code == 200
        size += len(result.content)
    return size


async def collect(client, job, options):
    """Fetches a list into memory, and returns the size of the bodies."""
    urls = [job["url"]] * job["count"]
    results = await client.fetch_all(urls, concurrency=job["concurrency"], **options)
    assert all(result.status_code == 200 for result in results)
    return sum(len(result.content) for result in results)


async def stream(client, job, options):
    """Reads one body as a stream, and returns its size."""
    async with client.stream(job["url"], **options) as response:
        return sum([len(chunk) async for chunk in response])


serve(lambda job: asyncio.run(work(job)))
