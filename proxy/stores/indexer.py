"""The index of full-text search is written beside the log, when nothing else is: in batches, by a thread of its own.

What must stay true: answers do not wait for it. It begins when no row has come for a moment; where rows never stop
coming and too many wait, it takes a tenth of the time. What is not indexed yet is found all the same, by reading it.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from proxy.stores.finding import SAID, texts

logger = logging.getLogger(__name__)

REST = 1.0
"""Seconds between two looks. No row in between means that nothing else is to be done."""

BATCH = 25
"""Rows of one transaction: half a millisecond, and some 25 where FTS5 merges, for which a commit may have to wait."""

MANY = 20_000
"""Rows that may wait for a pause."""

_NEXT = f"{SAID} t.rowid > (SELECT upto FROM indexed) ORDER BY t.rowid LIMIT {BATCH}"
_STALE = f"{SAID} t.rowid IN (SELECT number FROM stale LIMIT {BATCH})"
_WAITING = "SELECT coalesce(max(rowid), 0), coalesce(max(rowid), 0) - (SELECT upto FROM indexed) FROM traces"


class Indexer:
    """Keeps the index of the log `path`, which exists, as long as it is not closed."""

    def __init__(self, path: Path) -> None:
        self._address = f"file:{quote(str(path.absolute()))}?mode=rw"
        self._stop = threading.Event()
        self._newest = -1
        self._thread = threading.Thread(target=self._run, name="trace-log-index", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Finish the batch that is under way."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(REST):
            try:
                with closing(sqlite3.connect(self._address, uri=True, timeout=0.1, isolation_level=None)) as connection:
                    self._look(connection)
            except sqlite3.Error as error:
                # Locked, full, moved aside: whoever writes the log finds out, and the next look is soon.
                logger.debug("the index of the trace log cannot be written now: %s", error)

    def _look(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA synchronous = NORMAL")
        while not self._stop.is_set():
            newest, waiting = connection.execute(_WAITING).fetchone()
            idle = newest == self._newest
            self._newest = newest
            if not idle and waiting <= MANY:
                return
            begun = time.monotonic()
            if not index(connection):
                return
            if not idle:
                self._stop.wait(9 * (time.monotonic() - begun))


def index(connection: sqlite3.Connection) -> int:
    """Index the next rows; returns how many."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        stale = connection.execute(_STALE).fetchall()
        fresh = [] if stale else connection.execute(_NEXT).fetchall()
        connection.executemany(
            "INSERT INTO texts (rowid, input, output) VALUES (?, ?, ?)", [texts(row) for row in stale or fresh]
        )
        if stale:
            connection.executemany("DELETE FROM stale WHERE number = ?", [row[:1] for row in stale])
        if fresh:
            connection.execute("UPDATE indexed SET upto = ?", (fresh[-1][0],))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return len(stale or fresh)
