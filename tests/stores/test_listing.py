"""Pages and figures of a selection, beside what Python makes of the same rows."""

from __future__ import annotations

import asyncio
import math
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partialmethod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy import timestamps
from proxy.errors import BadRequest
from proxy.record import Record
from proxy.selection import SLOTS, Asked, Selection, moment
from proxy.stores.log import listing
from proxy.stores.log.reader import Reader
from proxy.stores.log.sqlite import SQLiteLog
from proxy.stores.schema.database import open_writer

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)

rows = st.lists(
    st.fixed_dictionaries(
        {
            "start_timestamp": st.sampled_from(["", *(timestamps.text(NOW - timedelta(hours=n)) for n in range(4))]),
            "model": st.sampled_from([None, "gpt-4o", "claude"]),
            "status": st.sampled_from([None, "success", "error"]),
            "cost": st.none() | st.integers(0, 64).map(lambda n: n / 64),
            "latency": st.none() | st.integers(0, 64).map(lambda n: n / 8),
            "cache_hit": st.booleans(),
            "input_tokens": st.none() | st.integers(0, 9),
        }
    ),
    max_size=25,
)


async def stored(folder: Path, *records: Record) -> SQLiteLog:
    log = SQLiteLog(folder / "traces.db", now=lambda: NOW)
    for record in records:
        assert await log.append(record)
    return log


def made(said: list[dict[str, Any]]) -> list[Record]:
    return [Record(f"t{n}", f"t{n}", **one) for n, one in enumerate(said)]


@settings(max_examples=60, deadline=None)
@given(rows, st.integers(1, 9), st.sampled_from([None, "gpt-4o"]), st.integers(0, 30))
def test_pages_follow_each_other(said: list[dict[str, Any]], limit: int, model: str | None, late: int) -> None:
    """Each row is told once, newest first, whatever the size of a page, and what comes in later disturbs nothing."""

    async def told(folder: Path) -> list[str]:
        log = await stored(folder, *made(said))
        found: list[str] = []
        after: str | None = None
        while True:
            page = await log.answers.page(Selection(model=model), after, limit)
            assert len(page.records) <= limit
            assert len(found) < 200, "the pages never end"
            found += [record.trace_id for record in page.records]
            if len(found) >= late:
                await log.append(Record(f"late{len(found)}", "late", start_timestamp=timestamps.text(NOW), model=model))
            after = page.after
            if after is None:
                await log.close()
                return found

    with TemporaryDirectory() as folder:
        found = asyncio.run(told(Path(folder)))
    wanted = [n for n, one in enumerate(said) if model in (None, one["model"])]
    wanted.sort(key=lambda n: (said[n]["start_timestamp"], n), reverse=True)
    assert [one for one in found if not one.startswith("late")] == [f"t{n}" for n in wanted]
    assert len(set(found)) == len(found)


@settings(max_examples=60, deadline=None)
@given(rows, st.sampled_from([None, "model", "status", "cache_hit", "day"]))
def test_figures_are_those_of_the_rows(said: list[dict[str, Any]], by: str | None) -> None:
    async def told(folder: Path) -> Any:
        log = await stored(folder, *made(said))
        found = await log.answers.figures(Selection(), by)
        await log.close()
        return found

    with TemporaryDirectory() as folder:
        found = asyncio.run(told(Path(folder)))
    groups: dict[Any, list[dict[str, Any]]] = {}
    for one in said:
        key = None if by is None else (one["start_timestamp"][:10] or None) if by == "day" else one[by]
        groups.setdefault(key, []).append(one)
    assert {one.group for one in found} == set(groups)
    for one in found:
        group = groups[one.group]
        timed = sorted(row["latency"] for row in group if row["latency"] is not None and not row["cache_hit"])
        assert one.calls == len(group)
        assert one.errors == sum(row["status"] == "error" for row in group)
        assert one.hits == sum(row["cache_hit"] for row in group)
        assert one.cost == sum(row["cost"] or 0 for row in group if not row["cache_hit"])
        assert one.saved == sum(row["cost"] or 0 for row in group if row["cache_hit"])
        assert one.input_tokens == sum(row["input_tokens"] or 0 for row in group)
        for share, value in ((50, one.p50), (95, one.p95), (99, one.p99)):
            assert value == (timed[math.ceil(share * len(timed) / 100) - 1] if timed else None)
        assert (len(one.course), sum(one.course)) == (SLOTS, sum(bool(row["start_timestamp"]) for row in group))


ROWS = [
    Record("a", "a", start_timestamp=timestamps.text(NOW), model="gpt-4o", project_name="one", output="Rome is sunny"),
    Record("a1", "a", "a", start_timestamp=timestamps.text(NOW - timedelta(hours=1)), model="gpt-4o-mini", cost=0.5),
    Record("s", "s", session_id="s", start_timestamp=timestamps.text(NOW - timedelta(days=2))),
    Record("b", "b", start_timestamp=timestamps.text(NOW - timedelta(days=3)), status="error", metadata={"team": "x"}),
]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), "a a1 b"),
        (Selection(rows="all"), "a a1 s b"),
        (Selection(rows="tops"), "a s b"),
        (Selection(model="gpt-4o"), "a"),
        (Selection(model="gpt-4o%"), "a a1"),
        (Selection(project="one"), "a"),
        (Selection(status="error"), "b"),
        (Selection(search="SUNNY"), "a"),
        (Selection(since=moment("2h", NOW)), "a a1"),
        (Selection(since=moment("2026-11-18", NOW), rows="all"), "a a1 s"),
        (Selection(where="cost > 0.1"), "a1"),
        (Selection(where="cost > 0.1 OR status = 'error'", model="gpt-4o%"), "a1"),
        (Selection(where="metadata ->> 'team' = 'x'"), "b"),
        (Selection(where="t.trace_id LIKE 'a%'", search="rome"), "a"),
    ],
)
async def test_selections(tmp_path: Path, selection: Selection, expected: str) -> None:
    log = await stored(tmp_path, *ROWS)
    found = await log.answers.page(selection)
    assert " ".join(record.trace_id for record in found.records) == expected
    assert found.after is None
    await log.close()


async def test_groups_by_what_is_in_a_row_or_beside_it(tmp_path: Path) -> None:
    log = await stored(tmp_path, *ROWS)

    async def groups(by: str) -> dict[Any, int]:
        return {one.group: one.calls for one in await log.answers.figures(Selection(), by)}

    assert await groups("metadata.team") == {None: 2, "x": 1}
    assert await groups("project") == {"default": 2, "one": 1}
    assert list(await groups("day")) == ["2026-11-17", "2026-11-20"]
    assert await groups("hour") == {"2026-11-17T12:00": 1, "2026-11-20T11:00": 1, "2026-11-20T12:00": 1}
    assert [one.group for one in await log.answers.figures(Selection(), "trace_id", 2)] == ["a", "a1"]
    for by in ("nothing", "metadata", "trace_id; DROP TABLE traces", "extra.a"):
        with pytest.raises(BadRequest, match="by: nothing to group by"):
            await log.answers.figures(Selection(), by)
    assert isinstance(log, Asked)
    await log.close()


@pytest.mark.parametrize("after", ["x", "!", "MQ", "", "é", "OTk5OTk5OTk5OTk5OTk5OTk5OTkgMjAyNg"])
async def test_a_place_that_no_page_told(tmp_path: Path, after: str) -> None:
    log = await stored(tmp_path, *ROWS)
    if after == "MQ":  # a row without a time, of which there is none
        assert (await log.answers.page(Selection(), after)).records == []
    else:
        with pytest.raises(BadRequest, match="after: should be"):
            await log.answers.page(Selection(), after)
    await log.close()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("30s", NOW - timedelta(seconds=30)),
        ("5m", NOW - timedelta(minutes=5)),
        ("2w", NOW - timedelta(weeks=2)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T14:00+02:00", NOW),
        ("999999w", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_times(written: str, expected: datetime) -> None:
    assert moment(written, NOW) == timestamps.text(expected)


@pytest.mark.parametrize("written", ["", "2 fortnights", "yesterday", "-2h", "2026-13-01"])
def test_what_is_no_time(written: str) -> None:
    with pytest.raises(BadRequest, match="since: should be a time"):
        moment(written, NOW)


async def test_ids_by_their_beginning(tmp_path: Path) -> None:
    log = await stored(tmp_path, *(Record(name, name) for name in ("ab", "abc", "b%", "b_", "\U0010ffff")))
    reader = Reader(tmp_path / "traces.db")
    assert reader.named("ab") == ["ab", "abc"]
    assert reader.named("b%") == ["b%"]
    assert reader.named("", 2) == ["ab", "abc"]
    assert reader.named("z") == []
    reader.close()
    await log.close()


LONG = [{"role": "system", "content": "Be terse. " * 200}, {"role": "user", "content": "Rome?"}]


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("configuration ->> '$.messages[#-1].content' = 'Rome?'", {"long", "short"}),
        ("configuration LIKE '%Rome%' AND cost > 0.1", {"long"}),
        ("EXISTS (SELECT 1 FROM json_each(Configuration, '$.messages') WHERE value ->> 'role' = 'system')", {"long"}),
        ("json_array_length(configuration, '$.messages') = 1 -- whole", {"short"}),
        ("configuration IS NULL", {"none"}),
        ("t.trace_id = 'long' AND configuration ->> 'model' = 'm'", {"long"}),
    ],
)
async def test_a_condition_sees_a_whole_configuration(tmp_path: Path, where: str, found: set[str]) -> None:
    log = await stored(
        tmp_path,
        Record("long", "long", configuration={"model": "m", "messages": LONG}, cost=0.5),
        Record("short", "short", configuration={"messages": LONG[1:]}, cost=0.01),
        Record("none", "none"),
    )
    assert {one.trace_id for one in (await log.answers.page(Selection(where=where))).records} == found
    assert sum(one.calls for one in await log.answers.figures(Selection(where=where))) == len(found)
    with pytest.raises(BadRequest):
        await log.answers.page(Selection(where=f"{where}\n) OR (true"))
    await log.close()


@pytest.mark.parametrize(
    ("selection", "index"),
    [
        (Selection(model="m"), "traces_by_model"),
        (Selection(where="deployment_id = 'p'"), "traces_by_deployment"),
        (Selection(status="error"), "traces_by_failure"),
        (Selection(), "traces_by_start"),
    ],
)
def test_a_page_is_found_by_an_index_and_in_order(tmp_path: Path, selection: Selection, index: str) -> None:
    """A model or a deployment that is rare among a million rows is not looked for in all of them."""
    with closing(open_writer(tmp_path / "traces.db")) as connection:
        asked: list[str] = []
        connection.set_trace_callback(asked.append)
        listing.page(connection, listing.condition(connection, selection, NOW), None, 50)
        connection.set_trace_callback(None)
        (first, *_) = [sql for sql in asked if sql.startswith("SELECT")]
        plan = " ".join(row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {first}"))
    assert f"USING INDEX {index}" in plan
    assert "TEMP B-TREE FOR ORDER BY" not in plan.partition("CORRELATED")[0]


async def test_questions_that_take_long_leave_the_log_to_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Reader, "page", partialmethod(Reader.page, seconds=1.0))
    log = await stored(tmp_path, Record("a", "a"))
    endless = "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n)"
    asked = [asyncio.create_task(log.answers.page(Selection(where=endless))) for _ in range(40)]
    await asyncio.sleep(0)
    assert (await asyncio.wait_for(log.health(), 5))["rows"] == 1
    answered = [task for task in asked if task.done()]
    for task in asked:
        task.cancel()
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    await log.close()
    assert len(answered) <= 2
    assert all(isinstance(one, BadRequest | asyncio.CancelledError) for one in outcomes)
