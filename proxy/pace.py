"""Streams for clients that read up to 64 KiB at a time and lose the event that such a read cuts in two.

An event can only be cut when more than a read's worth waits for the client, so no more than that is ever sent ahead
of it: a first burst at once, and then at a rate that even a client on a busy machine keeps up with. What arrives in
the meantime is merged into fewer, larger events.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator

from proxy.models import Chunk, Event

BURST = 16 * 1024
"""Bytes that may go out at once: a quarter of what the client reads at a time."""

RATE = 320 * 1024
"""Bytes a second after that. A client that is kept from reading for 150 ms still loses nothing."""

FRAMING = 16
"""Bytes that HTTP's chunking adds to an event, at most."""


class Pace:
    """The allowance of one stream: `BURST` bytes, which come back at `RATE`."""

    def __init__(self) -> None:
        self._left = float(BURST)
        self._at = time.monotonic()

    async def spend(self, size: int) -> None:
        """Account for `size` bytes that were sent, and wait until there is allowance for more."""
        now = time.monotonic()
        self._left = min(BURST, self._left + (now - self._at) * RATE) - size - FRAMING
        self._at = now
        if self._left < 0:
            await asyncio.sleep(-self._left / RATE)


async def merged(events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
    """The same events, where text that arrived while the last one was being used is one chunk.

    The source is iterated by a task of its own, to its end; leaving this generator cancels it.
    """
    waiting: deque[Event] = deque()
    arrived = asyncio.Event()
    ended = False

    async def pump() -> None:
        nonlocal ended
        try:
            async for event in events:
                last = waiting[-1] if waiting else None
                if isinstance(event, Chunk) and isinstance(last, Chunk) and _joinable(last, event):
                    waiting[-1] = Chunk(text=last.text + event.text, index=event.index)
                else:
                    waiting.append(event)
                arrived.set()
        finally:
            ended = True
            arrived.set()

    task = asyncio.create_task(pump())
    try:
        while waiting or not ended:
            if waiting:
                yield waiting.popleft()
            else:
                arrived.clear()
                await arrived.wait()
        await task
    finally:
        if not task.done():
            task.cancel()
            # The source is that task's until it has ended; who closes the source next must find it at rest.
            await asyncio.wait({task})


def _joinable(last: Chunk, new: Chunk) -> bool:
    plain = not (last.tool_calls or new.tool_calls or last.reasoning or new.reasoning)
    return plain and last.index == new.index
