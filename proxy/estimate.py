"""How many tokens a prompt may have, before anybody has counted them: about four bytes of UTF-8 to the token.

A tokenizer would be closer for the models it is made for. It is an estimate either way, and said to be one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import orjson

from proxy.models import Json, Message

PER_MESSAGE = 4
"""Tokens that a message takes besides its text."""

PER_PICTURE = 1500
"""Tokens of a picture or a file, whose bytes say nothing of them."""


def estimate(messages: Sequence[Message], params: Mapping[str, Json]) -> int:
    """The tokens of a conversation with the tools that are offered with it."""
    total = sum(PER_MESSAGE + _content(message.get("content")) for message in messages)
    total += sum(_json(message["tool_calls"]) for message in messages if message.get("tool_calls"))
    return total + (_json(params["tools"]) if params.get("tools") else 0)


def _content(content: Json) -> int:
    if isinstance(content, str):
        return _tokens(len(content.encode("utf-8", "replace")))
    parts = content if isinstance(content, list) else []
    return sum(_content(part["text"]) if part["type"] == "text" else PER_PICTURE for part in parts)


def _json(value: Json) -> int:
    return _tokens(len(orjson.dumps(value)))


def _tokens(size: int) -> int:
    return (size + 3) // 4
