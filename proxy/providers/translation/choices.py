"""One choice of an answer, from the JSON of OpenAI's form to the gateway's.

What must stay true: every field is read through `values.py`, so that whatever a provider sends, what leaves here can be
written as JSON and its finish reasons are OpenAI's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from proxy.models import Choice, Chunk, Json, ToolCall
from proxy.providers.translation import values

FINISH_REASONS: Mapping[str, str] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "tool_call": "tool_calls",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "complete": "stop",
    "max_tokens": "length",
    "model_length": "length",
    "safety": "content_filter",
    "refusal": "content_filter",
    "error_toxic": "content_filter",
    "guardrail_intervened": "content_filter",
}
"""Vendors' finish reasons in OpenAI's words; one that is not known here is a `stop`."""

EXTRA = {"refusal": str, "audio": dict, "annotations": list, "thinking_blocks": list}
"""The fields of a message that are told as they came, if they are what they should be."""

PLAIN = frozenset({"role", "content"})
"""The fields of most pieces of a stream."""


def finish_reason(reason: str | None, calls: Sequence[ToolCall]) -> str:
    """OpenAI's word for it; an answer that ends well and has calls ended for their sake."""
    known = FINISH_REASONS.get((reason or "stop").lower(), "stop")
    return "tool_calls" if calls and known == "stop" else known


def items(listed: Any) -> Sequence[Any]:
    """A field that holds a list or nothing."""
    if listed is not None and not isinstance(listed, list | tuple):
        raise values.Unreadable
    return listed or ()


def whole(choice: Any, position: int) -> Choice:
    """A whole choice: of a conversation, which has a message, or of a text, which is one."""
    found = values.fields(choice)
    said = _said(found, "message")
    if said is None:
        raise values.Unreadable
    text, thought = values.content(said.get("content"))
    calls = _calls(said)
    reason = found.get("finish_reason")
    return Choice(
        index=values.index(found.get("index"), position),
        text=text,
        tool_calls=calls,
        finish_reason=finish_reason(reason if isinstance(reason, str) else None, calls),
        reasoning=_reasoning(said, "reasoning_content", "reasoning") or thought,
        logprobs=_logprobs(found.get("logprobs")),
        extra=_extra(said),
    )


def piece(choice: Mapping[str, Any], index: int) -> Chunk:
    """What a choice of a stream's chunk brings."""
    delta = _said(choice, "delta") or values.NONE
    said = delta.get("content")
    if type(said) is str and PLAIN.issuperset(delta) and not choice.get("logprobs"):
        return Chunk(said if said.isascii() else values.encodable(said), index=index)
    text, thought = values.content(delta.get("content"))
    thinking = values.fields(delta.get("provider_specific_fields")).get("thinking")
    return Chunk(
        text=text,
        tool_calls=_calls(delta),
        reasoning=_reasoning(delta, "reasoning_content", "reasoning") or values.reasoning(thinking) or thought,
        index=index,
        logprobs=_logprobs(choice.get("logprobs")),
        extra=_extra(delta),
    )


def blocks(pieces: Json) -> list[Json]:
    """The blocks of a thinking that came in pieces, signatures and all: Claude wants them back in the next turn."""
    found: list[dict[str, Json]] = []
    for part in pieces if isinstance(pieces, list) else ():
        if not isinstance(part, dict):
            continue
        block = {name: value for name, value in part.items() if name != "index"}
        last = found[-1] if found else {}
        # a signature is the last of a block
        if part.get("type") == "thinking" == last.get("type") and not last.get("signature"):
            block["thinking"] = str(last.get("thinking") or "") + str(part.get("thinking") or "")
            found[-1] = {**last, **block}
        else:
            found.append(block)
    return found


def _said(choice: Mapping[str, Any], name: str) -> Mapping[str, Any] | None:
    """The message of a choice, or the text of one in the form of a message."""
    said = choice.get(name)
    if said:
        return values.fields(said)
    text = choice.get("text")
    return None if text is None else {"content": text}


def _reasoning(said: Mapping[str, Any], *names: str) -> str:
    """The reasoning, by whichever of its names."""
    for name in names:
        if (given := said.get(name)) and (found := values.reasoning(given)):
            return found
    return ""


def _calls(said: Mapping[str, Any]) -> list[ToolCall]:
    listed = said.get("tool_calls")
    return [_call(values.fields(call), position) for position, call in enumerate(items(listed))] if listed else []


def _call(call: Mapping[str, Any], position: int) -> ToolCall:
    function = values.fields(call.get("function"))
    return ToolCall(
        id=values.text(call.get("id")),
        name=values.text(function.get("name")),
        arguments=_arguments(function.get("arguments")),
        index=values.index(call.get("index"), position),
    )


def _arguments(given: Any) -> str:
    """As JSON; some servers send the object itself."""
    return orjson.dumps(values.plain(given)).decode() if isinstance(given, Mapping) else values.text(given)


def _extra(said: Mapping[str, Any]) -> dict[str, Json]:
    """The further fields of a message that say something, as JSON."""
    return {
        name: found
        for name, kind in EXTRA.items()
        if (given := said.get(name)) and (found := _json(given)) and isinstance(found, kind)
    }


def _json(value: Any) -> Json:
    """A field as JSON, without what is not told."""
    return values.plain([_told(each) for each in value] if isinstance(value, list) else _told(value))


def _told(value: Any) -> Any:
    return {name: each for name, each in value.items() if each is not None} if isinstance(value, Mapping) else value


def _logprobs(found: Any) -> dict[str, Json] | None:
    """The log probabilities as JSON, if they are an object that says something."""
    if not isinstance(found, dict) or not any(found.values()):
        return None
    plain: dict[str, Json] = values.plain(found)
    return {name: value for name, value in plain.items() if value is not None or name != "refusal"}
