"""How many tokens an answer took: as the provider counts them, or estimated where it does not.

What must stay true: a count is the provider's own or marked as an estimate, and is a number that can be written.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from proxy.models import Choice, Json, Message, Usage
from proxy.providers import values


def tokens(usage: Any) -> Usage | None:
    """The provider's count, or None when it gave none that is one: no prompt has zero tokens."""
    told = values.fields(usage)
    prompt = values.count(told.get("prompt_tokens"))
    said = values.count(told.get("completion_tokens") or 0)
    if not prompt or said is None:
        return None
    cached = values.fields(told.get("prompt_tokens_details")).get("cached_tokens")
    thought = values.fields(told.get("completion_tokens_details")).get("reasoning_tokens")
    return Usage(prompt, said, cached_tokens=values.count(cached) or 0, reasoning_tokens=values.count(thought) or 0)


def estimate(messages: Sequence[Message], choices: Sequence[Choice]) -> Usage:
    """A count for providers that give none: about four bytes of UTF-8 to the token.

    A tokenizer would be closer, but its tables take 110 MB and half a second, and the number is marked as an estimate
    anyway.
    """
    prompt = sum(4 + _length(message) for message in messages)
    said = sum(
        count(choice.text)
        + count(choice.reasoning)
        + sum(count(call.name + call.arguments) for call in choice.tool_calls)
        for choice in choices
    )
    return Usage(prompt, said, estimated=True)


def count(text: str) -> int:
    return (len(text.encode("utf-8", "replace")) + 3) // 4


def _length(message: Message) -> int:
    """The tokens of a message, which may be given as tokens already."""
    content = message.get("content")
    given = isinstance(content, list) and all(type(each) is int for each in content)
    return len(content) if given and isinstance(content, list) else count(_said(message))


def _said(message: Message) -> str:
    content = message.get("content")
    text = content if isinstance(content, str) else _parts(content)
    calls = message.get("tool_calls")
    return text + (json.dumps(calls, ensure_ascii=False) if calls else "")


def _parts(content: Json) -> str:
    """The text among the parts of a message; an image's bytes are no tokens."""
    if not isinstance(content, list):
        return ""
    return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
