"""What a user of anthropic writes. Run with ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY set; prints one JSON object of
what it saw.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import anthropic
from anthropic import Anthropic, AsyncAnthropic
from anthropic.types import MessageParam, ToolParam

client = Anthropic()
impatient = Anthropic(max_retries=0)
seen: dict[str, Any] = {"version": anthropic.__version__}

CLAUDE = "claude-haiku-4-5"
GPT = "openai/gpt-4o-mini"
HI: list[MessageParam] = [{"role": "user", "content": "hi"}]
TOOL: ToolParam = {
    "name": "get_weather",
    "description": "The weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}
ROUND: list[MessageParam] = [
    *HI,
    {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "get_weather", "input": {}}]},
    {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "sunny"}]},
]


def flow(function: Callable[[], Any]) -> None:
    try:
        seen[function.__name__] = function()
    except Exception as error:  # which it is, is the finding
        seen[function.__name__] = f"{type(error).__name__}: {error}"


def blocks(message: anthropic.types.Message) -> list[Any]:
    return [
        block.text if block.type == "text" else [block.name, block.input]
        for block in message.content
        if block.type in ("text", "tool_use")
    ]


def told(model: str) -> list[Any]:
    message = client.messages.create(model=model, max_tokens=20, system="Be brief.", messages=HI)
    counts = [message.usage.input_tokens, message.usage.output_tokens]
    return [message.type, message.role, blocks(message), message.stop_reason, *counts]


def streamed(model: str) -> list[Any]:
    with client.messages.stream(model=model, max_tokens=20, messages=HI) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    return [text, blocks(final), final.stop_reason, final.usage.output_tokens]


@flow
def whole() -> Any:
    return [told(CLAUDE), told(GPT), told("echo")[2]]


@flow
def stream() -> Any:
    return [streamed(CLAUDE), streamed(GPT)]


@flow
def events() -> Any:
    """The raw events, in the order that the API documents."""
    asked = client.messages.create(model=GPT, max_tokens=20, messages=HI, stream=True)
    kinds = [event.type for event in asked]
    return [kind for number, kind in enumerate(kinds) if kind != "content_block_delta" or kinds[number - 1] != kind]


@flow
def tools() -> Any:
    asked = (
        client.messages.create(model=model, max_tokens=20, messages=HI, tools=[TOOL], tool_choice={"type": "auto"})
        for model in (f"{GPT}~tool", f"anthropic/{CLAUDE}~tool")
    )
    return [[message.stop_reason, blocks(message)] for message in asked]


@flow
def tools_stream() -> Any:
    found = []
    for model in (f"{GPT}~tool2", f"anthropic/{CLAUDE}~tool2"):
        with client.messages.stream(model=model, max_tokens=20, messages=HI, tools=[TOOL]) as stream:
            message = stream.get_final_message()
        found.append([message.stop_reason, blocks(message)])
    return found


@flow
def tool_result() -> Any:
    return [
        blocks(client.messages.create(model=model, max_tokens=20, messages=ROUND, tools=[TOOL]))
        for model in (CLAUDE, GPT)
    ]


@flow
def image() -> Any:
    source: Any = {"type": "base64", "media_type": "image/gif", "data": "R0lGODlhAQABAAAAACwAAAAAAQABAAA="}
    parts: Any = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
    return blocks(client.messages.create(model=GPT, max_tokens=20, messages=[{"role": "user", "content": parts}]))


@flow
def length() -> Any:
    return client.messages.create(model=f"{GPT}~length", max_tokens=2, messages=HI).stop_reason


@flow
def counted() -> Any:
    return client.messages.count_tokens(model=CLAUDE, messages=HI).input_tokens > 0


@flow
def headers() -> Any:
    raw = client.messages.with_raw_response.create(
        model="echo", max_tokens=20, messages=HI, extra_headers={"x-trace-id": "anthropic-1"}
    )
    return [raw.headers.get("x-trace-id"), raw.headers.get("x-cache"), blocks(raw.parse())]


def refused(of: Anthropic = impatient, model: str = GPT, **fields: Any) -> list[Any]:
    try:
        of.messages.create(**{"model": model, "max_tokens": 20, "messages": HI, **fields})
    except anthropic.APIStatusError as error:
        body: Any = error.body
        return [type(error).__name__, error.status_code, body["type"], body["error"]["type"]]
    return ["no error"]


@flow
def unknown_model() -> Any:
    return refused(model="no-such-model")


@flow
def wrong_key() -> Any:
    return refused(Anthropic(base_url=os.environ["GUARDED"]))


@flow
def wrong_upstream_key() -> Any:
    return refused(model=f"{GPT}~e401")


@flow
def wrong_field() -> Any:
    return refused(extra_body={"temperature": "hot"})


@flow
def missing_field() -> Any:
    return refused(messages=[])


@flow
def limited() -> Any:
    return refused(model=f"{GPT}~e429after")


@flow
def broken() -> Any:
    return refused(model=f"{GPT}~e500")


@flow
def failing_stream() -> Any:
    text = ""
    try:
        with client.messages.stream(model=f"{GPT}~serr", max_tokens=20, messages=HI) as stream:
            for piece in stream.text_stream:
                text += piece
    except anthropic.APIError as error:
        return [text, type(error).__name__]
    return [text, "no error"]


async def gathered() -> list[Any]:
    async with AsyncAnthropic() as asynchronous:
        message = await asynchronous.messages.create(model="echo", max_tokens=20, messages=HI)
        async with asynchronous.messages.stream(model=GPT, max_tokens=20, messages=HI) as stream:
            pieces = [piece async for piece in stream.text_stream]
    return [blocks(message), "".join(pieces)]


@flow
def concurrent() -> Any:
    return asyncio.run(gathered())


json.dump(seen, sys.stdout)
