"""Strides of long work: others write meanwhile, and the WAL does not grow with the work."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from proxy.stores.retention import strides
from proxy.stores.retention.strides import Strides
from proxy.stores.schema.database import WAL_LIMIT


def test_the_wal_begins_anew_beside_somebody_who_writes_all_the_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they commit during a checkpoint is not in what SQLite tells of it."""
    monkeypatch.setattr(strides, "BACKED", 4)
    monkeypatch.setattr(strides, "LARGE", 256)
    path, over = tmp_path / "some.db", threading.Event()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE texts (id INTEGER PRIMARY KEY, said BLOB)")
        connection.execute("CREATE TABLE others (id INTEGER PRIMARY KEY)")

    def write() -> None:
        with closing(sqlite3.connect(path, isolation_level=None, timeout=10)) as connection:
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA wal_autocheckpoint = 0")
            while not over.is_set():
                connection.execute("INSERT INTO others DEFAULT VALUES")

    beside = threading.Thread(target=write)
    beside.start()
    try:
        with closing(Strides(path, lambda seconds: not over.wait(seconds))) as working:
            for turn in range(80):
                said = bytes([turn]) * 2**20

                def work(said: bytes = said) -> int:
                    working.connection.execute("INSERT OR REPLACE INTO texts VALUES (1, ?)", (said,))
                    return 1

                working.take(work)
            grown = path.with_name("some.db-wal").stat().st_size
    finally:
        over.set()
        beside.join()
    assert grown <= 3 * WAL_LIMIT
