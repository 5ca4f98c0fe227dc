"""What comes into a log that other processes write, as it comes.

Asking whether anything came costs a few microseconds: SQLite tells when another connection has committed. What must
stay true: a row is told once; where a database was vacuumed, or the file made anew, nothing new is passed over; while
there is no file, or one that cannot be read now, it is looked for again.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from proxy.errors import BadRequest, ConfigError
from proxy.record import Record
from proxy.selection import PATIENCE, Selection
from proxy.stores.log.guarded import Overdue, Stopped, guarded, unchanged
from proxy.stores.log.listing import condition, news, page
from proxy.stores.schema.database import open_reader

AT_ONCE = 500
"""Rows that are held at a time."""


class Following:
    """The rows of a selection that come from now on, after the last `before` that are there."""

    def __init__(self, path: Path, selection: Selection, before: int = 0, overdue: Overdue | None = None) -> None:
        self._path = path
        self._overdue = overdue
        self._selection = selection
        self._before = before
        self._connection: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None
        self._version = -1
        self._begun = False
        self._number = 0
        self._last: str | None = None
        """The newest row that was seen, by its id: numbers change when a database is vacuumed."""

    def begin(self) -> list[Record]:
        """The last rows that are there, oldest first. Raises `ConfigError` where there is no log, and `BadRequest`."""
        connection = self._open()
        with unchanged(connection):
            with guarded(connection, PATIENCE, self._overdue):
                chosen = condition(connection, self._selection, datetime.now(UTC))
                latest = page(connection, chosen, None, self._before).records if self._before else []
            self._see(connection)
        self._begun = True
        return latest[::-1]

    def news(self) -> Iterator[Record]:
        """What has come since. Raises `BadRequest` where looking takes too long."""
        more = True
        while more:
            found: list[Record] = []
            try:
                found, more = self._look()
            except (sqlite3.Error, OSError, BadRequest) as error:
                if isinstance(error, Stopped):
                    raise
                # the trouble of a moment, or a file that is just being made: it is opened again
                self.close()
                return
            yield from found

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def _look(self) -> tuple[list[Record], bool]:
        """The next rows that have come, and whether there may be more."""
        connection = self._current()
        if connection is None:
            return [], False
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return [], False
        with unchanged(connection):
            self._return(connection)
            with guarded(connection, PATIENCE, self._overdue):
                chosen = condition(connection, self._selection, datetime.now(UTC))
                found = news(connection, chosen, self._number, AT_ONCE)
            if len(found) == AT_ONCE:
                self._number, self._last = found[-1][0], found[-1][1].trace_id
                return [record for _, record in found], True
            self._see(connection)
        self._version = version
        return [record for _, record in found], False

    def _return(self, connection: sqlite3.Connection) -> None:
        """Find the place again where the last look ended."""
        row = connection.execute("SELECT rowid FROM traces WHERE trace_id = ?", (self._last,)).fetchone()
        (end,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM traces").fetchone()
        self._number = row[0] if row else min(self._number, end)

    def _see(self, connection: sqlite3.Connection) -> None:
        """Remember the newest row, also where the selection passes it over."""
        row = connection.execute(
            "SELECT rowid, trace_id FROM traces WHERE rowid >= ? ORDER BY rowid DESC LIMIT 1", (self._number,)
        ).fetchone()
        if row:
            self._number, self._last = row

    def _current(self) -> sqlite3.Connection | None:
        """A connection to the file that is there now."""
        there = _identity(self._path)
        if there != self._file:
            self.close()
            self._file, self._number, self._last = there, 0, None
        if there is None:
            return None
        return self._connection or self._open()

    def _open(self) -> sqlite3.Connection:
        while True:
            before = _identity(self._path)
            try:
                connection = open_reader(self._path)
            except ConfigError:
                if self._begun and _identity(self._path) is None:
                    raise sqlite3.OperationalError("it is gone") from None
                raise
            # another file may have come to this place meanwhile
            if before == _identity(self._path):
                break
            connection.close()
        if before != self._file:
            self._file, self._number, self._last = before, 0, None
        self._connection, self._version = connection, -1
        return connection


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
