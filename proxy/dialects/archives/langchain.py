"""LangChain's runs, as Parea's tracer posts them: one run with the runs below it, as records. Pure translation.

The tracer posts a run when a model or a chain has ended, so the same run comes again inside each run above it, and
tools and retrievers come only there. Translating the whole tree each time is right because rows are merged by trace
id.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from proxy import timestamps
from proxy.dialects.archives.trace_log import NO_PROJECT, place
from proxy.models import Json, Message
from proxy.record import Record

ROLES = {"human": "user", "ai": "assistant", "chat": "user"}
"""LangChain's types of messages that are not called by OpenAI's roles."""

PARAMS = {"temperature": "temp", "max_tokens": "max_length"}
KNOWN_PARAMS = ("temp", "top_p", "frequency_penalty", "presence_penalty", "max_length", "response_format")
USAGE = {
    "input_tokens": ("input_tokens", "prompt_tokens"),
    "output_tokens": ("output_tokens", "completion_tokens"),
    "total_tokens": ("total_tokens",),
}


def to_records(run: Mapping[str, Any], arrived: str) -> list[Record]:
    """The records of a posted run and of all runs below it, parents first."""
    trace_id = str(run["id"])
    above = run.get("parent_run_id") or run.get("_parea_parent_trace_id")
    _, root = place(trace_id, _id(above), _id(run.get("_parea_root_trace_id") or run.get("trace_id")))
    return list(_walk(run, run, _id(above), root, arrived))


def _walk(
    run: Mapping[str, Any], posted: Mapping[str, Any], above: str | None, root: str, arrived: str
) -> Iterator[Record]:
    record = _record(run, posted, above, root, arrived)
    yield record
    for child in _list(run.get("child_runs")):
        if isinstance(child, dict) and child.get("id"):
            yield from _walk(child, posted, record.trace_id, root, arrived)


def _record(run: Mapping[str, Any], posted: Mapping[str, Any], above: str | None, root: str, arrived: str) -> Record:
    trace_id = str(run["id"])
    start, end = _time(run.get("start_time")), _time(run.get("end_time"))
    outputs = _dict(run.get("outputs"))
    generation = _generation(outputs)
    extra = _dict(run.get("extra"))
    project = posted.get("project_uuid")
    rate = posted.get("_log_sample_rate")
    record = Record(
        trace_id=trace_id,
        root_trace_id=root,
        parent_trace_id=above if above != trace_id else None,
        session_id=posted.get("_session_id"),
        name=str(run.get("name") or run.get("run_type") or "langchain"),
        project_uuid=None if project in NO_PROJECT else project,
        deployment_id=posted.get("_deployment_id"),
        experiment_uuid=posted.get("experiment_uuid"),
        end_user=posted.get("_end_user_identifier"),
        tags=[str(tag) for tag in (*_list(run.get("tags")), *_list(posted.get("_tags")))],
        metadata={**_dict(extra.get("metadata")), **_dict(posted.get("_metadata"))} or None,
        inputs=_dict(run.get("inputs")) or None,
        output=_output(outputs, generation),
        latency=(end - start).total_seconds() if start and end else None,
        start_timestamp=timestamps.text(start) if start else arrived,
        end_timestamp=timestamps.text(end) if end else None,
        status="error" if run.get("error") else "success",
        error=run.get("error"),
        sample_rate=1.0 if rate is None else rate,
        extra={"run_type": run["run_type"]} if run.get("run_type") else {},
    )
    if run.get("run_type") == "llm":
        _describe_model(record, run, outputs, generation)
    return record


def _describe_model(record: Record, run: Mapping[str, Any], outputs: Json, generation: dict[str, Any]) -> None:
    extra = _dict(run.get("extra"))
    params = _dict(extra.get("invocation_params"))
    told, about = _dict(outputs.get("llm_output")), _dict(extra.get("metadata"))
    model = params.get("model") or params.get("model_name") or about.get("ls_model_name") or told.get("model_name")
    provider = about.get("ls_provider") or params.get("_type")
    usage = _dict(told.get("token_usage")) or _dict(_kwargs(generation.get("message")).get("usage_metadata"))
    for column, names in USAGE.items():
        found = next((usage[name] for name in names if isinstance(usage.get(name), int)), None)
        setattr(record, column, found)
    renamed = {PARAMS.get(name, name): value for name, value in params.items() if value is not None}
    record.model, record.provider = model and str(model), provider and str(provider)
    record.configuration = {
        "model": record.model,
        "provider": record.provider,
        "model_params": {name: renamed[name] for name in KNOWN_PARAMS if name in renamed},
        "messages": _messages(record.inputs or {}),
        "functions": [tool.get("function", tool) for tool in _list(params.get("tools")) if isinstance(tool, dict)]
        or params.get("functions"),
    }


def _messages(inputs: Mapping[str, Any]) -> list[Message]:
    batches = _list(inputs.get("messages"))
    messages = batches[0] if batches and isinstance(batches[0], list) else batches
    if messages:
        return [_message(_kwargs(message)) for message in messages]
    return [{"role": "user", "content": str(prompt)} for prompt in _list(inputs.get("prompts"))]


def _message(message: dict[str, Any]) -> Message:
    role = str(message.get("role") or message.get("type") or "user")
    content = message.get("content") or ""
    return {"role": ROLES.get(role, role), "content": content if isinstance(content, str) else json.dumps(content)}


def _generation(outputs: dict[str, Any]) -> dict[str, Any]:
    """The first answer of a model's run."""
    batches = _list(outputs.get("generations"))
    first = batches[0] if batches else None
    return _dict(first[0] if isinstance(first, list) and first else first)


def _output(outputs: dict[str, Any], generation: dict[str, Any]) -> str | None:
    if generation:
        text = generation.get("text") or _kwargs(generation.get("message")).get("content") or ""
        calls = _dict(_kwargs(generation.get("message")).get("additional_kwargs")).get("tool_calls")
        return json.dumps(calls) if calls and not text else text if isinstance(text, str) else json.dumps(text)
    if len(outputs) == 1 and isinstance(only := next(iter(outputs.values())), str):
        return only
    return json.dumps(outputs, ensure_ascii=False) if outputs else None


def _kwargs(message: Any) -> dict[str, Any]:
    """A message's fields, whether it came plain or as LangChain's serialized constructor."""
    plain = _dict(message)
    return _dict(plain["kwargs"]) if "kwargs" in plain and "lc" in plain else plain


def _time(value: Any) -> datetime | None:
    normal = timestamps.normalized(value) if isinstance(value, str) else None
    return datetime.fromisoformat(normal) if normal else None


def _id(value: Any) -> str | None:
    return str(value) if value else None


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
