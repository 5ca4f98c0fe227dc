"""Which rows are in the log already, so that nothing from elsewhere is written over them.

What must stay true: a row counts as there as soon as anybody has said more of it than its place. A session's own row,
which its first call has made, says nothing else, and is completed by whoever knows more.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

import orjson

from proxy.record import SESSION, Record
from proxy.stores.log.rows import COLUMNS, without_nul

_PLACE = frozenset(
    {
        *("trace_id", "root_trace_id", "session_id", "name", "project_name", "project_uuid", "start_timestamp"),
        *("sample_rate", "cache_hit", "notes", "extra"),
    }
)
"""What the row of a session may say that nobody has logged."""

_SAID = tuple(name for name in COLUMNS if name not in _PLACE)

_THERE = f"""SELECT t.trace_id, NOT (t.name IS '{SESSION}' AND t.session_id IS t.trace_id
    AND coalesce({", ".join(f"t.{name}" for name in _SAID)}) IS NULL)
FROM traces AS t WHERE t.trace_id IN (SELECT value FROM json_each(?))"""


def there(connection: sqlite3.Connection, trace_ids: Collection[str]) -> dict[str, bool]:
    """Those of `trace_ids` that have a row, and whether it says more than its place."""
    stored = {without_nul(one): one for one in trace_ids}
    found = connection.execute(_THERE, (orjson.dumps(list(stored)).decode(),))
    return {stored[one]: bool(says) for one, says in found}


def bare(record: Record) -> bool:
    """Whether a row is a session's own, and says no more than its place."""
    if record.name != SESSION or record.session_id != record.trace_id:
        return False
    return all(getattr(record, name) in (None, [], {}) for name in _SAID)
