"""The schema of the trace log, as numbered steps that are never edited once released.

The schema is public: people read the file with `sqlite3`, Datasette or a notebook while the gateway runs, so the
comments live inside the `CREATE` statements, where `.schema` shows them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from proxy.stores.schema import sums
from proxy.stores.schema.views import TREES, VIEWS

Migration = Callable[[sqlite3.Connection], None]

MIGRATIONS: list[tuple[str, Migration]] = []
"""Every step by name, in order."""


def migration(step: Migration) -> Migration:
    """Register `step` under its own name, after those above it."""
    MIGRATIONS.append((step.__name__, step))
    return step


@migration
def m001_traces(connection: sqlite3.Connection) -> None:
    """The rows themselves. Children and edits may come before what they belong to, so nothing refers by foreign key."""
    connection.execute(f"CREATE TABLE traces ({_COLUMNS_001})")
    # A row's tree, the newest rows; everything else is found by walking these.
    connection.execute("CREATE INDEX traces_by_root ON traces (root_trace_id)")
    connection.execute("CREATE INDEX traces_by_start ON traces (start_timestamp)")
    connection.execute(
        f"""CREATE TABLE edits ( -- what was set on a row apart from logging it, after or before: it wins over the row
    edited_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000+00:00', 'now')), -- when, for forgetting orphans
    {_COLUMNS_001.replace(" NOT NULL DEFAULT 0", "").replace(" NOT NULL", "")})"""
    )


@migration
def m002_projects(connection: sqlite3.Connection) -> None:
    """Projects by name; rows name theirs by uuid, by name, or not at all, which means `default`."""
    connection.execute(
        """CREATE TABLE projects (
    name TEXT PRIMARY KEY,     -- as the client calls it
    uuid TEXT NOT NULL UNIQUE, -- made from the name, so that every process makes the same
    created_at TEXT NOT NULL   -- ISO 8601, UTC
)"""
    )


@migration
def m003_sampled_out(connection: sqlite3.Connection) -> None:
    """Traces that lost the draw: counters only, so that totals stay exact whatever the sample rate."""
    connection.execute(
        """CREATE TABLE sampled_out (
    root_trace_id TEXT PRIMARY KEY, -- the trace; whatever comes later under this root is counted here too
    start_timestamp TEXT,           -- of its earliest row
    calls INTEGER NOT NULL,         -- how many rows the trace would have
    errors INTEGER NOT NULL,        -- of these, how many failed
    cache_hits INTEGER NOT NULL,    -- of these, how many were answered by the cache
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    cost REAL NOT NULL,             -- USD spent
    saved REAL NOT NULL,            -- USD that the cache hits would have cost
    members TEXT NOT NULL           -- JSON: what was counted for each trace id, so that none counts twice
)"""
    )
    connection.execute(
        """CREATE VIEW totals AS -- over kept and sampled-out traces together
SELECT coalesce(sum(calls), 0) AS calls,
    coalesce(sum(errors), 0) AS errors,
    coalesce(sum(cache_hits), 0) AS cache_hits,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    coalesce(sum(cost), 0) AS cost,
    coalesce(sum(saved), 0) AS saved
FROM (
    SELECT count(*) AS calls, sum(status = 'error') AS errors, sum(cache_hit) AS cache_hits,
        sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
        sum(CASE WHEN cache_hit = 0 THEN cost END) AS cost, sum(CASE WHEN cache_hit = 1 THEN cost END) AS saved
    FROM traces
    UNION ALL
    SELECT sum(calls), sum(errors), sum(cache_hits), sum(input_tokens), sum(output_tokens), sum(cost), sum(saved)
    FROM sampled_out
)"""
    )


@migration
def m004_keys(connection: sqlite3.Connection) -> None:
    """Whose key a call came with, and what each key has spent: by days, which every budget's window is made of."""
    for table in ("traces", "edits"):
        connection.execute(f"ALTER TABLE {table} ADD COLUMN key TEXT /* of the config's `keys`: who called */")
    connection.execute(
        """CREATE TABLE spend ( -- what calls cost, counted with their rows, kept or not, and never uncounted
    key TEXT NOT NULL,            -- by its name
    day TEXT NOT NULL,            -- on which the calls ended, ISO 8601, UTC
    nanodollars INTEGER NOT NULL, -- 10^-9 USD; each call to the nearest, but 1 at least
    calls INTEGER NOT NULL,       -- that cost something
    PRIMARY KEY (key, day)
) WITHOUT ROWID"""
    )


@migration
def m005_conversations(connection: sqlite3.Connection) -> None:
    """Long conversations apart from their rows, each message once. Rows of before keep theirs, and are read alike."""
    connection.execute(
        """CREATE TABLE bodies ( -- messages, each distinct one once
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE, -- BLAKE2b, 16 bytes, of the body
    body TEXT NOT NULL         -- JSON, as it was asked with
)"""
    )
    connection.execute(
        """CREATE TABLE conversations ( -- one message after another conversation: a tree of all that was said
    id INTEGER PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE, -- BLAKE2b, 16 bytes, of the hashes of its messages up to this
    previous INTEGER,          -- the conversation before the message; null for the first
    place INTEGER NOT NULL,    -- of the message, from 0
    body INTEGER NOT NULL      -- the message, see bodies
)"""
    )
    connection.execute("CREATE INDEX conversations_by_previous ON conversations (previous)")
    connection.execute("CREATE INDEX conversations_by_body ON conversations (body)")
    connection.execute(
        "ALTER TABLE traces ADD COLUMN conversation INTEGER"
        " /* see conversations: where it is set, the messages of `configuration` are there, and null here */"
    )
    connection.execute("CREATE INDEX traces_by_conversation ON traces (conversation) WHERE conversation IS NOT NULL")
    # From the last message up, as long as nothing else goes on from there.
    orphans = """DELETE FROM conversations WHERE id IN (
        WITH RECURSIVE orphans(id, previous) AS (
            SELECT id, previous FROM conversations WHERE id = OLD.conversation
                AND NOT EXISTS (SELECT 1 FROM traces WHERE conversation = OLD.conversation)
                AND NOT EXISTS (SELECT 1 FROM conversations AS next WHERE next.previous = OLD.conversation)
            UNION ALL
            SELECT above.id, above.previous FROM orphans JOIN conversations AS above ON above.id = orphans.previous
            WHERE NOT EXISTS (SELECT 1 FROM traces WHERE conversation = above.id)
                AND NOT EXISTS (SELECT 1 FROM conversations AS next
                    WHERE next.previous = above.id AND next.id <> orphans.id)
        ) SELECT id FROM orphans);"""
    connection.execute(
        f"""CREATE TRIGGER traces_deleted AFTER DELETE ON traces WHEN OLD.conversation IS NOT NULL BEGIN
    {orphans}
END"""
    )
    connection.execute(
        f"""CREATE TRIGGER traces_changed AFTER UPDATE OF conversation ON traces
WHEN OLD.conversation IS NOT NULL AND OLD.conversation IS NOT NEW.conversation BEGIN
    {orphans}
END"""
    )
    connection.execute(
        """CREATE TRIGGER conversations_deleted AFTER DELETE ON conversations BEGIN
    DELETE FROM bodies WHERE id = OLD.body AND NOT EXISTS (SELECT 1 FROM conversations WHERE body = OLD.body);
END"""
    )


@migration
def m006_views(connection: sqlite3.Connection) -> None:
    """The views, and the indexes by which they and the listings walk; a row that says nothing there costs nothing."""
    for name, columns, where in (
        ("traces_by_session", "session_id, start_timestamp", "session_id IS NOT NULL"),
        ("traces_by_failure", "start_timestamp", "status = 'error'"),
    ):
        connection.execute(f"CREATE INDEX {name} ON traces ({columns}) WHERE {where}")
    for view in VIEWS:
        connection.execute(view)


@migration
def m007_filters(connection: sqlite3.Connection) -> None:
    """The indexes by which the rows of one model, or of one deployment, are found among a million of others."""
    for name, column in (("traces_by_model", "model"), ("traces_by_deployment", "deployment_id")):
        connection.execute(f"CREATE INDEX {name} ON traces ({column}, start_timestamp) WHERE {column} IS NOT NULL")


@migration
def m008_search(connection: sqlite3.Connection) -> None:
    """The index of full-text search, in blocks that are exact or not there. It is filled by and by."""
    connection.execute(
        """CREATE TABLE blocks ( -- rows that full-text search has an index of; others are read
    first INTEGER PRIMARY KEY, -- the rowid in traces of its first row
    last INTEGER NOT NULL,     -- and of its last one
    until TEXT NOT NULL,       -- the trace_id of its last one
    earliest TEXT,             -- when the earliest of them began
    latest TEXT,               -- and the latest
    made INTEGER NOT NULL,     -- 0 as long as somebody is making it
    began REAL NOT NULL        -- when they began to, in seconds since 1970
)"""
    )
    connection.execute(
        """CREATE TABLE words ( -- a row fills a page
    id INTEGER PRIMARY KEY, -- 65536 times the block, and the place of the page in it; the first says where each begins
    words TEXT NOT NULL,    -- in their order, one a line, without case and accents
    rows BLOB NOT NULL      -- for each word where its rows end in here; its rows, by their place in the block
)"""
    )
    connection.execute(
        """CREATE TRIGGER blocks_deleted AFTER DELETE ON blocks BEGIN
    DELETE FROM words WHERE id BETWEEN OLD.first << 16 AND (OLD.first << 16) + 65535;
END"""
    )
    gone = """DELETE FROM blocks WHERE last >= OLD.rowid
        AND first = (SELECT max(first) FROM blocks WHERE first <= OLD.rowid);"""
    connection.execute(f"CREATE TRIGGER words_deleted AFTER DELETE ON traces BEGIN\n    {gone}\nEND")
    said = ("inputs", "configuration", "conversation", "output", "extra", "start_timestamp")
    changed = " OR ".join(f"OLD.{column} IS NOT NEW.{column}" for column in said)
    update = f"UPDATE OF {', '.join(said)} ON traces\nWHEN {changed}"
    connection.execute(f"CREATE TRIGGER words_changed AFTER {update} BEGIN\n    {gone}\nEND")


@migration
def m009_trees(connection: sqlite3.Connection) -> None:
    """The view `trees` by indexes of what is below a row, however deep a tree is."""
    for name, columns, where in (
        ("traces_by_parent", "root_trace_id, parent_trace_id", "parent_trace_id IS NOT NULL"),
        ("traces_below_root", "root_trace_id, start_timestamp", "trace_id <> root_trace_id"),
    ):
        connection.execute(f"CREATE INDEX {name} ON traces ({columns}) WHERE {where}")
    connection.execute("DROP VIEW trees")
    connection.execute(TREES)


@migration
def m010_sums(connection: sqlite3.Connection) -> None:
    """What the log comes to by hours and days, exact for all rows up to one, and the views by it. Filled by and by."""
    for made in (*sums.TABLES, *sums.TRIGGERS):
        connection.execute(made)
    for view in ("spend_daily", "totals"):
        connection.execute(f"DROP VIEW {view}")
    connection.execute(sums.SPEND_DAILY)
    connection.execute(sums.TOTALS)


_COLUMNS_001 = """
    trace_id TEXT PRIMARY KEY,        -- one call, or one function that a client logged
    root_trace_id TEXT NOT NULL,      -- the whole tree it belongs to; its own id for the root
    parent_trace_id TEXT,             -- the row above it; null for the root
    session_id TEXT,                  -- many trees of one conversation
    name TEXT,                        -- of the function, or llm-<provider>
    project_name TEXT,                -- see projects
    project_uuid TEXT,                -- see projects
    deployment_id TEXT,               -- the deployed prompt
    deployment_version TEXT,          -- and which version of it answered
    experiment_uuid TEXT,
    end_user TEXT,                    -- the person whom the answer was for, as the client calls them
    tags TEXT,                        -- JSON list of strings
    metadata TEXT,                    -- JSON object
    target TEXT,                      -- the answer that would have been right
    eval_metric_ids TEXT,             -- JSON list of integers
    provider TEXT,
    model TEXT,
    inputs TEXT,                      -- JSON object: what the template was filled with, or the function's arguments
    configuration TEXT,               -- JSON object: model, provider, model_params, messages, functions, function_call
    output TEXT,                      -- the answer's text, or the function's result
    input_tokens INTEGER,
    output_tokens INTEGER,
    total_tokens INTEGER,
    cost REAL,                        -- USD; for a cache hit what the call would have cost
    latency REAL,                     -- seconds
    time_to_first_token REAL,         -- seconds; only for streams
    start_timestamp TEXT,             -- ISO 8601, UTC, microseconds: sorts as text
    end_timestamp TEXT,               -- the same
    status TEXT,                      -- success, error or cancelled; null when the client left it out
    error TEXT,                       -- a message, or a traceback that the client sent
    cache_hit INTEGER NOT NULL DEFAULT 0, -- 1: answered by the cache, nothing was spent
    sample_rate REAL,                 -- the probability with which the whole trace was kept
    scores TEXT,                      -- JSON list of {name, score, reason}
    feedback_score REAL,              -- 0 to 1, the latest feedback of a person
    notes TEXT,                       -- JSON object: what the gateway remarks: dropped parameters, cache, dialect
    extra TEXT                        -- JSON object: what a client logged that has no column here
"""
