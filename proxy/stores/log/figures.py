"""What the rows of a selection come to, by groups: counted by SQLite in one pass, whatever their number.

What must stay true: nothing but the figures of the groups that are told is held in memory. A percentile is the latency
that so many of a hundred do not exceed, of calls that the cache did not answer.
"""

from __future__ import annotations

import sqlite3

from proxy.errors import BadRequest
from proxy.selection import SLOTS, Figures
from proxy.stores.log.guarded import hint
from proxy.stores.log.listing import Condition
from proxy.stores.log.rows import COLUMNS, JSON_COLUMNS
from proxy.stores.log.search import PROJECT

TIMES = {"day": "substr(t.start_timestamp, 1, 10)", "hour": "substr(t.start_timestamp, 1, 13) || ':00'"}
WORDS = {
    **TIMES,
    "project": PROJECT,
    "deployment": "t.deployment_id",
    "version": "t.deployment_id || '@' || t.deployment_version",
    "session": "t.session_id",
    "experiment": "t.experiment_uuid",
    "user": "t.end_user",
    "dialect": "t.notes ->> 'dialect'",
}
"""What rows can be grouped by besides their columns."""

MANY = 1000
"""Keys among which the nearest is looked for."""

_FIGURES = f"""WITH picked AS MATERIALIZED (
    SELECT {{group}} AS g, julianday(t.start_timestamp) AS at, coalesce(t.status, '') = 'error' AS failed,
        t.cache_hit AS hit, t.cost AS cost, t.input_tokens AS given, t.output_tokens AS made,
        CASE WHEN t.cache_hit = 0 THEN t.latency END AS latency
    FROM traces AS t WHERE {{condition}}
), whole AS (
    SELECT min(at) AS began, nullif(max(at) - min(at), 0) AS lasted FROM picked
), told AS MATERIALIZED (
    SELECT g, count(*) AS calls, sum(failed), sum(hit), total(CASE WHEN hit = 0 THEN cost END),
        total(CASE WHEN hit THEN cost END), coalesce(sum(given), 0), coalesce(sum(made), 0)
    FROM picked GROUP BY g ORDER BY {{order}} LIMIT ?
), placed AS (
    SELECT g, latency, row_number() OVER (PARTITION BY g ORDER BY latency) AS place,
        count(*) OVER (PARTITION BY g) AS timed
    FROM picked WHERE latency IS NOT NULL AND EXISTS (SELECT 1 FROM told WHERE told.g IS picked.g)
)
SELECT 'told', told.* FROM told
UNION ALL SELECT 'timed', g, max(CASE WHEN place = (timed * 50 + 99) / 100 THEN latency END),
    max(CASE WHEN place = (timed * 95 + 99) / 100 THEN latency END),
    max(CASE WHEN place = (timed * 99 + 99) / 100 THEN latency END), NULL, NULL, NULL, NULL FROM placed GROUP BY g
UNION ALL SELECT 'course', g, min({SLOTS - 1}, CAST((at - began) / lasted * {SLOTS} AS INTEGER)) AS slot, count(*),
    NULL, NULL, NULL, NULL, NULL FROM picked, whole
    WHERE at IS NOT NULL AND EXISTS (SELECT 1 FROM told WHERE told.g IS picked.g) GROUP BY g, slot"""


def figures(connection: sqlite3.Connection, chosen: Condition, by: str | None, limit: int) -> list[Figures]:
    """The figures of the groups, the largest first; of times the latest, in their order. Raises `BadRequest`."""
    group, keys = _group(by)
    order = "g DESC" if by in TIMES else "calls DESC, g"
    sql = _FIGURES.format(group=group, condition=chosen.sql, order=order)
    groups: dict[str | float | None, Figures] = {}
    for part, name, *numbers in connection.execute(sql, [*keys, *chosen.values, limit]):
        if part == "told":
            groups[name] = Figures(name, *numbers)
        elif part == "timed":
            groups[name].p50, groups[name].p95, groups[name].p99 = numbers[:3]
        else:
            slot, calls = numbers[:2]
            groups[name].course[SLOTS - 1 if slot is None else slot] += calls
    if keys and list(groups) == [None]:
        _check_key(connection, str(by))
    found = list(groups.values())
    return found[::-1] if by in TIMES else found


def _group(by: str | None) -> tuple[str, list[str]]:
    """The expression that groups are made by, and its parameters."""
    if by is None:
        return "NULL", []
    if by in WORDS:
        return WORDS[by], []
    if by in COLUMNS and by not in JSON_COLUMNS:
        return f"t.{by}", []
    column, _, key = by.partition(".")
    if key and column in ("metadata", "inputs", "notes"):
        return f"(SELECT value FROM json_each(t.{column}) WHERE key = ?)", [key]
    there = [*WORDS, *(name for name in COLUMNS if name not in JSON_COLUMNS), "metadata.KEY", "inputs.KEY", "notes.KEY"]
    raise BadRequest(f"by: nothing to group by; one of {', '.join(there)}", param="by")


def _check_key(connection: sqlite3.Connection, by: str) -> None:
    """Raises `BadRequest` where no row of the log has this key, whatever was selected."""
    column, _, key = by.partition(".")
    keys = f"FROM traces AS t, json_each(t.{column}) AS one WHERE json_type(t.{column}) = 'object'"
    if connection.execute(f"SELECT 1 {keys} AND one.key = ? LIMIT 1", (key,)).fetchone():
        return
    known = [str(one) for (one,) in connection.execute(f"SELECT DISTINCT one.key {keys} LIMIT {MANY}")]
    raise BadRequest(f"by: no row has {by}{hint(key, known, f'{column}.')}", param="by")
