"""Fetches with aiohttp, in one task for each concurrent fetch."""

import asyncio
import time

import aiohttp

from jobs import Times, serve


async def fetch_all(job):
    times = Times()
    kept = []
    remaining = iter(range(job["count"]))
    connector = aiohttp.TCPConnector(limit=job["concurrency"])

    async with aiohttp.ClientSession(connector=connector, raise_for_status=True) as session:

        async def work():
            for _ in remaining:
                started = time.perf_counter()
                async with session.get(job["url"]) as response:
                    if job["mode"] == "stream":
                        size = sum([len(chunk) async for chunk in response.content.iter_any()])
                    else:
                        size = len(await response.read())
                times.record(time.perf_counter() - started, size)
                if job["mode"] == "collect":
                    kept.append(response)

        await asyncio.gather(*(work() for _ in range(job["concurrency"])))
    return times.result()


serve(lambda job: asyncio.run(fetch_all(job)))
