"""The WAL is written back beside those who write: none of them waits for the disk because of it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from proxy.record import Record
from proxy.stores.log.items import weight
from proxy.stores.log.rows import encode
from proxy.stores.log.sqlite import SQLiteLog
from proxy.stores.schema import checkpoints
from proxy.stores.schema.checkpoints import CHECKPOINT_ROWS, connected, write_back
from proxy.stores.schema.database import open_writer
from tests.gateway import until

CHANGE = "INSERT INTO projects VALUES (hex(randomblob(9)), hex(randomblob(9)), ?)"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "traces.db"


@pytest.fixture
def writer(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_writer(path)) as connection:
        yield connection


def alone(path: Path) -> int:
    """Rows that are in the database itself, without its WAL; 0 while it is being written back."""
    with closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM traces").fetchone()[0])
        except sqlite3.DatabaseError:
            return 0


def test_a_commit_never_waits_for_a_checkpoint(path: Path, writer: sqlite3.Connection) -> None:
    before = path.read_bytes()
    for _ in range(20):
        writer.execute(CHANGE, ("x" * 2**20,))
    assert path.with_name("traces.db-wal").stat().st_size > 20 * 2**20
    assert path.read_bytes() == before


async def test_rows_that_the_thread_commits_are_written_back_too(path: Path) -> None:
    log = SQLiteLog(path, synchronous="full")
    outcomes = [log.append(Record(f"t-{number}", f"t-{number}")) for number in range(CHECKPOINT_ROWS)]
    assert all([await outcome for outcome in outcomes])
    until(lambda: alone(path) == CHECKPOINT_ROWS)
    await log.close()


def test_large_rows_are_written_back_sooner() -> None:
    small, large = encode(Record("a", "a")), encode(Record("b", "b", output="x" * 16 * 2**20))
    assert weight([small] * 3) == 3
    assert weight([small, large]) >= CHECKPOINT_ROWS


def test_others_commit_while_the_database_is_synced(
    path: Path, writer: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The WAL begins anew nevertheless: the next commit is at its beginning."""
    synced: list[os.stat_result] = []
    writer.execute("PRAGMA busy_timeout = 0")

    def sync(handle: int) -> None:
        synced.append(os.fstat(handle))
        writer.execute(CHANGE, ("meanwhile",))

    monkeypatch.setattr(checkpoints, "_sync", sync)
    writer.execute(CHANGE, ("x" * 2**20,))
    with closing(connected(path, timeout=1.0)) as connection:
        assert write_back(connection, path)
        assert [one.st_ino for one in synced] == [path.stat().st_ino]
        writer.execute(CHANGE, ("after",))
        (_, pages, _) = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    assert pages < 10


def test_what_could_not_be_synced_stays_in_the_wal(
    path: Path, writer: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sync(handle: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(checkpoints, "_sync", sync)
    writer.execute(CHANGE, ("x" * 2**20,))
    with closing(connected(path, timeout=1.0)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="Input/output"):
            write_back(connection, path)
        assert connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1] > 250


ANOTHER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("SELECT count(*) FROM traces").fetchone()
connection.close()
"""


def test_the_locks_of_this_process_stay(path: Path, writer: sqlite3.Connection) -> None:
    """Without them another process that closes the file takes itself for the last one, and removes the WAL."""
    writer.execute(CHANGE, ("x",))
    with closing(connected(path, timeout=1.0)) as connection:
        assert write_back(connection, path)
    subprocess.run([sys.executable, "-c", ANOTHER, str(path)], check=True)
    assert path.with_name("traces.db-wal").exists()


def test_somebody_who_reads_keeps_the_wal_as_it_is(path: Path, writer: sqlite3.Connection) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as reader, closing(connected(path, 1.0)) as connection:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM projects").fetchone()
        writer.execute(CHANGE, ("x",))
        assert not write_back(connection, path, cut=True)
        assert write_back(connection, path, least=1000), "little of it may stay"
        reader.execute("COMMIT")
        assert write_back(connection, path, cut=True)
    assert path.with_name("traces.db-wal").stat().st_size == 0
