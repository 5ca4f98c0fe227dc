"""Rows of a file into the log: which of them are new to it, and those written.

What must stay true: a row that is there stays as it is, unless the file's are to replace it; of several of one id in a
file the first holds, or else the last. Both hold whatever else writes meanwhile. Some rows are in memory, and not all.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from proxy.stores.log.presence import bare

if TYPE_CHECKING:
    from types import TracebackType

    from proxy.commands.log.source import Source
    from proxy.config.settings import LogSettings
    from proxy.models import LogPolicy
    from proxy.record import Record
    from proxy.stores.log.reader import Reader

AT_ONCE = 500
"""Rows that are on their way to the disk at a time."""

STATUSES = ("success", "error", "cancelled", None)
"""How a row of the gateway's own ends. Clients may say otherwise, and their rows are to come back, too."""

TOLD = 10
"""Items at fault that are told before the rest is only counted."""


@dataclass(slots=True)
class Tally:
    """Rows, each id once: those `taken`, of which some `failed` and some have an `odd` status, and those that were
    `there` before; and those whose id came `again`.
    """

    taken: int = 0
    failed: int = 0
    odd: int = 0
    there: int = 0
    again: int = 0


class Ids:
    """Which ids have come before; on the disk, since there may be millions."""

    def __enter__(self) -> Ids:
        self._seen = sqlite3.connect("", isolation_level=None)
        self._seen.execute("CREATE TABLE seen (id TEXT PRIMARY KEY) WITHOUT ROWID")
        self._seen.execute("BEGIN")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._seen.close()

    def new(self, trace_id: str) -> bool:
        """Whether this is the first time, from now on no more."""
        return self._seen.execute("INSERT OR IGNORE INTO seen VALUES (?)", (trace_id,)).rowcount == 1


def survey(found: Source, log: Path) -> Tally:
    """What a file has. Raises `ConfigError` with the items that are wrong, and why."""
    from proxy.commands.log.progress import Progress
    from proxy.errors import ConfigError, RequestError
    from proxy.stores.log.reader import Reader
    from proxy.terminal import clean

    tally, wrong, told = Tally(), 0, []
    reader = Reader(log) if log.exists() else None
    waiting: list[Record] = []
    with Progress("checking") as progress, Ids() as ids:
        for item in found.items():
            try:
                for record in item.records:
                    waiting.append(record)
                    if len(waiting) == AT_ONCE:
                        _sifted(waiting, ids, reader, True, tally)
                        waiting = []
            except RequestError as error:
                wrong += 1
                told += [clean(f"  {item.where}{error.message.removeprefix('the body ')}")] if wrong <= TOLD else []
            progress.tell(item.share, tally.taken)
        _sifted(waiting, ids, reader, True, tally)
    if wrong:
        more = f"\n  and {wrong - TOLD} more" if wrong > TOLD else ""
        raise ConfigError(f"{found.path}: nothing was imported\n" + "\n".join(told) + more)
    return tally


async def take(found: Source, path: Path, policy: LogPolicy, settings: LogSettings, replace: bool) -> Tally:
    """Write the rows of a file into the log at `path`. Raises `ConfigError` where some could not be written."""
    from proxy.commands.log.progress import Progress
    from proxy.errors import ConfigError
    from proxy.middleware.omit import omit
    from proxy.middleware.redact import redact
    from proxy.stores.log.reader import Reader
    from proxy.stores.log.sqlite import SQLiteLog

    log, reader, redacting, tally = SQLiteLog(path), Reader(path), redact(settings), Tally()

    def append(record: Record) -> asyncio.Future[bool]:
        record.policy = record.policy.narrowed(policy)
        kept = omit(record)
        return log.append(kept if redacting is None else redacting.record(kept))

    try:
        with Progress("importing") as progress, Ids() as ids:
            for share, records in _batches(found):
                await asyncio.gather(*[append(one) for one in _sifted(records, ids, reader, replace, tally)])
                progress.tell(share, tally.taken)
        health = await log.health()
    finally:
        reader.close()
        await log.close()
    if health["dropped"]:
        raise ConfigError(f"{health['dropped']} rows could not be written: {health['reason']}; import the file again")
    return tally


def _batches(found: Source) -> Iterator[tuple[float, list[Record]]]:
    """The rows of a file, some at a time, with how much of it was read."""
    waiting: list[Record] = []
    for item in found.items():
        for record in item.records:
            waiting.append(record)
            if len(waiting) == AT_ONCE:
                yield item.share, waiting
                waiting = []
    yield 1.0, waiting


def _sifted(records: list[Record], ids: Ids, reader: Reader | None, replace: bool, tally: Tally) -> list[Record]:
    """Those of `records` that are to be written, each told how."""
    there = reader.there({record.trace_id for record in records}) if reader else {}
    chosen = []
    for record in records:
        says = there.get(record.trace_id)
        stays = says or (says is False and bare(record))
        if ids.new(record.trace_id):
            tally.there += stays
            tally.taken += replace or not stays
            tally.failed += (replace or not stays) and record.status == "error"
            tally.odd += (replace or not stays) and record.status not in STATUSES
        else:
            tally.again += 1
            stays = True
        if replace or not stays:
            # Where there is none yet, a row that comes meanwhile is better than the file's.
            record.stand_in = says is None and not replace
            chosen.append(record)
    return chosen
