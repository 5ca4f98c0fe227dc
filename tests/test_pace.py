from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator

import pytest

from proxy.models import Choice, Chunk, Completion, Event, Usage
from proxy.pace import BURST, RATE, Pace, merged

DONE = Completion([Choice()], Usage(), model="m", provider="p")


async def test_a_short_answer_does_not_wait() -> None:
    pace, began = Pace(), time.monotonic()
    for _ in range(10):
        await pace.spend(BURST // 20)
    assert time.monotonic() - began < BURST / RATE / 2


async def test_a_long_answer_is_never_ahead_of_its_rate() -> None:
    pace, began, sent = Pace(), time.monotonic(), 0
    for _ in range(40):
        sent += 1000
        await pace.spend(1000)
        assert sent <= BURST + 1000 + (time.monotonic() - began) * RATE
    assert sent > BURST


async def source(*events: Event | Exception | float) -> AsyncGenerator[Event, None]:
    for event in events:
        if isinstance(event, Exception):
            raise event
        if isinstance(event, float):
            await asyncio.sleep(event)
        else:
            yield event


async def test_merging_loses_nothing_and_keeps_the_order() -> None:
    given: list[Event] = [
        Chunk("a"),
        Chunk("b", index=1),
        Chunk("c", index=1),
        Chunk(reasoning="r"),
        Chunk("d"),
        DONE,
    ]
    got = [event async for event in merged(source(*given))]
    assert got == [Chunk("a"), Chunk("bc", index=1), Chunk(reasoning="r"), Chunk("d"), DONE]


async def test_merging_raises_after_what_had_arrived() -> None:
    running = merged(source(Chunk("a"), ValueError("x")))
    assert await anext(running) == Chunk("a")
    with pytest.raises(ValueError, match="x"):
        await anext(running)


async def test_leaving_a_merge_leaves_its_source_at_rest() -> None:
    inner = source(Chunk("a"), 10.0, Chunk("b"))
    running = merged(inner)
    assert await anext(running) == Chunk("a")
    await asyncio.sleep(0.01)
    await running.aclose()
    await inner.aclose()
