"""How many rows a `TraceQuery` comes to, of all pages: by the sums where they can tell, and by counting else.

What must stay true: a total is what `count(*)` would be, whatever the sums have come to.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable
from datetime import datetime

from proxy import timestamps
from proxy.protocols import TraceQuery
from proxy.stores.log.search import PROJECT, TIME_RANGES, Test, where
from proxy.stores.schema.database import DAMAGE, code
from proxy.stores.schema.sums import SUMMED

logger = logging.getLogger(__name__)

_COUNT = "SELECT count(*) FROM traces AS t WHERE "
_SUMMED = "SELECT coalesce(sum(h.calls), 0) FROM hourly_labels AS t CROSS JOIN hourly AS h ON h.label = t.id WHERE "
_APART = """SELECT count(*) FROM apart AS a CROSS JOIN traces AS t ON t.rowid = a.row
WHERE (NOT a.summed OR ?) AND t.rowid <= ? AND """
_LATER = "SELECT count(*) FROM traces AS t NOT INDEXED WHERE t.rowid > ? AND "
_BEGUN = """SELECT count(*) FROM traces AS t INDEXED BY traces_by_start
WHERE +t.rowid <= ? AND t.start_timestamp >= ? AND t.start_timestamp < ? AND """


def counted(connection: sqlite3.Connection, query: TraceQuery, now: datetime) -> int:
    """Count all rows. It takes some milliseconds for each hundred thousand."""
    condition, values = where(query, now)
    return _number(connection, _COUNT + condition, values)


def total(
    connection: sqlite3.Connection, query: TraceQuery, now: datetime, damaged: Callable[[], None] = lambda: None
) -> int | None:
    """The same by the sums; None where they cannot tell. `damaged` is told of sums that cannot be read."""
    try:
        return _total(connection, query, now)
    except sqlite3.DatabaseError as error:
        if code(error) not in (*DAMAGE, sqlite3.SQLITE_ERROR):
            raise
        logger.warning("the sums of the trace log cannot be read, so its rows are counted: %s", error)
        damaged()
        return None


def _total(connection: sqlite3.Connection, query: TraceQuery, now: datetime) -> int | None:
    """Sums know projects, status and hours; of the hour in which a time range begins the rows are counted, and so are
    those that are in no sum.
    """
    (reached,) = connection.execute(f"SELECT {SUMMED}").fetchone()
    if reached is None or query.filter_field or query.filters:
        return None
    condition, values = where(query, now)
    tops = query.rows == "tops"
    found = _number(connection, _LATER + condition, [reached, *values])
    apart, apart_values = f"{_APART}{condition}", [tops, reached, *values]
    labels, label_values = _labels(query)
    if span := TIME_RANGES[query.time_range or "na"]:
        since = timestamps.text(now - span)
        hour, next = since[:13], since[:12] + chr(ord(since[12]) + 1)
        found += _number(connection, _BEGUN + condition, [reached, since, next, *values])
        apart, apart_values = f"{apart} AND substr(t.start_timestamp, 1, 13) > ?", [*apart_values, hour]
        labels, label_values = f"{labels} AND h.hour > ?", [*label_values, hour]
    return found + _number(connection, apart, apart_values) + _number(connection, _SUMMED + labels, label_values)


def _labels(query: TraceQuery) -> Test:
    """The condition on a line `t` of `hourly_labels`. No session's own row is in the sums."""
    tests: list[Test] = [({"tops": "t.root", "sessions": "false"}.get(query.rows, "true"), [])]
    if query.project_name:
        tests.append((f"{PROJECT} IN (?, ?)", [query.project_name, query.project_id or query.project_name]))
    if query.status:
        tests.append(("t.status = ?", [query.status]))
    return " AND ".join(sql for sql, _ in tests), [value for _, values in tests for value in values]


def _number(connection: sqlite3.Connection, sql: str, values: list[object]) -> int:
    (count,) = connection.execute(sql, values).fetchone()
    return int(count)
