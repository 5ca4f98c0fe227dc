from __future__ import annotations

import asyncio
import threading

import pytest

from proxy.stores.log.writer import AGAIN, SHORT, Writer


class Gate:
    """A disk that writes when it is allowed to."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.entered = threading.Event()
        self.batches: list[list[str]] = []

    def commit(self, items: list[str]) -> list[bool]:
        self.entered.set()
        assert self.open.wait(10)
        self.batches.append(items)
        return [True] * len(items)


async def settled(futures: list[asyncio.Future[bool]]) -> list[bool]:
    return await asyncio.wait_for(asyncio.gather(*futures), 10)


async def test_what_gathers_during_a_commit_is_the_next_batch() -> None:
    gate = Gate()
    writer = Writer(gate.commit)
    first = writer.put("a", 1)
    assert await asyncio.to_thread(gate.entered.wait, 10)
    rest = [writer.put(item, 1) for item in "bcd"]
    assert writer.pending == 4
    assert not first.done()
    gate.open.set()
    assert await settled([first, *rest]) == [True] * 4
    assert gate.batches == [["a"], ["b", "c", "d"]]
    assert writer.pending == 0
    await writer.close()


@pytest.mark.parametrize(("max_items", "max_bytes", "size"), [(3, 1000, 1), (1000, 30, 10)])
async def test_a_full_queue_drops_and_counts(max_items: int, max_bytes: int, size: int) -> None:
    gate = Gate()
    writer = Writer(gate.commit, max_items=max_items, max_bytes=max_bytes)
    kept = [writer.put("kept", size) for _ in range(3)]
    dropped = [writer.put("dropped", size) for _ in range(2)]
    assert [future.result() for future in dropped] == [False, False]
    assert writer.dropped == 2
    gate.open.set()
    assert await settled(kept) == [True] * 3
    assert await writer.put("later", size)
    await writer.close()
    assert "dropped" not in [item for batch in gate.batches for item in batch]


async def test_one_item_larger_than_the_whole_bound_passes() -> None:
    gate = Gate()
    gate.open.set()
    writer = Writer(gate.commit, max_bytes=10)
    assert await writer.put("large", 1000)
    await writer.close()


async def test_a_batch_is_bounded_in_items_and_bytes() -> None:
    gate = Gate()
    writer = Writer(gate.commit, batch_items=4, batch_bytes=10)
    futures = [writer.put("first", 10)]
    assert await asyncio.to_thread(gate.entered.wait, 10)
    futures += [writer.put("small", 1) for _ in range(5)] + [writer.put("large", 9) for _ in range(2)]
    gate.open.set()
    await settled(futures)
    assert gate.batches == [["first"], ["small"] * 4, ["small", "large"], ["large"]]
    await writer.close()


async def test_close_writes_what_is_pending_and_then_drops() -> None:
    gate = Gate()
    writer = Writer(gate.commit)
    futures = [writer.put(str(number), 1) for number in range(50)]
    closing = asyncio.ensure_future(writer.close())
    await asyncio.sleep(0)
    gate.open.set()
    await closing
    await writer.close()
    assert await settled(futures) == [True] * 50
    assert await writer.put("late", 1) is False
    assert writer.dropped == 1


async def test_a_cancelled_future_harms_nobody() -> None:
    gate = Gate()
    writer = Writer(gate.commit)
    left, stayed = writer.put("left", 1), writer.put("stayed", 1)
    left.cancel()
    gate.open.set()
    assert await settled([stayed]) == [True]
    await writer.close()
    assert sorted(item for batch in gate.batches for item in batch) == ["left", "stayed"]


async def test_a_fault_in_a_commit_costs_its_batch_only(caplog: pytest.LogCaptureFixture) -> None:
    def commit(items: list[str]) -> list[bool]:
        if "bad" in items:
            raise RuntimeError("a bug")
        return [True] * len(items)

    writer = Writer(commit)
    assert await writer.put("bad", 1) is False
    assert await writer.put("good", 1) is True
    assert writer.dropped == 1
    assert "a bug" in caplog.text
    await writer.close()


def test_a_loop_that_has_closed_is_let_go() -> None:
    gate = Gate()
    writer = asyncio.run(_leave(gate))
    gate.open.set()
    asyncio.run(writer.close())
    assert gate.batches == [["orphan"]]


async def _leave(gate: Gate) -> Writer[str]:
    writer = Writer(gate.commit)
    writer.put("orphan", 1)
    return writer


async def test_the_shortcut_settles_a_turn_as_one_batch() -> None:
    taken: list[list[str]] = []

    def shortcut(items: list[str]) -> bool:
        taken.append(items)
        return True

    gate = Gate()
    writer = Writer(gate.commit, shortcut=shortcut)
    futures = [writer.put(name, 1) for name in "abc"]
    assert writer.pending == 3
    assert await settled(futures) == [True, True, True]
    assert (taken, gate.batches, writer.pending) == ([["a", "b", "c"]], [], 0)
    await writer.close()


async def test_what_the_shortcut_declines_goes_to_the_thread_and_so_does_what_follows() -> None:
    taken: list[list[str]] = []

    def shortcut(items: list[str]) -> bool:
        taken.append(items)
        return len(taken) > 1

    gate = Gate()
    writer = Writer(gate.commit, shortcut=shortcut)
    first = writer.put("a", 1)
    await asyncio.sleep(0)
    second = writer.put("b", 1)
    gate.open.set()
    assert await settled([first, second]) == [True, True]
    third = writer.put("c", 1)
    assert await third is True
    assert taken == [["a"], ["c"]]
    assert [item for batch in gate.batches for item in batch] == ["a", "b"]
    await writer.close()


async def test_while_another_process_writes_a_batch_grows_and_is_tried_again() -> None:
    answers: list[bool | None] = [None, None, None, True]
    taken: list[list[str]] = []

    def shortcut(items: list[str]) -> bool | None:
        taken.append(items)
        return answers[len(taken) - 1]

    gate = Gate()
    writer = Writer(gate.commit, shortcut=shortcut)
    first = writer.put("a", 1)
    await asyncio.sleep(0)
    second = writer.put("b", 1)
    assert writer.pending == 2
    assert await settled([first, second]) == [True, True]
    assert taken[0] == ["a"]
    assert taken[-1] == ["a", "b"]
    assert (gate.batches, writer.pending) == ([], 0)
    await writer.close()


async def test_a_lock_that_lasts_is_the_threads_to_wait_for() -> None:
    attempts: list[list[str]] = []
    gate = Gate()
    gate.open.set()
    writer = Writer(gate.commit, shortcut=attempts.append)
    assert await settled([writer.put("a", 1), writer.put("b", 1)]) == [True, True]
    assert attempts == [["a", "b"]] * (1 + len(AGAIN))
    assert gate.batches == [["a", "b"]] or gate.batches == [["a"], ["b"]]
    third = writer.put("c", 1)
    await writer.close()
    assert third.result() is True


async def test_large_turns_are_the_threads() -> None:
    gate = Gate()
    gate.open.set()
    writer = Writer(gate.commit, shortcut=lambda items: pytest.fail("too large for the loop"))
    assert await writer.put("a", SHORT + 1) is True
    assert gate.batches == [["a"]]
    await writer.close()


async def test_closing_settles_the_turn_that_is_under_way() -> None:
    gate = Gate()
    writer = Writer(gate.commit, shortcut=lambda items: True)
    future = writer.put("a", 1)
    await writer.close()
    assert future.result() is True
