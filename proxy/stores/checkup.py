"""What can be found out about a data folder's databases by reading alone, beside whoever writes them.

What must stay true: nothing is written, made, moved or mended; no transaction lasts longer than it is told to, since
the WAL grows as long as one is open.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from proxy.stores.cache.safedisk import Refused, SafeDisk
from proxy.stores.cache.seal import Seal
from proxy.stores.schema.migrations import applied, migrate, own
from proxy.stores.schema.steps import MIGRATIONS
from proxy.stores.shared.census import alive
from proxy.stores.shared.sheet import LANES, ROLL

AT_ONCE = 200
STEPS = 10_000
"""Steps of SQLite's machine between two looks at the clock."""


@dataclass(slots=True, frozen=True)
class Schema:
    """How a database's schema differs from this version's: steps that it has not taken, or that are not known here;
    tables and views that it lacks, and such as are somebody else's.
    """

    behind: list[str]
    unknown: list[str]
    lacking: list[str]
    foreign: list[str]


@dataclass(slots=True, frozen=True)
class Text:
    """One text of a row, and where it stands; `id` is the row's trace id, or the `number` of the row."""

    table: str
    id: str
    number: str
    column: str
    text: str


@dataclass(slots=True)
class Cached:
    """What the entries of the cache are: `refused` have no seal of ours, `lost` name a file that is not there, and
    `strays` are files that no entry names. `whole` says that all entries were looked at.
    """

    entries: int = 0
    refused: int = 0
    lost: int = 0
    strays: list[str] = field(default_factory=list)
    whole: bool = True


@contextlib.contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that only reads, and makes nothing beside the file where nobody else has it open."""
    at_rest = not path.with_name(path.name + "-wal").exists()
    uri = f"file:{quote(str(path.absolute()))}?mode=ro{'&immutable=1' if at_rest else ''}"
    connection = sqlite3.connect(uri, uri=True, timeout=5.0, isolation_level=None)
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    try:
        connection.execute("PRAGMA query_only = 1")
        yield connection
    finally:
        connection.close()


def damage(path: Path, *, full: bool, until: float) -> tuple[list[str], bool]:
    """What is wrong with a database's pages, a few of it, and whether all were looked at before the time `until`.

    `full` holds the indexes against the rows as well.
    """
    with reading(path) as connection:
        connection.set_progress_handler(lambda: time.monotonic() > until, STEPS)
        try:
            check = "integrity_check" if full else "quick_check"
            found = [said for (said,) in connection.execute(f"PRAGMA {check}(5)")]
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_INTERRUPT:
                raise
            return [], False
    return ([] if found == ["ok"] else found), True


def begun(path: Path) -> bool:
    """Whether a trace log has its tables. Raises `ConfigError` where it is another program's database."""
    with reading(path) as connection:
        own(connection)
        return "table traces" in _objects(connection)


def schema(path: Path) -> Schema:
    """How the trace log's schema differs from the one of this version."""
    with reading(path) as connection, contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as ours:
        migrate(ours)
        known = {name for name, _ in MIGRATIONS}
        taken = applied(connection)
        there, meant = _objects(connection), _objects(ours)
    return Schema(
        behind=[name for name, _ in MIGRATIONS if name not in taken],
        unknown=sorted(taken - known),
        lacking=sorted(meant - there) if taken >= known else [],
        foreign=sorted(there - meant),
    )


def _objects(connection: sqlite3.Connection) -> set[str]:
    query = "SELECT type || ' ' || name FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    return {name for (name,) in connection.execute(query)}


def later(path: Path, timestamp: str) -> int:
    """How many rows began after `timestamp`."""
    with reading(path) as connection:
        query = "SELECT count(*) FROM traces WHERE start_timestamp > ?"
        found: int = connection.execute(query, (timestamp,)).fetchone()[0]
    return found


def texts(path: Path) -> Iterator[Text]:
    """Every text of every table, the newest rows first, in short transactions."""
    with reading(path) as connection:
        for _, table, kind, _, without_rowid, _ in connection.execute("PRAGMA main.table_list").fetchall():
            if kind == "table" and not table.startswith("sqlite_"):
                yield from _texts(connection, table, bool(without_rowid))


def _texts(connection: sqlite3.Connection, table: str, without_rowid: bool) -> Iterator[Text]:
    quoted = '"{}"'.format(table.replace('"', '""'))
    if without_rowid:
        cursor = connection.execute(f"SELECT * FROM {quoted}")
        columns = [column[0] for column in cursor.description]
        for number, row in enumerate(cursor.fetchall(), 1):
            yield from _cells(table, columns, row, str(number))
        return
    last = 2**63 - 1
    while True:
        query = f"SELECT rowid, * FROM {quoted} WHERE rowid < ? ORDER BY rowid DESC LIMIT {AT_ONCE}"
        cursor = connection.execute(query, (last,))
        columns = [column[0] for column in cursor.description[1:]]
        rows = cursor.fetchall()
        for row in rows:
            yield from _cells(table, columns, row[1:], f"row {row[0]}")
        if len(rows) < AT_ONCE:
            return
        last = rows[-1][0]


def _cells(table: str, columns: list[str], row: tuple[object, ...], number: str) -> Iterator[Text]:
    own = row[columns.index("trace_id")] if "trace_id" in columns else None
    for column, value in zip(columns, row, strict=True):
        if isinstance(value, str):
            yield Text(table, str(own or number), number, column, value)


def cached(folder: Path, key: bytes, until: float) -> Cached:
    """Whether the entries of the cache in `folder` are sealed with `key`, as far as they were looked at in time."""
    seal, disk, found = Seal(key), SafeDisk(str(folder)), Cached()
    named: set[str] = set()
    with reading(folder / "cache.db") as connection:
        last = -1
        while rows := connection.execute(_ENTRIES, (last, AT_ONCE)).fetchall():
            last = rows[-1][0]
            for _, name, mode, filename, value in rows:
                found.entries += 1
                named.add(str(filename))
                try:
                    seal.opened(name, disk.fetch(mode, filename, value, False))
                except (Refused, TypeError):
                    found.refused += 1
                except OSError:
                    # one that has just been dropped is not lost
                    still = connection.execute("SELECT 1 FROM Cache WHERE filename = ?", (filename,)).fetchone()
                    found.lost += still is not None
            if time.monotonic() > until:
                found.whole = False
                return found
    for path in folder.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*.val"):
        with contextlib.suppress(OSError):
            # one that is being written has its entry in a moment
            if str(path.relative_to(folder)) not in named and path.stat().st_mtime < time.time() - 60:
                found.strays.append(str(path.relative_to(folder)))
    return found


_ENTRIES = "SELECT rowid, key, mode, filename, value FROM Cache WHERE rowid > ? ORDER BY rowid LIMIT ?"


def holders(board: Path) -> list[int] | None:
    """The processes that have the board of a data folder open: the gateways that run on it. None for a board that is
    not whole, of which nothing can be told.
    """
    try:
        words = memoryview(board.read_bytes()[: 8 * (ROLL + 2 * LANES)]).cast("q")
    except FileNotFoundError:
        return []
    except (OSError, TypeError):
        return None
    if len(words) < ROLL + 2 * LANES:
        return None
    lanes = range(0, 2 * LANES, 2)
    owners = [(words[ROLL + lane], words[ROLL + lane + 1]) for lane in lanes]
    return [pid for pid, start in owners if alive(pid, start)]


DEADMAN = 128
"""The byte of its `-shm` that SQLite keeps locked, shared, in whichever process has a database with a WAL open."""

_LOCK = "hhqqi"
"""Linux's `struct flock`: the kind, from where, the first byte, how many, whose."""


def opener(log: Path) -> int:
    """A process that has the trace log open, the gateway or another; 0 where there is none, or the system tells none.

    Not for a process that has it open itself: its own locks would go as this file is closed.
    """
    if sys.platform != "linux":
        return 0
    import fcntl

    try:
        with log.with_name(f"{log.name}-shm").open("rb") as file:
            asked = struct.pack(_LOCK, fcntl.F_WRLCK, os.SEEK_SET, DEADMAN, 1, 0)
            kind, *_, pid = struct.unpack(_LOCK, fcntl.fcntl(file, fcntl.F_GETLK, asked))
    except OSError:
        return 0
    return 0 if kind == fcntl.F_UNLCK else int(pid)
