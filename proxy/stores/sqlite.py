"""The trace log in one SQLite file: a writer with group commit, readers beside it.

What must stay true:

* A row is committed before its future says True, and survives `kill -9` from then on (power loss too if `synchronous`
  is full).
* Nothing here ever raises into an answer: a full, locked, read-only or damaged database costs rows, which are counted
  as dropped and reported by `health`, and it is used again as soon as it can be.
* What calls cost their keys is counted in the transaction of their rows. What could not be written is owed, and while
  something is, nobody is told what was spent.
* The order in which rows, edits and lost draws arrive does not change what is stored, nor the totals.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import orjson

from proxy import timestamps
from proxy.config.settings import LogSettings
from proxy.errors import ConfigError, GatewayError, NotReady
from proxy.ids import project_uuid
from proxy.protocols import ProjectUse, TracePage, TraceQuery, VersionUse
from proxy.record import Record
from proxy.stores.database import BUSY_TIMEOUT, DAMAGE, TROUBLE, code, open_writer
from proxy.stores.debts import Debt, Debts, charge
from proxy.stores.indexer import Indexer
from proxy.stores.reader import Reader, open_readonly
from proxy.stores.rows import APPEND, APPLY_EDITS, EDIT, STAND_IN, Row, batch, charge_of, encode, encode_edit, refer
from proxy.stores.sampling import belongs, fold, lost_roots
from proxy.stores.shortcut import Shortcut
from proxy.stores.writer import Writer

__all__ = ["SQLiteLog", "open_readonly"]

logger = logging.getLogger(__name__)

ORPHANED = "-7 days"
"""How long an edit waits for its row."""

T = TypeVar("T")


@dataclass(slots=True, frozen=True)
class _Project:
    name: str
    uuid: str
    created_at: str


_Item = Row | _Project | Debt


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
    ) -> None:
        self._path = path
        self._synchronous = synchronous
        self._busy_timeout = busy_timeout
        self._now = now
        self._connection: sqlite3.Connection | None = None
        self._reason: str | None = None
        self._suspect = False
        self._reader = Reader(path, now)
        try:
            self._open().execute(
                "DELETE FROM edits WHERE datetime(edited_at) < datetime('now', ?)"
                " AND trace_id NOT IN (SELECT trace_id FROM traces)",
                (ORPHANED,),
            )
        except sqlite3.Error as error:
            self._trouble(error)
        # A commit that syncs is the thread's in any case.
        self._shortcut = Shortcut(path) if synchronous == "normal" else None
        self._writer: Writer[_Item] = Writer(
            self._commit,
            shortcut=self._commit_here if self._shortcut else None,
            max_items=max_rows,
            max_bytes=max_bytes,
        )
        self._indexer = Indexer(path)
        self._debts = Debts(lambda debt: self._writer.put(debt, len(debt.charges)))

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
        return self._reader.spent(key, since)

    def update(self, trace_id: str, fields: Mapping[str, Any]) -> asyncio.Future[bool]:
        edit = encode_edit(trace_id, fields)
        return self._writer.put(edit, edit.size)

    async def get(self, trace_id: str) -> Record | None:
        return await asyncio.to_thread(self._reader.get, trace_id)

    async def descendants(self, trace_id: str) -> list[Record]:
        return await asyncio.to_thread(self._reader.descendants, trace_id)

    async def search(self, query: TraceQuery) -> TracePage:
        return await asyncio.to_thread(self._reader.search, query)

    async def totals(self) -> dict[str, float]:
        """`calls`, `errors`, `cache_hits`, `input_tokens`, `output_tokens`, `cost`, `saved`, sampled out or not."""
        return await asyncio.to_thread(self._reader.totals)

    async def project(self, name: str) -> tuple[str, str, bool]:
        found = await self._readable(lambda: self._reader.project(name))
        if found is not None:
            return *found, False
        made = _Project(name, project_uuid(name), timestamps.text(self._now()))
        await self._writer.put(made, len(name))
        stored = await self._readable(lambda: self._reader.project(name))
        uuid_, created_at = stored or (made.uuid, made.created_at)
        # Of several who made it at once, it is the one's whose time was stored.
        return uuid_, created_at, created_at == made.created_at

    async def projects(self) -> list[ProjectUse]:
        return await asyncio.to_thread(self._reader.projects)

    async def versions(self, deployment_id: str | None = None) -> list[VersionUse]:
        return await asyncio.to_thread(self._reader.versions, deployment_id)

    async def health(self) -> dict[str, Any]:
        return {
            "writable": self._reason is None,
            "reason": self._reason,
            "rows": await self._readable(self._reader.rows),
            "dropped": self._writer.dropped,
            "pending": self._writer.pending,
        }

    async def close(self) -> None:
        self._debts.paid()
        await self._writer.close()
        await asyncio.to_thread(self._indexer.close)
        if self._shortcut is not None:
            await asyncio.to_thread(self._shortcut.close)
        self._reader.close()
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    async def _readable(self, read: Callable[[], T]) -> T | None:
        """What `read` finds, None when the log cannot be read now."""
        try:
            return await asyncio.to_thread(read)
        except GatewayError:
            return None

    def _commit_here(self, items: list[_Item]) -> bool | None:
        """On the event loop; as long as there is trouble, the thread alone tries."""
        return self._reason is None and self._shortcut is not None and self._shortcut.commit(items)

    # What follows runs in the writer's thread.

    def _commit(self, items: list[_Item]) -> list[bool]:
        try:
            self._transact(items)
        except ConfigError as error:
            self._trouble(error)
            return [False] * len(items)
        except sqlite3.Error as error:
            return self._recover(items, error)
        if self._reason is not None:
            logger.warning("the trace log %s can be written again", self._path)
            self._reason = None
        return [True] * len(items)

    def _recover(self, items: list[_Item], error: sqlite3.Error) -> list[bool]:
        if code(error) in DAMAGE and not self._suspect:
            # Once more on a file that is checked from end to end first, and moved aside if it fails.
            self._suspect = True
            self._disconnect()
            self._reader.forget()
            if self._shortcut is not None:
                self._shortcut.renew()
            outcomes = self._commit(items)
            self._suspect = False
            return outcomes
        if code(error) not in TROUBLE and len(items) > 1:
            # One of them is at fault; the others shall not suffer for it.
            return [outcome for item in items for outcome in self._commit([item])]
        self._trouble(error)
        return [False] * len(items)

    def _transact(self, items: list[_Item]) -> None:
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            rows = [item for item in items if isinstance(item, Row)]
            if rows:
                _store(connection, rows)
            for item in items:
                if isinstance(item, _Project):
                    connection.execute(
                        "INSERT INTO projects VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                        (item.name, item.uuid, item.created_at),
                    )
                elif isinstance(item, Debt):
                    charge(connection, item.charges)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_writer(
                self._path, self._synchronous, busy_timeout=self._busy_timeout, thorough=self._suspect
            )
        return self._connection

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _trouble(self, error: Exception) -> None:
        if isinstance(error, sqlite3.Error) and code(error) == sqlite3.SQLITE_READONLY:
            # What SQLite could not open for writing in one bad moment it has opened read-only, and for good.
            self._disconnect()
        if self._reason is None:
            logger.warning("the trace log %s cannot be written, rows are dropped: %s", self._path, error)
        self._reason = str(error)


def _store(connection: sqlite3.Connection, rows: list[Row]) -> None:
    charge(connection, [row.charge for row in rows if row.charge is not None])
    lost = lost_roots(connection, rows)
    kept = [row for row in rows if not belongs(row, lost)] if lost else rows
    refer(connection, kept)
    stand_ins = [row.payload for row in kept if row.stand_in]
    appended = [row.payload for row in kept if not (row.edit or row.stand_in)]
    edits = [row.payload for row in kept if row.edit]
    if stand_ins:
        connection.execute(STAND_IN, (batch(stand_ins),))
    if appended:
        connection.execute(APPEND, (batch(appended),))
    if edits:
        connection.execute(EDIT, (batch(edits),))
    if edits or connection.execute("SELECT EXISTS (SELECT 1 FROM edits)").fetchone()[0]:
        connection.execute(APPLY_EDITS, (orjson.dumps([row.trace_id for row in kept]).decode(),))
    if lost:
        fold(connection, [row for row in rows if belongs(row, lost)], lost)


def trace_log(folder: Path, settings: LogSettings) -> SQLiteLog:
    """The log of the data folder `folder`, as configured."""
    return SQLiteLog(folder / "traces.db", synchronous=settings.synchronous)
