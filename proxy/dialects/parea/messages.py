"""Reads back what Parea's client wrote into texts, since its messages have no fields for it.

The client can only send a role and a content. It writes an assistant's tool calls as a JSON list into the content, or
as its own answers have them, JSON between triple backticks; a tool's result as `{"tool_call_id", "content"}`; a list of
parts as JSON text; and it has roles of its own for examples. What must stay true: a text that merely resembles one of
these stays the text that it is, and a message that has the fields is left as it came.
"""

from __future__ import annotations

import re

import orjson

from proxy.crowd import crowded
from proxy.models import Json, Message

ROLES = {"example_user": "user", "example_assistant": "assistant"}
PARTS = frozenset({"text", "image_url", "input_audio", "file"})
"""The types of parts that a message of OpenAI's may have."""

CALL = frozenset({"id", "type", "index", "function", "name", "arguments"})

Calls = list[dict[str, Json]]


def read(role: str, content: Json, others: Message) -> Message:
    """The message that was meant; `others` are the further fields that came with it."""
    role = ROLES.get(role, role)
    message: Message = {**others, "role": role, "content": content if content is not None else ""}
    if not isinstance(content, str):
        return message
    if role in ("user", "system"):
        message["content"] = _written_parts(content)
    elif role == "assistant" and not (others.get("tool_calls") or others.get("function_call")):
        calls = _written_calls(content)
        return {**message, "content": None, "tool_calls": calls} if calls else message
    elif role in ("tool", "function") and not others.get("tool_call_id"):
        return message | _written_result(content)
    return message


def _written_parts(text: str) -> Json:
    """The list of parts that `text` is, else the text."""
    if not (text.startswith("[{") and '"type"' in text):
        return text
    parts = _document(text)
    if isinstance(parts, list) and all(isinstance(part, dict) and part.get("type") in PARTS for part in parts):
        return parts
    return text


_FENCE = re.compile(r"\s*```(?:json)?\s*(.*?)\s*```\s*", re.DOTALL)


def _written_calls(text: str) -> Calls:
    """The calls that a text holds and nothing else: a JSON list, or a fence around a list or a single call."""
    fenced = _FENCE.fullmatch(text)
    document = _document(fenced[1] if fenced else text)
    if fenced and isinstance(document, dict):
        document = [document]
    if not isinstance(document, list):
        return []
    calls = [_call(item) for item in document]
    return [call for call in calls if call is not None] if None not in calls else []


def _call(item: Json) -> dict[str, Json] | None:
    """`{id, type, function: {name, arguments}}` or the bare `{name, arguments}`, and nothing that merely resembles
    one.
    """
    if not isinstance(item, dict) or not item.keys() <= CALL:
        return None
    function = item.get("function", item)
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or "arguments" not in function:
        return None
    arguments = function["arguments"]
    text = arguments if isinstance(arguments, str) else orjson.dumps(arguments or {}).decode()
    return {
        "id": str(item.get("id") or ""),
        "type": "function",
        "function": {"name": function["name"], "arguments": text or "{}"},
    }


def _written_result(text: str) -> Message:
    """The id and the content that a tool's result names in its text, or nothing."""
    document = _document(text)
    if isinstance(document, dict) and document.get("tool_call_id") and "content" in document:
        return {"tool_call_id": str(document["tool_call_id"]), "content": document["content"]}
    return {}


def _document(text: str) -> Json:
    """The JSON list or object that `text` is, or None."""
    if not text.lstrip().startswith(("[", "{")) or crowded(text):
        return None
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
