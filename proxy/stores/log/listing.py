"""A `Selection` as SQL: its rows page by page, each in a transaction of its own, and what came in since.

What must stay true: a page costs the same wherever it is, and nobody who reads on for an hour keeps the WAL from being
cut. Rows without a time come last.
"""

from __future__ import annotations

import base64
import binascii
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from os.path import commonprefix
from typing import Any, NamedTuple

from proxy import timestamps
from proxy.errors import BadRequest
from proxy.protocols import Filter, TraceQuery
from proxy.record import Record
from proxy.selection import LAST, MANY, Selection, Slice
from proxy.stores.index.finding import Spans, find, unindexed
from proxy.stores.index.gathered import SPAN
from proxy.stores.log import search
from proxy.stores.log.conversations import whole
from proxy.stores.log.guarded import Overdue, Stopped, check_condition, guarded, unchanged
from proxy.stores.log.rows import SELECTED, decode, without_nul

_CONFIGURATION = re.compile(r"\bconfiguration\b", re.IGNORECASE)


SHORTEST = 8
"""Letters of an id that are told at least."""


class Condition(NamedTuple):
    """What is asked of a row `t` of `traces`, and when such rows began, but for those without a time; None where that
    is not known.
    """

    sql: str
    values: list[Any]
    spans: Spans | None = None


def condition(
    connection: sqlite3.Connection, selection: Selection, now: datetime, damaged: Callable[[], None] = lambda: None
) -> Condition:
    """What a selection asks of a row. Raises `BadRequest`. It holds for the transaction that is open. `damaged` is told
    of a search index that cannot be read.
    """
    filters = []
    if selection.model:
        operator = "like" if "%" in selection.model else "equals"
        filters.append(Filter("model", operator, without_nul(selection.model)))
    if selection.since:
        filters.append(Filter("start_timestamp", "greater_than_or_equal", selection.since))
    query = TraceQuery(
        project_name=selection.project, status=selection.status, rows=selection.rows, filters=tuple(filters)
    )
    sql, values = search.where(query, now)
    if selection.where:
        check_condition(connection, selection.where)
        sql = f"{sql} AND {_said(selection.where)}"
    if selection.search is None:
        return Condition(sql, values)
    found = find(connection, selection.search, damaged)
    return Condition(f"{found.sql} AND {sql}", [*found.values, *values], found.spans)


def _said(where: str) -> str:
    """A condition of the user's, for whom `configuration` is whole, wherever its messages are kept."""
    # a line of its own, since a condition may end in a comment
    if _CONFIGURATION.search(where) is None:
        return f"({where}\n)"
    return f"(SELECT ({where}\n) FROM (SELECT {whole('t')} AS configuration))"


@contextmanager
def asked(
    connection: sqlite3.Connection, selection: Selection, seconds: float, overdue: Overdue | None = None
) -> Iterator[None]:
    """What `guarded` does, for a question that sees the database as it is now. Of a search that takes too long it is
    said why.
    """
    with unchanged(connection):
        try:
            with guarded(connection, seconds, overdue):
                yield
        except Stopped as error:
            if selection.search is None or (rows := unindexed(connection)) < SPAN:
                raise
            raise BadRequest(
                f"stopped after {seconds:g} s: {rows:,} rows have no search index yet; a running gateway makes it in"
                " some minutes; ask again then, narrow it with since, or allow more time",
                param="search",
            ) from error


def page(connection: sqlite3.Connection, chosen: Condition, after: str | None, limit: int) -> Slice:
    """The first `limit` rows that come after where a page ended, newest first. Raises `BadRequest`."""
    found: list[Any] = []
    for bound, bounds in _parts(chosen.spans, after):
        query = _PAGE.format(f"{bound} AND {chosen.sql}")
        found += connection.execute(query, [*bounds, *chosen.values, limit + 1 - len(found)]).fetchall()
        if len(found) > limit:
            break
    records = [decode(row[:-1]) for row in found[:limit]]
    if len(found) <= limit:
        return Slice(records, None)
    return Slice(records, _token(records[-1].start_timestamp, found[limit - 1][-1]))


def _parts(spans: Spans | None, after: str | None) -> Iterator[tuple[str, list[Any]]]:
    """The rows in their order: conditions of which each has those that come after the ones of the condition before."""
    start, number = _place(after)
    if start is not None or after is None:
        bound, bounds = ("t.start_timestamp IS NOT NULL", []) if start is None else (_EARLIER, [start, number])
        if spans is None:
            yield bound, bounds
        for earliest, latest in spans(start) if spans is not None else ():
            yield f"{bound} AND t.start_timestamp BETWEEN ? AND ?", [*bounds, earliest, latest]
        yield "t.start_timestamp IS NULL", []
    else:
        yield _TIMELESS, [number]


def news(connection: sqlite3.Connection, chosen: Condition, number: int, limit: int) -> list[tuple[int, Record]]:
    """Rows that came in after the one with this rowid, the earliest first, each with its own."""
    rows = connection.execute(
        f"SELECT {SELECTED}, t.rowid FROM traces AS t WHERE t.rowid > ? AND {chosen.sql} ORDER BY t.rowid LIMIT ?",
        [number, *chosen.values, limit],
    ).fetchall()
    return [(row[-1], decode(row[:-1])) for row in rows]


def named(connection: sqlite3.Connection, prefix: str, limit: int) -> list[str]:
    """Ids that begin with `prefix`, in their order."""
    rows = connection.execute(
        "SELECT trace_id FROM traces WHERE trace_id >= ? AND trace_id < ? ORDER BY trace_id LIMIT ?",
        (without_nul(prefix), without_nul(prefix) + "\U0010ffff", limit),
    )
    return [trace_id for (trace_id,) in rows]


def told_apart(connection: sqlite3.Connection, trace_id: str) -> int:
    """How many letters of an id no other one begins with, `SHORTEST` at least."""
    beside = connection.execute(
        "SELECT (SELECT max(trace_id) FROM traces WHERE trace_id < ?1),"
        " (SELECT min(trace_id) FROM traces WHERE trace_id > ?1)",
        (trace_id,),
    ).fetchone()
    return max(SHORTEST, *(len(commonprefix([trace_id, other or ""])) + 1 for other in beside))


def oldest(connection: sqlite3.Connection) -> str | None:
    """When the first row that is kept began."""
    (found,) = connection.execute("SELECT min(start_timestamp) FROM traces").fetchone()
    return None if found is None else str(found)


def lately(connection: sqlite3.Connection, selection: Selection) -> Selection:
    """Of many rows only the last, since nobody waits for seconds unasked."""
    (many,) = connection.execute("SELECT count(*) > ? FROM traces", (MANY,)).fetchone()
    (newest,) = connection.execute("SELECT max(start_timestamp) FROM traces").fetchone()
    if not many or newest is None:
        return selection
    return replace(selection, since=timestamps.text(datetime.fromisoformat(newest) - LAST))


_ORDER = "ORDER BY t.start_timestamp DESC, t.rowid DESC"
# Where rows have to be sorted, it is their numbers, and not all that they hold.
_PAGE = f"""SELECT {SELECTED}, t.rowid FROM traces AS t
WHERE t.rowid IN (SELECT t.rowid FROM traces AS t WHERE {{}} {_ORDER} LIMIT ?) {_ORDER}"""
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
