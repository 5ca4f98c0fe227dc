"""A provider that needs no key and no network: it says what it was told, the same way every time.

For the first request on a new machine, for tests of one's own program, and for measuring the gateway itself. Tokens
are words; the price is nothing. With a tool choice that demands a call it calls that tool with no arguments. A text to
embed has a vector of length one that is made of its hash: equal texts have equal ones, and no others mean anything.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import AsyncGenerator, Mapping

from proxy.models import Call, Choice, Chunk, Completion, Event, Json, Message, ToolCall, Usage
from proxy.providers.translation.embeddings import packed
from proxy.target import Target

DIMENSIONS, MOST_DIMENSIONS = 8, 4096
"""Numbers in a vector, where a request does not say how many, and the most that it may ask for."""

WORD = re.compile(r"\s*\S+\s*$|\s*\S+")


class Echo:
    """The offline provider: answers with the last user message."""

    async def complete(self, call: Call, target: Target) -> AsyncGenerator[Event, None]:
        messages = [*call.request.history, *(call.request.messages or ())]
        if call.request.kind == "embedding":
            yield _embedded(messages, call.request.params, target)
            return
        choice = _answer(messages, call.request.params)
        pieces = WORD.findall(choice.text)
        if call.request.stream:
            for piece in pieces:
                yield Chunk(text=piece)
            if choice.tool_calls:
                yield Chunk(tool_calls=choice.tool_calls)
        usage = Usage(
            sum(len(_text(message).split()) for message in messages), max(len(pieces), len(choice.tool_calls))
        )
        yield Completion([choice], usage, model=target.model, provider=target.provider, cost=0.0)

    async def explain(self, call: Call, target: Target) -> dict[str, Json]:
        return {**target.params, **call.request.params}

    async def warm(self, call: Call, target: Target) -> None:
        return None

    def start(self) -> None:
        return None

    async def ready(self) -> str | None:
        return None

    async def close(self) -> None:
        return None


provider = Echo


def _answer(messages: list[Message], params: dict[str, Json]) -> Choice:
    demanded = _demanded(params.get("tools") or [], params.get("tool_choice"))
    if demanded:
        call = ToolCall(id="call_echo", name=demanded, arguments="{}")
        return Choice(tool_calls=[call], finish_reason="tool_calls")
    said = next((_text(message) for message in reversed(messages) if message.get("role") == "user"), "")
    return Choice(text=f"You said: {said}")


def _embedded(messages: list[Message], params: Mapping[str, Json], target: Target) -> Completion:
    wanted = params.get("dimensions")
    size = wanted if type(wanted) is int and 0 < wanted <= MOST_DIMENSIONS else DIMENSIONS
    vectors = [_vector(str(message.get("content")), size) for message in messages]
    told: list[Json] = [packed(each) for each in vectors] if params.get("encoding_format") == "base64" else [*vectors]
    usage = Usage(sum(len(str(message.get("content")).split()) for message in messages), 0)
    return Completion([], usage, model=target.model, provider=target.provider, cost=0.0, embeddings=told)


def _vector(text: str, size: int) -> list[float]:
    drawn = hashlib.shake_256(text.encode("utf-8", "replace")).digest(2 * size)
    numbers = [int.from_bytes(drawn[at : at + 2], "big") / 0x8000 - 1 for at in range(0, 2 * size, 2)]
    length = math.hypot(*numbers) or 1.0
    return [number / length for number in numbers]


def _demanded(tools: Json, choice: Json) -> str | None:
    tools = tools if isinstance(tools, list) else []
    if choice == "required":
        return next(filter(None, map(_named, tools)), None)
    return _named(choice)


def _named(value: Json) -> str | None:
    """The function that a tool or a choice names; what has another form names none."""
    function = value.get("function") if isinstance(value, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    return name if isinstance(name, str) else None


def _text(message: Message) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")
