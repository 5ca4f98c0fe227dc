from __future__ import annotations

import asyncio
import json
import logging
import os
import resource
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import ConfigError
from proxy.protocols import TraceLog, TraceQuery
from proxy.record import Record
from proxy.stores.log.sqlite import SQLiteLog, open_readonly

START = "2026-11-20T15:10:10.970322+00:00"


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[SQLiteLog]:
    log = SQLiteLog(path, **options)
    try:
        yield log
    finally:
        await log.close()


def record(trace_id: str, root: str | None = None, **fields: Any) -> Record:
    return Record(**{"trace_id": trace_id, "root_trace_id": root or trace_id, "start_timestamp": START, **fields})


FULL = Record(
    trace_id="t",
    root_trace_id="r",
    parent_trace_id="p",
    session_id="s",
    name="n",
    project_name="pn",
    project_uuid="pu",
    deployment_id="d",
    deployment_version="dv",
    experiment_uuid="x",
    end_user="u",
    tags=["a", "b"],
    metadata={"k": {"deep": [1, None, True, "é\u2028"]}},
    target="right",
    eval_metric_ids=[1, 2],
    provider="openai",
    model="gpt-4o-mini",
    inputs={"city": "New York", "n": 1},
    configuration={"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]},
    output='a "quoted" \\ line\nand another 🙂',
    input_tokens=1,
    output_tokens=2,
    total_tokens=3,
    cost=0.1,
    latency=0.2,
    time_to_first_token=0.05,
    start_timestamp=START,
    end_timestamp=START,
    status="success",
    error="none",
    cache_hit=True,
    sample_rate=0.5,
    scores=[{"name": "q", "score": 1.0, "reason": "good"}],
    feedback_score=0.7,
    notes={"dropped": {"top_k": "unsupported"}},
    extra={"depth": 2},
)


async def test_a_row_comes_back_as_it_went(tmp_path: Path) -> None:
    log: TraceLog
    async with opened(tmp_path / "traces.db") as log:
        assert await log.append(FULL)
        assert await log.append(record("bare"))
        assert await log.get("t") == FULL
        assert await log.get("bare") == record("bare")
        assert await log.get("unknown") is None


@pytest.mark.fault("S4")
async def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "data" / "traces.db"
    before = os.umask(0)
    try:
        async with opened(path) as log:
            assert await log.append(FULL)
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"traces.db": 0o600, "traces.db-wal": 0o600, "traces.db-shm": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(("synchronous", "level"), [("normal", 1), ("full", 2)])
async def test_durability_is_a_choice(tmp_path: Path, synchronous: str, level: int) -> None:
    async with opened(tmp_path / "traces.db", synchronous=synchronous) as log:
        assert log._connection is not None
        assert log._connection.execute("PRAGMA synchronous").fetchone() == (level,)
        assert log._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "\\u0000", "data: x"])
async def test_text_that_json_or_sqlite_cannot_hold_costs_a_character_not_the_row(tmp_path: Path, text: str) -> None:
    async with opened(tmp_path / "traces.db") as log:
        assert await log.append(record("t", output=text + "end", inputs={"x": text}, metadata={"n": 2**70}))
        found = await log.get("t")
    assert found is not None
    assert found.output == text.replace("\0", "\ufffd").replace("\ud800", "?") + "end"
    assert found.inputs == {"x": text.replace("\ud800", "?")}
    assert found.metadata == {"n": 2**70}


async def test_what_is_said_again_replaces_and_the_rest_stays(tmp_path: Path) -> None:
    async with opened(tmp_path / "traces.db") as log:
        for again in range(3):
            await log.append(record("t", status="error", error=f"attempt {again}", cost=0.0))
        await log.append(record("t", "root", status="success", cost=0.5, tags=["x"], extra={"depth": 1}))
        await log.append(record("t", "root", output="late", cache_hit=False, extra={"order": 2}))
        found = await log.get("t")
        assert (await log.health())["rows"] == 1
    assert found == record(
        "t",
        "root",
        status="success",
        error="attempt 2",
        cost=0.5,
        tags=["x"],
        output="late",
        extra={"depth": 1, "order": 2},
    )


async def test_repeats_in_one_batch_merge_as_in_many(tmp_path: Path) -> None:
    async with opened(tmp_path / "traces.db") as log:
        futures = [log.append(record("t", name=f"n{n}")) for n in range(5)] + [log.append(record("t", output="o"))]
        assert await asyncio.gather(*futures) == [True] * 6
        found = await log.get("t")
    assert found == record("t", name="n4", output="o")


QUALITY = {"name": "quality", "score": 0.5}
SAFETY = {"name": "safety", "score": 1.0, "reason": "calm"}
FEEDBACK = {"name": "feedback", "score": 0.9}


@pytest.mark.parametrize("order", ["row, edits", "edits, row", "edit, row, edit", "at once"])
async def test_edits_and_scores_reach_the_row_in_any_order(tmp_path: Path, order: str) -> None:
    async with opened(tmp_path / "traces.db") as log:
        steps = {
            "row": lambda: log.append(record("t", target="old", scores=[QUALITY, SAFETY])),
            "first": lambda: log.update("t", {"scores": [FEEDBACK], "feedback_score": 0.9}),
            "second": lambda: log.update("t", {"target": "new", "scores": [{"name": "quality", "score": 0.75}]}),
        }
        orders = {
            "row, edits": ["row", "first", "second"],
            "edits, row": ["first", "second", "row"],
            "edit, row, edit": ["second", "row", "first"],
            "at once": ["first", "row", "second"],
        }
        futures = []
        for step in orders[order]:
            futures.append(steps[step]())
            if order != "at once":
                await futures[-1]
        assert all(await asyncio.gather(*futures))
        found = await log.get("t")
        # The row again, as a client that repeats itself sends it: the edits stay in force.
        await steps["row"]()
        again = await log.get("t")
    assert found is not None
    assert found.target == "new"
    assert found.feedback_score == 0.9
    by_name = sorted(found.scores, key=lambda score: str(score["name"]))
    assert by_name == [FEEDBACK, {"name": "quality", "score": 0.75}, SAFETY]
    assert again is not None
    assert sorted(again.scores, key=lambda score: str(score["name"])) == by_name
    assert again.target == "new"


async def test_an_edit_of_nothing_is_no_row(tmp_path: Path) -> None:
    async with opened(tmp_path / "traces.db") as log:
        assert await log.update("t", {"target": "x"})
        assert await log.get("t") is None
        assert (await log.totals())["calls"] == 0
        assert (await log.search(TraceQuery())).total == 0
        with pytest.raises(ValueError, match="no column"):
            log.update("t", {"colour": "red"})


async def test_edits_whose_row_never_came_are_forgotten_after_a_while(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    async with opened(path) as log:
        await log.append(record("kept"))
        for trace_id in ("old", "new", "kept"):
            await log.update(trace_id, {"target": "x"})
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE edits SET edited_at = '2020-01-01T00:00:00.000000+00:00' WHERE trace_id <> 'new'")
    connection.close()
    async with opened(path):
        pass
    connection = sqlite3.connect(path)
    assert {trace_id for (trace_id,) in connection.execute("SELECT trace_id FROM edits")} == {"new", "kept"}
    connection.close()


async def test_a_tree_is_built_from_whatever_order_it_came_in(tmp_path: Path) -> None:
    async with opened(tmp_path / "traces.db") as log:
        for number, (trace_id, parent) in enumerate(
            [
                ("leaf", "mid"),
                ("other", "root"),
                ("mid", "root"),
                ("root", None),
                ("stranger", "gone"),
                ("loop", "loop2"),
                ("below", "stranger"),
            ]
        ):
            when = START.replace("10.97", f"1{number}.97")
            await log.append(record(trace_id, "root", parent_trace_id=parent, start_timestamp=when))
        await log.append(record("loop2", "root", parent_trace_id="loop"))
        assert [row.trace_id for row in await log.descendants("root")] == ["leaf", "other", "mid", "stranger", "below"]
        assert [row.trace_id for row in await log.descendants("stranger")] == ["below"]
        assert [row.trace_id for row in await log.descendants("mid")] == ["leaf"]
        assert [row.trace_id for row in await log.descendants("loop")] == ["loop2"]
        assert await log.descendants("leaf") == []
        assert await log.descendants("unknown") == []


async def test_a_project_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    async with opened(path) as log:
        first, second = await asyncio.gather(log.project("mine"), log.project("mine"))
        assert first[:2] == second[:2]
        assert sorted([first[2], second[2]]) == [False, True]
        uuid, created_at, was_created = await log.project("mine")
        assert was_created is False
        other = await log.project("other")
        assert other[2] is True
        assert other[0] != uuid
    async with opened(path) as log:
        assert await log.project("mine") == (uuid, created_at, False)


async def test_the_command_line_reads_without_a_writer(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    with pytest.raises(ConfigError, match="no trace log"):
        open_readonly(path)
    async with opened(path) as log:
        await log.append(FULL)
    reader = open_readonly(path)
    assert reader.get("t") == FULL
    assert reader.totals()["saved"] == 0.1
    assert reader.search(TraceQuery()).total == 1
    reader.close()


READ = """
import os, sys
from pathlib import Path
from proxy.errors import ConfigError
from proxy.protocols import TraceQuery
from proxy.stores.log.sqlite import open_readonly
if os.geteuid() == 0:
    os.setegid(65534)
    os.seteuid(65534)
try:
    print([record.trace_id for record in open_readonly(Path(sys.argv[1])).search(TraceQuery()).roots])
except ConfigError as error:
    print(error.message)
"""


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that others may enter, which pytest's own are not."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path
        path.chmod(0o755)


async def test_the_command_line_reads_a_folder_that_may_not_be_written(reachable: Path) -> None:
    """As anybody but root, whom no mode stops."""
    path = reachable / "traces.db"
    async with opened(path) as log:
        await log.append(FULL)

    def read() -> str:
        for file in reachable.iterdir():
            file.chmod(0o444)
        reachable.chmod(0o555)
        command = [sys.executable, "-c", READ, str(path)]
        try:
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        finally:
            reachable.chmod(0o755)

    assert read() == "['t']"
    path.with_name("traces.db-wal").write_bytes(b"rows that are not in the database yet")
    assert "traces.db-wal holds rows of it" in read()
    path.with_name("traces.db-wal").unlink()
    path.write_bytes(b"no database" * 1000)
    assert read() == f"the trace log {path} cannot be read: file is not a database"


CLOSED = """
import asyncio, json, os, sys
from pathlib import Path
from proxy.record import Record
from proxy.stores.log.sqlite import SQLiteLog
folder = Path(sys.argv[1])
if os.geteuid() == 0:
    os.chown(folder, 65534, 65534)
    os.setegid(65534)
    os.seteuid(65534)
async def main():
    path = folder / "traces.db"
    log = SQLiteLog(path)
    for number, (closed, mode) in enumerate([(path, 0o000), (folder, 0o500), (folder, 0o000), (folder, 0o700)]):
        closed.chmod(mode)
        logged = await log.append(Record(str(number), str(number)))
        health = await log.health()
        print(json.dumps([logged, health["writable"], health["dropped"]]))
        if closed == path:
            path.chmod(0o600)
    await log.close()
asyncio.run(main())
"""


@pytest.mark.fault("D6")
def test_permissions_that_are_taken_away(reachable: Path) -> None:
    """What is open is written on; a folder that may not be entered may hold another file by now."""
    done = subprocess.run([sys.executable, "-c", CLOSED, str(reachable)], capture_output=True, text=True, check=True)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert told == [[True, True, 0], [True, True, 0], [False, False, 1], [True, True, 1]]
    assert "Permission denied" in done.stderr
    with closing(sqlite3.connect(reachable / "traces.db")) as connection:
        assert {("0",), ("1",), ("3",)} <= set(connection.execute("SELECT trace_id FROM traces"))


async def test_cost_spent_leaves_out_what_the_cache_saved(tmp_path: Path) -> None:
    async with opened(tmp_path / "traces.db") as log:
        await log.append(record("a", cost=1.0, input_tokens=5))
        await log.append(record("b", cost=2.0, cache_hit=True, output_tokens=7))
        await log.append(record("c", status="error"))
        assert await log.totals() == {
            "calls": 3,
            "errors": 1,
            "cache_hits": 1,
            "input_tokens": 5,
            "output_tokens": 7,
            "cost": 1.0,
            "saved": 2.0,
        }


# Faults

HOLD = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""


def hold(path: Path) -> subprocess.Popen[str]:
    """A process that has locked the database until it reads a line."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "locked\n"
    return holder


@pytest.mark.fault("D4")
async def test_another_process_holds_the_lock(tmp_path: Path) -> None:
    """Rows wait for it, the event loop does not."""
    path = tmp_path / "traces.db"
    async with opened(path) as log:
        await log.append(record("before"))
        holder = await asyncio.to_thread(hold, path)
        futures = [log.append(record(str(number))) for number in range(50)]
        worst = 0.0
        for _ in range(100):
            began = time.perf_counter()
            await asyncio.sleep(0.002)
            worst = max(worst, time.perf_counter() - began)
        assert not any(future.done() for future in futures)
        assert await log.get("before") == record("before")
        holder.communicate("\n")
        assert await asyncio.gather(*futures) == [True] * 50
        assert (await log.health())["rows"] == 51
    assert worst < 0.2


@pytest.mark.fault("D4")
async def test_a_lock_that_is_held_too_long_costs_rows_until_it_goes(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    async with opened(path, busy_timeout=0.1) as log:
        holder = await asyncio.to_thread(hold, path)
        assert await log.append(record("during")) is False
        health = await log.health()
        assert (health["writable"], health["reason"], health["dropped"]) == (False, "database is locked", 1)
        holder.communicate("\n")
        assert await log.append(record("after")) is True
        assert (await log.health())["writable"] is True


@pytest.mark.fault("D3")
async def test_a_full_disk_costs_rows_not_answers_and_is_survived(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "traces.db"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    async with opened(path) as log:
        outcomes = []
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, before[1]))
            for number in range(200):
                outcomes.append(await log.append(record(str(number), output="x" * 10_000)))
            sick = await log.health()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
            signal.signal(signal.SIGXFSZ, ignored)
        assert True in outcomes
        assert False in outcomes
        assert sick["writable"] is False
        assert "disk" in sick["reason"]
        assert sick["dropped"] == outcomes.count(False)
        assert await log.append(record("after")) is True
        well = await log.health()
        assert well["writable"] is True
        assert well["reason"] is None
        assert well["rows"] == outcomes.count(True) + 1
    assert "cannot be written" in caplog.text
    assert "can be written again" in caplog.text
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


@pytest.mark.fault("D3")
async def test_a_folder_that_cannot_be_written_is_reported_and_tried_again(tmp_path: Path) -> None:
    blocked = tmp_path / "data"
    blocked.write_text("a file where the folder should be")
    async with opened(blocked / "traces.db") as log:
        assert await log.append(record("a")) is False
        health = await log.health()
        assert health["writable"] is False
        assert health["dropped"] == 1
        assert health["rows"] is None
        uuid, _, was_created = await log.project("p")
        assert was_created is True
        blocked.unlink()
        assert await log.append(record("b")) is True
        assert (await log.project("p"))[0] == uuid
        assert (await log.health())["writable"] is True


@pytest.mark.fault("D2")
async def test_what_was_opened_read_only_is_opened_anew(tmp_path: Path) -> None:
    """As SQLite opens a file that it could not open for writing, by too few descriptors or a fault of the disk."""
    path = tmp_path / "traces.db"
    async with opened(path, synchronous="full") as log:
        assert log._connection is not None
        readonly = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None, check_same_thread=False)
        readonly.execute("SELECT 1 FROM traces")
        log._connection.close()
        log._connection = readonly
        assert await log.append(record("during")) is False
        assert (await log.health())["reason"] == "attempt to write a readonly database"
        assert await log.append(record("after")) is True
        assert (await log.health())["writable"] is True


async def test_a_row_that_cannot_be_stored_does_not_take_others_with_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "traces.db") as log:
        assert log._connection is not None
        log._connection.execute(
            "CREATE TRIGGER refuse BEFORE INSERT ON traces WHEN new.name = 'bad'"
            " BEGIN SELECT raise(ABORT, 'refused'); END"
        )
        futures = [log.append(record(str(n), name="bad" if n == 3 else "good")) for n in range(6)]
        assert await asyncio.gather(*futures) == [True, True, True, False, True, True]


def sizes(path: Path) -> int:
    return path.stat().st_size


def _zero_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(100))


def _garbage_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(4096 * 3))


def _half(path: Path) -> None:
    os.truncate(path, sizes(path) // 2)


def _text(path: Path) -> None:
    path.write_text("this is no database\n" * 1000)


@pytest.mark.fault("D6")
@pytest.mark.parametrize("damage", [_zero_header, _garbage_page, _half, _text])
async def test_a_damaged_file_is_moved_aside(tmp_path: Path, damage: Any, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "traces.db"
    async with opened(path) as log:
        for number in range(50):
            await log.append(record(str(number), output="x" * 2000))
    for expected in ("traces.db.damaged-1", "traces.db.damaged-2"):
        damage(path)
        async with opened(path) as log:
            assert await log.append(record("new", output="x" * 200_000))
            assert (await log.health())["rows"] == 1
        assert (tmp_path / expected).exists()
        assert expected in caplog.text


@pytest.mark.fault("D6")
async def test_damage_found_while_running_is_moved_aside_too(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    async with opened(path) as log:
        await log.append(record("old"))
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        _garbage_page(path)
        assert await log.append(record("new"))
        assert await log.get("new") == record("new")
        assert (await log.health())["dropped"] == 0
    assert (tmp_path / "traces.db.damaged-1").exists()


@pytest.mark.fault("D7")
async def test_a_newer_file_is_refused_at_start(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    async with opened(path) as log:
        assert log._connection is not None
        log._connection.execute("INSERT INTO migrations (name) VALUES ('m999_later')")
    with pytest.raises(ConfigError, match="newer version"):
        SQLiteLog(path)


@pytest.mark.fault("D4")
async def test_the_queue_is_bounded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with opened(tmp_path / "traces.db", max_rows=100) as log:
        outcomes = await asyncio.gather(*[log.append(record(str(n))) for n in range(5000)])
        health = await log.health()
    assert health["dropped"] == outcomes.count(False) > 0
    assert health["rows"] == outcomes.count(True) >= 100


# Several processes, and sudden death

APPEND = """
import asyncio, sys
from pathlib import Path
from proxy.record import Record
from proxy.stores.log.sqlite import SQLiteLog

async def main(path, prefix, count):
    log = SQLiteLog(Path(path))
    async def one(worker):
        for number in range(int(count) // 8):
            trace_id = f"{prefix}-{worker}-{number}"
            record = Record(trace_id, trace_id, start_timestamp="2026", output="x" * 500, cost=1.0)
            if await log.append(record):
                print(trace_id, flush=True)
    await asyncio.gather(*[one(worker) for worker in range(8)])
    await log.close()

asyncio.run(main(*sys.argv[1:]))
"""


def appender(path: Path, prefix: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", APPEND, str(path), prefix, str(count)], stdout=subprocess.PIPE, text=True
    )


def stored(path: Path) -> set[str]:
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    found = {trace_id for (trace_id,) in connection.execute("SELECT trace_id FROM traces")}
    connection.close()
    return found


@pytest.mark.fault("D5")
def test_two_processes_on_one_fresh_file_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    processes = [appender(path, prefix, 1600) for prefix in "ab"]
    said = [process.communicate(timeout=50)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert [len(ids) for ids in said] == [1600, 1600]
    assert stored(path) == {trace_id for ids in said for trace_id in ids}


@pytest.mark.fault("D1")
@pytest.mark.parametrize("acknowledged", [1, 50, 700])
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, acknowledged: int) -> None:
    path = tmp_path / "traces.db"
    process = appender(path, "k", 1_000_000)
    assert process.stdout is not None
    said = [process.stdout.readline().strip() for _ in range(acknowledged)]
    process.kill()
    # What was in the pipe was said too; only a last line may be cut.
    rest = process.communicate(timeout=20)[0]
    said += rest[: rest.rfind("\n") + 1].split()
    assert process.returncode == -signal.SIGKILL
    assert len(said) >= acknowledged
    assert set(said) <= stored(path)


async def test_a_record_that_changes_after_its_append_does_not_change_the_row(tmp_path: Path) -> None:
    async with opened(tmp_path / "traces.db") as log:
        original = record("t", tags=["a"])
        future = log.append(original)
        original.tags.append("b")
        original.name = "changed"
        assert await future
        assert await log.get("t") == replace(original, tags=["a"], name=None)


@pytest.mark.parametrize("synchronous", ["normal", "full"])
async def test_a_stand_in_changes_no_row_that_is_there(tmp_path: Path, synchronous: str) -> None:
    async with opened(tmp_path / "traces.db", synchronous=synchronous) as log:
        stand_in = record("s", name="stand-in", stand_in=True)
        assert await log.append(stand_in)
        assert (await log.get("s")) == record("s", name="stand-in")
        assert await log.append(record("s", output="said", start_timestamp="2026-11-20T16:00:00.000000+00:00"))
        assert await log.append(stand_in)
        kept = await log.get("s")
        assert kept is not None
        assert (kept.name, kept.output, kept.start_timestamp[11:13]) == ("stand-in", "said", "16")


async def test_a_stand_in_of_a_lost_trace_counts_once_and_undoes_nothing(tmp_path: Path) -> None:
    async with opened(tmp_path / "traces.db") as log:
        assert await log.append(record("s", counted_only=True, status="error", cost=0.5))
        assert await log.append(record("s", counted_only=True, stand_in=True, status="success"))
        assert await log.append(record("s", stand_in=True))
        totals = await log.totals()
        assert (totals["calls"], totals["errors"], totals["cost"]) == (1, 1, 0.5)
