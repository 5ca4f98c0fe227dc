"""The views over whatever rows there are, beside what Python makes of the same rows."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.record import Record
from proxy.stores.log.sqlite import SQLiteLog
from proxy.stores.schema.database import open_reader, open_writer
from proxy.stores.schema.steps import MIGRATIONS
from tests.stores.test_conversations import turn
from tests.stores.test_sampling import records

VIEWS = ("requests", "trees", "messages", "sessions", "spend_daily", "deployments", "cache")
START = "2026-11-20T15:10:10.970322+00:00"


def viewed(logged: Sequence[Record], *statements: str) -> list[list[dict[str, Any]]]:
    """What statements find in a log of these records."""

    async def log_all(path: Path) -> None:
        log = SQLiteLog(path)
        for record in logged:
            assert await log.append(record)
        await log.close()

    with TemporaryDirectory() as folder:
        path = Path(folder) / "traces.db"
        asyncio.run(log_all(path))
        with closing(open_reader(path)) as connection:
            connection.row_factory = sqlite3.Row
            return [[dict(row) for row in connection.execute(statement)] for statement in statements]


def row(trace_id: str, root: str, parent: str | None = None, **fields: Any) -> Record:
    return Record(trace_id, root, parent, **{"start_timestamp": START, **fields})


@settings(max_examples=40, deadline=None)
@given(st.lists(records(), max_size=12))
def test_what_is_spent_by_day_is_what_is_spent_in_total(logged: list[Record]) -> None:
    sums = ["calls", "errors", "cache_hits", "input_tokens", "output_tokens", "cost", "saved"]
    listed = ", ".join(f"coalesce(sum({name}), 0) AS {name}" for name in sums)
    by_day, totals = viewed(logged, f"SELECT {listed} FROM spend_daily", "SELECT * FROM totals")
    assert by_day == totals


def depth(tree: dict[str, str | None], root: str) -> int:
    """How many levels a tree has; what has no parent in it hangs under the root, and circles do not count."""

    def level(name: str, passed: frozenset[str]) -> int:
        if name == root:
            return 1
        parent = tree[name]
        if parent is None or parent not in tree:
            return 2
        above = 0 if parent in passed else level(parent, passed | {name})
        return above + 1 if above else 0

    return max([1, *(level(name, frozenset({name})) for name in tree)])


@settings(max_examples=80, deadline=None)
@given(st.dictionaries(st.sampled_from("rabcd"), st.none() | st.sampled_from("rabcdx"), min_size=1))
def test_a_tree_is_one_row_and_as_deep_as_its_calls(tree: dict[str, str | None]) -> None:
    logged = [row(name, "r", parent) for name, parent in tree.items()]
    (found,) = viewed(logged, "SELECT root_trace_id, calls, depth, trace_id FROM trees")
    top = "r" if "r" in tree else next(iter(tree))
    assert found == [{"root_trace_id": "r", "calls": len(tree), "depth": depth(tree, "r"), "trace_id": top}]


@pytest.mark.parametrize("root", ["c0", "not there"])
def test_a_tree_of_thousands_costs_some_steps_a_row(root: str, tmp_path: Path) -> None:
    rows, thousands = 2000, 0
    connection = open_writer(tmp_path / "traces.db")
    chain = [(f"c{number}", root, f"c{number - 1}" if number else None, START) for number in range(rows)]
    insert = "INSERT INTO traces (trace_id, root_trace_id, parent_trace_id, start_timestamp) VALUES (?, ?, ?, ?)"
    connection.executemany(insert, chain)

    def count() -> int:
        nonlocal thousands
        thousands += 1
        return thousands > rows

    connection.set_progress_handler(count, 1000)
    query = "SELECT trace_id, calls, depth FROM trees ORDER BY start_timestamp DESC LIMIT 50"
    found = connection.execute(query).fetchall()
    connection.close()
    assert found == [("c0", rows, rows if root == "c0" else rows + 1)]
    assert thousands < rows / 2


def test_a_tree_sums_up_its_calls() -> None:
    logged = [
        row("r", "r", name="agent", latency=3.0, status="success", session_id="s"),
        row("a", "r", "r", cost=0.5, input_tokens=3, output_tokens=1, status="error"),
        row("b", "r", "a", cost=0.25, input_tokens=4, cache_hit=True),
        row("later", "elsewhere", end_timestamp="2026-11-20T15:10:12.470322+00:00"),
    ]
    (found,) = viewed(logged, "SELECT * FROM trees")
    tree, rootless = sorted(found, key=lambda one: one["root_trace_id"], reverse=True)
    assert tree == {
        "root_trace_id": "r",
        "trace_id": "r",
        "start_timestamp": START,
        "name": "agent",
        "project": "default",
        "session_id": "s",
        "status": "success",
        "latency": 3.0,
        "calls": 3,
        "errors": 1,
        "input_tokens": 7,
        "output_tokens": 1,
        "cost": 0.5,
        "saved": 0.25,
        "depth": 3,
    }
    assert (rootless["trace_id"], rootless["latency"], rootless["depth"]) == ("later", 1.5, 2)


def test_requests_are_calls_and_messages_are_whole_wherever_they_are() -> None:
    parts = [{"type": "text", "text": "look"}]
    long = {"model": "m", "messages": [*turn(2), {"role": "user", "content": parts}]}
    logged = [
        row("s", "s", session_id="s", name="a session's own row"),
        row("short", "s", "s", session_id="s", configuration={"messages": [{"role": "user", "content": "hi"}, "odd"]}),
        row(
            "long", "s", "s", session_id="s", configuration=long, notes={"dialect": "openai", "cache": "hit"}, model="m"
        ),
        row("none", "none", configuration={"messages": "no list"}),
    ]
    requests, messages, sessions, cache = viewed(
        logged,
        "SELECT trace_id, kind, dialect, configuration ->> '$.messages[5].content[0].text' AS text FROM requests",
        "SELECT trace_id, place, role, content FROM messages WHERE trace_id <> 'long' OR place IN (0, 5) ORDER BY 1, 2",
        "SELECT session_id, trees, calls FROM sessions",
        "SELECT model, calls, hits, hit_rate FROM cache",
    )
    assert [tuple(one.values()) for one in requests] == [
        ("short", "function", None, None),
        ("long", "chat", "openai", "look"),
        ("none", "function", None, None),
    ]
    assert [tuple(one.values()) for one in messages] == [
        ("long", 0, "user", turn(0)[0]["content"]),
        ("long", 5, "user", '[{"type":"text","text":"look"}]'),
        ("none", None, None, "no list"),
        ("short", 0, "user", "hi"),
        ("short", 1, None, "odd"),
    ]
    assert [tuple(one.values()) for one in sessions] == [("s", 1, 2)]
    assert [tuple(one.values()) for one in cache] == [("m", 1, 1, 1.0)]


def test_deployments_are_their_versions() -> None:
    logged = [
        row("a", "a", deployment_id="p", deployment_version="1", latency=1.0, cost=0.5),
        row("b", "b", deployment_id="p", deployment_version="1", latency=9.0, cost=0.5, cache_hit=True),
        row("c", "c", deployment_id="p", deployment_version="2", status="error", feedback_score=0.5),
    ]
    (found,) = viewed(
        logged, "SELECT deployment_version, calls, errors, cost, saved, latency, feedback FROM deployments"
    )
    assert [tuple(one.values()) for one in found] == [
        ("1", 2, 0, 0.5, 0.5, 1.0, None),
        ("2", 1, 1, 0.0, 0.0, None, 0.5),
    ]


@pytest.mark.parametrize("steps", range(1, len(MIGRATIONS)))
def test_a_log_of_every_version_is_brought_up_to_date(
    tmp_path: Path, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "traces.db"
    said = '{"model":"m","messages":[{"role":"user","content":"' + "x" * 5000 + '"}]}'
    with monkeypatch.context() as patch:
        patch.setattr("proxy.stores.schema.migrations.MIGRATIONS", MIGRATIONS[:steps])
        connection = open_writer(path)
        connection.execute(
            "INSERT INTO traces (trace_id, root_trace_id, configuration, start_timestamp, status, cost)"
            " VALUES ('t', 't', ?, ?, 'success', 0.5)",
            (said, START),
        )
        connection.close()

    async def seen() -> Record | None:
        log = SQLiteLog(path)
        assert await log.append(row("below", "t", "t"))
        found = await log.get("t")
        await log.close()
        return found

    found = asyncio.run(seen())
    assert found is not None
    assert found.configuration is not None
    assert found.configuration["messages"][0]["content"] == "x" * 5000
    with closing(open_reader(path)) as connection:
        counts = [connection.execute(f"SELECT count(*) FROM {view}").fetchone()[0] for view in VIEWS]
        assert connection.execute("SELECT configuration FROM requests WHERE trace_id = 't'").fetchone() == (said,)
        assert connection.execute("SELECT cost, calls, depth FROM trees").fetchall() == [(0.5, 2, 2)]
    assert counts == [2, 1, 1, 0, 1, 0, 0]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM requests ORDER BY start_timestamp DESC LIMIT 50",
        "SELECT * FROM requests WHERE status = 'error' ORDER BY start_timestamp DESC LIMIT 50",
        "SELECT * FROM trees ORDER BY start_timestamp DESC LIMIT 50",
        "SELECT * FROM trees WHERE root_trace_id = 'r'",
        "SELECT * FROM requests WHERE session_id = 's' ORDER BY start_timestamp",
        "SELECT * FROM messages WHERE trace_id = 't'",
    ],
)
def test_a_listing_walks_an_index(tmp_path: Path, query: str) -> None:
    connection = open_writer(tmp_path / "traces.db")
    plan = [detail for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {query}")]
    connection.close()
    (first, *_) = [detail for detail in plan if detail.split()[:2] in (["SCAN", "t"], ["SEARCH", "t"])]
    assert "INDEX" in first
    assert not [detail for detail in plan if detail == "SCAN traces"]
