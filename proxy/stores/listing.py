"""A `Selection` as SQL: its rows page by page, each in a transaction of its own, and what came in since.

What must stay true: a page costs the same wherever it is, and nobody who reads on for an hour keeps the WAL from being
cut. Rows without a time come last.
"""

from __future__ import annotations

import base64
import binascii
import sqlite3
from datetime import datetime
from typing import Any

from proxy.errors import BadRequest
from proxy.protocols import Filter, TraceQuery
from proxy.record import Record
from proxy.selection import Selection, Slice
from proxy.stores import search
from proxy.stores.guarded import check_condition
from proxy.stores.rows import SELECTED, decode, without_nul

Condition = tuple[str, list[Any]]


def condition(connection: sqlite3.Connection, selection: Selection, now: datetime) -> Condition:
    """What a selection asks of a row `t` of `traces`. Raises `BadRequest`."""
    filters = []
    if selection.model:
        operator = "like" if "%" in selection.model else "equals"
        filters.append(Filter("model", operator, without_nul(selection.model)))
    if selection.since:
        filters.append(Filter("start_timestamp", "greater_than_or_equal", selection.since))
    if selection.search:
        filters.append(Filter("content", "like", without_nul(selection.search)))
    query = TraceQuery(
        project_name=selection.project, status=selection.status, rows=selection.rows, filters=tuple(filters)
    )
    sql, values = search.where(query, now)
    if selection.where:
        check_condition(connection, selection.where)
        # a line of its own, since a condition may end in a comment
        sql = f"{sql} AND ({selection.where}\n)"
    return sql, values


def page(connection: sqlite3.Connection, chosen: Condition, after: str | None, limit: int) -> Slice:
    """The first `limit` rows that come after where a page ended, newest first. Raises `BadRequest`."""
    sql, values = chosen
    start, number = _place(after)
    found: list[Any] = []
    if start is not None or after is None:
        bound, bounds = ("t.start_timestamp IS NOT NULL", []) if after is None else (_EARLIER, [start, number])
        found = connection.execute(_PAGE.format(f"{bound} AND {sql}"), [*bounds, *values, limit + 1]).fetchall()
    if len(found) <= limit:
        timeless, least = ("t.start_timestamp IS NULL", []) if start or after is None else (_TIMELESS, [number])
        rest = limit + 1 - len(found)
        found += connection.execute(_PAGE.format(f"{timeless} AND {sql}"), [*least, *values, rest]).fetchall()
    records = [decode(row[:-1]) for row in found[:limit]]
    if len(found) <= limit:
        return Slice(records, None)
    return Slice(records, _token(records[-1].start_timestamp, found[limit - 1][-1]))


def news(connection: sqlite3.Connection, chosen: Condition, number: int, limit: int) -> list[tuple[int, Record]]:
    """Rows that came in after the one with this rowid, the earliest first, each with its own."""
    sql, values = chosen
    rows = connection.execute(
        f"SELECT {SELECTED}, t.rowid FROM traces AS t WHERE t.rowid > ? AND {sql} ORDER BY t.rowid LIMIT ?",
        [number, *values, limit],
    ).fetchall()
    return [(row[-1], decode(row[:-1])) for row in rows]


def named(connection: sqlite3.Connection, prefix: str, limit: int) -> list[str]:
    """Ids that begin with `prefix`, in their order."""
    rows = connection.execute(
        "SELECT trace_id FROM traces WHERE trace_id >= ? AND trace_id < ? ORDER BY trace_id LIMIT ?",
        (without_nul(prefix), without_nul(prefix) + "\U0010ffff", limit),
    )
    return [trace_id for (trace_id,) in rows]


def oldest(connection: sqlite3.Connection) -> str | None:
    """When the first row that is kept began."""
    (found,) = connection.execute("SELECT min(start_timestamp) FROM traces").fetchone()
    return None if found is None else str(found)


_PAGE = f"SELECT {SELECTED}, t.rowid FROM traces AS t WHERE {{}} ORDER BY t.start_timestamp DESC, t.rowid DESC LIMIT ?"
_EARLIER = "(t.start_timestamp, t.rowid) < (?, ?)"
_TIMELESS = "t.start_timestamp IS NULL AND t.rowid < ?"


def _token(start: str, number: int) -> str:
    return base64.urlsafe_b64encode(f"{number} {start}".encode()).decode().rstrip("=")


def _place(after: str | None) -> tuple[str | None, int]:
    """(start, rowid) of the last row that was told."""
    if after is None:
        return None, 0
    try:
        number, _, start = base64.urlsafe_b64decode(after + "=" * (-len(after) % 4)).decode().partition(" ")
        rowid = int(number)
    except (ValueError, binascii.Error):
        start, rowid = "", -1
    if not 0 <= rowid < 2**63:
        raise BadRequest("after: should be what a page told as its `after`", param="after")
    return start or None, rowid
