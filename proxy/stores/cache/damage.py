"""Whether a cache database can still be used: what condemns it, and what is only the trouble of a moment."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import diskcache

from proxy.stores.cache.safedisk import Refused

SETTINGS = diskcache.core.DEFAULT_SETTINGS.keys() | diskcache.core.METADATA.keys()

MOMENTARY = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_INTERRUPT,
    }
)
"""SQLite's troubles that say nothing against the database itself."""


def probe(database: Path, *, patience: float) -> None:
    """Raise for a database that is locked, damaged, or steers diskcache.

    Locked, because diskcache would try for a minute, per statement. Steered, because it makes an attribute of itself of
    every setting it finds: one called `_directory` would lead it to another folder.
    """
    with contextlib.closing(sqlite3.connect(database, timeout=patience, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        settings = [name for (name,) in connection.execute("SELECT key FROM Settings")] if "Settings" in tables else []
        connection.execute("ROLLBACK")
    if not SETTINGS.issuperset(settings):
        raise sqlite3.DatabaseError("settings that diskcache does not have")


def identity(folder: Path) -> tuple[int, int] | None:
    """Which file the database of the cache in `folder` is; None when there is none."""
    try:
        stat = (folder / diskcache.core.DBNAME).stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def passes(error: BaseException | None) -> bool:
    """Whether `error` is the trouble of a moment or of one entry, and the database may stay.

    The cause may be hidden: on a full disk SQLite rolls back by itself, and diskcache's own ROLLBACK then fails too.
    """
    while error is not None:
        if isinstance(error, OSError | diskcache.Timeout | Refused | MemoryError | sqlite3.ProgrammingError):
            return True
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in MOMENTARY:
            return True
        error = error.__context__
    return False


def refuted(error: BaseException, database: Path) -> bool:
    """Whether `error` speaks of damage and there is none: a disk that fails to read once looks the same."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return False
    try:
        with contextlib.closing(sqlite3.connect(database)) as connection:
            found: tuple[str] = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.Error:
        return False
    return found == ("ok",)
