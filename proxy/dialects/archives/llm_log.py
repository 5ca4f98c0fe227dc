"""A call of simonw/llm's logs.db as a record: a turn of a conversation, which is the row's session. Pure translation.

What must stay true: what an attachment held is not in the log, only what it was.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta

from proxy import timestamps
from proxy.dialects.archives import foreign
from proxy.dialects.parts import content
from proxy.models import Json
from proxy.record import Record

KEPT = ("conversation", "token_details", "schema_id")


def record(call: Mapping[str, Json]) -> Record:
    """The record of a call as `stores/llm.py` reads it. Raises `Unprocessable` for a time that is none."""
    model = call.get("resolved_model") or call.get("model")
    options = _loaded(call.get("options_json"))
    tokens = [count for name in ("input_tokens", "output_tokens") if isinstance(count := call.get(name), int)]
    lasted = call.get("duration_ms")
    start = foreign.moment(call.get("datetime_utc"), "datetime_utc") or ""
    asked = options if isinstance(options, dict) else {}
    if isinstance(schema := _loaded(call.get("schema")), dict):
        format = {"type": "json_schema", "json_schema": {"name": "output", "schema": schema}}
        asked = {**asked, "response_format": format}
    others = {name: value for name, value in asked.items() if name not in foreign.PARAMS}
    tools = [_tool(one) for one in call["tools"]]
    extra = {name: _loaded(call[name]) for name in KEPT if call.get(name)}
    if call.get("model") != model:
        extra["model"] = call["model"]
    return Record(
        trace_id=call["id"],
        root_trace_id=call["id"],
        session_id=call.get("conversation_id"),
        name="llm",
        model=model,
        configuration=foreign.configuration(
            model, None, {**foreign.params(asked), **others}, _messages(call["asked"]), tools
        ),
        output=_output(call["said"]),
        input_tokens=call.get("input_tokens"),
        output_tokens=call.get("output_tokens"),
        total_tokens=sum(tokens) if tokens else None,
        latency=lasted / 1000 if isinstance(lasted, int | float) else None,
        start_timestamp=start,
        end_timestamp=_end(start, lasted),
        status="success",
        notes={"dialect": "llm"},
        extra={"llm": extra} if extra else {},
    )


def _end(start: str, lasted: Json) -> str | None:
    if not start or not isinstance(lasted, int | float):
        return None
    return timestamps.text(datetime.fromisoformat(start) + timedelta(milliseconds=lasted))


def _tool(tool: Mapping[str, Json]) -> Json:
    said = {"name": tool["name"], "description": tool.get("description"), "parameters": _loaded(tool["input_schema"])}
    return {name: value for name, value in said.items() if value is not None}


def _messages(given: list[Json]) -> list[Json]:
    """Messages of OpenAI's form; each result of a tool is one of its own."""
    found: list[Json] = []
    for message in given:
        results = [part for part in message["parts"] if part["type"] == "tool_result"]
        found += [{"role": "tool", "tool_call_id": one.get("tool_call_id"), "content": _result(one)} for one in results]
        if len(results) == len(message["parts"]) and results:
            continue
        said: dict[str, Json] = {"role": message["role"], "content": content(_said(message["parts"]))}
        if calls := _calls(message["parts"]):
            said["tool_calls"] = calls
        if thought := _text(message["parts"], "reasoning"):
            said["reasoning_content"] = thought
        found.append(said)
    return found


def _result(part: Mapping[str, Json]) -> str:
    return str(part.get("output") or part.get("exception") or "")


def _said(parts: list[Json]) -> list[dict[str, Json]]:
    """Text, and what was attached by its address, or else by what it was."""
    found: list[dict[str, Json]] = []
    for part in parts:
        if part["type"] == "text" and part.get("text"):
            found.append({"type": "text", "text": part["text"]})
        elif part["type"] == "attachment":
            what = part.get("attachment") or {}
            if what.get("url") and str(what.get("type") or "").startswith("image/"):
                found.append({"type": "image_url", "image_url": {"url": what["url"]}})
            else:
                told = {"media_type": what.get("type"), **{name: what.get(name) for name in ("url", "path", "bytes")}}
                found.append({"type": "attachment", **{name: value for name, value in told.items() if value}})
    return found


def _calls(parts: list[Json]) -> list[Json]:
    made = [part for part in parts if part["type"] == "tool_call"]
    return [foreign.call(one.get("tool_call_id"), one.get("name"), one.get("arguments")) for one in made]


def _text(parts: list[Json], kind: str) -> str:
    return "".join(str(part.get("text") or "") for part in parts if part["type"] == kind)


def _output(said: list[Json]) -> str | None:
    parts = [part for message in said for part in message["parts"]]
    return foreign.answer(_text(parts, "text"), _calls(parts)) if parts else None


def _loaded(value: Json) -> Json:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
