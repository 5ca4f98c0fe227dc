"""The trace log in one SQLite file: a writer with group commit, readers beside it.

What must stay true:

* A row is committed before its future says True, and survives `kill -9` from then on (power loss too if `synchronous`
  is full).
* Nothing here ever raises into an answer: a full, locked, read-only or damaged database costs rows, which are counted
  as dropped and reported by `health`, and it is used again as soon as it can be.
* A row that is said to be on disk is in the file at the path, also when that was deleted, moved or replaced meanwhile:
  what is at the path is used from then on, or made.
* What calls cost their keys is counted in the transaction of their rows. What could not be written is owed, and while
  something is, nobody is told what was spent.
* The order in which rows, edits and lost draws arrive does not change what is stored, nor the totals.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from proxy import timestamps
from proxy.config.settings import Keep, LogSettings
from proxy.errors import ConfigError, GatewayError, NotReady
from proxy.ids import project_uuid
from proxy.protocols import ProjectUse, TracePage, TraceQuery, VersionUse
from proxy.record import Record
from proxy.stores.index.indexer import Indexer
from proxy.stores.log.answers import Answers
from proxy.stores.log.debts import Debts
from proxy.stores.log.items import Item, Look, Project, none, store, stored, weight
from proxy.stores.log.reader import Reader, open_readonly
from proxy.stores.log.rows import charge_of, encode, encode_edit
from proxy.stores.log.shortcut import Shortcut
from proxy.stores.log.writer import Writer
from proxy.stores.retention.keeping import Keeping
from proxy.stores.retention.pruning import remove_stray
from proxy.stores.schema.checkpoints import Checkpoints
from proxy.stores.schema.database import BUSY_TIMEOUT, DAMAGE, TROUBLE, code, coded, open_writer, written_back
from proxy.stores.schema.files import Files

__all__ = ["SQLiteLog", "open_readonly"]

logger = logging.getLogger(__name__)

FOLLOWED = 2
"""How often a batch goes to another file because the one it went to was replaced meanwhile."""

T = TypeVar("T")


class SQLiteLog:
    """`TraceLog` in the file `path`, which is made if need be. Raises `ConfigError` for a file of a newer version."""

    def __init__(
        self,
        path: Path,
        *,
        synchronous: str = "normal",
        max_rows: int = 20_000,
        max_bytes: int = 128 * 2**20,
        busy_timeout: float = BUSY_TIMEOUT,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        keep: Keep | None = None,
    ) -> None:
        self._path = path
        self._synchronous = synchronous
        self._busy_timeout = busy_timeout
        self._now = now
        self._connection: sqlite3.Connection | None = None
        self._reason: str | None = None
        self._suspect = False
        self._files = Files(path)
        self._keeping = Keeping(path, self._files, keep or Keep(), now)
        self._reader = Reader(path, now, damaged=lambda: self._indexer.mend())
        self.answers = Answers(self._reader, self._look)
        # A commit that syncs is the thread's in any case.
        self._checkpoints = Checkpoints(path, self._files)
        self._shortcut = Shortcut(path, self._files, self._checkpoints) if synchronous == "normal" else None
        try:
            remove_stray(self._open(), -1)
        except sqlite3.Error as error:
            self._trouble(error)
        shortcut = self._commit_here if self._shortcut else None
        self._writer: Writer[Item] = Writer(self._commit, shortcut=shortcut, max_items=max_rows, max_bytes=max_bytes)
        self._indexer = Indexer(path, self._checkpoints.count)
        self._debts = Debts(lambda debt: self._writer.put(debt, len(debt.charges)))
        self._keeping.start()

    def append(self, record: Record) -> asyncio.Future[bool]:
        try:
            row = encode(record)
            committed = self._writer.put(row, row.size)
        except (TypeError, ValueError, RecursionError):
            logger.exception("a row of the trace log cannot be written as JSON")
            committed = self._writer.refuse()
        return self._debts.watch(spent, committed) if (spent := charge_of(record)) is not None else committed

    def spent(self, key: str, since: str) -> int:
        if not self._debts.paid() or self._reason is not None:
            raise NotReady(f"what is spent cannot be counted: the log cannot be written ({self._reason or 'just now'})")
        if not self._files.in_place():
            self._writer.put(Look(), 0)
            raise NotReady("what is spent cannot be counted: the log was moved just now")
        return self._reader.spent(key, since)

    def update(self, trace_id: str, fields: Mapping[str, Any], key: str | None = None) -> asyncio.Future[bool]:
        edit = encode_edit(trace_id, fields, key)
        return self._writer.put(edit, edit.size)

    async def get(self, trace_id: str) -> Record | None:
        return await self._read(lambda: self._reader.get(trace_id))

    async def descendants(self, trace_id: str) -> list[Record]:
        return await self._read(lambda: self._reader.descendants(trace_id))

    async def search(self, query: TraceQuery) -> TracePage:
        return await self._read(lambda: self._reader.search(query))

    async def totals(self) -> dict[str, float]:
        """`calls`, `errors`, `cache_hits`, `input_tokens`, `output_tokens`, `cost`, `saved`, sampled out or not."""
        return await self._read(self._reader.totals)

    async def project(self, name: str) -> tuple[str, str, bool]:
        found = await self._readable(lambda: self._reader.project(name))
        if found is not None:
            return *found, False
        made = Project(name, project_uuid(name), timestamps.text(self._now()))
        await self._writer.put(made, len(name))
        stored = await self._readable(lambda: self._reader.project(name))
        uuid_, created_at = stored or (made.uuid, made.created_at)
        # Of several who made it at once, it is the one's whose time was stored.
        return uuid_, created_at, created_at == made.created_at

    async def projects(self) -> list[ProjectUse]:
        return await self._read(self._reader.projects)

    async def versions(self, deployment_id: str | None = None) -> list[VersionUse]:
        return await self._read(lambda: self._reader.versions(deployment_id))

    async def health(self) -> dict[str, Any]:
        return {
            "writable": self._reason is None,
            "reason": self._reason,
            "rows": await self._readable(self._reader.rows),
            "dropped": self._writer.dropped,
            "pending": self._writer.pending,
        }

    def queue(self) -> tuple[int, int]:
        return self._writer.pending, self._writer.dropped

    async def close(self) -> None:
        self._debts.paid()
        await asyncio.to_thread(self._keeping.close)
        await self._writer.close()
        await asyncio.to_thread(self._indexer.close)
        await asyncio.to_thread(self._end)

    async def _readable(self, read: Callable[[], T]) -> T | None:
        """What `read` finds, None when the log cannot be read now."""
        try:
            return await self._read(read)
        except GatewayError:
            return None

    async def _read(self, read: Callable[[], T]) -> T:
        """What `read` finds in the file that is at the path."""
        await self._look()
        return await asyncio.to_thread(read)

    async def _look(self) -> None:
        """Until the file that is at the path is the one that is read."""
        if self._reason is None and not self._files.in_place():
            # The writer goes first: whoever opens a file beside another one's WAL may end this process.
            await self._writer.put(Look(), 0)

    def _commit_here(self, items: list[Item]) -> bool | None:
        """On the event loop; as long as there is trouble, the thread alone tries."""
        return self._reason is None and self._shortcut is not None and self._shortcut.commit(items)

    # What follows runs in the writer's thread. Meanwhile nothing is committed on the loop.

    def _commit(self, items: list[Item]) -> list[bool]:
        try:
            self._settle(items)
        except ConfigError as error:
            self._trouble(error)
            return none(items)
        except sqlite3.Error as error:
            return self._recover(items, error)
        if self._reason is not None:
            logger.warning("the trace log %s can be written again", self._path)
            self._reason = None
        return stored(items)

    def _settle(self, items: list[Item]) -> None:
        """Commit to the file that is at the path afterwards."""
        for _ in range(FOLLOWED):
            try:
                with self._keeping.turn:
                    self._transact(items)
            except sqlite3.Error:
                if self._connection is None or self._files.in_place():
                    raise
            else:
                if self._files.database_in_place():
                    self._checkpoints.count(weight(items))
                    return
        raise coded(sqlite3.OperationalError(f"{self._path} is replaced again and again"), sqlite3.SQLITE_CANTOPEN)

    def _recover(self, items: list[Item], error: sqlite3.Error) -> list[bool]:
        if code(error) in DAMAGE and not self._suspect:
            # Once more on a file that is checked from end to end first, and moved aside if it fails.
            self._suspect = True
            self._let_go()
            outcomes = self._commit(items)
            self._suspect = False
            return outcomes
        if code(error) not in TROUBLE and len(items) > 1:
            # One of them is at fault; the others shall not suffer for it.
            return [outcome for item in items for outcome in self._commit([item])]
        self._trouble(error)
        return none(items)

    def _transact(self, items: list[Item]) -> None:
        connection = self._open()
        self._keeping.begin(connection)
        try:
            store(connection, items)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and not self._files.in_place():
            self._follow(self._connection)
        if self._connection is None:
            options = {"thorough": self._suspect, "shrinking": self._keeping.rules}
            self._connection = open_writer(self._path, self._synchronous, busy_timeout=self._busy_timeout, **options)
            self._files.remember()
        return self._connection

    def _follow(self, connection: sqlite3.Connection) -> None:
        """Let go of files that are no longer at their paths, so that those that are there are opened.

        What the WAL holds goes into its database first, wherever that is now: nobody else would find it.
        """
        moved = not self._files.database_in_place()
        complete = written_back(connection)
        if not moved and not complete:
            # Beside a new WAL the old one would be forgotten, or be copied over what came later.
            error = sqlite3.OperationalError(f"the WAL of {self._path} was deleted while somebody reads it")
            raise coded(error, sqlite3.SQLITE_BUSY)
        logger.warning("the trace log %s was deleted, moved or replaced: going on with what is there", self._path)
        # Before they are closed: then their numbers may be those of another process's new files.
        self._files.remove_companions()
        self._let_go()

    def _let_go(self) -> None:
        """Close every connection: what is at the path now is opened by whoever comes next."""
        self._checkpoints.wait()
        if self._shortcut is not None:
            self._shortcut.let_go()
        self._reader.forget()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _end(self) -> None:
        if self._connection is not None and not self._files.in_place():
            try:
                self._follow(self._connection)
            except sqlite3.Error as error:
                logger.warning("%s", error)
        self._let_go()
        self._checkpoints.close()

    def _trouble(self, error: Exception) -> None:
        if isinstance(error, sqlite3.Error) and code(error) == sqlite3.SQLITE_READONLY:
            # What SQLite could not open for writing in one bad moment it has opened read-only, and for good.
            self._let_go()
        if self._reason is None:
            logger.warning("the trace log %s cannot be written, rows are dropped: %s", self._path, error)
        self._reason = str(error)


def trace_log(folder: Path, settings: LogSettings) -> SQLiteLog:
    """The log of the data folder `folder`, as configured."""
    return SQLiteLog(folder / "traces.db", synchronous=settings.synchronous, keep=settings.keep)
