"""The short way to the disk: rows are committed on the event loop itself, one transaction for each turn of it.

Handing a row to a thread and being told of its commit costs more than the commit, which in WAL mode without a sync is a
few writes to the page cache. So the loop commits, as long as that is all there is to it:

* A trace is not kept, an edit came, a row is large, anything fails: the writer's thread does it, which may wait and
  repair. Nothing is decided here, only declined.
* Another process holds the lock: the caller may try again in a moment, which costs less than a thread.
* Nothing waits here: no lock, no sync, no checkpoint. Checkpoints run in a thread; the WAL stays bounded because they
  end by restarting it, which the next commit meets as a lock. While somebody else reads for long it grows, and is cut
  off afterwards.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import quote

import orjson

from proxy.stores.database import WAL_LIMIT, code
from proxy.stores.files import Files
from proxy.stores.rows import APPEND_ONE, APPLY_EDITS, CHARGE, STAND_IN_ONE, Row, insertion, refer
from proxy.stores.sampling import lost_roots

logger = logging.getLogger(__name__)

CHECKPOINT_ROWS = 2000
"""Rows after which the WAL is written back: some 10 MB."""

RESTART_PATIENCE = 50
"""Milliseconds in which the readers of a moment have finished."""

_SPECIAL = "SELECT EXISTS (SELECT 1 FROM sampled_out), EXISTS (SELECT 1 FROM edits)"


class Shortcut:
    """Commits rows to the trace log `path`, which exists and is sound, or declines.

    `files` are those that the writer's thread has open: what is committed to others does not count.
    """

    def __init__(self, path: Path, files: Files) -> None:
        self._path = path
        self._files = files
        self._connection: sqlite3.Connection | None = None
        self._since_checkpoint = 0
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="trace-log-checkpoint")

    def commit(self, items: Sequence[object]) -> bool | None:
        """Whether all of `items` are committed; if not, none of them is. None: another process is writing."""
        rows = [item for item in items if isinstance(item, Row) and not (item.edit or item.counted_only)]
        if len(rows) != len(items):
            return False
        if not self._files.seem_in_place():
            return False
        try:
            if not self._transact(rows):
                return False
        except (sqlite3.Error, UnicodeError, OverflowError) as error:
            if self._connection is not None and isinstance(error, sqlite3.Error) and code(error) == sqlite3.SQLITE_BUSY:
                return None
            # The thread finds out what it is. It may put another file in the place of this one, so let go of it.
            self._disconnect()
            return False
        if not self._files.database_in_place():
            return False
        self._since_checkpoint += len(rows)
        if self._since_checkpoint >= CHECKPOINT_ROWS:
            self._since_checkpoint = 0
            self._worker.submit(self._checkpoint)
        return True

    def let_go(self) -> None:
        """From any thread, while nothing is committed here: close the file, and open what is there when asked again."""
        self._worker.submit(self._disconnect).result()

    def close(self) -> None:
        """Finish a checkpoint that is under way, then let go of the file."""
        self._worker.shutdown()
        self._disconnect()

    def _transact(self, rows: Sequence[Row], merge: bool = False) -> bool:
        """Commit `rows`. That none is there yet is likely, costs much less than to merge, and is tried first."""
        connection = self._connection or self._open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            sampled, edited = connection.execute(_SPECIAL).fetchone()
            if sampled and lost_roots(connection, rows):
                connection.execute("ROLLBACK")
                return False
            if stand_ins := [row.cells for row in rows if row.stand_in]:
                connection.executemany(STAND_IN_ONE, stand_ins)
            appended = [row for row in rows if not row.stand_in]
            refer(connection, appended)
            if merge:
                connection.executemany(APPEND_ONE, [row.all_cells for row in appended])
            elif appended:
                before = connection.total_changes
                connection.executemany(*insertion([row.all_cells for row in appended]))
                if connection.total_changes - before < len(appended):
                    connection.execute("ROLLBACK")
                    # Whether those that are there may be changed is the thread's to say.
                    return all(row.key is None for row in appended) and self._transact(rows, merge=True)
            if edited:
                connection.execute(APPLY_EDITS, (orjson.dumps([row.trace_id for row in rows]).decode(),))
            if charges := [row.charge for row in rows if row.charge is not None]:
                connection.executemany(CHARGE, charges)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return True

    def _open(self, timeout: float = 0.0) -> sqlite3.Connection:
        address = f"file:{quote(str(self._path.absolute()))}?mode=rw"
        connection = sqlite3.connect(address, uri=True, timeout=timeout, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        connection.execute("PRAGMA secure_delete = ON")
        # Whoever is the first to write after a checkpoint cuts the file off, by a limit of its own connection.
        connection.execute(f"PRAGMA journal_size_limit = {WAL_LIMIT}")
        if timeout == 0.0:
            self._connection = connection
        return connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _checkpoint(self) -> None:
        if not self._files.in_place():
            return
        try:
            connection = self._open(timeout=1.0)
        except sqlite3.Error as error:
            logger.warning("the trace log's WAL cannot be written back now: %s", error)
            return
        try:
            # The bulk beside the commits; then what came meanwhile, for a moment without any. Nobody can commit while
            # that waits for readers, so it gives up soon where one reads for long.
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            connection.execute(f"PRAGMA busy_timeout = {RESTART_PATIENCE}")
            connection.execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
        except sqlite3.Error as error:
            logger.warning("the trace log's WAL cannot be written back now: %s", error)
        finally:
            connection.close()
