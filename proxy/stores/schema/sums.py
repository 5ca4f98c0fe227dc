"""The schema of the sums, as the step `m010_sums` makes it: what the log comes to by hours and days.

Rows up to one of them (`summed`) are in `hourly` and `daily`, or are `apart`; later rows are read. So a total is the
sums, and the rows that are in none. A row that comes changes nothing here; a thread adds it by and by
(`index/adding.py`).

What must stay true: whoever changes or removes a row takes it out of the sums in the same transaction, by the triggers
below. Each row up to `summed` is in both sums or apart from both (`summed` = 0); what is in them are integers, so that
what is taken out leaves nothing. This is never edited once released.
"""

from __future__ import annotations

PLAIN = """(t.session_id IS NOT t.trace_id
    AND (t.start_timestamp IS NULL OR (typeof(t.start_timestamp) = 'text' AND t.start_timestamp <> ''))
    AND (t.cost IS NULL OR t.cost BETWEEN 0 AND 1000) AND t.cache_hit IN (0, 1)
    AND (t.input_tokens IS NULL OR (typeof(t.input_tokens) = 'integer' AND t.input_tokens BETWEEN 0 AND 1000000000))
    AND (t.output_tokens IS NULL OR (typeof(t.output_tokens) = 'integer' AND t.output_tokens BETWEEN 0 AND 1000000000))
    )"""
"""Rows that may be added up. A session's own row is of all projects of its calls; strange numbers would do harm."""

TOP = """NOT EXISTS (SELECT 1 FROM traces AS p WHERE p.trace_id <> t.trace_id
    AND p.trace_id IN (t.parent_trace_id, t.root_trace_id) AND p.root_trace_id = t.root_trace_id)"""
"""Of a row that is no root: neither what it is below nor its root is there (yet), so it is the top of a tree."""

HOUR = "coalesce(substr({0}.start_timestamp, 1, 13), '')"
DAY = "coalesce(substr({0}.start_timestamp, 1, 10), '')"

HOURLY = ("project_uuid", "project_name", "status")
DAILY = ("project_uuid", "project_name", "key", "provider", "model")

FIGURES = {
    "calls": "1",
    "errors": "coalesce({0}.status = 'error', 0)",
    "cache_hits": "{0}.cache_hit",
    "input_tokens": "coalesce({0}.input_tokens, 0)",
    "output_tokens": "coalesce({0}.output_tokens, 0)",
    "cost": "CASE WHEN {0}.cache_hit = 0 THEN coalesce(CAST(round({0}.cost * 1e12) AS INTEGER), 0) ELSE 0 END",
    "saved": "CASE WHEN {0}.cache_hit = 1 THEN coalesce(CAST(round({0}.cost * 1e12) AS INTEGER), 0) ELSE 0 END",
}
"""What a row adds to a line of `daily`. Costs are in 10^-12 USD."""

SUMMED = "(SELECT s.upto FROM summed AS s JOIN traces AS e ON e.rowid = s.upto AND e.trace_id = s.until)"
"""The last row that the sums have come to; null where there are none, or they are of a file that was made anew."""

TABLES = (
    """CREATE TABLE summed ( -- up to which row `hourly` and `daily` have what the log comes to; one row, or none
    upto INTEGER PRIMARY KEY, -- the rowid in traces of the last one
    until TEXT NOT NULL       -- and its trace_id
)""",
    """CREATE TABLE apart ( -- rows up to there that have to be looked at by themselves
    row INTEGER PRIMARY KEY, -- the rowid in traces
    summed INTEGER NOT NULL  -- 1: is in the sums, and may be the top of a tree without being its root
)""",
    """CREATE TABLE hourly_labels ( -- what `hourly` is grouped by besides hours
    id INTEGER PRIMARY KEY,
    project_uuid TEXT,    -- see projects
    project_name TEXT,    -- see projects
    status TEXT,          -- success, error or cancelled
    root INTEGER NOT NULL -- 1: roots of trees; 0: rows below others
)""",
    """CREATE TABLE hourly ( -- how many rows there are of each hour
    label INTEGER NOT NULL, -- see hourly_labels
    hour TEXT NOT NULL,     -- in which they began, UTC, such as 2026-11-20T12; empty where that is not known
    calls INTEGER NOT NULL, -- how many rows
    PRIMARY KEY (label, hour)
) WITHOUT ROWID""",
    """CREATE TABLE daily_labels ( -- what `daily` is grouped by besides days
    id INTEGER PRIMARY KEY,
    project_uuid TEXT, -- see projects
    project_name TEXT, -- see projects
    key TEXT,          -- of the config's keys: who called
    provider TEXT,     -- that answered
    model TEXT         -- that answered
)""",
    """CREATE TABLE daily ( -- what the rows of each day come to; see spend_daily
    label INTEGER NOT NULL,         -- see daily_labels
    day TEXT NOT NULL,              -- on which they began, UTC; empty where that is not known
    calls INTEGER NOT NULL,         -- how many rows
    errors INTEGER NOT NULL,        -- of these, how many failed
    cache_hits INTEGER NOT NULL,    -- of these, how many the cache answered
    input_tokens INTEGER NOT NULL,  -- of all calls
    output_tokens INTEGER NOT NULL, -- of all calls
    cost INTEGER NOT NULL,          -- spent, in 10^-12 USD: integers can be taken away again without a rest
    saved INTEGER NOT NULL,         -- that the cache hits would have cost, in 10^-12 USD
    PRIMARY KEY (label, day)
) WITHOUT ROWID""",
    "CREATE INDEX hourly_labels_by_all ON hourly_labels (project_name, project_uuid, status, root)",
    "CREATE INDEX daily_labels_by_all ON daily_labels (model, key, project_name, project_uuid, provider)",
)


def _emptied(table: str, time: str) -> str:
    return f"""CREATE TRIGGER {table}_emptied AFTER UPDATE OF calls ON {table} WHEN NEW.calls <= 0 BEGIN
    DELETE FROM {table} WHERE label = OLD.label AND {time} = OLD.{time};
    DELETE FROM {table}_labels WHERE id = OLD.label AND NOT EXISTS (SELECT 1 FROM {table} WHERE label = OLD.label);
END"""


_SAME_HOURLY = " AND ".join(f"g.{name} IS OLD.{name}" for name in HOURLY)
_SAME_DAILY = " AND ".join(f"g.{name} IS OLD.{name}" for name in DAILY)
_IN_THEM = "NOT EXISTS (SELECT 1 FROM apart WHERE row = OLD.rowid AND NOT summed)"
_LESS = ", ".join(f"{name} = {name} - ({what.format('OLD')})" for name, what in FIGURES.items())
_OUT = f"""UPDATE hourly SET calls = calls - 1 WHERE hour = {HOUR.format("OLD")} AND {_IN_THEM} AND label = (
        SELECT g.id FROM hourly_labels AS g WHERE {_SAME_HOURLY} AND g.root = (OLD.trace_id = OLD.root_trace_id));
    UPDATE daily SET {_LESS}
        WHERE day = {DAY.format("OLD")} AND {_IN_THEM} AND label = (SELECT g.id FROM daily_labels AS g
        WHERE {_SAME_DAILY});
    DELETE FROM apart WHERE row = OLD.rowid;"""
"""The row as it was is taken out."""

_BELOW = f"""INSERT INTO apart SELECT t.rowid, 1 FROM traces AS t WHERE t.root_trace_id = OLD.root_trace_id
        AND t.rowid <= (SELECT upto FROM summed) AND NOT EXISTS (SELECT 1 FROM apart WHERE row = t.rowid) AND {TOP}"""
_LEFT = f"""{_BELOW}
        AND t.trace_id <> t.root_trace_id AND OLD.trace_id = OLD.root_trace_id;
    {_BELOW}
        AND t.trace_id <> t.root_trace_id AND OLD.trace_id <> OLD.root_trace_id
        AND t.parent_trace_id IS NOT NULL AND t.parent_trace_id = OLD.trace_id;"""
"""Rows that were below it, and are below nothing now, are tops of trees; be it itself in the sums or not yet."""

_BEFORE = "SELECT max(rowid) FROM traces WHERE rowid < OLD.rowid"
_LAST = f"""DELETE FROM summed WHERE upto = OLD.rowid AND until = OLD.trace_id AND ({_BEFORE}) IS NULL;
    UPDATE summed SET until = (SELECT trace_id FROM traces WHERE rowid = ({_BEFORE})), upto = ({_BEFORE})
        WHERE upto = OLD.rowid AND until = OLD.trace_id;"""
"""`summed` always names a row that is there, so that a new one, which has the next number, is beyond it."""

_CHANGING = (
    "trace_id", "root_trace_id", "parent_trace_id", "session_id", "project_name", "project_uuid", "provider", "model",
    "input_tokens", "output_tokens", "cost", "start_timestamp", "status", "cache_hit", "key",
)  # fmt: skip
_CHANGED = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in _CHANGING)
_REACHED = "OLD.rowid <= (SELECT upto FROM summed)"
_MOVED = "OLD.trace_id <> NEW.trace_id OR OLD.root_trace_id <> NEW.root_trace_id"

TRIGGERS = (
    _emptied("hourly", "hour"),
    _emptied("daily", "day"),
    f"""CREATE TRIGGER sums_deleted AFTER DELETE ON traces WHEN {_REACHED} BEGIN
    {_OUT}
    {_LAST}
END""",
    f"""CREATE TRIGGER sums_left AFTER DELETE ON traces BEGIN
    {_LEFT}
END""",
    f"""CREATE TRIGGER sums_changed AFTER UPDATE OF {", ".join(_CHANGING)} ON traces
WHEN {_REACHED} AND ({_CHANGED}) BEGIN
    {_OUT}
    INSERT INTO apart VALUES (OLD.rowid, 0);
    UPDATE summed SET until = NEW.trace_id WHERE upto = OLD.rowid AND until = OLD.trace_id;
END""",
    f"""CREATE TRIGGER sums_moved AFTER UPDATE OF trace_id, root_trace_id ON traces WHEN {_MOVED} BEGIN
    {_LEFT}
END""",
)

_PROJECT = (
    "coalesce((SELECT name FROM projects WHERE uuid = t.project_uuid), t.project_name, t.project_uuid, 'default')"
)
_LABELS = f"{_PROJECT} AS project, t.key AS key, t.provider AS provider, t.model AS model"
_ADDED = ", ".join(f"d.{name} AS {name}" for name in FIGURES if name not in ("cost", "saved"))
_ROW = """1 AS calls, t.status = 'error' AS errors, t.cache_hit AS cache_hits, t.input_tokens AS input_tokens,
        t.output_tokens AS output_tokens, CASE WHEN t.cache_hit = 0 THEN t.cost END AS cost,
        CASE WHEN t.cache_hit = 1 THEN t.cost END AS saved"""


def _parts(labels: str, day: str, own: str, condition: str) -> str:
    """The lines of `daily`, and the rows that are in none, of which a condition holds."""
    return f"""SELECT {day}{labels}{_ADDED}, d.cost / 1e12 AS cost, d.saved / 1e12 AS saved
        FROM daily AS d JOIN daily_labels AS t ON t.id = d.label WHERE {SUMMED} IS NOT NULL
    UNION ALL SELECT {own}{labels}{_ROW}
        FROM traces AS t WHERE t.rowid > coalesce({SUMMED}, -9223372036854775808){condition}
    UNION ALL SELECT {own}{labels}{_ROW}
        FROM apart AS a CROSS JOIN traces AS t ON t.rowid = a.row
        WHERE NOT a.summed AND t.rowid <= {SUMMED}{condition}"""


_SPENT = _parts(
    f"{_LABELS}, ",
    "nullif(d.day, '') AS day, ",
    "substr(t.start_timestamp, 1, 10) AS day, ",
    " AND t.trace_id IS NOT t.session_id",
)
SPEND_DAILY = f"""CREATE VIEW spend_daily AS -- one row for each day, project, key and model; what was sampled out too
SELECT
    t.day, -- on which the calls began, UTC
    t.project, -- by its name; null for what was sampled out
    t.key, -- of the config's keys: who called
    t.provider, -- that answered; null for what was sampled out
    t.model, -- that answered; null for what was sampled out
    sum(t.calls) AS calls, -- of that day, project, key and model
    coalesce(sum(t.errors), 0) AS errors, -- of these, how many failed
    coalesce(sum(t.cache_hits), 0) AS cache_hits, -- of these, how many the cache answered
    coalesce(sum(t.input_tokens), 0) AS input_tokens, -- of all calls
    coalesce(sum(t.output_tokens), 0) AS output_tokens, -- of all calls
    coalesce(sum(t.cost), 0.0) AS cost, -- USD spent
    coalesce(sum(t.saved), 0.0) AS saved -- USD that the cache hits would have cost
FROM (
    {_SPENT}
) AS t GROUP BY 1, 2, 3, 4, 5
UNION ALL
SELECT substr(start_timestamp, 1, 10), NULL, NULL, NULL, NULL, sum(calls), sum(errors), sum(cache_hits),
    sum(input_tokens), sum(output_tokens), sum(cost), sum(saved)
FROM sampled_out GROUP BY 1"""

TOTALS = f"""CREATE VIEW totals AS -- over kept and sampled-out traces together
SELECT coalesce(sum(calls), 0) AS calls,
    coalesce(sum(errors), 0) AS errors,
    coalesce(sum(cache_hits), 0) AS cache_hits,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    coalesce(sum(cost), 0) AS cost,
    coalesce(sum(saved), 0) AS saved
FROM (
    {_parts("", "", "", "")}
    UNION ALL
    SELECT sum(calls), sum(errors), sum(cache_hits), sum(input_tokens), sum(output_tokens), sum(cost), sum(saved)
    FROM sampled_out
)"""
