from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import diskcache
import pytest

from proxy.stores.cache.damage import passes, probe, refuted
from proxy.stores.cache.safedisk import Refused


def test_a_full_disk_behind_a_failing_rollback_passes() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (value)")
        connection.execute("PRAGMA max_page_count = 3")

        def insert() -> None:
            try:
                connection.execute("INSERT INTO t VALUES (zeroblob(100000))")
            except sqlite3.OperationalError:
                connection.execute("ROLLBACK")

        with pytest.raises(sqlite3.OperationalError, match="no transaction") as caught:
            insert()
        assert passes(caught.value)
        with pytest.raises(sqlite3.OperationalError, match="no transaction") as alone:
            connection.execute("ROLLBACK")
        assert not passes(alone.value)


@pytest.mark.parametrize("error", [OSError(), diskcache.Timeout(), Refused("a file name"), MemoryError()])
def test_the_trouble_of_a_moment_passes(error: Exception) -> None:
    assert passes(error)


@pytest.mark.parametrize("error", [TypeError(), KeyError("none"), sqlite3.DatabaseError("not a database")])
def test_what_a_sound_database_never_causes_does_not(error: Exception) -> None:
    assert not passes(error)


def test_a_sound_database_is_not_complained_of(tmp_path: Path) -> None:
    with diskcache.Cache(str(tmp_path)) as cache:
        cache.set(b"key", b"value")
        probe(tmp_path / "cache.db", patience=0.1)


def test_a_locked_database_is_told_soon(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "cache.db", isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked") as caught:
            probe(tmp_path / "cache.db", patience=0.05)
    assert passes(caught.value)


@pytest.mark.fault("D6")
def test_damage_is_believed_when_it_is_there(tmp_path: Path) -> None:
    with diskcache.Cache(str(tmp_path)) as cache:
        for number in range(100):
            cache.set(number, b"value" * 50)
    malformed = sqlite3.DatabaseError("database disk image is malformed")
    malformed.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    path = tmp_path / "cache.db"
    assert refuted(malformed, path), "it was a failing read"
    assert not refuted(sqlite3.OperationalError("no such table: Cache"), path)
    with path.open("r+b") as file:
        file.seek(2 * 4096)
        file.write(b"\xff" * 4096)
    assert not refuted(malformed, path)
    path.write_bytes(b"this is no database" * 1000)
    assert not refuted(malformed, path)
