"""Fetches with aiohttp, as many tasks as may be in flight."""

import asyncio
import time

import aiohttp

from jobs import Times, serve


async def fetch_all(job):
    times = Times()
    left = iter(range(job["count"]))
    connector = aiohttp.TCPConnector(limit=job["concurrency"])

    async with aiohttp.ClientSession(connector=connector) as session:

        async def work():
            for _ in left:
                begun = time.perf_counter()
                async with session.get(job["url"]) as response:
                    body = await response.read()
                times.note(time.perf_counter() - begun, len(body))

        await asyncio.gather(*(work() for _ in range(job["concurrency"])))
    return times.answer()


serve(lambda job: asyncio.run(fetch_all(job)))
