"""Reading the trace log, in whatever thread asks: connections that cannot write and never wait for the writer.

Every method is synchronous; the command line calls it as it is, `SQLiteLog` from worker threads.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from proxy.errors import ConfigError, NotReady
from proxy.protocols import ProjectUse, TracePage, TraceQuery, VersionUse
from proxy.record import Record
from proxy.selection import PATIENCE, Figures, Selection, Slice
from proxy.stores.log import counting, listing, search
from proxy.stores.log.figures import figures
from proxy.stores.log.guarded import Overdue, ask, guarded, unchanged
from proxy.stores.log.presence import there
from proxy.stores.log.rows import SELECTED, decode, without_nul
from proxy.stores.log.versions import versions
from proxy.stores.schema.database import code, open_reader, open_writer
from proxy.stores.schema.migrations import behind
from proxy.tree import below

AT_ONCE = 200
"""Rows that `stream` holds at a time."""


class Reader:
    """A trace log to read. `now` is asked for the end of a query's time range; `at_rest` says that nobody writes;
    `damaged` is told of a search index or sums that cannot be read, without which the answers are the same; `overdue`
    of a question that cannot be stopped.
    """

    def __init__(
        self,
        path: Path,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        *,
        at_rest: bool = False,
        damaged: Callable[[], None] = lambda: None,
        overdue: Overdue | None = None,
    ) -> None:
        self._damaged = damaged
        self._overdue = overdue
        self._path = path
        self.at_rest = at_rest
        self._now = now
        self._idle: list[sqlite3.Connection] = []
        self._generation = 0

    def get(self, trace_id: str) -> Record | None:
        with self._connection() as connection:
            query = f"SELECT {SELECTED} FROM traces AS t WHERE trace_id = ?"
            row = connection.execute(query, (without_nul(trace_id),)).fetchone()
        return decode(row) if row else None

    def there(self, trace_ids: Collection[str]) -> dict[str, bool]:
        """Those of `trace_ids` that have a row, and whether it says more than its place."""
        with self._connection() as connection:
            return there(connection, trace_ids)

    def descendants(self, trace_id: str) -> list[Record]:
        """The rows below one row, at any depth, oldest first; what has no parent there hangs under its root."""
        with self._connection() as connection:
            rows = connection.execute(
                f"SELECT {SELECTED} FROM traces AS t WHERE root_trace_id ="
                " (SELECT root_trace_id FROM traces WHERE trace_id = ?) ORDER BY start_timestamp, rowid",
                (trace_id,),
            ).fetchall()
        return below([decode(row) for row in rows], trace_id)

    def members(self, name: str) -> list[Record]:
        """The rows of a tree, or of a session, by its id, oldest first."""
        with self._connection() as connection:
            rows = connection.execute(
                f"SELECT {SELECTED} FROM traces AS t WHERE root_trace_id = :name OR session_id = :name"
                " ORDER BY start_timestamp, rowid",
                {"name": without_nul(name)},
            ).fetchall()
        return [decode(row) for row in rows]

    def search(self, query: TraceQuery) -> TracePage:
        """Raises `BadRequest` for an operator, field or value that cannot be searched."""
        now = self._now()
        condition, values = search.where(query, now)
        limit, offset = search.page(query)
        with self._connection() as connection, unchanged(connection):
            total = counting.total(connection, query, now, self._damaged)
            if total is not None and offset >= total:
                return TracePage(total, [])
            rows = connection.execute(
                f"SELECT {SELECTED} FROM traces AS t WHERE {condition}"
                " ORDER BY t.start_timestamp DESC, t.rowid DESC LIMIT ? OFFSET ?",
                [*values, limit, offset],
            ).fetchall()
            if total is None:
                total = offset + len(rows)
                if len(rows) == limit or (offset and not rows):
                    # There are more, or none so far: only then all are counted, which takes much longer than a page.
                    total = counting.counted(connection, query, now)
        return TracePage(total, [decode(row) for row in rows])

    def page(
        self, selection: Selection, after: str | None = None, limit: int = 50, *, seconds: float = PATIENCE
    ) -> Slice:
        """Rows after where a page ended. Raises `BadRequest`, also where it takes longer than `seconds`."""
        with self._connection() as connection, listing.asked(connection, selection, seconds, self._overdue):
            return listing.page(connection, self._condition(connection, selection), after, limit)

    def stream(self, selection: Selection, limit: int | None = None, *, seconds: float = PATIENCE) -> Iterator[Record]:
        """The rows of a selection, newest first, however many they are; `seconds` are for each page of them."""
        after: str | None = None
        left = limit
        while left is None or left > 0:
            found = self.page(selection, after, AT_ONCE if left is None else min(left, AT_ONCE), seconds=seconds)
            yield from found.records
            left = None if left is None else left - len(found.records)
            after = found.after
            if after is None:
                return

    def figures(
        self, selection: Selection, by: str | None = None, limit: int = 20, *, seconds: float = PATIENCE
    ) -> list[Figures]:
        """What the rows come to, by groups. Raises `BadRequest`, also where it takes longer than `seconds`."""
        with self._connection() as connection, listing.asked(connection, selection, seconds, self._overdue):
            return figures(connection, self._condition(connection, selection), by, limit)

    def lately(self, selection: Selection) -> Selection:
        """What of a selection is added up where nobody says since when."""
        with self._connection() as connection:
            return listing.lately(connection, selection)

    def ask(self, sql: str, *, seconds: float = PATIENCE) -> Generator[Sequence[Any], None, None]:
        """The names of the columns that a question of SQL has, then its rows, as they are found. Raises as `page`."""
        with self._connection() as connection, guarded(connection, seconds, self._overdue) as deadline:
            yield from ask(connection, sql, deadline)

    def named(self, prefix: str, limit: int = 6) -> list[str]:
        """Ids that begin with `prefix`, in their order."""
        with self._connection() as connection:
            return listing.named(connection, prefix, limit)

    def told_apart(self, ids: Sequence[str]) -> list[int]:
        """How many letters of each id no other one begins with."""
        with self._connection() as connection:
            return [listing.told_apart(connection, one) for one in ids]

    def oldest(self) -> str | None:
        """When the first row that is kept began."""
        with self._connection() as connection:
            return listing.oldest(connection)

    def totals(self) -> dict[str, float]:
        """`calls`, `errors`, `cache_hits`, `input_tokens`, `output_tokens`, `cost`, `saved`, sampled out or not."""
        with self._connection() as connection:
            cursor = connection.execute("SELECT * FROM totals")
            names = [name for name, *_ in cursor.description]
            return dict(zip(names, cursor.fetchone(), strict=True))

    def rows(self) -> int:
        """How many rows are kept."""
        with self._connection() as connection:
            (count,) = connection.execute("SELECT count(*) FROM traces").fetchone()
        return int(count)

    def project(self, name: str) -> tuple[str, str] | None:
        """(uuid, created_at) of a project."""
        with self._connection() as connection:
            found: tuple[str, str] | None = connection.execute(
                "SELECT uuid, created_at FROM projects WHERE name = ?", (name,)
            ).fetchone()
        return found

    def spent(self, key: str, since: str) -> int:
        """Nanodollars that a key has spent since a day."""
        with self._connection() as connection:
            query = "SELECT coalesce(sum(nanodollars), 0) FROM spend WHERE key = ? AND day >= ?"
            (nanodollars,) = connection.execute(query, (key, since)).fetchone()
        return int(nanodollars)

    def projects(self) -> list[ProjectUse]:
        """Every project that was made or that a row names, by name."""
        with self._connection() as connection:
            rows = connection.execute(
                "SELECT name, coalesce(min(created_at), max(last_used), ''), max(last_used), sum(calls), max(uuid)"
                " FROM ("
                " SELECT name, created_at, NULL AS last_used, 0 AS calls, uuid FROM projects UNION ALL"
                f" SELECT {search.PROJECT}, min(t.start_timestamp), max(coalesce(t.end_timestamp, t.start_timestamp)),"
                f" count(*), max(CASE WHEN t.project_uuid = {search.PROJECT} THEN t.project_uuid END)"
                f" FROM traces AS t WHERE {search.KINDS['calls']} GROUP BY 1) GROUP BY name ORDER BY name"
            ).fetchall()
        return [ProjectUse(*row) for row in rows]

    def versions(self, deployment_id: str | None = None) -> list[VersionUse]:
        """The use of every version that rows name, of one deployment or of all."""
        with self._connection() as connection:
            return versions(connection, deployment_id)

    def forget(self) -> None:
        """Open the file anew from now on: it is another one."""
        self._generation += 1
        self.close()

    def close(self) -> None:
        """Let go of every connection that is not in use; `Reader` may be used again."""
        while self._idle:
            self._idle.pop().close()

    def _condition(self, connection: sqlite3.Connection, selection: Selection) -> listing.Condition:
        return listing.condition(connection, selection, self._now(), self._damaged)

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        generation = self._generation
        connection: sqlite3.Connection | None = None
        try:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = open_reader(self._path, at_rest=self.at_rest)
            yield connection
        except (sqlite3.Error, OSError) as error:
            if connection is not None:
                connection.close()
            raise NotReady(f"the trace log cannot be read: {error}") from error
        except ConfigError as error:
            raise NotReady(f"the trace log cannot be read: {error.message}") from error
        except BaseException:
            if connection is not None:
                connection.close()
            raise
        if generation == self._generation:
            self._idle.append(connection)
        else:
            connection.close()


def open_readonly(path: Path, overdue: Overdue | None = None) -> Reader:
    """The log of a gateway that runs elsewhere, or not at all. Raises `ConfigError` when none can be read.

    A file that an older version wrote is brought up to date. Where nothing can be made beside the file, it is read
    alone, if it is all there is: a WAL would be left out.
    """
    try:
        try:
            with closing(open_reader(path)) as connection:
                older = behind(connection)
            if older is not None:
                _update(path, older)
            return Reader(path, overdue=overdue)
        except sqlite3.OperationalError as error:
            if code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                raise
            _complete(path)
            with closing(open_reader(path, at_rest=True)) as connection:
                if (older := behind(connection)) is not None:
                    raise _outdated(path, older) from None
            return Reader(path, at_rest=True, overdue=overdue)
    except sqlite3.Error as error:
        told = "it is empty: `parea-proxy serve` on its folder makes it anew" if not path.stat().st_size else str(error)
        raise ConfigError(f"the trace log {path} cannot be read: {told}") from error
    except OSError as error:
        raise ConfigError(f"the trace log {path} cannot be read: {error.strerror}") from error


def _update(path: Path, older: str) -> None:
    try:
        open_writer(path).close()
    except sqlite3.Error as error:
        if code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        raise _outdated(path, older) from error


def _outdated(path: Path, older: str) -> ConfigError:
    return ConfigError(
        f"the trace log {path} was written by an older version of the gateway, its schema is {older}, and it cannot be"
        f" brought up to date where it may not be written: copy {path.name}* to another folder, and name that with"
        " --data"
    )


def _complete(path: Path) -> None:
    """Raises `ConfigError` when there are rows beside the file."""
    wal = path.with_name(path.name + "-wal")
    if wal.exists() and wal.stat().st_size:
        raise ConfigError(
            f"the trace log {path} cannot be read: {wal.name} holds rows of it, and its folder may not be written:"
            f" copy {path.name}* to another folder, and name that with --data"
        )
