"""What is on disk after a fault, held against what clients were told."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.faults.load import Load


def missing(data: Path, *loads: Load) -> set[str]:
    """Ids whose row, its output or its feedback is not in the log, though an answer said so."""
    with closing(sqlite3.connect(data / "traces.db", timeout=20)) as connection:
        found = {
            trace_id: (output, score)
            for trace_id, output, score in connection.execute("SELECT trace_id, output, feedback_score FROM traces")
        }
    return {
        trace_id
        for load in loads
        for trace_id, output in load.said.items()
        if found.get(trace_id, (None, None))[0] != output or (trace_id in load.edited and found[trace_id][1] != 0.5)
    }


def verdict(path: Path) -> str:
    """What SQLite finds when it checks a whole database: `ok`, or what is wrong."""
    with closing(sqlite3.connect(path, timeout=20)) as connection:
        return str(connection.execute("PRAGMA integrity_check").fetchone()[0])


def intact(data: Path) -> None:
    """Fails when the log or the cache is damaged, or was moved aside for it."""
    for path in (data / "traces.db", data / "cache" / "cache.db"):
        assert verdict(path) == "ok", path
    aside = [path.name for path in data.glob("*.damaged*")]
    assert aside == [], "a sound database was moved aside"


def size(data: Path) -> int:
    """Bytes of the log's WAL."""
    path = data / "traces.db-wal"
    return path.stat().st_size if path.exists() else 0


def rows(data: Path) -> int:
    """How many rows the log has."""
    with closing(sqlite3.connect(data / "traces.db", timeout=20)) as connection:
        return int(connection.execute("SELECT count(*) FROM traces").fetchone()[0])
