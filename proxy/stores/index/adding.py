"""Adding rows up, beside whoever writes: rows come into the sums (`schema/sums.py`) in their order, hundreds at a time.

What must stay true: a row is added in the same transaction that says so, so several processes may add; a transaction
takes a few milliseconds, in which SQLite works and the interpreter is free for others. The latest rows wait: they are
the ones that change.
"""

from __future__ import annotations

import json
import sqlite3

from proxy.stores.schema.sums import DAILY, DAY, FIGURES, HOUR, HOURLY, PLAIN, SUMMED, TOP

AT_ONCE = 256
"""Rows of a transaction."""

LATEST = 1024
"""Rows that wait: by then most of those that come in parts are whole, and a question reads them quickly."""

_PLACES = "SELECT (SELECT max(rowid) FROM traces), (SELECT max(upto) FROM summed)"
_CLEAR = (
    "DELETE FROM apart WHERE row IN (SELECT row FROM apart LIMIT ?)",
    "DELETE FROM hourly WHERE (label, hour) IN (SELECT label, hour FROM hourly LIMIT ?)",
    "DELETE FROM daily WHERE (label, day) IN (SELECT label, day FROM daily LIMIT ?)",
    "DELETE FROM hourly_labels WHERE id IN (SELECT id FROM hourly_labels LIMIT ?)",
    "DELETE FROM daily_labels WHERE id IN (SELECT id FROM daily_labels LIMIT ?)",
)
_REACHED = f"SELECT {SUMMED}, (SELECT count(*) FROM summed)"
_LAST = """SELECT max(rowid), count(*) FROM (SELECT rowid FROM traces WHERE rowid > ? AND rowid <= ?
    ORDER BY rowid LIMIT ?)"""
_APART = "SELECT row FROM apart WHERE row > ? ORDER BY row LIMIT ?"
_SETTLED = f"""SELECT t.rowid, a.summed FROM json_each(?) AS j CROSS JOIN apart AS a ON a.row = j.value
CROSS JOIN traces AS t ON t.rowid = a.row
WHERE CASE WHEN a.summed THEN t.trace_id = t.root_trace_id OR NOT {TOP} ELSE {PLAIN} END"""
_RIGHT = f"""WITH there(count) AS (
    SELECT (SELECT count(*) FROM traces WHERE rowid <= {SUMMED}) - (SELECT count(*) FROM apart WHERE NOT summed)
) SELECT coalesce((SELECT sum(calls) FROM hourly), 0) = count AND coalesce((SELECT sum(calls) FROM daily), 0) = count
FROM there"""


def _labels(table: str, names: tuple[str, ...], more: str, value: str) -> tuple[str, str]:
    """The statement that makes what labels are lacking, and the condition by which a row `t` finds its own."""
    same = " AND ".join(f"g.{name} IS t.{name}" for name in names) + (f" AND g.{more} = ({value})" if more else "")
    columns = ", ".join((*names, more) if more else names)
    values = ", ".join([*(f"t.{name}" for name in names), *([value] if more else [])])
    return (
        f"INSERT INTO {table} ({columns}) SELECT DISTINCT {values} FROM traces AS t WHERE {{rows}} AND {PLAIN}"
        f" AND NOT EXISTS (SELECT 1 FROM {table} AS g WHERE {same})",
        f"FROM traces AS t CROSS JOIN {table} AS g ON {same} WHERE {{rows}} AND {PLAIN} GROUP BY 1, 2",
    )


_HOURLY_LABELS, _HOURLY_ROWS = _labels("hourly_labels", HOURLY, "root", "t.trace_id = t.root_trace_id")
_DAILY_LABELS, _DAILY_ROWS = _labels("daily_labels", DAILY, "", "")
_SUMS = ", ".join(f"sum({what.format('t')})" for what in FIGURES.values())
_MORE = ", ".join(f"{name} = {name} + excluded.{name}" for name in FIGURES)
_ADD = (
    _HOURLY_LABELS,
    f"INSERT INTO hourly SELECT g.id, {HOUR.format('t')}, count(*) {_HOURLY_ROWS}"
    " ON CONFLICT (label, hour) DO UPDATE SET calls = calls + excluded.calls",
    _DAILY_LABELS,
    f"INSERT INTO daily SELECT g.id, {DAY.format('t')}, {_SUMS} {_DAILY_ROWS}"
    f" ON CONFLICT (label, day) DO UPDATE SET {_MORE}",
)
_PUT_APART = f"""INSERT INTO apart SELECT t.rowid, {PLAIN} FROM traces AS t WHERE {{rows}}
AND (NOT {PLAIN} OR (t.trace_id <> t.root_trace_id AND {TOP}))"""
_BETWEEN = "t.rowid BETWEEN ? AND ?"
_NAMED = "t.rowid IN (SELECT value FROM json_each(?))"


def add(connection: sqlite3.Connection, *, all: bool = False) -> bool:
    """Add the next rows; False where there are none that do not wait. None waits for `all`."""
    if not _due(connection, all):
        return False
    connection.execute("BEGIN IMMEDIATE")
    try:
        done = _add(connection, all)
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return done


def settle(connection: sqlite3.Connection, after: int) -> int | None:
    """Look at some of the rows that are apart, after one of them: those that need not be any more are so no longer.
    The last of them; None where there are no more.
    """
    looked = [row for (row,) in connection.execute(_APART, (after, AT_ONCE))]
    if looked and connection.execute(_SETTLED, (json.dumps(looked),)).fetchone():
        connection.execute("BEGIN IMMEDIATE")
        try:
            _settle(connection, looked)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return looked[-1] if len(looked) == AT_ONCE else None


def right(connection: sqlite3.Connection) -> bool:
    """Whether the sums are of as many rows as there are."""
    reached, said = connection.execute(_REACHED).fetchone()
    if reached is None:
        return not said
    return bool(connection.execute(_RIGHT).fetchone()[0])


def begin_anew(connection: sqlite3.Connection) -> None:
    """Believe no sum; what is left of them is cleared away before the first row is added again."""
    connection.execute("DELETE FROM summed")


def _due(connection: sqlite3.Connection, all: bool) -> bool:
    end, reached = connection.execute(_PLACES).fetchone()
    if end is None or reached is None:
        return end is not None and (all or end > LATEST + AT_ONCE)
    return bool(reached > end or reached + (0 if all else LATEST + AT_ONCE) < end)


def _add(connection: sqlite3.Connection, all: bool) -> bool:
    (reached,) = connection.execute(f"SELECT {SUMMED}").fetchone()
    if reached is None:
        # There are none, or rows have other numbers than they say: the log was dumped, and read in again.
        begin_anew(connection)
        if sum(connection.execute(statement, (AT_ONCE,)).rowcount for statement in _CLEAR):
            return True
    (end, _) = connection.execute(_PLACES).fetchone()
    if end is None:
        return False
    upto = -(2**63) if reached is None else reached
    last, count = connection.execute(_LAST, (upto, end if all else end - LATEST, AT_ONCE)).fetchone()
    if not count:
        return False
    _sum(connection, _BETWEEN, (upto + 1, last))
    connection.execute(_PUT_APART.format(rows=_BETWEEN), (upto + 1, last))
    connection.execute("DELETE FROM summed")
    connection.execute("INSERT INTO summed SELECT rowid, trace_id FROM traces WHERE rowid = ?", (last,))
    return True


def _settle(connection: sqlite3.Connection, looked: list[int]) -> None:
    found = connection.execute(_SETTLED, (json.dumps(looked),)).fetchall()
    added = json.dumps([row for row, summed in found if not summed])
    _sum(connection, _NAMED, (added,))
    settled = json.dumps([row for row, _ in found])
    connection.execute("DELETE FROM apart WHERE row IN (SELECT value FROM json_each(?))", (settled,))
    connection.execute(_PUT_APART.format(rows=_NAMED), (added,))


def _sum(connection: sqlite3.Connection, rows: str, values: tuple[object, ...]) -> None:
    for statement in _ADD:
        connection.execute(statement.format(rows=rows), values)
