"""The client for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from typing import AsyncIterator, List

import pytest

from fetchd import AsyncClient, FetchError

from conftest import Origin


def test_a_list_and_an_asynchronous_iterator(service: str, origin: Origin) -> None:
    async def urls() -> AsyncIterator[str]:
        for size in range(500):
            yield f"{origin.url}/bytes/{size}"
            if size % 100 == 0:
                await asyncio.sleep(0.01)

    async def run() -> None:
        async with AsyncClient(service) as client:
            results = await client.fetch_all(urls(), concurrency=20)
            assert [len(result.content) for result in results] == list(range(500))
            ordered = [r.index async for r in client.fetch([origin.url] * 9, ordered=True)]
            assert ordered == list(range(9))

    asyncio.run(run())


def test_a_client_outlives_its_event_loop(service: str, origin: Origin) -> None:
    client = AsyncClient(service)
    for _ in range(3):
        [result] = asyncio.run(client.fetch_all([f"{origin.url}/bytes/1"]))
        assert result.ok


def test_cancelling_the_task_cancels_the_requests(service: str, origin: Origin) -> None:
    async def run() -> None:
        async with AsyncClient(service) as client:
            task = asyncio.ensure_future(client.fetch_all([f"{origin.url}/hang"] * 5))
            while len(origin.received) < 5:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            # The client goes on to work.
            [result] = await client.fetch_all([f"{origin.url}/bytes/1"])
            assert result.ok

    asyncio.run(run())


def test_an_asynchronous_iterator_that_fails_raises_its_error(
    service: str, origin: Origin
) -> None:
    async def urls() -> AsyncIterator[str]:
        yield f"{origin.url}/hang"
        raise KeyError("mine")

    async def run() -> None:
        async with AsyncClient(service) as client:
            with pytest.raises(KeyError, match="mine"):
                await client.fetch_all(urls())

    asyncio.run(run())


def test_lists_run_side_by_side(service: str, origin: Origin) -> None:
    async def run() -> List[int]:
        async with AsyncClient(service) as client:
            lists = [client.fetch_all([f"{origin.url}/bytes/{n}"] * 20) for n in range(10)]
            return [len(result.content) for results in await asyncio.gather(*lists) for result in results]

    assert asyncio.run(run()) == [n for n in range(10) for _ in range(20)]


def test_a_body_is_streamed(service: str, origin: Origin) -> None:
    async def run() -> None:
        async with AsyncClient(service) as client:
            async with client.stream(f"{origin.url}/bytes/1000000") as response:
                assert response.status_code == 200
                sizes = [len(piece) async for piece in response.iter_content(400_000)]
            assert sizes == [400_000, 400_000, 200_000]
            with contextlib.suppress(FetchError):
                async with client.stream("nonsense"):
                    raise AssertionError("expected an error")

    asyncio.run(run())
