"""One thread that writes: rows are handed to it without waiting, and each batch is one transaction.

While a batch is being committed the next one gathers, so the more there is to write, the cheaper each row becomes, and
a single row waits for nobody. The futures of a batch are settled after its commit, by one call into the event loop.
What does not fit into the queue is dropped and counted: a slow disk may cost rows, never memory and never an answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

import anyio.to_thread

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(slots=True, frozen=True)
class _Handed(Generic[T]):
    item: T
    size: int
    future: asyncio.Future[bool]
    loop: asyncio.AbstractEventLoop


class Writer(Generic[T]):
    """Hands batches of items to `commit`, in a thread of its own; it tells for each whether it is on disk.

    `max_items` and `max_bytes` bound the queue, `batch_items` and `batch_bytes` a batch.
    """

    def __init__(
        self,
        commit: Callable[[list[T]], Sequence[bool]],
        *,
        max_items: int = 20_000,
        max_bytes: int = 128 * 2**20,
        batch_items: int = 500,
        batch_bytes: int = 8 * 2**20,
    ) -> None:
        self._commit = commit
        self._max = (max_items, max_bytes)
        self._batch = (batch_items, batch_bytes)
        self._queue: SimpleQueue[_Handed[T] | None] = SimpleQueue()
        # Each counter is changed by one thread only: the loop's hands over and refuses, the writer's settles and fails.
        self._handed = self._handed_bytes = self._refused = 0
        self._settled = self._settled_bytes = self._failed = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="trace-log-writer", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """How many items are not settled yet."""
        return self._handed - self._settled

    @property
    def dropped(self) -> int:
        """How many items never reached the disk."""
        return self._refused + self._failed

    def put(self, item: T, size: int) -> asyncio.Future[bool]:
        """Hand over an item of `size` bytes; the future tells whether it is on disk. Never raises, never waits."""
        max_items, max_bytes = self._max
        waiting = self._handed_bytes - self._settled_bytes
        # Something larger than the whole bound may still pass, alone.
        if self._closed or self.pending >= max_items or (waiting and waiting + size > max_bytes):
            return self.refuse()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        self._handed += 1
        self._handed_bytes += size
        self._queue.put(_Handed(item, size, future, loop))
        return future

    def refuse(self) -> asyncio.Future[bool]:
        """Count an item that is dropped without being handed over."""
        self._refused += 1
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        future.set_result(False)
        return future

    async def close(self) -> None:
        """Write what is pending, then stop; what is put from now on is dropped."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await anyio.to_thread.run_sync(self._thread.join)

    def _run(self) -> None:
        more = True
        while more:
            batch, more = self._gather()
            if batch:
                self._write(batch)

    def _gather(self) -> tuple[list[_Handed[T]], bool]:
        """The next batch, and whether there may be another after it."""
        batch: list[_Handed[T]] = []
        items, size = self._batch
        handed = self._queue.get()
        while handed is not None:
            batch.append(handed)
            items, size = items - 1, size - handed.size
            if items <= 0 or size <= 0:
                return batch, True
            try:
                handed = self._queue.get_nowait()
            except Empty:
                return batch, True
        return batch, False

    def _write(self, batch: list[_Handed[T]]) -> None:
        try:
            outcomes = self._commit([handed.item for handed in batch])
        except Exception:
            logger.exception("the trace log lost %d rows to a fault of its own", len(batch))
            outcomes = [False] * len(batch)
        self._failed += sum(not outcome for outcome in outcomes)
        self._settled += len(batch)
        self._settled_bytes += sum(handed.size for handed in batch)
        by_loop: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[bool], bool]]] = {}
        for handed, outcome in zip(batch, outcomes, strict=True):
            by_loop.setdefault(handed.loop, []).append((handed.future, outcome))
        for loop, settled in by_loop.items():
            # A loop that has closed meanwhile has nobody waiting.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, settled)


def _settle(settled: list[tuple[asyncio.Future[bool], bool]]) -> None:
    for future, outcome in settled:
        if not future.done():
            future.set_result(outcome)
