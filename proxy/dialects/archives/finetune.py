"""A row of the log as an example for OpenAI's fine-tuning: the conversation, the answer as its last message, the tools.

What must stay true: only a chat that was answered whole is an example, and everything in it is as it was said.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from proxy.models import Json
from proxy.record import Record, split

KEPT = frozenset({"role", "content", "name", "tool_calls", "tool_call_id", "function_call", "refusal", "weight"})
"""What a message of an example may hold."""

ENDED = frozenset({"length", "content_filter"})
"""How an answer ends that is none."""


def example(record: Record) -> dict[str, Json] | None:
    """The example that a row is; None for one that is no chat, failed, was cut short or was omitted."""
    configuration = record.configuration or {}
    messages = configuration.get("messages")
    whole = record.status == "success" and record.notes.get("finish_reason") not in ENDED
    if not whole or record.output is None or record.notes.get("kind") or record.notes.get("omitted"):
        return None
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        return None
    made: dict[str, Json] = {"messages": [*(_message(one) for one in messages), _answer(_first(record))]}
    functions = configuration.get("functions")
    if isinstance(functions, list) and functions:
        made["tools"] = [{"type": "function", "function": one} for one in functions]
    return made


def _message(logged: Mapping[str, Json]) -> dict[str, Json]:
    return {name: value for name, value in logged.items() if name in KEPT and value is not None}


def _first(record: Record) -> str:
    """The first of several answers."""
    output = record.output or ""
    samples = record.notes.get("samples")
    if isinstance(samples, list) and len(samples) > 1:
        outputs = _loaded(output)
        if isinstance(outputs, list) and outputs and isinstance(outputs[0], str):
            return outputs[0]
    return output


def _answer(output: str) -> dict[str, Json]:
    """The answer as a message: the log has tool calls as a JSON list behind the text."""
    text, calls = split(output)
    if not calls:
        return {"role": "assistant", "content": output}
    return {"role": "assistant", **({"content": text} if text else {}), "tool_calls": calls}


def _loaded(text: str) -> Json:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
