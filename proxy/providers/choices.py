"""One choice of an answer, from the attributes of LiteLLM's objects, or of OpenAI's for texts, to the gateway's.

What must stay true: every field is read through `values.py`, so that whatever a provider sends, what leaves here can be
written as JSON and its finish reasons are OpenAI's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from proxy.models import Choice, Chunk, Json, ToolCall
from proxy.providers import values

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
    said = getattr(choice, "message", None) or _text(choice)
    if said is None:
        raise values.Unreadable
    text, thought = values.content(getattr(said, "content", None))
    calls = _calls(said)
    reason = getattr(choice, "finish_reason", None)
    return Choice(
        index=values.index(getattr(choice, "index", None), position),
        text=text,
        tool_calls=calls,
        finish_reason=finish_reason(reason if isinstance(reason, str) else None, calls),
        reasoning=values.reasoning(getattr(said, "reasoning_content", None))
        or values.reasoning(getattr(said, "reasoning", None))
        or thought,
        logprobs=_logprobs(getattr(choice, "logprobs", None)),
        extra=_extra(said),
    )


def piece(choice: Any, index: int) -> Chunk:
    """What a choice of a stream's chunk brings."""
    delta = getattr(choice, "delta", None) or _text(choice)
    special = getattr(delta, "provider_specific_fields", None)
    thinking = special.get("thinking") if isinstance(special, Mapping) else None
    text, thought = values.content(getattr(delta, "content", None))
    return Chunk(
        text=text,
        tool_calls=_calls(delta),
        reasoning=values.reasoning(getattr(delta, "reasoning_content", None)) or values.reasoning(thinking) or thought,
        index=index,
        logprobs=_logprobs(getattr(choice, "logprobs", None)),
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


class _Text:
    """What the choice of a text says, in the form of a message."""

    def __init__(self, content: Any) -> None:
        self.content = content


def _text(choice: Any) -> _Text | None:
    text = getattr(choice, "text", None)
    return None if text is None else _Text(text)


def _calls(said: Any) -> list[ToolCall]:
    return [_call(call, position) for position, call in enumerate(items(getattr(said, "tool_calls", None)))]


def _call(call: Any, position: int) -> ToolCall:
    function = getattr(call, "function", None)
    return ToolCall(
        id=values.text(getattr(call, "id", None)),
        name=values.text(getattr(function, "name", None)),
        arguments=values.text(getattr(function, "arguments", None)),
        index=values.index(getattr(call, "index", None), position),
    )


def _extra(said: Any) -> dict[str, Json]:
    """The further fields of a message that say something, as JSON."""
    found = {name: _json(getattr(said, name, None)) for name in EXTRA}
    return {name: value for name, value in found.items() if value and isinstance(value, EXTRA[name])}


def _json(value: Any) -> Json:
    """A field as JSON: LiteLLM has objects for some, and for the items of others."""
    return values.plain([_dumped(each) for each in value] if isinstance(value, list) else _dumped(value))


def _dumped(value: Any) -> Any:
    """An object's fields without those that are not told."""
    if hasattr(value, "model_dump"):
        value = value.model_dump(warnings=False)
    return {name: each for name, each in value.items() if each is not None} if isinstance(value, Mapping) else value


def _logprobs(found: Any) -> dict[str, Json] | None:
    """The log probabilities as JSON, if they are an object that says something."""
    if hasattr(found, "model_dump"):
        found = found.model_dump(warnings=False)
    if not isinstance(found, dict) or not any(found.values()):
        return None
    plain: dict[str, Json] = values.plain(found)
    return {name: value for name, value in plain.items() if value is not None or name != "refusal"}
