"""Rows out of the trace log: which trees are the oldest, and how rows go with all that hangs on them.

A tree is as old as its latest row. Walking all rows by their time, a tree's turn comes at its latest one, so the walk
itself has the order, and never sorts the log. What must stay true:

* Rows are named by their ids: SQLite's own numbers change when somebody vacuums the file.
* Messages that nobody else refers to go by the schema's triggers, edits of a row with it. What keys spent stays.
* Rows without a time are as old as their tree's others; a tree of nothing else is older than every other one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import orjson

WALKED = 500
"""Rows that the walk holds at a time."""

_LATEST = """SELECT coalesce(start_timestamp, ''), rowid FROM traces WHERE root_trace_id = ?
ORDER BY start_timestamp DESC, rowid DESC LIMIT 1"""
_TIMELESS = "SELECT '', rowid, root_trace_id FROM traces WHERE start_timestamp IS NULL AND rowid > ? LIMIT ?"
_TIMED = """SELECT start_timestamp, rowid, root_trace_id FROM traces
WHERE (start_timestamp, rowid) > (?, ?) AND start_timestamp < ? ORDER BY start_timestamp, rowid LIMIT ?"""
_NAMED = "(SELECT value FROM json_each(?))"
_LOST = """DELETE FROM sampled_out WHERE root_trace_id IN (SELECT root_trace_id FROM sampled_out AS s
    WHERE s.start_timestamp < ?1 AND NOT EXISTS (
        SELECT 1 FROM json_each(s.members) AS one WHERE one.value ->> 'start_timestamp' >= ?1) LIMIT ?2)"""
_STRAY = """DELETE FROM edits WHERE trace_id IN (SELECT trace_id FROM edits
    WHERE datetime(edited_at) < datetime('now', '-7 days') AND trace_id NOT IN (SELECT trace_id FROM traces) LIMIT ?)"""

LAST = "\U0010ffff"
"""After every time."""


@dataclass(slots=True, frozen=True)
class Tree:
    """A tree by its root's id, and its latest row as (time, number)."""

    root: str
    latest: tuple[str, int]


def oldest(connection: sqlite3.Connection, before: str = LAST) -> Iterator[Tree]:
    """The trees whose latest row began before then, the oldest first; no transaction is open between two of them.

    Rows may be removed and come meanwhile: what is told is checked again by `members`.
    """
    known: dict[str, tuple[str, int]] = {}
    for start, number, root in _walk(connection, before):
        latest = known.get(root)
        if latest is None:
            found = connection.execute(_LATEST, (root,)).fetchone()
            if found is None:
                continue
            latest = known[root] = (found[0], found[1])
        if (start, number) >= latest:
            del known[root]
            yield Tree(root, latest)


def _walk(connection: sqlite3.Connection, before: str) -> Iterator[tuple[str, int, str]]:
    number = -1
    while rows := connection.execute(_TIMELESS, (number, WALKED)).fetchall():
        yield from rows
        number = rows[-1][1]
    start, number = "", -1
    while rows := connection.execute(_TIMED, (start, number, before, WALKED)).fetchall():
        yield from rows
        start, number = rows[-1][:2]


def members(connection: sqlite3.Connection, tree: Tree) -> list[str]:
    """The ids of a tree's rows, its latest one last; none when it has got a later one since."""
    rows = connection.execute(
        "SELECT coalesce(start_timestamp, ''), rowid, trace_id FROM traces WHERE root_trace_id = ?", (tree.root,)
    ).fetchall()
    rows.sort()
    return [row[2] for row in rows] if rows and (rows[-1][0], rows[-1][1]) <= tree.latest else []


def remove(connection: sqlite3.Connection, ids: Iterable[str]) -> int:
    """Remove rows, in the transaction that is open; how many there were."""
    named = orjson.dumps(list(ids)).decode()
    connection.execute(f"DELETE FROM edits WHERE trace_id IN {_NAMED}", (named,))
    return connection.execute(f"DELETE FROM traces WHERE trace_id IN {_NAMED}", (named,)).rowcount


def remove_lost(connection: sqlite3.Connection, before: str, limit: int) -> int:
    """Remove counters of traces that lost the draw, all of them from before then; how many traces they were of."""
    return connection.execute(_LOST, (before, limit)).rowcount


def remove_stray(connection: sqlite3.Connection, limit: int) -> int:
    """Remove edits whose row did not come in a week; below zero is no limit."""
    return connection.execute(_STRAY, (limit,)).rowcount


def merge_texts(connection: sqlite3.Connection, table: str, pages: int) -> int:
    """Bring an index of full texts further towards one in which no word of removed rows is left; how far it came."""
    before = connection.total_changes
    connection.execute(f'INSERT INTO "{table}" ("{table}", rank) VALUES (\'merge\', ?)', (pages,))
    return max(0, connection.total_changes - before - 1)


def texts(connection: sqlite3.Connection) -> list[str]:
    """The indexes of full texts that somebody has added to the log with SQLite's FTS5; its own is none of these."""
    found = connection.execute("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%fts5%'").fetchall()
    return [name for (name,) in found]
