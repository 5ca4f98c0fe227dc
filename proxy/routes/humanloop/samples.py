"""The samples of a call as the datapoints that they are to the clients, though they are one row of the log.

The row's `output` is then a JSON list, and `notes.samples` says of which samples. What a client changes of one stands
in `extra.samples` by its index, and feedback among the row's scores says which `sample` it is of.

What must stay true: the id of a sample leads to its row without anything being kept, and an id that a row has leads to
that row, whatever it looks like. Tokens and costs are known of the whole call only, so they are told with its first
sample: whoever adds them up gets what was spent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

from proxy.ids import sample_id, sample_of
from proxy.models import Json
from proxy.protocols import TraceLog
from proxy.record import Record

CHANGEABLE = ("output", "error", "status", "latency", "end_timestamp")
"""What a client may change of a sample: columns of a `Record`."""


async def find(log: TraceLog, data_id: str) -> tuple[Record | None, int]:
    """The row that a datapoint is in, None if there is none, and which sample of it the datapoint is."""
    record = await log.get(data_id)
    at = sample_of(data_id)
    if record is not None or at is None or at[1] == 0:
        return record, 0
    return await log.get(at[0]), at[1]


def indices(record: Record) -> list[int]:
    """Which samples a row holds; none for one that is a datapoint as a whole."""
    return list(_ends(record))


def view(record: Record, index: int) -> Record | None:
    """The row as if this sample were all of it; None if it holds no such sample."""
    ends = _ends(record)
    if not ends:
        return record if index == 0 else None
    if index not in ends:
        return None
    place = list(ends).index(index)
    counted = {} if place == 0 else dict.fromkeys(("input_tokens", "output_tokens", "total_tokens", "cost"))
    return replace(
        record,
        trace_id=sample_id(record.trace_id, index),
        scores=[one for one in record.scores if one.get("sample", 0) == index],
        notes={**record.notes, "finish_reason": ends[index]},
        **{"output": _outputs(record, len(ends))[place], **counted, **_changed(record, index)},
    )


def change(record: Record, index: int, fields: Mapping[str, Json]) -> dict[str, Json]:
    """The edit of a row that changes one of its samples."""
    return {"extra": {"samples": {str(index): dict(fields)}}} if _ends(record) and fields else dict(fields)


def _ends(record: Record) -> dict[int, Json]:
    """Why each sample ended, by its index, in the order of `output`."""
    noted = record.notes.get("samples")
    if not isinstance(noted, list) or sample_of(record.trace_id) is None:
        return {}
    return {one["index"]: one.get("finish_reason") for one in noted}


def _outputs(record: Record, count: int) -> list[str | None]:
    """The output of each; one that somebody else wrote over theirs is the first one's."""
    try:
        found = json.loads(record.output or "") if count > 1 else None
    except ValueError:
        found = None
    if isinstance(found, list) and len(found) == count:
        return found
    return [record.output, *[None] * (count - 1)]


def _changed(record: Record, index: int) -> dict[str, Json]:
    changes = record.extra.get("samples")
    mine = changes.get(str(index)) if isinstance(changes, dict) else None
    return {name: mine[name] for name in CHANGEABLE if name in mine} if isinstance(mine, dict) else {}
