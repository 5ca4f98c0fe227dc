"""What the log comes to is what its rows come to, whatever has been added up, and whoever changes or removes a row."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from proxy.protocols import TraceQuery
from proxy.record import Record
from proxy.stores.index import adding, indexer
from proxy.stores.index.adding import add, right, settle
from proxy.stores.index.indexer import check
from proxy.stores.log.counting import counted, total
from proxy.stores.log.sqlite import SQLiteLog
from proxy.stores.schema import database
from proxy.stores.schema.database import open_writer
from proxy.stores.schema.sums import TABLES
from proxy.stores.schema.views import SPEND_DAILY
from tests.stores.test_finding import logged, put

NOW = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)
NAIVE = SPEND_DAILY.replace("CREATE VIEW spend_daily AS", "")
"""The view as it was before there were sums."""

TOTALS = """SELECT count(*), coalesce(sum(status = 'error'), 0), coalesce(sum(cache_hit), 0),
    coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),
    coalesce(sum(CASE WHEN cache_hit = 0 THEN cost END), 0), coalesce(sum(CASE WHEN cache_hit = 1 THEN cost END), 0)
FROM traces"""
NAMES = [re.findall(r"CREATE TABLE (\w+)", table)[0] for table in TABLES if "TABLE" in table]

KINDS: tuple[Literal["tops", "calls", "sessions", "all"], ...] = ("tops", "calls", "sessions", "all")
QUERIES = [
    TraceQuery(rows=rows, project_name=project, project_id=uuid, status=status, time_range=span)
    for rows, (project, uuid), status, span in itertools.product(
        KINDS,
        ((None, None), ("p", None), ("default", None), ("q", "u")),
        (None, "error"),
        (None, "1h", "24h"),
    )
]


def same(found: list[Any], expected: list[Any]) -> None:
    """Rows in any order; costs to what is left over of adding in another order."""
    keyed = [sorted(([*map(_shown, row[:-2])], row[-2:]) for row in rows) for rows in (found, expected)]
    assert [key for key, _ in keyed[0]] == [key for key, _ in keyed[1]]
    for (_, ours), (_, theirs) in zip(*keyed, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-9)


def _shown(value: Any) -> str:
    return repr(float(value)) if isinstance(value, int) else repr(value)


def agrees(connection: sqlite3.Connection, queries: list[TraceQuery] = QUERIES) -> None:
    same(connection.execute("SELECT * FROM spend_daily").fetchall(), connection.execute(NAIVE).fetchall())
    same(connection.execute("SELECT * FROM totals").fetchall(), connection.execute(TOTALS).fetchall())
    for query in queries:
        assert total(connection, query, NOW) in (None, counted(connection, query, NOW)), query


def added(connection: sqlite3.Connection) -> None:
    while add(connection, all=True):
        pass


IDS, ROOTS = st.sampled_from("abcde"), st.sampled_from("ab")
TIMES = (
    None, "", "2026-11-20", "2026-11-20T11", "2026-11-20T11:10:00.000000+00:00", "2026-11-20T11:40:00.000000+00:00",
    "2026-11-20T12:10:00.000000+00:00", "2026-11-19T12:10:00.000000+00:00", "2025-11-19T12:59:00.000000+00:00",
)  # fmt: skip


def often(*values: Any) -> st.SearchStrategy[Any]:
    """Values that may be added up, three times as often as what comes after them."""
    return st.one_of([st.sampled_from(values)] * 3)


VALUES: dict[str, Any] = {
    "root_trace_id": ROOTS,
    "parent_trace_id": st.none() | st.sampled_from("abc"),
    "session_id": st.none() | ROOTS,
    "project_name": st.sampled_from([None, "p", "q", "default", ""]),
    "project_uuid": st.sampled_from([None, None, "u", "v"]),
    "key": st.sampled_from([None, "k"]),
    "provider": st.sampled_from([None, "openai"]),
    "model": st.sampled_from([None, "m", ""]),
    "status": st.sampled_from([None, "error", "success"]),
    "cost": often(None, 0, 0.1, 0.000123) | st.sampled_from([5000.0, 1e30, -1.0, "much"]),
    "input_tokens": often(None, 0, 7) | st.sampled_from([2.5, 2**60, "many"]),
    "output_tokens": st.sampled_from([None, 3]),
    "cache_hit": often(0, 1) | st.just(2),
    "start_timestamp": st.sampled_from(TIMES),
}
FIELDS = st.fixed_dictionaries(VALUES)
CHANGES = st.one_of([st.tuples(st.just(name), values) for name, values in VALUES.items()])


EXAMPLES = int(os.environ.get("SUMS_EXAMPLES", "40"))


class Sums(RuleBasedStateMachine):
    """Rows come, change, go and are added up, in any order, by whatever program."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.connection = open_writer(Path(self.folder.name) / "traces.db")
        self.settled = self.turn = 0
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(adding, "AT_ONCE", 2)

    @rule(missing=st.sets(st.sampled_from("abcd"), max_size=2), all=st.booleans())
    def grow(self, missing: set[str], all: bool) -> None:
        """A tree of four levels, or parts of it, most of them added up."""
        for name, parent in {"a": None, "b": "a", "c": "b", "d": "c"}.items():
            if name not in missing:
                put(self.connection, Record(name, "a", parent, status="success", cost=0.25, project_name="p"))
        self.add_some(all)

    @rule(name=IDS, fields=FIELDS)
    def come(self, name: str, fields: dict[str, Any]) -> None:
        columns = {"trace_id": name, **fields}
        marks = ", ".join(f":{column}" for column in columns)
        self.connection.execute(f"INSERT OR IGNORE INTO traces ({', '.join(columns)}) VALUES ({marks})", columns)

    @rule(name=IDS, root=ROOTS, parent=IDS, status=st.sampled_from(["error", "success"]))
    def append(self, name: str, root: str, parent: str, status: str) -> None:
        put(self.connection, Record(name, root, parent, status=status, cost=0.5))

    @rule(name=IDS, change=CHANGES)
    def change(self, name: str, change: tuple[str, Any]) -> None:
        self.connection.execute(f"UPDATE traces SET {change[0]} = ? WHERE trace_id = ?", (change[1], name))

    @rule(name=IDS, other=IDS)
    def rename(self, name: str, other: str) -> None:
        self.connection.execute("UPDATE OR IGNORE traces SET trace_id = ? WHERE trace_id = ?", (other, name))

    @rule(name=IDS)
    def leave(self, name: str) -> None:
        self.connection.execute("DELETE FROM traces WHERE trace_id = ?", (name,))

    @rule(names=st.sets(IDS, min_size=1))
    def go(self, names: set[str]) -> None:
        marks = ", ".join("?" * len(names))
        self.connection.execute(f"DELETE FROM traces WHERE trace_id IN ({marks})", list(names))

    @rule(name=st.sampled_from(["p", "q"]))
    def known(self, name: str) -> None:
        self.connection.execute(
            "INSERT OR IGNORE INTO projects VALUES (?, ?, '2026')", (name, {"p": "u"}.get(name, "v"))
        )

    @rule(all=st.booleans())
    def add_some(self, all: bool) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(adding, "LATEST", 1)
            add(self.connection, all=all)

    @rule()
    def add_all(self) -> None:
        added(self.connection)

    @rule()
    def settle(self) -> None:
        self.settled = settle(self.connection, self.settled) or 0

    @rule()
    def vacuum(self) -> None:
        self.connection.execute("VACUUM")

    @invariant()
    def they_are_what_the_rows_come_to(self) -> None:
        self.turn += 1
        agrees(self.connection, [QUERIES[0], *QUERIES[self.turn % 11 :: 11]])
        assert right(self.connection)
        (reached,) = self.connection.execute("SELECT count(*) FROM summed").fetchone()
        assert (total(self.connection, QUERIES[0], NOW) is not None) == bool(reached)

    def teardown(self) -> None:
        self.connection.execute("DELETE FROM traces")
        left = {name: self.connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in NAMES}
        self.connection.close()
        self.patch.undo()
        self.folder.cleanup()
        assert left == dict.fromkeys(NAMES, 0)


TestSums = Sums.TestCase
TestSums.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A log of some trees, of which most rows are added up."""
    found = tmp_path / "traces.db"
    logged(found, *(one for number in range(60) for one in tree(number)))
    with closing(open_writer(found)) as connection:
        added(connection)
    logged(found, *tree(60))
    return found


def tree(number: int) -> Iterator[Record]:
    """A root with a call and a tool below it; of each fifth tree the root has not come."""
    start = f"2026-11-{1 + number % 20:02}T{number % 24:02}:10:00.000000+00:00"
    root, call = f"root-{number}", f"call-{number}"
    common: dict[str, Any] = {"start_timestamp": start, "project_name": f"project-{number % 3}"}
    if number % 5:
        yield Record(root, root, name="agent", **common)
    yield Record(call, root, root, model=f"model-{number % 4}", cost=0.001 * number, input_tokens=number, **common)
    yield Record(f"tool-{number}", root, call, status="error" if number % 7 == 0 else "success", **common)


def pages_of(path: Path, names: list[str]) -> list[int]:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        marks = ", ".join("?" * len(names))
        query = f"SELECT pageno FROM dbstat WHERE name IN (SELECT name FROM sqlite_master WHERE tbl_name IN ({marks}))"
        return [page for (page,) in connection.execute(query, names)]


def test_a_tree_goes_row_by_row_in_any_order(path: Path) -> None:
    with closing(open_writer(path)) as connection:
        for number in range(0, 60, 3):
            for name in sorted((f"root-{number}", f"call-{number}", f"tool-{number}"), reverse=bool(number % 2)):
                connection.execute("DELETE FROM traces WHERE trace_id = ?", (name,))
                agrees(connection, [QUERIES[0], *QUERIES[number % 9 :: 9]])


def test_a_row_that_no_sum_has_goes_and_leaves_others_below_nothing(path: Path) -> None:
    """Its rows came before it, and have been added up meanwhile."""
    with closing(open_writer(path)) as connection:
        for number in (0, 5):  # whose root has not come
            put(connection, Record(f"root-{number}", f"root-{number}"))
        assert settle(connection, 0) is None
        connection.execute("DELETE FROM traces WHERE trace_id = 'root-0'")
        agrees(connection)
        connection.execute("UPDATE traces SET trace_id = 'another' WHERE trace_id = 'root-5'")
        agrees(connection)


def test_what_nobody_names_any_more_leaves_no_name(path: Path) -> None:
    with closing(open_writer(path)) as connection:
        connection.execute("UPDATE traces SET project_name = 'canary', model = 'canary', key = 'canary'")
        while True:
            if settle(connection, 0) is None:
                break
        agrees(connection)
        names = connection.execute("SELECT DISTINCT project_name FROM daily_labels").fetchall()
        assert (
            names == connection.execute("SELECT DISTINCT project_name FROM hourly_labels").fetchall() == [("canary",)]
        )
        connection.execute("UPDATE traces SET project_name = 'p', model = 'm', key = NULL")
        assert connection.execute("SELECT count(*) FROM daily_labels").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM hourly_labels").fetchone() == (0,)
        agrees(connection)


@pytest.mark.parametrize("gap", [False, True])
def test_a_log_that_was_dumped_and_read_in_again(path: Path, tmp_path: Path, gap: bool) -> None:
    """Rows get other numbers where some had been removed, and no sum is believed that is of others."""
    with closing(open_writer(path)) as connection:
        if gap:
            connection.execute("DELETE FROM traces WHERE trace_id = 'call-3'")
        dump = "\n".join(connection.iterdump())
    with closing(sqlite3.connect(tmp_path / "again.db", isolation_level=None)) as connection:
        connection.executescript(dump)
        agrees(connection)
        connection.execute("DELETE FROM traces WHERE trace_id = 'call-7'")
        connection.execute("UPDATE traces SET status = 'error' WHERE trace_id = 'call-8'")
        agrees(connection)
        check(connection)
        assert connection.execute("SELECT count(*) FROM summed").fetchone() == (0 if gap else 1,)
        agrees(connection)
        added(connection)
        agrees(connection)


def test_rows_that_were_replaced_past_the_triggers_are_found_at_a_start(path: Path) -> None:
    """What `INSERT OR REPLACE` removes SQLite tells no trigger."""
    with closing(open_writer(path)) as connection:
        connection.execute("INSERT OR REPLACE INTO traces (trace_id, root_trace_id) VALUES ('call-4', 'call-4')")
        assert not right(connection)
        check(connection)
        agrees(connection)
        added(connection)
        assert right(connection)
        agrees(connection)


@pytest.mark.parametrize("when", ["opened", "read", "changed"])
def test_damage_of_the_sums_alone_costs_no_row(path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """Every page of them overwritten: rows are counted, and may change, and the sums are made anew."""
    pages = pages_of(path, NAMES)
    with path.open("r+b") as file:
        for page in pages:
            file.seek((page - 1) * 4096)
            file.write(b"\xa5" * 4096)
    assert len(pages) >= len(NAMES)
    if when != "opened":
        monkeypatch.setattr(database, "CHECKED_AT_START", 0)
    monkeypatch.setattr(indexer, "REST", 0.02)

    async def works() -> None:
        log = SQLiteLog(path, now=lambda: NOW)
        if when == "changed":
            assert await log.update("call-1", {"status": "error"})
        # Of a tree without its root the call is the top.
        assert (await log.search(TraceQuery(page_size=5))).total == 61
        end = time.monotonic() + 20
        while not pages_of(path, ["daily"]) or set(pages_of(path, ["daily"])) & set(pages):
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        assert (await log.search(TraceQuery(page_size=5))).total == 61
        await log.close()

    asyncio.run(works())
    with closing(open_writer(path, thorough=True)) as connection:
        assert connection.execute("SELECT count(*) FROM traces").fetchone() == (170,)
        agrees(connection)
        added(connection)
        agrees(connection)
    assert not list(path.parent.glob("*damaged*"))


async def test_several_that_run_add_each_row_once(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer, "REST", 0.01)
    monkeypatch.setattr(adding, "AT_ONCE", 8)
    monkeypatch.setattr(adding, "LATEST", 8)
    logs = [SQLiteLog(path, now=lambda: NOW) for _ in range(3)]
    for number in range(100, 400, 3):
        rows = [(log, one) for place, log in enumerate(logs) for one in tree(number + place)]
        assert all(await asyncio.gather(*(log.append(one) for log, one in rows)))
        assert (await logs[0].search(TraceQuery(page_size=1))).total == 61 + number - 97
    end = time.monotonic() + 20
    with closing(open_writer(path)) as connection:
        while connection.execute("SELECT coalesce(max(upto), 0) FROM summed").fetchone()[0] < 900:
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        assert right(connection)
        agrees(connection)
    for log in logs:
        await log.close()


def test_a_total_costs_no_more_than_the_groups(tmp_path: Path) -> None:
    """Steps of SQLite's machine, for a thousand rows and for four thousand of the same hours."""

    def steps(connection: sqlite3.Connection, ask: Callable[[], object]) -> int:
        count = itertools.count()
        connection.set_progress_handler(lambda: next(count) < 0, 10)
        ask()
        connection.set_progress_handler(None, 0)
        return next(count)

    found: list[tuple[int, int, int]] = []
    with closing(open_writer(tmp_path / "traces.db")) as connection:
        for many in range(4):
            put(connection, *(one for number in range(many * 400, many * 400 + 400) for one in tree(number)))
            added(connection)
            by_sums = steps(connection, lambda: total(connection, QUERIES[0], NOW))
            by_rows = steps(connection, lambda: counted(connection, QUERIES[0], NOW))
            spent = steps(connection, connection.execute("SELECT * FROM spend_daily").fetchall)
            found.append((by_sums, by_rows, spent))
    apart = 320  # trees without a root are looked at
    assert found[3][1] > 3 * found[0][1]
    assert found[3][0] < 2 * found[0][0] + 10 * apart
    assert found[3][2] < 1.5 * found[0][2]
