"""The requests of a list that come from an asynchronous iterator."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import AsyncIterable, Callable, Deque, List, Optional, Union

from ._pending import Pending
from ._source import MAX_CALL_REQUESTS, pending_of
from .result import Result


class AsyncSource:
    """Reads an asynchronous iterator in a task of its own, up to 1,000 requests ahead."""

    fits_one_call = False

    def __init__(self, requests: AsyncIterable[object]) -> None:
        self._requests = requests
        self._read_ahead: Deque[Union[Pending, Result]] = deque()
        self._has_read_all = False
        self._error: Optional[BaseException] = None
        self._room: Optional[asyncio.Event] = None
        self._task: Optional[asyncio.Task[None]] = None
        self._wake: Callable[[], None] = lambda: None

    @property
    def has_ended(self) -> bool:
        """True if there are no more requests."""
        return self._has_read_all and not self._read_ahead and self._error is None

    def start(self, wake: Callable[[], None]) -> None:
        """Begins to read. ``wake`` is called for each request, and at the end."""
        self._wake = wake
        self._room = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._read())

    def stop(self) -> None:
        """Stops reading."""
        if self._task is not None:
            self._task.cancel()

    def take(self, count: int, size: int) -> List[Union[Pending, Result]]:
        """Returns up to ``count`` requests of about ``size`` bytes.

        Raises the error of the iterator, if it has one.
        """
        if self._error is not None and not self._read_ahead:
            raise self._error
        taken: List[Union[Pending, Result]] = []
        while self._read_ahead and len(taken) < count and size > 0:
            pending = self._read_ahead.popleft()
            if isinstance(pending, Pending):
                size -= pending.size
            taken.append(pending)
        if self._room is not None:
            self._room.set()
        return taken

    async def _read(self) -> None:
        index = 0
        try:
            async for request in self._requests:
                self._read_ahead.append(pending_of(index, request))
                index += 1
                self._wake()
                while self._room is not None and len(self._read_ahead) >= MAX_CALL_REQUESTS:
                    self._room.clear()
                    await self._room.wait()
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            self._error = error
        self._has_read_all = True
        self._wake()
