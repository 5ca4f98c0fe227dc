"""A provider that needs no key and no network: it says what it was told, the same way every time.

For the first request on a new machine, for tests of one's own program, and for measuring the gateway itself. Tokens
are words; the price is nothing. With a tool choice that demands a call it calls that tool with no arguments.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator

from proxy.models import Call, Choice, Chunk, Completion, Event, Json, Message, Target, ToolCall, Usage

WORD = re.compile(r"\s*\S+\s*$|\s*\S+")


class Echo:
    """The offline provider: answers with the last user message."""

    async def complete(self, call: Call, target: Target) -> AsyncGenerator[Event, None]:
        messages = [*call.request.history, *(call.request.messages or ())]
        choice = _answer(messages, call.request.params)
        pieces = WORD.findall(choice.text)
        if call.request.stream:
            for piece in pieces:
                yield Chunk(text=piece)
        usage = Usage(
            sum(len(_text(message).split()) for message in messages), max(len(pieces), len(choice.tool_calls))
        )
        yield Completion([choice], usage, model=target.model, provider=target.provider, cost=0.0)

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


def _demanded(tools: list[Json], choice: Json) -> str | None:
    names = [tool["function"]["name"] for tool in tools]
    if choice == "required":
        return next(iter(names), None)
    if isinstance(choice, dict):
        return str(choice.get("function", {}).get("name"))
    return None


def _text(message: Message) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")
