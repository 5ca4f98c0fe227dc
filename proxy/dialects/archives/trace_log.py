"""Parea's trace logs: the JSON of a `TraceLog` as a `Record`, and records as the tree that is read. Pure translation.

What the clients need:

* A parent is never null when read: a root names itself, and so do most clients when they write one.
* Nulls are not echoed. The original client takes a missing key as its default and fails at many a null.
* Zeros are what a client sends when it counted nothing, so in a posted log they say nothing: the row of a completion
  keeps its tokens and cost when the function around it is logged under the same id.
* Whatever has no column is kept in `extra` and comes back where it was."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from proxy import timestamps
from proxy.models import Json
from proxy.record import Record

COLUMNS = {
    "parent_trace_id": "parent_trace_id",
    "root_trace_id": "root_trace_id",
    "session_id": "session_id",
    "trace_name": "name",
    "project_name": "project_name",
    "project_uuid": "project_uuid",
    "deployment_id": "deployment_id",
    "experiment_uuid": "experiment_uuid",
    "end_user_identifier": "end_user",
    "tags": "tags",
    "metadata": "metadata",
    "target": "target",
    "inputs": "inputs",
    "configuration": "configuration",
    "output": "output",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "total_tokens": "total_tokens",
    "cost": "cost",
    "latency": "latency",
    "time_to_first_token": "time_to_first_token",
    "start_timestamp": "start_timestamp",
    "end_timestamp": "end_timestamp",
    "status": "status",
    "error": "error",
    "cache_hit": "cache_hit",
    "log_sample_rate": "sample_rate",
    "scores": "scores",
    "feedback_score": "feedback_score",
}
"""Parea's names of the fields that have a column, and the column."""

COUNTS = ("input_tokens", "output_tokens", "total_tokens", "cost", "latency")
"""Where the clients write 0 for "not counted"."""

TIMES = ("start_timestamp", "end_timestamp")
VERBATIM = frozenset({"inputs", "metadata", "functions", "function_call", "response_format"})
"""Documents of the user's own, in which a null means something."""

KEYS = frozenset({"provider_api_key"})
"""Fields of a completion that are never stored, in case somebody posts one as a log."""

NO_PROJECT = ("", "default")
"""What the original client sends as a project's uuid when it could not ask for one."""

MAX_DEPTH = 100
"""Levels of a tree that are nested when read; what lies deeper is listed at the last of them."""


def _as_text(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False)


Text = Annotated[str | None, BeforeValidator(_as_text)]
Count = Annotated[int, Field(ge=0, lt=2**53)] | None
Number = Annotated[float, Field(allow_inf_nan=False)] | None
Rate = Annotated[float, Field(ge=0, le=1)] | None


class Score(BaseModel):
    """One evaluation of a log."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    name: Text = None
    score: Number = None
    reason: Text = None


class TraceLogFields(BaseModel):
    """The fields of a trace log that have a column; unknown ones are kept as they are."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    parent_trace_id: str | None = None
    root_trace_id: str | None = None
    session_id: Text = None
    trace_name: Text = None
    project_name: Text = None
    project_uuid: Text = None
    deployment_id: Text = None
    experiment_uuid: Text = None
    end_user_identifier: Text = None
    tags: list[Text] | None = None
    metadata: dict[str, Any] | None = None
    target: Text = None
    inputs: dict[str, Any] | None = None
    configuration: dict[str, Any] | None = None
    output: Text = None
    input_tokens: Count = None
    output_tokens: Count = None
    total_tokens: Count = None
    cost: Number = None
    latency: Number = None
    time_to_first_token: Number = None
    start_timestamp: str | None = None
    end_timestamp: str | None = None
    status: Text = None
    error: Text = None
    cache_hit: bool | None = None
    log_sample_rate: Rate = None
    scores: list[Score] | None = None
    feedback_score: Number = None


class TraceLog(TraceLogFields):
    """A log as a client posts it."""

    trace_id: Annotated[str, Field(min_length=1)]


def to_record(log: TraceLog, arrived: str) -> Record:
    """The record of a posted log; `arrived` is the time for a log that names none."""
    columns = to_columns(log)
    for name in COUNTS:
        if not columns.get(name):
            columns.pop(name, None)
    columns["parent_trace_id"], columns["root_trace_id"] = place(log.trace_id, log.parent_trace_id, log.root_trace_id)
    columns.setdefault("start_timestamp", arrived)
    return Record(trace_id=log.trace_id, **columns)


def place(trace_id: str, parent: str | None, root: str | None) -> tuple[str | None, str]:
    """(parent, root) of a log from what its client says: a root names no parent, an empty one, or itself."""
    above = parent if parent and parent != trace_id else None
    return above, root or above or trace_id


def to_columns(fields: TraceLogFields) -> dict[str, Any]:
    """What `fields` say, by the names of `Record`; nulls say nothing."""
    said = {name: value for name, value in fields if value is not None and name not in ("trace_id", *KEYS)}
    extra = {name: value for name, value in said.items() if name not in COLUMNS and value not in ("", [], {})}
    columns = {COLUMNS[name]: value for name, value in said.items() if name in COLUMNS}
    for name in TIMES:
        if name in columns and (normal := timestamps.normalized(columns.pop(name))):
            columns[name] = normal
    if columns.get("project_uuid") in NO_PROJECT:
        columns.pop("project_uuid", None)
    for name in ("parent_trace_id", "root_trace_id"):
        if not columns.get(name):
            columns.pop(name, None)
    if "scores" in columns:
        columns["scores"] = [
            score.model_dump(exclude_none=True) for score in columns["scores"] if score.score is not None
        ]
    if "tags" in columns:
        columns["tags"] = [tag for tag in columns["tags"] if tag is not None]
    if "configuration" in columns:
        columns.update(_configured(columns.pop("configuration")))
    return {**columns, "extra": extra} if extra else columns


def _configured(configuration: dict[str, Json]) -> dict[str, Any]:
    """`configuration` without nulls, and the two of its fields that have a column of their own."""
    kept = without_nulls(configuration)
    columns = {name: _as_text(kept[name]) for name in ("model", "provider") if kept.get(name)}
    return {**columns, "configuration": kept} if kept else columns


def to_tree(top: Record, descendants: Iterable[Record]) -> dict[str, Json]:
    """One record with those below it, as Parea's clients read a tree; what has no parent here hangs under the first."""
    nodes = {top.trace_id: to_log(top)}
    below = {record.trace_id: record for record in descendants}
    nodes.update((trace_id, to_log(record)) for trace_id, record in below.items())
    depths = {top.trace_id: int(nodes[top.trace_id].setdefault("depth", 0))}
    nested = {top.trace_id: 0}
    holders: dict[str, str] = {}
    for parent, record in _parents_first(top.trace_id, below):
        node = nodes[record.trace_id]
        depths[record.trace_id] = node.setdefault("depth", depths[parent] + 1)
        holder = holders[parent] if nested[parent] >= MAX_DEPTH else parent
        holders[record.trace_id] = holder
        nested[record.trace_id] = nested[holder] + 1
        nodes[holder]["children_logs"].append(node)
        nodes[holder]["children"].append(record.trace_id)
    for node in nodes.values():
        # A client may have named them itself.
        node["children"] = list(dict.fromkeys(node["children"]))
    return nodes[top.trace_id]


def _parents_first(top: str, below: dict[str, Record]) -> Iterable[tuple[str, Record]]:
    """(parent, record) of what is below `top`, each after its parent, siblings in the order given."""
    children: dict[str, list[Record]] = {}
    for record in below.values():
        parent = record.parent_trace_id
        known = parent if parent in below and parent != record.trace_id else None
        children.setdefault(known or top, []).append(record)
    reached = [top]
    while reached:
        above = reached.pop()
        for record in children.pop(above, ()):
            yield above, record
            reached.append(record.trace_id)


def to_log(record: Record) -> dict[str, Json]:
    """One record as Parea's `TraceLog`, with `children_logs` still empty."""
    log: dict[str, Json] = {name: getattr(record, column) for name, column in COLUMNS.items()}
    for name in COUNTS:
        log[name] = log[name] or 0
    # A person's words are kept among the scores; to these clients a score is a number.
    log["scores"] = [score for score in record.scores if isinstance(score.get("score"), int | float)]
    log |= {
        "trace_id": record.trace_id,
        "parent_trace_id": record.parent_trace_id or record.trace_id,
        "configuration": _configuration(record),
        "deployment_version": record.deployment_version,
        "eval_metric_ids": record.eval_metric_ids,
        "notes": record.notes or None,
    }
    posted = record.extra.get("children")
    children = [child for child in posted if isinstance(child, str)] if isinstance(posted, list) else []
    kept: dict[str, Json] = without_nulls({**record.extra, **log})
    if not isinstance(kept.get("depth", 0), int):
        del kept["depth"]
    return {**kept, "children": children, "children_logs": []}


def _configuration(record: Record) -> dict[str, Json]:
    configuration = {"model": record.model, "provider": record.provider, **(record.configuration or {})}
    if isinstance(messages := configuration.get("messages"), list):
        configuration["messages"] = [
            {**message, "content": message.get("content") or ""} for message in messages if isinstance(message, dict)
        ]
    return configuration


def without_nulls(value: Json) -> Json:
    """`value` without the keys that hold null, at any depth, the user's own documents excepted."""
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    if not isinstance(value, dict):
        return value
    return {name: item if name in VERBATIM else without_nulls(item) for name, item in value.items() if item is not None}
