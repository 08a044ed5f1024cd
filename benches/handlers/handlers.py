"""Ways in which a web handler fetches a list of URLs. Each returns the body, or the name of the
error, for every URL in order.

Usage: handlers.py NAME SERVICE

Reads one job from standard input, `{"urls": […], "handlers": N}`, runs the handler N times
at once, in threads, and writes what that took.
"""

import asyncio
import concurrent.futures
import json
import resource
import sys
import time

import aiohttp
import requests
from fetchd import Client

TIMEOUT = 10
MAX_BODY = 1_000_000


def one_by_one(urls):
    """A loop, as it's written first."""
    with requests.Session() as session:
        return [get(session, url) for url in urls]


def threads(urls):
    """A pool with a thread for each URL."""
    with requests.Session() as session, concurrent.futures.ThreadPoolExecutor(len(urls)) as pool:
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=len(urls))
        session.mount("http://", adapter)
        return list(pool.map(lambda url: get(session, url), urls))


def get(session, url):
    try:
        response = session.get(url, timeout=TIMEOUT)
    except requests.RequestException as error:
        return type(error).__name__
    return response.content


def gather(urls):
    """asyncio.gather, as most examples show it: aiohttp's defaults and no limit of size."""

    async def get(session, url):
        async with session.get(url) as response:
            return await response.read()

    async def run():
        async with aiohttp.ClientSession() as session:
            return await asyncio.gather(*(get(session, url) for url in urls))

    return asyncio.run(run())


def careful_gather(urls):
    """asyncio.gather with the limits that strangers' URLs need."""
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)

    async def get(session, url):
        try:
            async with session.get(url) as response:
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > MAX_BODY:
                        return "too large"
                return bytes(body)
        except (aiohttp.ClientError, asyncio.TimeoutError) as error:
            return type(error).__name__

    async def run():
        connector = aiohttp.TCPConnector(limit=len(urls))
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            return await asyncio.gather(*(get(session, url) for url in urls))

    return asyncio.run(run())


def through_fetchd(urls):
    results = client.fetch_all(
        urls, concurrency=len(urls), request_timeout=TIMEOUT, max_body_bytes=MAX_BODY
    )
    return [result.error.reason if result.error else result.content for result in results]


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def memory(field):
    """Returns VmRSS, or VmHWM for its peak, in MiB."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith(field))
    return int(line.split()[1]) / 1024


def run_job(handler, urls, handlers):
    before = memory("VmRSS")
    with open("/proc/self/clear_refs", "w") as peak:
        peak.write("5")
    cpu_before, started = cpu(), time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(handlers) as pool:
        answers = list(pool.map(lambda _: outcome(handler, urls), range(handlers)))
    return {
        "wall_s": time.perf_counter() - started,
        "cpu_s": cpu() - cpu_before,
        "memory_mib": memory("VmHWM") - before,
        "answered": sum(isinstance(one, bytes) for answer in answers for one in answer),
        "other": sorted({one for answer in answers for one in answer if isinstance(one, str)}),
    }


def outcome(handler, urls):
    try:
        return handler(urls)
    except Exception as error:  # The handler would answer with status 500.
        return [f"500: {type(error).__name__}"]


if __name__ == "__main__":
    name, service = sys.argv[1:]
    client = Client(service)
    print("ready", flush=True)
    job = json.loads(sys.stdin.readline())
    print(json.dumps(run_job(globals()[name], **job)), flush=True)
