"""Rows of the log out of files: this log's own rows, and Parea's trace logs as its API and its export have them.

What must stay true: what is read is checked as strictly as what a client posts; a message names the field and never
repeats a value; a row keeps its id, so that reading a file twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Any, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from proxy import timestamps
from proxy.body import OBJECT, validated
from proxy.config.hint import nearest
from proxy.dialects.archives.trace_log import TraceLog, to_record
from proxy.errors import RequestError, Unprocessable
from proxy.models import Json
from proxy.record import FLAGS, Record

COLUMNS = tuple(name for name in Record.__dataclass_fields__ if name not in FLAGS)
PAREA = frozenset({"trace_name", "children_logs", "children", "end_user_identifier", "log_sample_rate", "depth"})
"""Fields that a trace log has and a row of ours has not."""

BESIDE = "parea_proxy"
"""Where a line of an export has what its form has no place for."""

NAME = 64
"""Characters of a name that is told."""

PLACED = frozenset({"trace_id", "configuration", "key"})
"""Columns that a line has no more of than its form does: a conversation would stand there twice."""


def _row_model() -> type[BaseModel]:
    """The columns of a row, each of the type it has in a `Record`."""
    hints = get_type_hints(Record)
    kept: dict[str, Any] = {name: (hints[name] | None, None) for name in COLUMNS}
    for name in ("trace_id", "root_trace_id"):
        kept[name] = (Annotated[str, Field(min_length=1)], ...)
    for name in ("input_tokens", "output_tokens", "total_tokens"):
        kept[name] = (Annotated[int, Field(ge=-(2**63), lt=2**63)] | None, None)
    config = ConfigDict(extra="forbid", hide_input_in_errors=True)
    made: type[BaseModel] = create_model("Row", __config__=config, **kept)
    return made


Row = _row_model()


def records(value: Json) -> Iterator[Record]:
    """The rows in one JSON value: a row, a log, a tree of logs, a page of trees, or a list of such.

    Raises `Unprocessable` with the place of what does not fit.
    """
    waiting: list[tuple[Json, tuple[str | int, ...], str | None]] = [(value, (), None)]
    while waiting:
        item, place, parent = waiting.pop()
        if isinstance(item, list):
            waiting += [(one, (*place, index), parent) for index, one in reversed(list(enumerate(item)))]
        elif isinstance(item, dict) and isinstance(item.get("results"), list) and "trace_id" not in item:
            waiting.append((item["results"], (*place, "results"), None))
        elif isinstance(item, dict) and (PAREA & item.keys()):
            below = item.pop("children_logs", None) or []
            yield _logged(item, place, parent)
            waiting.append((below, (*place, "children_logs"), item["trace_id"]))
        else:
            yield _row(item, place)


def completed(log: dict[str, Json], record: Record, read: Callable[[Json], Iterator[Record]]) -> dict[str, Json]:
    """A line of an export with the columns of the row that would not come back otherwise, when it is read by `read`."""
    plain = {name: value for name, value in log.items() if name != BESIDE}
    try:
        back = next(read(dict(plain)))
    except RequestError:
        return plain
    lost = [name for name in COLUMNS if name not in PLACED and getattr(back, name) != getattr(record, name)]
    return {**plain, BESIDE: {name: getattr(record, name) for name in lost}} if lost else plain


def complete(record: Record, given: Json, *place: str | int) -> None:
    """Set the columns that a line has beside its form. Raises `Unprocessable` with the place of what does not fit."""
    if not isinstance(given, dict):
        raise Unprocessable([{"loc": ["body", *place, BESIDE], "msg": OBJECT, "type": "dict_type"}])
    ours = {name: value for name, value in given.items() if name not in PLACED}
    known = {"trace_id": record.trace_id, "root_trace_id": record.root_trace_id}
    row = _row({**known, **ours}, (*place, BESIDE))
    for name in ours:
        setattr(record, name, getattr(row, name))


def _logged(item: dict[str, Json], place: tuple[str | int, ...], parent: str | None) -> Record:
    """A trace log, with the columns that only this gateway's have."""
    ours = {name: item.pop(name) for name in ("deployment_version", "eval_metric_ids", "notes") if item.get(name)}
    beside = item.pop(BESIDE, None)
    if parent is not None and not item.get("parent_trace_id"):
        item["parent_trace_id"] = parent
    record = to_record(validated(TraceLog, item, *place), "")
    checked = validated(Row, {"trace_id": record.trace_id, "root_trace_id": record.root_trace_id, **ours}, *place)
    for name in ours:
        setattr(record, name, getattr(checked, name))
    if beside is not None:
        complete(record, beside, *place)
    return record


def _row(item: Json, place: tuple[str | int, ...]) -> Record:
    if isinstance(item, dict) and (unknown := [name for name in item if name not in COLUMNS]):
        # A column's name is nobody's secret, and who misspelt it has to find it.
        near = nearest(unknown[0], COLUMNS)
        told = {"loc": ["body", *place, unknown[0][:NAME]], "msg": f"is no column of the log{near}", "type": "extra"}
        raise Unprocessable([told])
    row = validated(Row, item, *place)
    said = {name: value for name, value in row if value is not None}
    for name in ("start_timestamp", "end_timestamp"):
        if name not in said:
            continue
        if (normal := timestamps.normalized(said[name])) is None:
            told = {"loc": ["body", *place, name], "msg": "Input should be an ISO 8601 time", "type": "time"}
            raise Unprocessable([told])
        said[name] = normal
    return Record(**said)
