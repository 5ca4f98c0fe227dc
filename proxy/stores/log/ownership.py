"""Whose a row is: what comes with a key changes no row but those that bear it.

Who hands over a row has looked before, to tell what is wrong; only here nothing comes between the look and the write.
What must stay true: of a row that is refused nothing is stored, and what its call cost is owed, not lost.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from proxy.stores.log.rows import COLUMNS, Row

_KEY = "SELECT key FROM traces WHERE trace_id = ?"

_BORNE = COLUMNS.index("key")
"""Where a row says whose it is; its own `key` is whose it alone may change."""


def refuse(connection: sqlite3.Connection, rows: Sequence[Row]) -> list[Row]:
    """Those of `rows` that may be stored, in the transaction that does; the others are marked."""
    if all(row.key is None for row in rows):
        return list(rows)
    come: dict[str, str | None] = {}
    for row in rows:
        there = (come[row.trace_id],) if row.trace_id in come else connection.execute(_KEY, (row.trace_id,)).fetchone()
        # An edit is of a row that is there: one that came first would change whoever's comes next.
        changes = row.edit if there is None else there[0] != row.key and not row.stand_in
        row.refused = row.key is not None and changes
        if not (row.refused or row.edit):
            borne = row.cells[_BORNE]
            come[row.trace_id] = borne if there is None or not (borne is None or row.stand_in) else there[0]
    return [row for row in rows if not row.refused]
