"""How many tokens a call may take, before or without anybody counting them: about four bytes of UTF-8 to the token.

A tokenizer would be closer for the model it is made for, but its tables take 110 MB and half a second. What must stay
true: a count that is an estimate is marked as one wherever it is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from proxy.models import Choice, CompletionRequest, Json, Message, Usage

PER_MESSAGE = 4
"""Tokens that a message takes besides its text."""

PER_PICTURE = 1500
"""Tokens of a picture or a file, whose bytes say nothing of them."""

ANSWER = 256
"""Tokens that are set aside for an answer whose length the request does not limit."""


def estimate(messages: Sequence[Message], choices: Sequence[Choice]) -> Usage:
    """A count for providers that give none."""
    said = sum(
        count(choice.text)
        + count(choice.reasoning)
        + sum(count(call.name + call.arguments) for call in choice.tool_calls)
        for choice in choices
    )
    return Usage(expected(messages, {}), said, estimated=True)


def expected(messages: Sequence[Message], params: Mapping[str, Json]) -> int:
    """The tokens of a conversation with the tools that are offered with it, or of texts."""
    total = sum(PER_MESSAGE + _content(message.get("content")) for message in messages)
    total += sum(_json(message["tool_calls"]) for message in messages if message.get("tool_calls"))
    return total + (_json(params["tools"]) if params.get("tools") else 0)


def longest(request: CompletionRequest) -> int:
    """The tokens that are set aside for the answers to a request: what it allows them."""
    if request.kind == "embedding":
        return 0
    params = request.params
    limit = params.get("max_completion_tokens") or params.get("max_tokens")
    several = params.get("n")
    limit = limit if isinstance(limit, int) and limit > 0 else ANSWER
    return limit * (several if isinstance(several, int) and several > 1 else 1)


def count(text: str) -> int:
    """The tokens of a text."""
    return _tokens(len(text.encode("utf-8", "replace")))


def _content(content: Json) -> int:
    """The tokens of a message's content, which may be given as tokens already."""
    if isinstance(content, str):
        return count(content)
    parts = content if isinstance(content, list) else []
    return sum(1 if isinstance(part, int) else _part(part) for part in parts)


def _part(part: Json) -> int:
    text = part.get("text") if isinstance(part, dict) else None
    return count(text) if isinstance(text, str) else PER_PICTURE


def _json(value: Json) -> int:
    return _tokens(len(orjson.dumps(value)))


def _tokens(size: int) -> int:
    return (size + 3) // 4
