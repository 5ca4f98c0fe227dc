"""What the writer of the trace log is handed, and how it gets into the database, in the transaction that is open."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from proxy.stores.log.debts import Debt, charge
from proxy.stores.log.ownership import refuse
from proxy.stores.log.rows import APPEND, APPLY_EDITS, EDIT, STAND_IN, Row, batch, refer
from proxy.stores.log.sampling import belongs, fold, lost_roots

USUAL = 5000
"""Bytes of a row and of the pages that it changes, as most are."""


@dataclass(slots=True, frozen=True)
class Project:
    name: str
    uuid: str
    created_at: str


class Look:
    """Nothing to write: only see whether the files are where they were."""


Item = Row | Project | Debt | Look


def store(connection: sqlite3.Connection, items: Sequence[Item]) -> None:
    """Store all of `items`, whatever they are."""
    rows = [item for item in items if isinstance(item, Row)]
    if rows:
        _store_rows(connection, rows)
    for item in items:
        if isinstance(item, Project):
            connection.execute(
                "INSERT INTO projects VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (item.name, item.uuid, item.created_at)
            )
        elif isinstance(item, Debt):
            charge(connection, item.charges)


def stored(items: Sequence[Item]) -> list[bool]:
    """The outcomes when `items` are on disk, as far as they could be."""
    return [not (isinstance(item, Row) and item.refused) for item in items]


def weight(items: Sequence[Item]) -> int:
    """How many usual rows come to as much as `items`."""
    return max(len(items), sum(item.size for item in items if isinstance(item, Row)) // USUAL)


def none(items: Sequence[Item]) -> list[bool]:
    """The outcomes when none of `items` is on disk; who only looked has lost nothing."""
    return [isinstance(item, Look) for item in items]


def _store_rows(connection: sqlite3.Connection, rows: list[Row]) -> None:
    rows = refuse(connection, rows)
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
