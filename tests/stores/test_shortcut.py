from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxy.record import Record
from proxy.stores.log.rows import Row, encode, encode_edit
from proxy.stores.log.shortcut import Shortcut
from proxy.stores.schema.checkpoints import CHECKPOINT_ROWS, Checkpoints
from proxy.stores.schema.database import open_writer
from proxy.stores.schema.files import Files


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A log that is open, as the writer's thread keeps it."""
    found = tmp_path / "traces.db"
    connection = open_writer(found)
    yield found
    connection.close()


@pytest.fixture
def files(path: Path) -> Files:
    found = Files(path)
    found.remember()
    return found


@pytest.fixture
def checkpoints(path: Path, files: Files) -> Iterator[Checkpoints]:
    made = Checkpoints(path, files)
    yield made
    made.close()


@pytest.fixture
def shortcut(path: Path, files: Files, checkpoints: Checkpoints) -> Iterator[Shortcut]:
    made = Shortcut(path, files, checkpoints)
    yield made
    made.let_go()


def row(trace_id: str, root: str | None = None, **fields: str) -> Row:
    return encode(Record(trace_id, root or trace_id, **fields))  # type: ignore[arg-type]


def stored(path: Path) -> dict[str, str | None]:
    connection = sqlite3.connect(path)
    try:
        return dict(connection.execute("SELECT trace_id, output FROM traces").fetchall())
    finally:
        connection.close()


def test_a_batch_is_committed_at_once(path: Path, shortcut: Shortcut) -> None:
    assert shortcut.commit([row("a", output="x"), row("b")])
    assert stored(path) == {"a": "x", "b": None}


def test_a_row_that_comes_again_is_merged(path: Path, shortcut: Shortcut) -> None:
    assert shortcut.commit([row("a", output="x", name="n")])
    assert shortcut.commit([row("a", output="y")])
    assert stored(path) == {"a": "y"}


def test_a_stand_in_says_only_what_nobody_has_said(path: Path, shortcut: Shortcut) -> None:
    stand_in = encode(Record("a", "a", name="n", output="less", stand_in=True))
    assert shortcut.commit([stand_in])
    assert shortcut.commit([stand_in, row("a", output="more")])
    assert shortcut.commit([stand_in])
    assert stored(path) == {"a": "more"}


def test_edits_and_lost_rows_are_declined_with_their_whole_batch(path: Path, shortcut: Shortcut) -> None:
    assert not shortcut.commit([row("a"), encode_edit("b", {"output": "x"})])
    assert not shortcut.commit([row("a"), encode(Record("c", "c", counted_only=True))])
    assert not shortcut.commit([row("a"), "something else"])
    assert stored(path) == {}


def test_rows_of_a_lost_trace_are_declined(path: Path, shortcut: Shortcut) -> None:
    connection = open_writer(path)
    connection.execute("INSERT INTO sampled_out VALUES ('r', NULL, 1, 0, 0, 0, 0, 0, 0, '{}')")
    connection.close()
    assert not shortcut.commit([row("a", "r")])
    assert shortcut.commit([row("b")])
    assert stored(path) == {"b": None}


def test_an_edit_that_came_before_wins(path: Path, shortcut: Shortcut) -> None:
    connection = open_writer(path)
    connection.execute("INSERT INTO edits (trace_id, output) VALUES ('a', 'edited')")
    connection.close()
    assert shortcut.commit([row("a", output="x")])
    assert stored(path) == {"a": "edited"}


def test_a_lock_is_told_without_waiting(path: Path, shortcut: Shortcut) -> None:
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert shortcut.commit([row("a")]) is None
    other.execute("ROLLBACK")
    other.close()
    assert shortcut.commit([row("a")])


def test_a_value_that_sqlite_cannot_take_leaves_nothing_behind(path: Path, shortcut: Shortcut) -> None:
    assert not shortcut.commit([row("a"), row("b", output="\ud800")])
    assert stored(path) == {}
    assert shortcut.commit([row("a")])


def test_what_is_committed_to_a_file_that_was_replaced_does_not_count(
    path: Path, shortcut: Shortcut, files: Files
) -> None:
    assert shortcut.commit([row("a")])
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).rename(path.with_name("aside.db" + suffix))
    connection = open_writer(path)
    assert shortcut.commit([row("b")]) is False
    shortcut.let_go()
    files.remember()
    assert shortcut.commit([row("c")])
    assert stored(path) == {"c": None}
    connection.close()


def test_a_file_that_is_gone_is_not_made_again(path: Path, shortcut: Shortcut) -> None:
    path.unlink()
    assert not shortcut.commit([row("a")])
    assert not path.exists()


@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
def test_a_companion_that_is_gone_is_seen_in_a_moment(
    path: Path, shortcut: Shortcut, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shortcut.commit([row("a")])
    path.with_name(path.name + suffix).unlink()
    monkeypatch.setattr("proxy.stores.schema.files.INTERVAL", 0)
    assert shortcut.commit([row("b")]) is False


@pytest.mark.fault("D9")
def test_the_wal_is_written_back_and_stays_bounded(path: Path, shortcut: Shortcut, checkpoints: Checkpoints) -> None:
    committed = 0
    for start in range(0, CHECKPOINT_ROWS * 5, 100):
        while not shortcut.commit([row(f"t-{number}", output="x" * 500) for number in range(start, start + 100)]):
            continue  # a checkpoint restarts the WAL: for a moment it holds the lock
        committed += 100
    wal = path.with_name("traces.db-wal").stat().st_size
    checkpoints.wait()
    assert len(stored(path)) == committed
    assert wal < 3 * CHECKPOINT_ROWS * 4096


@pytest.mark.fault("D9")
def test_a_wal_that_grew_beside_a_reader_is_cut_off_after_it(
    path: Path, shortcut: Shortcut, checkpoints: Checkpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.stores.schema.checkpoints.WAL_LIMIT", 100_000)
    monkeypatch.setattr("proxy.stores.schema.checkpoints.CHECKPOINT_ROWS", 50)
    wal = path.with_name("traces.db-wal")
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM traces").fetchone()
    for number in range(120):
        while shortcut.commit([row(f"{number}", output="x" * 5000)]) is None:
            time.sleep(0.001)
    assert wal.stat().st_size > 500_000
    reader.execute("COMMIT")
    shortcut.commit([row(f"more {number}") for number in range(50)])
    checkpoints.wait()
    shortcut.commit([row("the first after a checkpoint")])
    assert wal.stat().st_size <= 100_000
    reader.close()
