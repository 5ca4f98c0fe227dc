"""Single entries out of the cache, for good: their bytes are overwritten, in the database as in its WAL.

What must stay true: a row of the folder that nobody of ours has written leads to no other file, as in `safedisk.py`; an
entry that cannot be read is one that was meant, since nobody can say what is in it.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import diskcache

from proxy.stores.cache.patience import patiently
from proxy.stores.cache.safedisk import Refused

Meant = Callable[[bytes, bytes], bool]
"""Whether an entry, by its key and value, is to go."""

AT_ONCE = 200
"""Entries that are read, or removed, at a time."""


@runtime_checkable
class Forgetful(Protocol):
    """What a `CacheStore` also is whose entries outlive a process: single ones can be dropped."""

    async def forget(self, meant: Meant) -> int:
        """Drop the entries that are `meant`, out of the memory of every process too; returns how many there were."""
        ...


def purge(cache: Any, meant: Meant) -> int:
    """Remove the entries that are `meant` from diskcache's `cache`; how many there were."""
    connection: sqlite3.Connection = cache._con
    connection.execute("PRAGMA secure_delete = ON")
    keys: list[bytes] = []
    last = -1
    while rows := connection.execute(
        "SELECT rowid, key, mode, filename, value FROM Cache WHERE rowid > ? ORDER BY rowid LIMIT ?", (last, AT_ONCE)
    ).fetchall():
        last = rows[-1][0]
        keys += [row[1] for row in rows if type(row[1]) is bytes and _meant(cache, row, meant)]
    for place in range(0, len(keys), AT_ONCE):
        part = keys[place : place + AT_ONCE]

        def remove(part: list[bytes] = part) -> None:
            with cache.transact():
                for key in part:
                    cache.delete(key)

        patiently(remove)
    with contextlib.suppress(sqlite3.OperationalError, diskcache.Timeout):
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    return len(keys)


def _meant(cache: Any, row: tuple[Any, ...], meant: Meant) -> bool:
    _, key, mode, filename, value = row
    try:
        return meant(key, cache.disk.fetch(mode, filename, value, False))
    except (OSError, Refused):
        return True
