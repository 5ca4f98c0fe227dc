"""A span of OpenTelemetry's semantic conventions for generative AI as a row of the log: the other direction of
`stores/telemetry/convention.py`, with the older names of attributes besides, and those of OpenLLMetry.

What must stay true: what has a column is moved there, and not kept twice; what is not as the conventions have it stays
where it was.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import orjson

from proxy.dialects.archives import foreign
from proxy.dialects.parts import content
from proxy.models import Json
from proxy.record import Record

CALLS: Final = {"chat": None, "generate_content": None, "text_completion": "text", "embeddings": "embedding"}
"""Operations that are calls of a model, and the log's kind of them."""

PROVIDERS: Final = {
    **dict.fromkeys(("azure.ai.openai", "azure.ai.inference", "az.ai.openai", "Azure"), "azure"),
    **dict.fromkeys(("gcp.vertex_ai", "gcp.gemini", "gcp.gen_ai", "vertex_ai"), "vertexai"),
    **dict.fromkeys(("aws.bedrock", "AWS"), "aws_bedrock"),
    "mistral_ai": "mistral",
}

PARAMETERS: Final = {
    **{name: name for name in ("temperature", "top_p", "top_k", "frequency_penalty", "presence_penalty", "seed")},
    "max_tokens": "max_tokens",
    "stop_sequences": "stop",
    "choice.count": "n",
}
"""What follows `gen_ai.request.`, and OpenAI's name of it."""

_INDEXED: Final = re.compile(r"gen_ai\.(prompt|completion)\.(\d{1,6})\.(role|content)")


def told(record: Record) -> Record:
    """The record of a span, changed: what its attributes say in the words of the conventions is in its columns."""
    otel = record.extra["otel"]
    attributes = otel.get("attributes", {})
    left = _Attributes(attributes)
    operation = left.text("gen_ai.operation.name")
    if record.end_user is None:
        record.end_user = left.text("user.id") or left.text("enduser.id")
    if operation in CALLS or (operation is None and "gen_ai.request.model" in left):
        _call(record, left, CALLS.get(operation or "chat"))
    elif operation == "execute_tool":
        _tool(record, left)
    else:
        return record
    left.taken.add("gen_ai.operation.name")
    otel["attributes"] = {name: value for name, value in attributes.items() if name not in left.taken}
    return record


class _Attributes:
    """The attributes of a span, and which of them were taken."""

    def __init__(self, given: Mapping[str, Json]) -> None:
        self._given = given
        self.taken: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def names(self) -> list[str]:
        return list(self._given)

    def text(self, *names: str) -> str | None:
        """The first of these that is a text."""
        value = self._first(names, str)
        return value if isinstance(value, str) and value else None

    def count(self, *names: str) -> int | None:
        value = self._first(names, int)
        return value if isinstance(value, int) and 0 <= value < 2**53 else None

    def number(self, *names: str) -> float | None:
        value = self._first(names, float, int)
        return value if isinstance(value, int | float) else None

    def document(self, *names: str) -> Json:
        """JSON, which most instrumentations write as text."""
        for name in names:
            value = self._given.get(name)
            if isinstance(value, str):
                try:
                    value = orjson.loads(value)
                except orjson.JSONDecodeError:
                    continue
            if isinstance(value, list | dict):
                self.taken.add(name)
                return value
        return None

    def raw(self, name: str) -> Json:
        value = self._given.get(name)
        if value is not None:
            self.taken.add(name)
        return value

    def _first(self, names: tuple[str, ...], *kinds: type) -> Json:
        for name in names:
            if type(self._given.get(name)) in kinds:
                self.taken.add(name)
                return self._given[name]
        return None


def _call(record: Record, left: _Attributes, kind: str | None) -> None:
    provider = left.text("gen_ai.provider.name", "gen_ai.system")
    asked = left.text("gen_ai.request.model")
    record.provider = PROVIDERS.get(provider or "", provider)
    record.model = left.text("gen_ai.response.model") or asked
    record.input_tokens = left.count("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens")
    record.output_tokens = left.count("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens")
    counts = [count for count in (record.input_tokens, record.output_tokens) if count is not None]
    record.total_tokens = sum(counts) if counts else None
    record.time_to_first_token = left.number("gen_ai.response.time_to_first_chunk")
    reasons = left.document("gen_ai.response.finish_reasons")
    said: dict[str, Json] = {
        "kind": kind,
        "finish_reason": str(reasons[0]) if isinstance(reasons, list) and reasons else None,
        "failure": left.text("error.type") if record.status == "error" else None,
    }
    record.notes |= {name: value for name, value in said.items() if value is not None}
    params = {own: left.raw(f"gen_ai.request.{word}") for word, own in PARAMETERS.items()}
    record.configuration = foreign.configuration(
        asked or record.model,
        record.provider,
        foreign.params({name: value for name, value in params.items() if value is not None}),
        _asked(left),
        foreign.functions(left.document("gen_ai.tool.definitions")),
    )
    record.output = _said(left)


def _tool(record: Record, left: _Attributes) -> None:
    record.name = left.text("gen_ai.tool.name") or record.name
    arguments = left.document("gen_ai.tool.call.arguments")
    record.inputs = arguments if isinstance(arguments, dict) else None
    result = left.raw("gen_ai.tool.call.result")
    record.output = result if isinstance(result, str) or result is None else orjson.dumps(result).decode()
    if record.status == "error" and (failure := left.text("error.type")):
        record.notes["failure"] = failure


def _asked(left: _Attributes) -> list[Json] | None:
    given = left.document("gen_ai.input.messages", "gen_ai.prompt")
    if not isinstance(given, list):
        given = _indexed(left, "prompt")
    rules = left.document("gen_ai.system_instructions")
    if isinstance(rules, list):
        given = [{"role": "system", "parts": rules}, *(given or [])]
    return None if given is None else [one for message in given for one in _messages(message)]


def _said(left: _Attributes) -> str | None:
    given = left.document("gen_ai.output.messages", "gen_ai.completion")
    if not isinstance(given, list):
        given = _indexed(left, "completion")
    first = [one for message in (given or [])[:1] for one in _messages(message)]
    return foreign.message_text(first[0]) if first else None


def _indexed(left: _Attributes, kind: str) -> list[Json] | None:
    """Messages as OpenLLMetry has them: an attribute for each field of each."""
    found: dict[int, dict[str, Json]] = {}
    for name in left.names():
        if (at := _INDEXED.fullmatch(name)) and at[1] == kind:
            found.setdefault(int(at[2]), {})[at[3]] = left.raw(name)
    role = "assistant" if kind == "completion" else "user"
    return [{"role": role, **found[number]} for number in sorted(found)] or None


def _messages(message: Json) -> list[Json]:
    """A message of the conventions as OpenAI has it; each answer of a tool is a message of its own."""
    if not isinstance(message, dict) or not isinstance(message.get("parts"), list):
        return [message]
    found: list[Json] = []
    said: list[dict[str, Json]] = []
    calls: list[Json] = []
    for part in message["parts"]:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind == "text":
            said.append({"type": "text", "text": part.get("content")})
        elif kind == "tool_call":
            calls.append(foreign.call(part.get("id"), part.get("name"), part.get("arguments")))
        elif kind == "tool_call_response":
            result = part.get("response", part.get("result"))
            text = result if isinstance(result, str) else orjson.dumps(result).decode()
            found.append({"role": "tool", "tool_call_id": part.get("id"), "content": text})
        elif isinstance(part, dict):
            said.append(part)
    if said or calls or not found:
        own = {"role": message.get("role"), "content": content(said)}
        found.append({**own, "tool_calls": calls} if calls else own)
    return found
