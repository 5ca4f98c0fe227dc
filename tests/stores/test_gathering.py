from __future__ import annotations

import asyncio

from proxy.stores.cache.gathering import Entry, Gathering


async def test_what_comes_together_is_one_batch_and_batches_do_not_overlap() -> None:
    batches: list[list[bytes]] = []
    writing = 0

    async def write(batch: list[Entry]) -> None:
        nonlocal writing
        writing += 1
        assert writing == 1
        await asyncio.sleep(0.03)
        batches.append([entry.key for entry in batch])
        writing -= 1

    gathering = Gathering(write)
    first = [asyncio.create_task(gathering.add(b"%d" % number, b"", 0)) for number in range(3)]
    await asyncio.sleep(0.02)
    second = asyncio.create_task(gathering.add(b"later", b"", 0))
    await asyncio.gather(*first, second)
    assert batches == [[b"0", b"1", b"2"], [b"later"]]


async def test_whoever_leaves_takes_no_other_along() -> None:
    written: list[bytes] = []

    async def write(batch: list[Entry]) -> None:
        written.extend(entry.key for entry in batch)

    gathering = Gathering(write)
    tasks = [asyncio.create_task(gathering.add(key, b"", 0)) for key in (b"a", b"b")]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert written == [b"a", b"b"]


async def test_settling_waits_for_all_that_was_added() -> None:
    written: list[bytes] = []

    async def write(batch: list[Entry]) -> None:
        written.extend(entry.key for entry in batch)

    gathering = Gathering(write)
    await gathering.settle()
    task = asyncio.create_task(gathering.add(b"a", b"", 0))
    await asyncio.sleep(0)
    await gathering.settle()
    assert written == [b"a"]
    await task
