"""Conversations that are nearly of one form: whichever of them LiteLLM was asked about first, each is sent as it would.

A wire that is kept for one form must not be used for another that LiteLLM writes otherwise.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from proxy.errors import UpstreamError
from proxy.models import Call, CompletionRequest, Json, Message, TraceContext
from proxy.providers.litellm import LiteLLM
from proxy.target import Target
from tests.upstreams.fleet import MODELS, Fleet

PNG, PDF = "data:image/png;base64,iVBORw0KGgo=", "data:application/pdf;base64,JVBERi0xLjQ="
CACHED: dict[str, Json] = {"cache_control": {"type": "ephemeral"}}
ID = "abcdefgh1"


def text(said: str = "x", **more: Json) -> dict[str, Json]:
    return {"type": "text", "text": said, **more}


def image(value: Json) -> dict[str, Json]:
    return {"type": "image_url", "image_url": value}


def file(**fields: Json) -> dict[str, Json]:
    return {"type": "file", "file": {"file_data": PDF, **fields}}


def said(content: Json, role: str = "user") -> Message:
    return {"role": role, "content": content}


def called(arguments: str = "{}", result: Json = "ok", **more: Json) -> list[Message]:
    call = {"id": ID, "type": "function", "function": {"name": "f", "arguments": arguments}, **more}
    answer = {"role": "assistant", "content": None, "tool_calls": [call]}
    return [said("q"), answer, {"role": "tool", "tool_call_id": ID, "content": result}]


TEXTS: list[list[Json]] = [
    [text()],
    [text("")],
    [text(" ")],
    [text(**CACHED)],
    [text(), text()],
    [text("a"), text("")],
]
NEAR: dict[str, list[list[Message]]] = {
    "words": [[said(words)] for words in ("hi", "", " ", "{}", "[]", "<think>a</think>b", "  hi  ", "hi\x00")],
    "parts": [[said(parts)] for parts in TEXTS],
    "answers": [[said("q"), said(parts, "assistant"), said("r")] for parts in TEXTS],
    "images": [
        [said([text(), image({"url": PNG})])],
        [said([text(), image(PNG)])],
        [said([text(), image({"url": PNG, "format": "image/png"})])],
        [said([text(), image({"url": PNG, "detail": "low"})])],
        [said([text(), image({"url": PNG}), image({"url": PNG, "detail": "high"})])],
    ],
    "files": [
        [said([text(), file(filename="a.pdf")])],
        [said([text(), file()])],
        [said([text(), file(format="application/pdf")])],
    ],
    "audio": [
        [said([text(), {"type": "input_audio", "input_audio": {"data": "aGk=", "format": form}}])]
        for form in ("wav", "mp3")
    ],
    "calls": [
        *map(called, ("{}", "", '{"a":1}', "[1]", "nope", '{"a": 1e400}', '{"a": NaN}')),
        *(called(result=result) for result in ('{"a":1}', "", [text()])),
        called(index=0),
    ],
    "turns": [
        [said("a"), said("b")],
        [said("a")],
        [said("a"), said("b", "assistant"), said("c")],
        [said("a"), said("b", "assistant"), said("b", "assistant"), said("c")],
        [said("b", "assistant"), said("c")],
    ],
    "system": [
        [said("s", "system"), said("a")],
        [said("a"), said("s", "system"), said("a")],
        [said("s", "system"), said("t", "system"), said("a")],
        [said([text()], "system"), said("a")],
        [said([text(**CACHED)], "system"), said("a")],
        [said([text(), text()], "system"), said("a")],
    ],
}


async def sent(fleet: Fleet, provider: LiteLLM, target: Target, messages: list[Message]) -> tuple[Any, str]:
    """The body that a conversation comes with, None if it does not come, and what the gateway says of a failure."""
    fleet.reset()
    call = Call(CompletionRequest("parea", TraceContext("t", "t"), messages=messages))
    failure = ""
    try:
        async with aclosing(provider.complete(call, target)) as events:
            assert [event async for event in events]
    except UpstreamError as error:
        failure = str(error)
    requests = fleet[target.provider].requests
    return (requests[-1].json if requests else None), failure


@pytest.mark.parametrize("near", NEAR)
@pytest.mark.parametrize("name", MODELS)
async def test_whoever_was_first(fleet: Fleet, name: str, near: str) -> None:
    conversations = NEAR[near]
    wrapped = replace(fleet.target(name), transport="litellm")
    provider = LiteLLM(timeout=10)
    await provider.start()
    expected = [await sent(fleet, provider, wrapped, messages) for messages in conversations]
    await provider.close()
    for order in (1, -1):
        provider = LiteLLM(timeout=10)
        await provider.start()
        found = [await sent(fleet, provider, fleet.target(name), messages) for messages in conversations[::order]]
        await provider.close()
        assert found == expected[::order]
