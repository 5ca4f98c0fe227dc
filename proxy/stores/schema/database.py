"""Opening the trace log's file: for the one who writes it and for those who only read.

The file is readable by its owner only, and so are the two that SQLite puts beside it in WAL mode. A damaged file is
moved aside and an empty one started: the gateway serves with an empty log rather than not at all. Where nothing but
the index of the search or the sums are damaged, they are made anew. A file of a newer version is refused.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from proxy.errors import ConfigError
from proxy.stores.schema.files import identity
from proxy.stores.schema.mending import mend, only_the_index, verdict
from proxy.stores.schema.migrations import check, migrate, own

logger = logging.getLogger(__name__)

BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process's lock before giving up."""

WAL_LIMIT = 64 * 2**20
"""Bytes that the WAL keeps once all of it is in the database; while somebody reads for long, it may be longer."""

CHECKED_AT_START = 64 * 2**20
"""Files up to this size are checked page by page when they are opened; larger ones when an error hints at damage."""

DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
TROUBLE = DAMAGE | {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_AUTH,
    sqlite3.SQLITE_NOMEM,
}
"""Codes that are about the database, not about what was being written."""


def code(error: sqlite3.Error) -> int:
    """The primary result code of an error, 0 when it came from the Python side."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def open_writer(
    path: Path,
    synchronous: str = "normal",
    *,
    busy_timeout: float = BUSY_TIMEOUT,
    thorough: bool = False,
    shrinking: bool = False,
) -> sqlite3.Connection:
    """A connection that may write, to a sound database of the present schema.

    `thorough` checks every page whatever the size; a new file that is `shrinking` can be shortened in steps, which
    costs each page that is added to it. Raises `ConfigError` for a newer schema and `sqlite3.Error` for a database that
    cannot be opened now.
    """
    for surely in (False, True):
        try:
            return _patiently(lambda: _connect(path, synchronous, busy_timeout, thorough, shrinking), busy_timeout)
        except sqlite3.DatabaseError as error:
            if code(error) not in DAMAGE:
                raise
            # A disk that fails to read once looks the same; what is found twice is damage.
            if surely:
                moved = _move_aside(path)
                logger.warning("the trace log %s is damaged (%s): moved to %s, starting empty", path, error, moved)
    return _patiently(lambda: _connect(path, synchronous, busy_timeout, False, shrinking), busy_timeout)


def open_reader(path: Path, *, at_rest: bool = False) -> sqlite3.Connection:
    """A connection that cannot write; any thread may use it. Raises `ConfigError` when there is no log to read.

    `at_rest` says that nobody writes: then nothing is made beside the file, which SQLite else does even to read.
    """
    if not path.exists():
        raise ConfigError(f"there is no trace log at {path} yet: `parea-proxy serve` makes it, --data says where")
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode=ro{'&immutable=1' if at_rest else ''}",
        uri=True,
        timeout=BUSY_TIMEOUT,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA query_only = 1")
        check(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def written_back(connection: sqlite3.Connection) -> bool:
    """Bring what the WAL holds into the database, and empty the WAL. False where others keep that from being done."""
    try:
        (busy, _, _) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlite3.Error as error:
        return code(error) not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return not busy


def _patiently(connect: Callable[[], sqlite3.Connection], patience: float) -> sqlite3.Connection:
    """SQLite does not wait while another process turns a new file into one with a WAL: it says at once that it is
    busy.
    """
    deadline = time.monotonic() + patience
    while True:
        try:
            return connect()
        except sqlite3.OperationalError as error:
            if code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.005)


def _connect(path: Path, synchronous: str, busy_timeout: float, thorough: bool, shrinking: bool) -> sqlite3.Connection:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # SQLite would make the file by the umask, and gives its WAL the file's own mode.
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        meant = os.fstat(handle)
        os.close(handle)
        path.chmod(0o600)
    except OSError as error:
        raise coded(sqlite3.OperationalError(f"{path}: {error.strerror}"), sqlite3.SQLITE_CANTOPEN) from error
    connection = sqlite3.connect(path, timeout=busy_timeout, isolation_level=None, check_same_thread=False)
    try:
        own(connection)  # another program's file stays as it is
        if shrinking:
            # Before a file has its first page: of others the free pages are used again, and not given back.
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {'FULL' if synchronous == 'full' else 'NORMAL'}")
        # What is removed is overwritten. Some builds of SQLite do so by themselves, others do not.
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
        if thorough or path.stat().st_size <= CHECKED_AT_START:
            if (wrong := verdict(connection)) != "ok" and only_the_index(connection):
                what = "the search index or the sums"
                logger.warning("%s of the trace log %s are damaged (%s): they are made anew", what, path, wrong)
                mend(connection)
                wrong = verdict(connection)
            if wrong != "ok":
                raise coded(sqlite3.DatabaseError(wrong), sqlite3.SQLITE_CORRUPT)
        migrate(connection)
        # A commit that made a checkpoint would keep its rows' answers waiting for the disk: `checkpoints.py`.
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        if identity(path) != (meant.st_dev, meant.st_ino):
            raise coded(sqlite3.OperationalError(f"{path} was replaced while it was opened"), sqlite3.SQLITE_BUSY)
    except BaseException:
        connection.close()
        raise
    return connection


def coded(error: sqlite3.DatabaseError, number: int) -> sqlite3.DatabaseError:
    """An error of our own, with SQLite's number for such."""
    error.sqlite_errorcode = number
    return error


def _move_aside(path: Path) -> Path:
    """Rename the database with its companions to the first free `<name>.damaged-<n>`."""
    number = 1
    while (aside := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    for suffix in ("", "-wal", "-shm"):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(aside.with_name(aside.name + suffix))
    return aside
