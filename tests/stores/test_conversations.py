"""Conversations are kept apart from their rows: what is read back is what was said, a loop costs what it adds, and
nothing is left of what was removed.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.protocols import TraceQuery
from proxy.record import Record
from proxy.stores.log import rows
from proxy.stores.log.conversations import LONG
from proxy.stores.log.rows import encode
from proxy.stores.log.shortcut import Shortcut
from proxy.stores.log.sqlite import SQLiteLog
from proxy.stores.schema.checkpoints import Checkpoints
from proxy.stores.schema.database import open_writer
from proxy.stores.schema.files import Files

START = "2026-11-20T15:10:10.970322+00:00"
WAYS = {"shortcut": "normal", "thread": "full"}

texts = st.text(st.characters(codec="utf-8"), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
configurations = st.one_of(
    st.dictionaries(texts, values, max_size=3),
    st.tuples(texts, values, st.lists(values, max_size=4), values).map(
        lambda drawn: {drawn[0]: drawn[1], "messages": drawn[2], "model_params": drawn[3]}
    ),
)


def turn(number: int, size: int = 300) -> list[dict[str, Any]]:
    """The messages of a loop's call of this number: two more than the one before, the first is the task."""
    return [
        {"role": "user" if place % 2 == 0 else "assistant", "content": f"{place} " + "x" * size}
        for place in range(2 * number + 1)
    ]


def record(trace_id: str, said: Any, **fields: Any) -> Record:
    configuration = {"model": "m", "messages": said, "model_params": {}}
    return Record(trace_id, trace_id, start_timestamp=START, configuration=configuration, **fields)


def logged(path: Path, records: Sequence[Record], synchronous: str = "normal") -> None:
    async def log_all() -> None:
        log = SQLiteLog(path, synchronous=synchronous)
        for one in records:
            assert await log.append(one)
        await log.close()

    asyncio.run(log_all())


def asked(path: Path, statement: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute(statement, values).fetchall()
        connection.commit()
    return [row[0] if len(row) == 1 else row for row in found]


def left(path: Path) -> tuple[int, int]:
    """How many messages and bodies are stored."""
    (found,) = asked(path, "SELECT (SELECT count(*) FROM conversations), (SELECT count(*) FROM bodies)")
    conversations, bodies = found
    return int(conversations), int(bodies)


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short conversations are kept apart too."""
    monkeypatch.setattr(rows, "LONG", 0)


@pytest.mark.usefixtures("always")
@pytest.mark.parametrize("synchronous", WAYS.values(), ids=WAYS)
def test_what_was_said_is_read_back_to_the_byte(synchronous: str) -> None:
    @settings(max_examples=60, deadline=None)
    @given(st.lists(configurations, max_size=4))
    def holds(said: list[dict[str, Any]]) -> None:
        async def read() -> list[Any]:
            log = SQLiteLog(Path(folder) / "traces.db", synchronous=synchronous)
            for number, one in enumerate(said):
                assert await log.append(Record(f"{number}", f"{number}", configuration=one))
            found = [await log.get(f"{number}") for number in range(len(said))]
            await log.close()
            return [one.configuration for one in found if one]

        with TemporaryDirectory() as folder:
            assert [json.dumps(one) for one in asyncio.run(read())] == [json.dumps(one) for one in said]

    holds()


@pytest.mark.parametrize("synchronous", WAYS.values(), ids=WAYS)
def test_a_loop_costs_what_its_turns_add(tmp_path: Path, synchronous: str) -> None:
    def used(turns: int) -> int:
        path = tmp_path / f"{turns}.db"
        logged(path, [record(f"t-{number}", turn(number)) for number in range(turns)], synchronous)
        pages, free, size = (asked(path, f"PRAGMA {what}")[0] for what in ("page_count", "freelist_count", "page_size"))
        assert left(path) == (2 * turns - 1, 2 * turns - 1)
        return int((pages - free) * size)

    few, many, most = used(4), used(32), used(60)
    # 28 turns add no more when 32 went before than when 4 did, and each about its two messages.
    assert most - many < 1.2 * (many - few)
    assert (most - many) / 28 < 2 * (300 + 200) + 600


def test_a_short_conversation_stays_in_its_row(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    logged(path, [record("t", [{"role": "user", "content": "short"}])])
    assert left(path) == (0, 0)
    assert asked(path, "SELECT configuration ->> '$.messages[0].content' FROM traces") == ["short"]


def test_conversations_that_go_apart_share_what_they_have_in_common(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    common, other = turn(3), {"role": "user", "content": "another way" * 50}
    logged(path, [record("a", common), record("b", [*common[:4], other]), record("c", [other, *common])])
    # The second goes on after four of the first's; the third begins anew, with bodies that are known.
    assert left(path) == (7 + 1 + 8, 8)


def test_a_row_that_is_said_again_lets_go_of_what_it_said_before(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    logged(path, [record("t", turn(4)), record("t", turn(2))])
    assert left(path) == (5, 5)
    logged(path, [Record("t", "t", output="only this")])
    assert left(path) == (5, 5)
    logged(path, [record("t", [{"role": "user", "content": "short"}])])
    assert left(path) == (0, 0)


@pytest.mark.parametrize("synchronous", WAYS.values(), ids=WAYS)
async def test_an_edit_of_a_configuration_wins_over_its_messages(tmp_path: Path, synchronous: str) -> None:
    log = SQLiteLog(tmp_path / "traces.db", synchronous=synchronous)
    assert await log.append(record("t", turn(3)))
    assert await log.update("t", {"configuration": {"messages": ["edited"]}})
    assert await log.append(record("t", turn(4)))
    found = await log.get("t")
    await log.close()
    assert found is not None
    assert found.configuration == {"messages": ["edited"]}
    assert left(tmp_path / "traces.db") == (0, 0)


def test_a_trace_that_is_lost_leaves_no_messages(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    logged(path, [record("t", turn(3)), Record("t", "t", counted_only=True), record("t", turn(5))])
    assert left(path) == (0, 0)


@pytest.mark.usefixtures("always")
@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=4), min_size=1, max_size=6), st.randoms())
def test_whatever_is_removed_and_in_whichever_order_nothing_is_left_of_it(said: list[list[str]], random: Any) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "traces.db"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rows, "LONG", 0)
            logged(path, [record(f"{number}", one) for number, one in enumerate(said)])
        there = list(range(len(said)))
        while True:
            kept = [said[number] for number in there]
            prefixes = {tuple(one[: place + 1]) for one in kept for place in range(len(one))}
            assert left(path) == (len(prefixes), len({text for one in kept for text in one}))
            if not there:
                break
            gone = random.sample(there, random.randint(1, len(there)))
            there = [number for number in there if number not in gone]
            asked(
                path,
                "DELETE FROM traces WHERE trace_id IN (SELECT value FROM json_each(?))",
                json.dumps(list(map(str, gone))),
            )


def test_a_batch_that_is_not_committed_leaves_no_messages(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    open_writer(path).close()
    files = Files(path)
    files.remember()
    shortcut = Shortcut(path, files, Checkpoints(path, files))
    assert not shortcut.commit([encode(record("a", turn(3))), encode(Record("b", "b", output="\ud800"))])
    assert left(path) == (0, 0)
    shortcut.let_go()


def test_what_a_client_logs_cannot_stand_for_another_s_messages(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    forged = Record("f", "f", configuration={"conversation": 1, "messages": None}, extra={"conversation": 7})
    logged(path, [record("t", turn(3)), forged])
    assert asked(path, "SELECT trace_id FROM traces WHERE conversation IS NOT NULL") == ["t"]
    assert asked(path, "SELECT configuration FROM requests WHERE trace_id = 'f'") == [
        '{"conversation":1,"messages":null}'
    ]


@pytest.mark.parametrize(
    ("field", "operator", "value", "key"),
    [
        ("content", "like", "6 xx", None),
        ("configuration", "like", "6 xx", "messages"),
        ("configuration", "exists", None, "messages"),
        ("configuration", "equals", "m", "model"),
    ],
)
async def test_messages_that_are_apart_are_searched(
    tmp_path: Path, field: str, operator: str, value: str | None, key: str | None
) -> None:
    log = SQLiteLog(tmp_path / "traces.db")
    assert await log.append(record("t", turn(3)))
    assert await log.append(Record("other", "other", configuration={"messages": []}, start_timestamp=START))
    query = TraceQuery(filter_field=field, filter_operator=operator, filter_value=value, filter_key=key)
    assert [one.trace_id for one in (await log.search(query)).roots if one.trace_id == "t"] == ["t"]
    page = await log.search(TraceQuery(filter_field="content", filter_operator="like", filter_value="9 xx"))
    assert page.total == 0
    await log.close()


def test_long_is_longer_than_what_refers(tmp_path: Path) -> None:
    """At the limit a conversation that is said once costs little more apart than in its row."""
    sizes = []
    for name, size in (("inline", LONG - 200), ("apart", LONG)):
        path = tmp_path / f"{name}.db"
        logged(path, [record(f"{n}", [{"role": "user", "content": f"{n:04}" + "y" * size}]) for n in range(200)])
        pages, free = (asked(path, f"PRAGMA {what}")[0] for what in ("page_count", "freelist_count"))
        sizes.append(4096 * (pages - free) / 200)
    assert sizes[1] < 1.35 * (sizes[0] + 200)
