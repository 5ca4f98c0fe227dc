"""Taking single rows out of the trace log again, by their ids.

What must stay true: nothing else is taken, and what only they referred to goes with them, by the log's own triggers.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from proxy.stores.database import open_writer


def remove(path: Path, trace_ids: Iterable[str], project: str) -> int:
    """Remove rows, with what was set on them apart, and the project that they alone were of; how many rows went."""
    ids = [(one,) for one in trace_ids]
    with closing(open_writer(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        removed = connection.executemany("DELETE FROM traces WHERE trace_id = ?", ids).rowcount
        connection.executemany("DELETE FROM edits WHERE trace_id = ?", ids)
        connection.executemany("DELETE FROM sampled_out WHERE root_trace_id = ?", ids)
        connection.execute("DELETE FROM projects WHERE name = ?", (project,))
        connection.execute("COMMIT")
    return removed
