"""Entries on their way to the cache's disk: what comes within a moment is written in one transaction.

One entry alone costs as much as many: a thread that wakes, a lock, a commit. What must stay true: batches are written
one after the other; whoever leaves takes no other's entry along; every ending is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

GATHER = 0.01
"""Seconds for which entries gather. Nobody's answer waits for it."""


@dataclass(slots=True)
class Entry:
    """An entry to be written, how often the cache had been cleared when it came, and the news that it is over."""

    key: bytes
    value: bytes
    cleared: int
    done: asyncio.Future[None]


class Gathering:
    """Hands batches to `write`, which does not raise."""

    def __init__(self, write: Callable[[list[Entry]], Awaitable[None]]) -> None:
        self._write = write
        self._batch: list[Entry] = []
        """What the last task has not taken yet."""
        self._last: asyncio.Task[None] | None = None

    async def add(self, key: bytes, value: bytes, cleared: int) -> None:
        """Have an entry written; returns when that is over."""
        if not self._batch:
            self._last = asyncio.create_task(self._run(self._last))
        entry = Entry(key, value, cleared, asyncio.get_running_loop().create_future())
        self._batch.append(entry)
        await entry.done

    async def settle(self) -> None:
        """Wait until all that was added is written."""
        if self._last is not None:
            await asyncio.wait({self._last})

    async def _run(self, before: asyncio.Task[None] | None) -> None:
        await asyncio.sleep(GATHER)
        if before is not None:
            await asyncio.wait({before})
        batch, self._batch = self._batch, []
        try:
            await self._write(batch)
        finally:
            for entry in batch:
                if not entry.done.done():
                    entry.done.set_result(None)
