"""What a client has logged as OpenInference has it: a function of an application, or a call that it made elsewhere.
Pure translation, of the row that the log has.

OpenTelemetry's conventions for generative AI have words for tools and agents, and none for what goes into any function
and comes out of it; nor is a logged call of a model told in theirs, by which calls through the gateway are counted. Ids
are those of `convention`, so that calls find their parents.

What must stay true: what went in, what came out and the text of an error are in a span only where content is asked for.
A time that OTLP has no number for makes no span: the whole batch would be lost with it.
"""

from __future__ import annotations

from typing import Final

import orjson

from proxy.record import Record
from proxy.stores.telemetry.convention import Span, Value, nanoseconds, span_id, trace_id

KINDS: Final = {"tool": "TOOL", "retriever": "RETRIEVER", "llm": "LLM", "prompt": "PROMPT"}
"""LangChain's types of runs, and the kinds of spans. All else is a link of a chain."""

JSON: Final = "application/json"
LATEST: Final = 2**63 - 1


def function(record: Record, content: bool) -> Span:
    """A row that a client has logged as a span; with `content` what went in and came out. Raises `ValueError`."""
    start = nanoseconds(record.start_timestamp)
    end = nanoseconds(record.end_timestamp) if record.end_timestamp else start + round((record.latency or 0.0) * 1e9)
    if not (0 <= start <= LATEST and end <= LATEST):
        raise ValueError("a time that OTLP has no number for")
    failed = record.error is not None or record.status not in (None, "success")
    attributes: dict[str, Value | None] = {
        "openinference.span.kind": "LLM" if record.model else KINDS.get(str(record.extra.get("run_type")), "CHAIN"),
        "session.id": record.session_id,
        "error.type": "_OTHER" if failed else None,
        "llm.model_name": record.model,
        "llm.provider": record.provider,
        "llm.token_count.prompt": record.input_tokens,
        "llm.token_count.completion": record.output_tokens,
        "llm.token_count.total": record.total_tokens,
        "llm.cost.total": record.cost,
        "parea_proxy.trace_id": record.trace_id,
        "parea_proxy.root_trace_id": record.root_trace_id,
        "parea_proxy.project": record.project_name,
        "parea_proxy.deployment": record.deployment_id,
        "parea_proxy.key": record.key,
    }
    if content:
        attributes |= _content(record)
    said = {name: value for name, value in attributes.items() if value is not None}
    return Span(
        name=record.name or "function",
        trace_id=trace_id(record.root_trace_id),
        span_id=span_id(record.trace_id),
        parent_id=span_id(record.parent_trace_id) if record.parent_trace_id else None,
        start=start,
        end=max(start, end),
        attributes=said,
        failed=failed,
        error=record.error if content else None,
        size=512 + sum(len(value) for value in (*said.values(), record.error) if isinstance(value, str)),
        internal=True,
    )


def _content(record: Record) -> dict[str, Value | None]:
    """What went in is JSON; what came out is text, and JSON where it reads so."""
    given = record.inputs or (record.configuration or {}).get("messages")
    output = record.output
    return {
        "input.value": orjson.dumps(given).decode() if given else None,
        "input.mime_type": JSON if given else None,
        "output.value": output,
        "output.mime_type": None if output is None else JSON if _is_json(output) else "text/plain",
    }


def _is_json(text: str) -> bool:
    if not text.startswith(("{", "[")):
        return False
    try:
        orjson.loads(text)
    except ValueError:
        return False
    return True
