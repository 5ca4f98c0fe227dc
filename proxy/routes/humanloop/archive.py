"""Humanloop's logs out of files, as its API gave them: datapoints of v4, as `log export` writes, and logs of v5.

A datapoint becomes the row that it would have become if a client had logged it here, under its own id. A log of v5 is a
datapoint in other words: its prompt is a deployment by its path, its trace the tree, its evaluators' judgments scores.

What must stay true: whatever has no column is kept in `extra`; the order of the logs in a file does not matter.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from proxy.body import validated
from proxy.config import Config
from proxy.dialects.archives import foreign
from proxy.dialects.archives.archive import BESIDE, complete
from proxy.models import Json
from proxy.record import Record
from proxy.routes.humanloop import configs, log_request
from proxy.routes.humanloop.body import Id, Moment, Wire
from proxy.routes.humanloop.log_request import LogRequest

PAGES = ("records",)
FILES = ("prompt", "agent", "tool", "evaluator", "flow")
"""What a log of v5 may be of; it has that under this name."""

MADE = frozenset(
    {
        *("id", "evaluation_results", "observability_status", "updated_at", "samples", "tokens"),
        *("trace_id", "trace_parent_id", "trace_children", "evaluator_logs", "start_time", "end_time"),
        *("experiment", "log_id", BESIDE, *FILES),
    }
)
"""Fields of an answer that follow from others, or are columns."""

SETTINGS = frozenset(
    {
        *("model", "provider", "endpoint", "template", "temperature", "max_tokens", "top_p", "stop"),
        *("presence_penalty", "frequency_penalty", "seed", "response_format", "reasoning_effort", "other", "tools"),
        *("attributes", "function", "type", "name"),
    }
)
"""Of a prompt of v5, what its answers were made with."""


class _Answer(Wire):
    """What tells a log's place, beside what a client logs."""

    id: Id
    trace_id: Id | None = None
    trace_parent_id: Id | None = None
    trace_children: list[dict[str, Any]] | None = None
    evaluator_logs: list[dict[str, Any]] | None = None
    evaluation_results: list[dict[str, Any]] | None = None
    experiment: dict[str, Any] | None = None
    start_time: Moment | None = None
    end_time: Moment | None = None


class Archive:
    """Reads logs. A datapoint names its parent, and the tree is its root's: so a file is read twice, and in the second
    pass each datapoint is in the tree that the first has found.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._above: dict[str, str] = {}

    def records(self, value: Json) -> Iterator[Record]:
        """The rows in a value: one log, a list, or a page. Raises `Unprocessable` with the place of what does not
        fit.
        """
        for item, place in foreign.entries(value, PAGES):
            yield from self._logs(item, place)

    def _logs(self, top: dict[str, Json], at: foreign.Place) -> Iterator[Record]:
        """A log with those that are nested under it."""
        waiting: list[tuple[dict[str, Json], foreign.Place, Record | None]] = [(top, at, None)]
        while waiting:
            item, place, above = waiting.pop()
            answer = validated(_Answer, item, *place)
            record = self._record(item, answer, place)
            if above is not None:
                record.parent_trace_id = record.parent_trace_id or above.trace_id
                record.root_trace_id = answer.trace_id or above.root_trace_id
            if BESIDE in item:
                complete(record, item[BESIDE], *place)
            yield record
            below = list(enumerate(answer.trace_children or []))
            waiting += [(child, (*place, "trace_children", index), record) for index, child in reversed(below)]

    def _record(self, item: dict[str, Json], answer: _Answer, place: foreign.Place) -> Record:
        file = next((name for name in FILES if isinstance(item.get(name), dict)), None)
        said = {name: one for name, one in item.items() if one is not None and name not in MADE}
        if file is not None:
            said = {"duration": item.get("provider_latency"), **said, **_of_file(file, item[file], answer)}
        logged = validated(LogRequest, said, *place)
        deployment = configs.deployment_with(self._config, logged.config_id)
        record = log_request.to_record(logged, said, deployment, datetime(1970, 1, 1, tzinfo=UTC), id=answer.id)
        if logged.created_at is None:
            record.start_timestamp, record.end_timestamp = "", None
        record.project_name, record.project_uuid = logged.project, None if logged.project else logged.project_id
        record.scores += _scores(answer)
        if file in ("prompt", "agent"):
            record.deployment_id = _text(item[file].get("path"))
            record.deployment_version = _text(item[file].get("version_id"))
        elif file is not None:
            record.name, record.model, record.configuration = _text(item[file].get("path")) or file, None, None
        if record.output is None and logged.output_message is not None:
            record.output = foreign.message_text(said["output_message"])
            record.status = record.status or "success"
        self._place(record, logged, answer)
        self._keep(record, said, answer)
        return record

    def _place(self, record: Record, logged: LogRequest, answer: _Answer) -> None:
        """Under its parent, in its session's tree; else in its parent's, as far as the file tells."""
        parent = answer.trace_parent_id or logged.parent_id
        session = logged.session_id
        record.session_id = session
        record.parent_trace_id = parent or session
        root = answer.trace_id or session
        if root is None and parent is not None:
            self._above[record.trace_id] = root = parent
            seen = {record.trace_id}
            while (further := self._above.get(root)) and further not in seen:
                seen.add(root)
                root = further
        record.root_trace_id = root or record.trace_id

    def _keep(self, record: Record, said: dict[str, Json], answer: _Answer) -> None:
        """What has no column, and was not sent by a client."""
        record.extra.pop("unknown", None)
        if record.extra.get("raw_output") == record.output:
            record.extra.pop("raw_output", None)
        fields = LogRequest.model_fields
        rest = {name: one for name, one in said.items() if name not in fields and one not in ("", [], {})}
        if answer.evaluation_results:
            rest["evaluation_results"] = answer.evaluation_results
        if rest:
            record.extra["humanloop"] = rest
        if answer.experiment:
            record.notes["experiment"] = answer.experiment


def _of_file(kind: str, file: dict[str, Json], answer: _Answer) -> dict[str, Json]:
    """A log of v5 in the words of v4: what it was made with, when, and for how long."""
    config = {name: value for name, value in file.items() if name in SETTINGS and value is not None}
    config["type"] = "model" if kind in ("prompt", "agent") else "tool"
    config["name"] = _text(file.get("path")) or _text(file.get("name")) or kind
    said: dict[str, Json] = {"config": config}
    if isinstance(version := file.get("version_id"), str) and version:
        said["config_id"] = version
    if answer.start_time is not None:
        said["created_at"] = answer.start_time.isoformat()
        if answer.end_time is not None:
            said["duration"] = max((answer.end_time - answer.start_time).total_seconds(), 0.0)
    return said


def _scores(answer: _Answer) -> list[dict[str, Json]]:
    """The judgments of evaluators, by their paths."""
    found = []
    for one in answer.evaluator_logs or []:
        evaluator, judgment = one.get("evaluator"), one.get("judgment")
        name = evaluator.get("path") if isinstance(evaluator, dict) else None
        if judgment is None or not isinstance(name, str):
            continue
        number = {"score": float(judgment)} if isinstance(judgment, bool | int | float) else {}
        found.append({"name": name, "id": one.get("id"), "value": judgment, **number})
    return found


def _text(value: Json) -> str | None:
    return value if isinstance(value, str) and value else None
