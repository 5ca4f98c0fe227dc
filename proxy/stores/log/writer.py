"""One writer: rows are handed to it without waiting, and each batch is one transaction.

What is handed over in one turn of the event loop is a batch. A `shortcut` may commit it at the end of that turn, on the
loop; what it declines goes to a thread, and everything after it, until the thread has caught up, so the order stays.
When another process is writing, the batch stays, grows and is tried again, a few milliseconds long.
While the thread commits a batch the next one gathers. Its futures are settled after its commit, by one call into the
loop. What does not fit into the queue is dropped and counted: a slow disk may cost rows, never memory and never an
answer.
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

logger = logging.getLogger(__name__)

T = TypeVar("T")

SHORT = 256 * 1024
"""Bytes that may be committed on the event loop in one turn."""

AGAIN = (0.0, 0.0, 0.001, 0.001, 0.002, 0.004)
"""Seconds before each further attempt while another process is writing; 0 is the loop's next turn."""


@dataclass(slots=True)
class _Handed(Generic[T]):
    item: T
    size: int
    future: asyncio.Future[bool]
    loop: asyncio.AbstractEventLoop


class Writer(Generic[T]):
    """Hands batches of items to `commit`, in a thread of its own; it tells for each whether it is on disk.

    `shortcut` is asked first, on the event loop, and says whether it has committed a whole batch; None, that another
    attempt may. `max_items` and
    `max_bytes` bound the queue, `batch_items` and `batch_bytes` a batch.
    """

    def __init__(
        self,
        commit: Callable[[list[T]], Sequence[bool]],
        *,
        shortcut: Callable[[list[T]], bool | None] | None = None,
        max_items: int = 20_000,
        max_bytes: int = 128 * 2**20,
        batch_items: int = 500,
        batch_bytes: int = 8 * 2**20,
    ) -> None:
        self._commit = commit
        self._shortcut = shortcut
        self._turn: list[_Handed[T]] = []
        self._attempts = 0
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
        return self._handed - self._settled + len(self._turn)

    @property
    def dropped(self) -> int:
        """How many items never reached the disk."""
        return self._refused + self._failed

    def put(self, item: T, size: int) -> asyncio.Future[bool]:
        """Hand over an item of `size` bytes; the future tells whether it is on disk. Never raises, never waits."""
        max_items, max_bytes = self._max
        waiting = self._handed_bytes - self._settled_bytes
        behind = self._handed - self._settled
        # Something larger than the whole bound may still pass, alone.
        if self._closed or behind + len(self._turn) >= max_items or (waiting and waiting + size > max_bytes):
            return self.refuse()
        loop = asyncio.get_running_loop()
        future: asyncio.Future[bool] = loop.create_future()
        handed = _Handed(item, size, future, loop)
        if self._shortcut is None or behind > 0:
            self._hand_over(handed)
        else:
            if not self._turn:
                loop.call_soon(self._end_turn)
            self._turn.append(handed)
        return future

    def _end_turn(self) -> None:
        """Settle what was put in this turn, or leave it to the thread."""
        batch, self._turn = self._turn, []
        if not batch:
            return
        short = self._shortcut is not None and sum(handed.size for handed in batch) <= SHORT
        committed = self._shortcut([handed.item for handed in batch]) if self._shortcut and short else False
        if committed is None and self._attempts < len(AGAIN) and not self._closed:
            self._turn = batch
            self._try_again(batch[0].loop)
            return
        self._attempts = 0
        if committed:
            _settle([(handed.future, True) for handed in batch])
        else:
            for handed in batch:
                self._hand_over(handed)

    def _try_again(self, loop: asyncio.AbstractEventLoop) -> None:
        pause = AGAIN[self._attempts]
        self._attempts += 1
        if pause:
            loop.call_later(pause, self._end_turn)
        else:
            loop.call_soon(self._end_turn)

    def _hand_over(self, handed: _Handed[T]) -> None:
        self._handed += 1
        self._handed_bytes += handed.size
        self._queue.put(handed)

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
            self._end_turn()
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

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
