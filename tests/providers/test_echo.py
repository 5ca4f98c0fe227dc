"""The offline provider: the same answer every time, whatever it is asked for."""

from __future__ import annotations

import base64
import math
import struct
from contextlib import aclosing

import pytest

from proxy.models import Call, Completion, CompletionRequest, Event, Json, Kind, Target, TraceContext
from proxy.providers.echo import DIMENSIONS, Echo


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
