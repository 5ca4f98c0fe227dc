"""The offline provider: the same answer every time, whatever it is asked for."""

from __future__ import annotations

import base64
import math
import struct
from contextlib import aclosing

import pytest

from proxy.models import Call, Chunk, Completion, CompletionRequest, Event, Json, Kind, TraceContext
from proxy.providers.echo import DIMENSIONS, Echo
from proxy.target import Target


async def ask(kind: Kind, *texts: Json, stream: bool = False, **params: Json) -> list[Event]:
    messages = [{"role": "user", "content": text} for text in texts]
    request = CompletionRequest(
        "openai", TraceContext("t", "t"), kind=kind, messages=messages, params=params, stream=stream
    )
    async with aclosing(Echo().complete(Call(request), Target("echo", "echo"))) as events:
        return [event async for event in events]


async def embedded(*texts: Json, **params: Json) -> list[Json]:
    (completion,) = await ask("embedding", *texts, **params)
    assert isinstance(completion, Completion)
    return completion.embeddings


@pytest.mark.parametrize("kind", ["chat", "text"])
async def test_it_says_what_it_was_told(kind: Kind) -> None:
    *chunks, completion = await ask(kind, "one two", stream=True)
    assert isinstance(completion, Completion)
    assert completion.text == "You said: one two"
    assert len(chunks) == completion.usage.completion_tokens == 4


async def test_vectors_are_of_length_one_and_belong_to_their_texts() -> None:
    first, second, again = await embedded("one two", "three", "one two")
    assert first == again != second
    assert len(first) == DIMENSIONS
    assert math.hypot(*first) == pytest.approx(1)
    (completion,) = await ask("embedding", "one two", "three")
    assert isinstance(completion, Completion)
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens, completion.cost) == (3, 0, 0.0)
    assert completion.choices == []


async def test_dimensions() -> None:
    assert [len(vector) for vector in await embedded("a", [1, 2], dimensions=3)] == [3, 3]
    for odd in (0, -1, 10**9, "5", True):
        assert [len(vector) for vector in await embedded("a", dimensions=odd)] == [DIMENSIONS]


async def test_base64() -> None:
    (numbers,) = await embedded("a")
    (packed,) = await embedded("a", encoding_format="base64")
    assert struct.unpack(f"<{DIMENSIONS}f", base64.b64decode(packed)) == pytest.approx(numbers)


TOOL = {"type": "function", "function": {"name": "look"}}


@pytest.mark.parametrize("choice", ["required", TOOL])
async def test_a_call_that_is_demanded_is_made(choice: Json) -> None:
    for stream in (False, True):
        *chunks, completion = await ask("chat", "hi", stream=stream, tools=[TOOL], tool_choice=choice)
        assert isinstance(completion, Completion)
        (call,) = completion.tool_calls
        assert (call.name, call.arguments) == ("look", "{}")
        assert [chunk.tool_calls for chunk in chunks if isinstance(chunk, Chunk)] == [[call]] * stream


@pytest.mark.parametrize("choice", ["none", "auto", {"function": "look"}, {"function": {"name": 5}}, {}, ["look"], 5])
async def test_a_choice_of_another_form_demands_none(choice: Json) -> None:
    (completion,) = await ask("chat", "hi", tools=[TOOL], tool_choice=choice)
    assert isinstance(completion, Completion)
    assert (completion.tool_calls, completion.text) == ([], "You said: hi")


async def test_tools_of_another_form_cannot_be_called() -> None:
    odd: Json
    for odd in ("look", [5, {"function": "look"}, {}], {}):
        (completion,) = await ask("chat", "hi", tools=odd, tool_choice="required")
        assert isinstance(completion, Completion)
        assert completion.tool_calls == []
