"""A finished call as OpenTelemetry's semantic conventions for generative AI have it (in development; as they are beside
version 1.41.1 of the general ones). Pure translation, of what the log's processors have left of a record.

Ids: a trace's is its root's, a span's is the call's own. Ids of OpenTelemetry's form (32 and 16 hexadecimal digits, as
a `traceparent` gives them) are themselves, a UUID's bits are a trace's id, and everything else is hashed: the same in
every process and for ever.

What must stay true: words of a conversation, tools, stop sequences and the text of an error are in a span only where
content is asked for, and then only as far as the record still has them.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from typing import Final

import orjson

from proxy.models import Json
from proxy.record import Record, split

Value = str | bool | int | float | Sequence[str]

SCHEMA: Final = "https://opentelemetry.io/schemas/1.41.1"

OPERATIONS: Final = {"chat": "chat", "text": "text_completion", "embedding": "embeddings"}

PROVIDERS: Final = {
    "azure": "azure.ai.openai",
    "vertexai": "gcp.vertex_ai",
    "aws_bedrock": "aws.bedrock",
    "mistral": "mistral_ai",
}
"""The conventions' words for providers, where they are not ours."""

PARAMETERS: Final[Mapping[str, tuple[str, type]]] = {
    "temp": ("temperature", float),
    "top_p": ("top_p", float),
    "top_k": ("top_k", float),
    "frequency_penalty": ("frequency_penalty", float),
    "presence_penalty": ("presence_penalty", float),
    "max_length": ("max_tokens", int),
    "seed": ("seed", int),
    "n": ("choice.count", int),
}
"""The log's names of model parameters, and what follows `gen_ai.request.`."""

FINISHES: Final = {"tool_calls": "tool_call"}
"""Why an answer ended, where a message of the conventions has another word than the log."""

_DATA: Final = re.compile(r"data:([^;,]+);base64,(.*)", re.DOTALL)
_HEX: Final = re.compile(r"(?!0+\Z)[0-9a-f]+")


@dataclass(slots=True, frozen=True)
class Span:
    """A span that has ended; times are nanoseconds since 1970. `size` is about what it takes in memory."""

    name: str
    trace_id: int
    span_id: int
    parent_id: int | None
    start: int
    end: int
    attributes: Mapping[str, Value]
    failed: bool
    error: str | None
    size: int
    internal: bool = False
    """Whether it is a function of an application, and no call of somebody else."""


def trace_id(root: str) -> int:
    """The id of the trace whose root is called `root`."""
    if len(root) == 32 and _HEX.fullmatch(root):
        return int(root, 16)
    try:
        found = uuid.UUID(root).int if len(root) == 36 else 0
    except ValueError:
        found = 0
    return found or _hashed(root, 16)


def span_id(call: str) -> int:
    """The id of the span of the call, or the function, that is called `call`."""
    return int(call, 16) if len(call) == 16 and _HEX.fullmatch(call) else _hashed(call, 8)


def span(record: Record, content: bool) -> Span:
    """A record of a call as a span; with `content` what was said, too."""
    notes = record.notes
    operation = OPERATIONS[str(notes.get("kind", "chat"))]
    configuration = record.configuration or {}
    model = configuration.get("model") or record.model
    attributes: dict[str, Value | None] = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": PROVIDERS.get(record.provider or "", record.provider or "unknown"),
        "gen_ai.request.model": model,
        "gen_ai.response.model": record.model if record.status == "success" else None,
        "gen_ai.conversation.id": record.session_id,
        "gen_ai.request.stream": True if notes.get("stream") else None,
        "gen_ai.response.finish_reasons": _reasons(notes),
        "gen_ai.response.time_to_first_chunk": record.time_to_first_token,
        "gen_ai.usage.input_tokens": record.input_tokens,
        "gen_ai.usage.output_tokens": record.output_tokens,
        "error.type": notes.get("failure") or (record.status if record.status == "cancelled" else None),
        "parea_proxy.trace_id": record.trace_id,
        "parea_proxy.root_trace_id": record.root_trace_id,
        "parea_proxy.dialect": notes.get("dialect"),
        "parea_proxy.cache": notes.get("cache"),
        "parea_proxy.cost_usd": record.cost,
        "parea_proxy.project": record.project_name,
        "parea_proxy.deployment": record.deployment_id,
        "parea_proxy.key": record.key,
        **_parameters(configuration.get("model_params")),
    }
    if content:
        attributes |= _content(record, configuration)
    said = {name: value for name, value in attributes.items() if value is not None}
    start = nanoseconds(record.start_timestamp)
    return Span(
        name=f"{operation} {model}" if model else operation,
        trace_id=trace_id(record.root_trace_id),
        span_id=span_id(record.trace_id),
        parent_id=span_id(record.parent_trace_id) if record.parent_trace_id else None,
        start=start,
        end=start + round((record.latency or 0.0) * 1e9),
        attributes=said,
        failed=record.status != "success",
        error=record.error if content else None,
        size=512 + sum(len(value) for value in said.values() if isinstance(value, str)),
    )


def _hashed(text: str, size: int) -> int:
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest()
    return int.from_bytes(digest) or 1


def nanoseconds(timestamp: str) -> int:
    """A time of the log as OpenTelemetry has it."""
    moment = datetime.fromisoformat(timestamp)
    return int(moment.replace(microsecond=0).timestamp()) * 10**9 + moment.microsecond * 1000


def _reasons(notes: Mapping[str, Json]) -> list[str] | None:
    if samples := notes.get("samples"):
        return [str(sample["finish_reason"]) for sample in samples if "finish_reason" in sample] or None
    reason = notes.get("finish_reason")
    return None if reason is None else [str(reason)]


def _parameters(params: Json) -> dict[str, int | float]:
    """The numbers among the parameters that the conventions know, where they are what they should be."""
    if not isinstance(params, dict):
        return {}
    found: dict[str, int | float] = {}
    for name, (word, kind) in PARAMETERS.items():
        value = params.get(name)
        if (
            isinstance(value, int | float)
            and not isinstance(value, bool)
            and not (word == "choice.count" and value == 1)
        ):
            found[f"gen_ai.request.{word}"] = kind(value)
    return found


def _content(record: Record, configuration: Mapping[str, Json]) -> dict[str, Value | None]:
    messages, tools = configuration.get("messages"), configuration.get("functions")
    stop = (configuration.get("model_params") or {}).get("stop")
    said: Json = None
    # a call that failed before a word was said has an empty text in the log, which is no answer
    if record.output or (record.output is not None and record.status == "success"):
        texts = orjson.loads(record.output) if len(record.notes.get("samples") or ()) > 1 else [record.output]
        reasons = _reasons(record.notes) or []
        said = [_answer(text, reasons[index] if index < len(reasons) else "error") for index, text in enumerate(texts)]
    return {
        "gen_ai.request.stop_sequences": list(map(str, stop if isinstance(stop, list) else [stop])) if stop else None,
        "gen_ai.input.messages": _json([_message(one) for one in messages]) if messages else None,
        "gen_ai.output.messages": _json(said) if said else None,
        "gen_ai.tool.definitions": _json([{"type": "function", **tool} for tool in tools]) if tools else None,
    }


def _answer(output: str, reason: str) -> Json:
    text, calls = split(output)
    parts: list[Json] = [_text(text)] if text or not calls else []
    parts += map(_tool_call, calls)
    return {"role": "assistant", "parts": parts, "finish_reason": FINISHES.get(reason, reason)}


def _message(message: Mapping[str, Json]) -> Json:
    """A message of OpenAI's form in parts, as the conventions have them; parts that they have no word for stay."""
    content, calls = message.get("content"), message.get("tool_calls") or []
    if message.get("role") == "tool":
        answer = {"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}
        return {"role": "tool", "parts": [answer]}
    if isinstance(content, str):
        parts = [_text(content)] if content or not calls else []
    else:
        parts = [_part(part) for part in content or []]
    parts += map(_tool_call, calls)
    return {"role": message.get("role"), "parts": parts}


def _part(part: Json) -> Json:
    match part:
        case {"type": "text", "text": str(text)}:
            return _text(text)
        case {"type": "image_url", "image_url": {"url": str(url)}}:
            if found := _DATA.fullmatch(url):
                return {"type": "blob", "modality": "image", "mime_type": found[1], "content": found[2]}
            return {"type": "uri", "modality": "image", "uri": url}
        case {"type": "input_audio", "input_audio": {"data": str(data), "format": str(form)}}:
            return {"type": "blob", "modality": "audio", "mime_type": f"audio/{form}", "content": data}
    return part


def _text(text: str) -> Json:
    return {"type": "text", "content": text}


def _tool_call(call: Mapping[str, Json]) -> Json:
    """A call of a tool; its arguments as an object, as the conventions expect them, if they are one."""
    function = call.get("function") or {}
    arguments = function.get("arguments")
    try:
        found = orjson.loads(arguments or "")
    except ValueError:
        found = None
    given = found if isinstance(found, dict) else arguments
    return {"type": "tool_call", "id": call.get("id"), "name": function.get("name"), "arguments": given}


def _json(value: Json) -> str:
    return orjson.dumps(value).decode()
