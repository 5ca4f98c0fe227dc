from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from proxy.middleware.route.deadline import Deadline

pytestmark = pytest.mark.fault("U1")

FOREVER = 60.0


async def waits(*seconds: float) -> AsyncGenerator[int, None]:
    for number, each in enumerate(seconds):
        if each:
            await asyncio.sleep(each)
        yield number


def until(seconds: float) -> Deadline:
    return Deadline(asyncio.get_running_loop().time() + seconds)


async def test_events_pass_and_their_end_is_none() -> None:
    limit, events = until(FOREVER), waits(0, 0.001)
    assert [await limit.next(events) for _ in range(3)] == [0, 1, None]
    limit.close()


async def test_a_wait_ends_with_the_deadline_and_nothing_is_left_of_the_cancellation() -> None:
    limit = until(0.02)
    with pytest.raises(TimeoutError):
        await limit.next(waits(FOREVER))
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    await asyncio.sleep(0)


async def test_who_does_not_wait_when_it_rings_is_told_at_the_next_wait() -> None:
    limit, events = until(0.01), waits(0, 0, FOREVER)
    await asyncio.sleep(0.03)
    assert limit.over
    assert [await limit.next(events) for _ in range(2)] == [0, 1]
    with pytest.raises(TimeoutError):
        await limit.next(events)


async def test_another_cancellation_goes_on() -> None:
    limit = until(FOREVER)
    task = asyncio.ensure_future(limit.next(waits(FOREVER)))
    await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    limit.close()


async def test_a_cancellation_that_comes_with_the_deadline_goes_on() -> None:
    limit = until(0.02)
    task = asyncio.ensure_future(limit.next(waits(FOREVER)))
    asyncio.get_running_loop().call_at(limit.when, task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_closed_deadline_disturbs_nobody() -> None:
    limit = until(0.01)
    limit.close()
    assert await limit.next(waits(0.03)) == 0


async def test_a_deadline_may_be_moved_either_way() -> None:
    for first, then in ((FOREVER, 0.02), (0.02, 0.06)):
        limit = until(first)
        begun = asyncio.get_running_loop().time()
        limit.move(begun + then)
        with pytest.raises(TimeoutError):
            await limit.next(waits(FOREVER))
        assert then <= asyncio.get_running_loop().time() - begun < 1


async def test_a_deadline_that_is_over_may_be_moved_on() -> None:
    limit = until(0.01)
    await asyncio.sleep(0.03)
    assert limit.over
    limit.move(asyncio.get_running_loop().time() + FOREVER)
    assert await limit.next(waits(0.03)) == 0
    limit.close()
