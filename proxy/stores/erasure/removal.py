"""Taking the rows of a proof out of the trace log again, by their ids and by the project that only such rows have.

What must stay true: nothing else is taken, and what only they referred to goes with them, by the log's own triggers.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from proxy.stores.schema.database import open_writer


def remove(path: Path, trace_ids: Iterable[str], project: str) -> int:
    """Remove rows, all others of their project, what was set on them apart, and the project; how many rows went.

    Others are there where the process before was killed, or this one has been interrupted in a call.
    """
    with closing(open_writer(path)) as connection:
        others = connection.execute("SELECT trace_id FROM traces WHERE project_name = ?", (project,)).fetchall()
        ids = list(dict.fromkeys([*((one,) for one in trace_ids), *others]))
        connection.execute("BEGIN IMMEDIATE")
        removed = connection.executemany("DELETE FROM traces WHERE trace_id = ?", ids).rowcount
        connection.executemany("DELETE FROM edits WHERE trace_id = ?", ids)
        connection.executemany("DELETE FROM sampled_out WHERE root_trace_id = ?", ids)
        connection.execute("DELETE FROM projects WHERE name = ?", (project,))
        connection.execute("COMMIT")
    return removed
