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

import sqlite3
from collections.abc import Sequence
from pathlib import Path

import orjson

from proxy.stores.log.rows import APPEND_ONE, APPLY_EDITS, CHARGE, STAND_IN_ONE, Row, insertion, refer
from proxy.stores.log.sampling import lost_roots
from proxy.stores.schema.checkpoints import Checkpoints, connected
from proxy.stores.schema.database import code
from proxy.stores.schema.files import Files

_SPECIAL = "SELECT EXISTS (SELECT 1 FROM sampled_out), EXISTS (SELECT 1 FROM edits)"


class Shortcut:
    """Commits rows to the trace log `path`, which exists and is sound, or declines.

    `files` are those that the writer's thread has open: what is committed to others does not count.
    """

    def __init__(self, path: Path, files: Files, checkpoints: Checkpoints) -> None:
        self._path = path
        self._files = files
        self._checkpoints = checkpoints
        self._connection: sqlite3.Connection | None = None

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
            self.let_go()
            return False
        if not self._files.database_in_place():
            return False
        self._checkpoints.count(len(rows))
        return True

    def let_go(self) -> None:
        """From any thread, while nothing is committed here: close the file, and open what is there when asked again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _transact(self, rows: Sequence[Row], merge: bool = False) -> bool:
        """Commit `rows`. That none is there yet is likely, costs much less than to merge, and is tried first."""
        connection = self._connection or self._open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            sampled, edited = connection.execute(_SPECIAL).fetchone()
            if sampled and lost_roots(connection, rows):
                connection.execute("ROLLBACK")
                return False
            refer(connection, rows)
            if stand_ins := [row.all_cells for row in rows if row.stand_in]:
                connection.executemany(STAND_IN_ONE, stand_ins)
            appended = [row for row in rows if not row.stand_in]
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

    def _open(self) -> sqlite3.Connection:
        self._connection = connected(self._path, timeout=0.0)
        return self._connection
