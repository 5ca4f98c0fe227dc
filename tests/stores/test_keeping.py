"""What is kept is what the rule says, whole trees of it; what is removed is in no byte of the file."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy import timestamps
from proxy.config.settings import Keep, LogSettings
from proxy.record import Record
from proxy.stores.log.sqlite import SQLiteLog, trace_log
from proxy.stores.retention.keeping import alone, used

NOW = datetime(2026, 11, 20, tzinfo=UTC)
DAY = 86400.0


def logged(path: Path, records: Iterable[Record], edits: Iterable[tuple[str, dict[str, Any]]] = ()) -> None:
    async def log() -> None:
        store = SQLiteLog(path, keep=Keep(size=2**50))
        written = [store.append(record) for record in records]
        written += [store.update(trace_id, fields) for trace_id, fields in edits]
        assert all(await asyncio.gather(*written))
        await store.close()

    asyncio.run(log())


def row(trace_id: str, root: str, days: float | None, **fields: Any) -> Record:
    """A row that began so many days ago."""
    start = "" if days is None else timestamps.text(NOW - timedelta(days=days))
    return Record(trace_id, root, start_timestamp=start, status="success", **fields)


def said(*texts: str) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": text} for text in texts]}


def kept(path: Path, age: float | None = None, size: int | None = None) -> int:
    """The rows that one pass of an opened log removes."""

    async def keep() -> int:
        store = SQLiteLog(path, now=lambda: NOW)
        store._keeping._keep = Keep.model_construct(age=age, size=size)
        removed = await asyncio.to_thread(store._keeping.once)
        await store.close()
        return removed

    return asyncio.run(keep())


def asked(path: Path, sql: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql, values).fetchall()


def ids(path: Path) -> set[str]:
    return {found for (found,) in asked(path, "SELECT trace_id FROM traces")}


def bytes_of(path: Path) -> bytes:
    return b"".join(one.read_bytes() for one in path.parent.rglob("*") if one.is_file())


def whole(path: Path) -> None:
    """The file is sound, and nothing in it is left over."""
    assert asked(path, "PRAGMA integrity_check") == [("ok",)]
    assert asked(path, "SELECT count(*) FROM bodies WHERE id NOT IN (SELECT body FROM conversations)") == [(0,)]
    left = """WITH RECURSIVE used(id) AS (SELECT conversation FROM traces WHERE conversation IS NOT NULL
        UNION SELECT previous FROM used JOIN conversations USING (id) WHERE previous IS NOT NULL)
        SELECT count(*) FROM conversations WHERE id NOT IN (SELECT id FROM used)"""
    assert asked(path, left) == [(0,)]


trees = st.lists(
    st.lists(
        st.tuples(st.none() | st.integers(0, 60), st.integers(0, 6), st.booleans()),  # days ago, what is said, edited
        min_size=1,
        max_size=5,
    ),
    max_size=8,
)


@settings(max_examples=40)
@given(trees, st.integers(0, 61))
def test_what_is_too_old_goes_in_whole_trees_by_their_latest_row(
    drawn: list[list[tuple[int | None, int, bool]]], age: int
) -> None:
    records, edits, left, texts = [], [], set(), {}
    for root, rows in enumerate(drawn):
        times = [days for days, _, _ in rows if days is not None]
        stays = bool(times) and min(times) <= age
        for number, (days, length, edited) in enumerate(rows):
            trace_id = f"{root}-{number}"
            own = f"canary of the row {trace_id}, which nobody else has said"
            talk = [f"shared message number {n} of everybody " * 12 for n in range(length)]
            records.append(row(trace_id, f"{root}-0", days, configuration=said(*talk, own), output=f"<{own}>"))
            texts[trace_id] = own
            if edited:
                edits.append((trace_id, {"target": f"target of {own}"}))
            if stays:
                left.add(trace_id)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "traces.db"
        logged(path, records, edits)
        before = asked(path, "SELECT count(*) FROM traces")[0][0]
        assert kept(path, age=age * DAY + 1) == before - len(left)
        assert ids(path) == left
        assert {found for (found,) in asked(path, "SELECT trace_id FROM edits")} == left & {one for one, _ in edits}
        whole(path)
        everything = bytes_of(path)
        for trace_id, text in texts.items():
            assert (text.encode() in everything) == (trace_id in left), trace_id


def test_by_size_the_oldest_trees_go_until_the_file_fits_and_the_file_gets_shorter(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    # The tree 0 began first of all, and is the youngest by its latest row.
    records = [row(f"{n}", f"{n}", 1000 - n, output=f"output {n} " * 150) for n in range(1000)]
    logged(path, [*records, row("late", "0", 0.5)])
    before = path.stat().st_size
    assert kept(path, size=2**20) > 0
    left = ids(path)
    first = min(int(one) for one in left - {"late", "0"})
    assert left == {"late", "0", *(f"{n}" for n in range(first, 1000))}
    assert before > 1.6e6
    assert path.stat().st_size <= 2**20
    with closing(sqlite3.connect(path)) as connection:
        assert 0.7 * 2**20 < used(connection) <= 2**20
    whole(path)
    assert kept(path, size=2**20) == 0


async def empty(path: Path) -> None:
    """A log that a gateway without `log.keep` made."""
    path.parent.mkdir(exist_ok=True)
    await SQLiteLog(path).close()


def test_a_file_without_incremental_vacuum_uses_its_room_again(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    asyncio.run(empty(path))
    batches = [[row(f"{b}-{n}", f"{b}-{n}", 10 - b, output="x" * 3000) for n in range(400)] for b in range(4)]
    logged(path, [*batches[0], *batches[1]])
    size = path.stat().st_size
    for number in (2, 3):
        kept(path, size=2**20)
        logged(path, batches[number])
        assert path.stat().st_size <= size


async def test_only_a_log_with_a_rule_pays_for_what_shortens_its_file(tmp_path: Path) -> None:
    for name, keep, mode in (("a", None, 0), ("b", Keep(age=30 * DAY), 2), ("c", Keep(size=2**30), 2)):
        await SQLiteLog(tmp_path / name, keep=keep).close()
        assert asked(tmp_path / name, "PRAGMA auto_vacuum") == [(mode,)]


def test_what_keys_spent_is_not_forgotten_and_the_totals_are_of_what_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    lost = row("l", "l", 40, cost=1.0, counted_only=True)
    logged(path, [row("a", "a", 40, key="k", spent=7, cost=0.5), row("b", "b", 1, key="k", spent=5, cost=0.25), lost])
    kept(path, age=30 * DAY)
    assert asked(path, "SELECT sum(nanodollars), sum(calls) FROM spend") == [(12, 2)]
    assert asked(path, "SELECT calls, cost FROM totals") == [(1, 0.25)]


def test_an_edit_of_a_removed_row_waits_like_one_of_an_unknown_row(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    logged(path, [row("a", "a", 40)])
    kept(path, age=30 * DAY)
    logged(path, [], [("a", {"feedback_score": 1.0})])
    assert ids(path) == set()
    assert asked(path, "SELECT trace_id, feedback_score FROM edits") == [("a", 1.0)]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE edits SET edited_at = '2020-01-01T00:00:00+00:00'")
    kept(path, age=30 * DAY)
    assert asked(path, "SELECT count(*) FROM edits") == [(0,)]


def test_a_session_goes_with_its_last_call(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    session = {"session_id": "s"}
    logged(path, [row("s", "s", 50, **session), row("a", "s", 45, **session), row("b", "s", 20, **session)])
    assert kept(path, age=30 * DAY) == 0
    assert kept(path, age=10 * DAY) == 3


def test_only_one_process_does_it_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    logged(path, [row("a", "a", 40)])
    with alone(path, wait=False) as mine:
        assert mine
        assert kept(path, age=DAY) == 0
    assert kept(path, age=DAY) == 1


KEEPER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from proxy.config.settings import Keep, LogSettings
from proxy.stores.log.sqlite import SQLiteLog
store = SQLiteLog(Path(sys.argv[1]), now=lambda: datetime(2026, 11, 20, tzinfo=UTC))
store._keeping._keep = Keep.model_construct(age=86400.0, size=None)
print("begun", flush=True)
store._keeping.once()
"""


@pytest.mark.fault("D1")
def test_after_kill_9_in_the_middle_the_file_is_whole_and_the_next_pass_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    long = [row(f"long-{n}", "long-0", 40, configuration=said("x" * 1200, f"canary {n} of long")) for n in range(1500)]
    short = [row(f"{n}", f"{n}", 39, configuration=said("x" * 1200, f"canary {n} of short")) for n in range(1500)]
    new = [row(f"new-{n}", f"new-{n}", 0.5, configuration=said("x" * 1200)) for n in range(50)]
    logged(path, [*long, *short, *new])
    counts = []
    for pause in (0.05, 0.1, 0.15, 0.2):
        with subprocess.Popen([sys.executable, "-c", KEEPER, path], stdout=subprocess.PIPE) as keeper:
            assert keeper.stdout is not None
            keeper.stdout.readline()
            time.sleep(pause)
            keeper.send_signal(signal.SIGKILL)
        whole(path)
        counts.append(len(ids(path)))
        assert {record.trace_id for record in new} <= ids(path)
    assert any(50 < count < 3050 for count in counts)
    kept(path, age=DAY)
    assert ids(path) == {record.trace_id for record in new}
    whole(path)
    assert b"canary" not in bytes_of(path)


async def test_rows_are_written_and_read_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    store = SQLiteLog(path, now=lambda: NOW)
    await asyncio.gather(*(store.append(row(f"{n}", f"{n}", 40, output="x" * 500)) for n in range(5000)))
    store._keeping._keep = Keep.model_construct(age=DAY, size=None)
    pass_ = asyncio.create_task(asyncio.to_thread(store._keeping.once))
    longest = written = 0.0
    while not pass_.done():
        began = time.perf_counter()
        assert await store.append(row(f"new-{written}", f"new-{written}", 0))
        longest = max(longest, time.perf_counter() - began)
        written += 1
        await asyncio.sleep(0.001)
    assert await pass_ == 5000
    assert (await store.health())["rows"] == written > 10
    assert (await store.health())["dropped"] == 0
    assert (path.parent / "traces.db-wal").stat().st_size < 32 * 2**20
    await store.close()
    assert longest < 1.0  # some milliseconds, on a machine that does nothing else


async def test_the_gateway_does_it_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "traces.db"
    monkeypatch.setattr("proxy.stores.retention.keeping.INTERVAL", 0.05)
    store = trace_log(tmp_path, LogSettings(keep=Keep(age=3600)))
    await asyncio.gather(*(store.append(row(f"{n}", f"{n}", 40)) for n in range(10)))
    now = timestamps.text(datetime.now(UTC))
    await store.append(Record("new", "new", start_timestamp=now))
    deadline = time.monotonic() + 20
    while ids(path) != {"new"}:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)
    await store.close()


def test_the_lock_is_for_its_owner_only(tmp_path: Path) -> None:
    with alone(tmp_path / "traces.db", wait=True):
        assert os.stat(tmp_path / "traces.keeping").st_mode & 0o077 == 0


def test_an_age_from_before_the_calendar_is_refused() -> None:
    """Nothing is subtracted by a thread that would end by it."""
    longest = 100 * 365 * 86400
    assert datetime.now(UTC) - timedelta(seconds=Keep(age=longest).age or 0) > datetime(1900, 1, 1, tzinfo=UTC)
    with pytest.raises(ValueError, match="less than or equal"):
        Keep(age=longest + 1)
