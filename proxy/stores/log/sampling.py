"""Traces that lost the draw: one row of counters per root, exact whatever arrives, however often, in whichever order.

The middleware draws; the store only sees that a record is `counted_only`. From then on the whole root is lost: rows
already stored under it are removed and counted, and so is every later record of it, whatever its own flag. Counters
are kept per trace id, under the same rule as rows (what is said again replaces, what is not said stays), so a repeated
record counts once. All of it happens inside the writer's transaction, so several processes agree. A trace id belongs
to one root.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from proxy.stores.log.rows import COLUMNS, Row

Member = dict[str, Any]
"""What is counted of one trace id; a counter that was never said is absent."""

_COUNTED = ("status", "cache_hit", "input_tokens", "output_tokens", "cost", "start_timestamp")
_PLACES = [COLUMNS.index(name) for name in _COUNTED]
_STORED = f"trace_id, root_trace_id, {', '.join(_COUNTED)}"

_IS_LOST = """SELECT json_group_array(root_trace_id) FROM sampled_out
WHERE root_trace_id IN (SELECT value FROM json_each(?))"""
_TAKE = f"""SELECT {_STORED} FROM traces WHERE root_trace_id IN (SELECT value FROM json_each(?1))
UNION SELECT {_STORED} FROM traces WHERE trace_id IN (SELECT value FROM json_each(?2))"""
_TAKE_EDITS = f"SELECT {_STORED} FROM edits WHERE trace_id IN (SELECT value FROM json_each(?))"
_MEMBERS = """SELECT json_group_object(root_trace_id, json(members)) FROM sampled_out
WHERE root_trace_id IN (SELECT value FROM json_each(?))"""
_COUNT = f"""REPLACE INTO sampled_out
SELECT {", ".join(f"value ->> {place}" for place in range(10))} FROM json_each(?)"""


def lost_roots(connection: sqlite3.Connection, rows: Sequence[Row]) -> set[str]:
    """The roots of `rows` whose traces are not kept: lost before, or lost by one of `rows`."""
    lost = {row.root_trace_id or row.trace_id for row in rows if row.counted_only}
    asked = {root for row in rows for root in (row.root_trace_id, row.trace_id if row.edit else None) if root} - lost
    return lost | set(_one(connection, _IS_LOST, _texts(asked)))


def belongs(row: Row, roots: set[str]) -> bool:
    """Whether `row` is of one of `roots`; an edit may not know its root, but it may be an edit of the root itself."""
    return row.root_trace_id in roots or (row.edit and row.trace_id in roots)


def fold(connection: sqlite3.Connection, rows: Sequence[Row], roots: set[str]) -> None:
    """Count `rows`, all of lost `roots`, and whatever is stored of them, and leave nothing else of them behind."""
    ids = _texts({row.trace_id for row in rows})
    traces: dict[str, dict[str, Member]] = {root: {} for root in roots}
    traces.update(_one(connection, _MEMBERS, _texts(roots)))
    home = {row.trace_id: row.root_trace_id or row.trace_id for row in rows if not row.edit}
    for trace_id, root, *counters in connection.execute(_TAKE, (_texts(roots), ids)).fetchall():
        _say(traces[home.get(trace_id, root)].setdefault(trace_id, {}), counters)
    for row in rows:
        cells = orjson.loads(row.payload)
        counters = [cells[place] for place in _PLACES]
        if row.stand_in and row.trace_id in traces[home[row.trace_id]]:
            continue
        if not row.edit:
            _say(traces[home[row.trace_id]].setdefault(row.trace_id, {}), counters)
        else:
            _say_again(traces.values(), row.trace_id, counters)
    known = _texts({trace_id for members in traces.values() for trace_id in members})
    for trace_id, _, *counters in connection.execute(_TAKE_EDITS, (known,)).fetchall():
        _say_again(traces.values(), trace_id, counters)
    for table in ("traces", "edits"):
        for column, values in (("root_trace_id", _texts(roots)), ("trace_id", known)):
            connection.execute(f"DELETE FROM {table} WHERE {column} IN (SELECT value FROM json_each(?))", (values,))
    connection.execute(_COUNT, (orjson.dumps([_counted(root, members) for root, members in traces.items()]).decode(),))


def _say(member: Member, counters: Sequence[Any]) -> None:
    for name, value in zip(_COUNTED, counters, strict=True):
        # A repeated record that is no cache hit does not undo that the first one was; the rows merge alike.
        if value is not None and (name != "cache_hit" or value):
            member[name] = value


def _say_again(traces: Iterable[dict[str, Member]], trace_id: str, counters: Sequence[Any]) -> None:
    for members in traces:
        if trace_id in members:
            _say(members[trace_id], counters)


def _counted(root: str, members: dict[str, Member]) -> list[Any]:
    every = members.values()
    return [
        root,
        min((member["start_timestamp"] for member in every if "start_timestamp" in member), default=None),
        len(members),
        sum(member.get("status") == "error" for member in every),
        sum("cache_hit" in member for member in every),
        sum(member.get("input_tokens", 0) for member in every),
        sum(member.get("output_tokens", 0) for member in every),
        sum(member.get("cost", 0.0) for member in every if "cache_hit" not in member),
        sum(member.get("cost", 0.0) for member in every if "cache_hit" in member),
        orjson.dumps(members).decode(),
    ]


def _one(connection: sqlite3.Connection, statement: str, parameter: str) -> Any:
    """The single JSON value that a statement makes: one step, since each gives the interpreter's lock away."""
    return orjson.loads(connection.execute(statement, (parameter,)).fetchone()[0])


def _texts(values: Iterable[str]) -> str:
    return orjson.dumps(list(values)).decode()
