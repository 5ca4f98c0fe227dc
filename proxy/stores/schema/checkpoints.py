"""Writing the WAL back into the database, by threads of their own: who writes rows never waits for the disk.

    the WAL is synced and copied  ->  the database is synced  ->  what came meanwhile  ->  the WAL begins anew

What must stay true: only the last step holds the lock of those who write, and when it comes nothing, or next to
nothing, is left to sync. SQLite by itself does it the other way round: a checkpoint beside others who commit leaves the
database's sync to the one that has the WAL begin anew, and one that is automatic is made within a commit. So no
connection of a gateway makes one by itself.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from proxy.stores.schema.database import WAL_LIMIT, coded
from proxy.stores.schema.files import Files, identity

logger = logging.getLogger(__name__)

CHECKPOINT_ROWS = 2000
"""Rows after which the WAL is written back: some 10 MB."""

PATIENCE = 20
"""Milliseconds in which the readers of a moment have finished. Nobody can commit while they are waited for."""

ATTEMPTS = 3
"""How often a moment is looked for in which nobody has committed since the last copy."""

_HANDLES = "/dev/fd"
_sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)


class Checkpoints:
    """Writes the WAL of the trace log `path` back after so many rows. `files` are those that the log has open."""

    def __init__(self, path: Path, files: Files) -> None:
        self._path = path
        self._files = files
        self._rows = 0
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trace-log-checkpoint")

    def count(self, rows: int) -> None:
        """So many have been committed, or as much. From any thread: where two say so at once, one may be forgotten."""
        self._rows += rows
        if self._rows >= CHECKPOINT_ROWS:
            self._rows = 0
            self._worker.submit(self._make)

    def wait(self) -> None:
        """Until those that are under way have ended, from any thread."""
        self._worker.submit(int).result()

    def close(self) -> None:
        """Finish one that is under way."""
        self._worker.shutdown()

    def _make(self) -> None:
        if not self._files.in_place():
            return
        try:
            with closing(connected(self._path, timeout=1.0)) as connection:
                write_back(connection, self._path)
        except sqlite3.Error as error:
            logger.warning("the trace log's WAL cannot be written back now: %s", error)


def connected(path: Path, timeout: float) -> sqlite3.Connection:
    """A connection that writes to the log at `path`, which exists, and never has a checkpoint made by a commit."""
    address = f"file:{quote(str(path.absolute()))}?mode=rw"
    connection = sqlite3.connect(address, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    connection.execute("PRAGMA secure_delete = ON")
    # Whoever is the first to write after a checkpoint cuts the file off, by a limit of its own connection.
    connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
    return connection


def write_back(connection: sqlite3.Connection, path: Path, *, least: int = 0, cut: bool = False) -> bool:
    """Bring what the WAL holds into the database; one of more than `least` pages begins anew, or is `cut` to nothing.

    False where it had to go on, because others read or write without a pause. Raises `sqlite3.Error`.
    """
    (_, pages, _) = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    sync(path)
    if 0 <= pages <= least and not cut:  # fewer than none: somebody else is at it
        return True
    for _ in range(ATTEMPTS):
        (before,) = connection.execute("PRAGMA data_version").fetchone()
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        if connection.execute("PRAGMA data_version").fetchone() == (before,):
            break
    (patience,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute(f"PRAGMA busy_timeout = {PATIENCE}")
    try:
        (busy, _, _) = connection.execute(f"PRAGMA wal_checkpoint({'TRUNCATE' if cut else 'RESTART'})").fetchone()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {patience}")
    return not busy


def sync(path: Path) -> None:
    """Have what was copied into the database at `path` on the disk; nobody's lock is held. A connection to it is open.

    By a handle that SQLite has: to close one of our own would take the locks away that this process has on the file.
    While any connection is open SQLite closes none of them. Where none can be told, the checkpoint syncs it all.
    """
    if (handle := _handle(path)) is None:
        return
    try:
        _sync(handle)
    except OSError as error:
        raise coded(sqlite3.OperationalError(f"{path}: {error.strerror}"), sqlite3.SQLITE_IOERR) from error


def _handle(path: Path) -> int | None:
    known = identity(path)
    for name in os.listdir(_HANDLES) if os.path.isdir(_HANDLES) else ():
        try:
            found = os.fstat(int(name))
        except OSError:
            continue  # closed meanwhile, as is the one that the list was read from
        if (found.st_dev, found.st_ino) == known:
            return int(name)
    return None
