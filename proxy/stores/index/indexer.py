"""The index of full-text search is made beside the log, by a thread of its own, block by block, and never in haste; it
adds the rows up as well (`adding.py`).

What must stay true: answers do not wait for it. It holds the interpreter for a fraction of a millisecond at a time, as
long as rows come for a tenth of the time, and the database's lock for a few milliseconds, of some seconds that a block
takes. A block is announced before its rows are read: whoever changes one of them meanwhile, in whichever process,
takes the announcement away, and the block is not stored.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from proxy.stores.index import adding
from proxy.stores.index.blocks import BITS, Postings, packed
from proxy.stores.index.gathered import ENOUGH, SPAN, Gathered, gather
from proxy.stores.index.words import terms
from proxy.stores.schema.database import DAMAGE, WAL_LIMIT, code
from proxy.stores.schema.files import Identity, identity
from proxy.stores.schema.mending import mend

logger = logging.getLogger(__name__)

REST = 1.0
"""Seconds between two looks."""

SLICE = 0.0005
"""Seconds of work after which others have their turn."""

SELDOM = 3600.0
"""Seconds between two times that the index is made anew: where that does not help, the damage is elsewhere."""

PATIENCE = 60.0
"""Seconds after which a block that somebody announced is somebody else's."""

BLOCK = 150
"""Rows that take as much of the WAL as the words of a block, some 700 KB."""

SUMS = 55
"""And as much as the sums that one transaction brings up to date, some 260 KB."""

_BLOCKS = "SELECT first, last FROM blocks ORDER BY first"
_NEXT = "SELECT rowid FROM traces WHERE rowid BETWEEN ? AND ? ORDER BY rowid LIMIT 1"
_END = "SELECT coalesce(max(rowid), 0) FROM traces"
_LAST = "SELECT rowid FROM traces WHERE rowid BETWEEN ? AND ? ORDER BY rowid DESC LIMIT 1"
_SIZE = """SELECT count(*), coalesce(sum(coalesce(length(inputs), 0) + coalesce(length(configuration), 0)
    + coalesce(length(output), 0)), 0) FROM traces WHERE rowid BETWEEN ? AND ?"""
_ANNOUNCE = (
    "INSERT INTO blocks (first, last, until, made, began) SELECT ?, rowid, trace_id, 0, ? FROM traces WHERE rowid = ?"
)
_FORGOTTEN = "DELETE FROM blocks WHERE NOT made AND began NOT BETWEEN ? AND ?"
_STRANGE = "DELETE FROM blocks WHERE NOT EXISTS (SELECT 1 FROM traces WHERE rowid = last AND trace_id = until)"
_MADE = """UPDATE blocks SET made = 1, last = ?, until = (SELECT trace_id FROM traces WHERE rowid = ?), earliest = ?,
    latest = ? WHERE first = ? AND began = ? AND NOT made"""
_STORE = "INSERT INTO words (id, words, rows) VALUES (?, ?, ?)"


class Indexer:
    """Keeps the index of the log `path`, which exists, as long as it is not closed.

    `count` is told what it has written, in rows that are as much: so the WAL is written back, and not by its commits.
    """

    def __init__(self, path: Path, count: Callable[[int], None] = lambda _: None) -> None:
        self._path = path.absolute()
        self._count = count
        self._stop = threading.Event()
        self._damaged = False
        self._mended = -SELDOM
        self._seen: list[tuple[int, int, int]] | None = None
        self._newest = -1
        self._busy = True
        self._since = 0.0
        self._settled = 0
        self._thread = threading.Thread(target=self._run, name="trace-log-index", daemon=True)
        self._thread.start()

    def mend(self) -> None:
        """From any thread: the index was found to be damaged, and is to be made anew."""
        self._damaged = True

    def close(self) -> None:
        """Leave the block that is being made."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        address = f"file:{quote(str(self._path))}?mode=rw"
        known: Identity | None = None
        while not self._stop.wait(REST):
            before, known = known, identity(self._path)
            if known is None or known != before:
                continue  # as long as it is moved about: a database is not to be opened beside another one's WAL
            files = _signature(self._path)
            if files == self._seen and not self._damaged:
                continue
            try:
                with closing(sqlite3.connect(address, uri=True, timeout=0.1, isolation_level=None)) as connection:
                    prepare(connection)
                    connection.execute("PRAGMA wal_autocheckpoint = 0")
                    self._mend(connection)
                    if self._seen is None:
                        check(connection)
                    self._look(connection)
                self._seen = files
            except _Stopped:
                return
            except sqlite3.Error as error:
                # Locked, full, moved aside: whoever writes the log finds out, and the next look is soon.
                logger.debug("the index of the trace log cannot be written now: %s", error)
                self._damaged = self._damaged or code(error) in DAMAGE or "no such table" in str(error)

    def _mend(self, connection: sqlite3.Connection) -> None:
        if self._damaged and time.monotonic() - self._mended > SELDOM:
            logger.warning("the search index or the sums of the trace log are damaged: they are made anew")
            mend(connection)
            self._mended = time.monotonic()
        self._damaged = False

    def _look(self, connection: sqlite3.Connection) -> None:
        again = True
        while again and not self._stop.is_set():
            self._add(connection)
            (newest,) = connection.execute(_END).fetchone()
            self._busy, self._newest = newest != self._newest, newest
            self._since = time.monotonic()
            if again := index(connection, self._breathe):
                self._count(BLOCK)

    def _add(self, connection: sqlite3.Connection) -> None:
        """Bring the sums up to date, and look at some of the rows that are apart from them."""
        self._since = time.monotonic()
        while adding.add(connection):
            self._count(SUMS)
            self._breathe()
        self._settled = adding.settle(connection, self._settled) or 0
        self._breathe()

    def _breathe(self) -> None:
        if self._stop.is_set():
            raise _Stopped
        if (worked := time.monotonic() - self._since) > SLICE:
            # No longer than a moment: the process may have been stopped, and the machine with it.
            time.sleep(min(9 * worked if self._busy else worked / 4, REST))
            self._since = time.monotonic()


def prepare(connection: sqlite3.Connection) -> None:
    """What a connection needs that changes the index."""
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")


def check(connection: sqlite3.Connection) -> None:
    """Let go of blocks whose rows have other numbers than these say: the log was dumped, and read in again. So are sums
    that are of more rows than there are, or of fewer.
    """
    connection.execute(_STRANGE)
    if not adding.right(connection):
        adding.begin_anew(connection)


def index(connection: sqlite3.Connection, breathe: Callable[[], None] = lambda: None, *, all: bool = False) -> bool:
    """Make the next block; False where nothing is to be made. A block that is not full waits, but for `all`."""
    now = time.time()
    with _transaction(connection):
        connection.execute(_FORGOTTEN, (now - PATIENCE, now + PATIENCE))
        if (first := _next(connection, all)) is None:
            return False
        (last,) = connection.execute(_LAST, (first, first + SPAN - 1)).fetchone()
        connection.execute(_ANNOUNCE, (first, now, last))
    try:
        gathered = gather(connection, first, last, breathe)
        pages = _pages(gathered, breathe) if gathered is not None else []
    except BaseException:
        with _transaction(connection):
            connection.execute("DELETE FROM blocks WHERE first = ? AND began = ? AND NOT made", (first, now))
        raise
    if gathered is None:
        return True
    with _transaction(connection):
        values = (gathered.last, gathered.last, gathered.earliest, gathered.latest, first, now)
        if connection.execute(_MADE, values).rowcount:
            connection.executemany(_STORE, (((first << BITS) + place, words, rows) for place, words, rows in pages))
    return True


def _next(connection: sqlite3.Connection, all: bool) -> int | None:
    """The number of the first row that is to be indexed next."""
    upto = 0
    for first, last in connection.execute(_BLOCKS).fetchall():
        if first > upto + 1 and (found := connection.execute(_NEXT, (upto + 1, first - 1)).fetchone()):
            return int(found[0])
        upto = last
    (end,) = connection.execute(_END).fetchone()
    found = connection.execute(_NEXT, (upto + 1, end)).fetchone()
    if found is None:
        return None
    count, size = connection.execute(_SIZE, (found[0], found[0] + SPAN - 1)).fetchone()
    full = end >= found[0] + SPAN - 1 or size >= ENOUGH
    return int(found[0]) if full or all else None


def _pages(gathered: Gathered, breathe: Callable[[], None]) -> list[tuple[int, str, bytes]]:
    postings = Postings()
    for place, (_, texts) in enumerate(gathered.texts):
        postings.add(terms(texts, breathe), place)
        breathe()
    return packed([bits for bits, _ in gathered.texts], postings, breathe)


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _signature(path: Path) -> list[tuple[int, int, int]]:
    """What changes when the log is written."""
    found = []
    for one in (path, path.with_name(f"{path.name}-wal")):
        with suppress(FileNotFoundError):
            stat = one.stat()
            found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return found


class _Stopped(Exception):
    """The log is closed."""
