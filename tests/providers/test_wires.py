"""What a kind of call may depend on: LiteLLM's own translation of other words is what a kept wire makes of them."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.models import Json, Message
from proxy.providers import wires, wrapper
from proxy.providers.capture import Capture, capture
from proxy.providers.litellm import LiteLLM
from proxy.providers.parameters import Plan
from tests.upstreams.fleet import Fleet

DIRECT = ["openai", "azure", "anyscale", "openrouter", "mistral", "litellm", "groq", "fireworks"]
OTHERS = ["anthropic", "cohere"]
KEY = "the-key-of-this-target"

ODD = ['{"a": 1}', "[]", "null", "<think>x</think>", "data: [DONE]", "{{name}}", "a\u2028b", "  padded  ", "\x00", "😀"]
LETTERS = st.characters(codec="utf-8", exclude_categories=["Cs"])
WORDS = st.text(LETTERS, min_size=1, max_size=40).filter(str.strip) | st.sampled_from(ODD)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """A conversation of one form, whatever its words are."""
    call = {"id": draw(st.from_regex(r"[A-Za-z0-9]{9}", fullmatch=True)), "type": "function"}
    function = {"name": "get_weather", "arguments": orjson.dumps({"city": draw(WORDS)}).decode()}
    return [
        {"role": "system", "content": draw(WORDS)},
        {"role": "user", "content": draw(WORDS)},
        {"role": "assistant", "content": draw(WORDS)},
        {"role": "user", "content": draw(WORDS)},
        {"role": "assistant", "content": None, "tool_calls": [call | {"function": function}]},
        {"role": "tool", "tool_call_id": call["id"], "content": draw(WORDS)},
        {"role": "user", "content": [{"type": "text", "text": draw(WORDS)}]},
    ]


TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}}}


async def shown(litellm: Any, fleet: Fleet, name: str, messages: list[Message]) -> Capture:
    """What LiteLLM shows of a call with these messages."""
    target = fleet.target(name)
    arguments: dict[str, Json] = {"tools": [TOOL], "max_tokens": 50, "stream": False}
    plan = Plan(target.provider, target.model, {}, messages, arguments=arguments)
    asked = wrapper.arguments(litellm, plan, target, 10.0) | {"api_key": KEY}
    return await capture(partial(litellm.acompletion, **asked), stream=False)


@pytest.mark.parametrize("name", [*DIRECT, *OTHERS])
async def test_other_words_are_translated_as_litellm_does(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    litellm = await provider.start()
    drawn: list[list[Message]] = []

    @settings(max_examples=25, suppress_health_check=list(HealthCheck))
    @given(conversations())
    def collect(messages: list[Message]) -> None:
        drawn.append(messages)

    await asyncio.to_thread(collect)
    first = await shown(litellm, fleet, name, drawn[0])
    wire = wires.wire(first, drawn[0], KEY, stream=False)
    assert wire is not None
    assert wire.direct == (name in DIRECT)
    for messages in drawn:
        found = await shown(litellm, fleet, name, messages)
        assert wires.form(messages) == wires.form(drawn[0])
        assert orjson.loads(orjson.dumps(wire.body(messages))) == orjson.loads(found.body)
        assert found.url == wire.url


@pytest.mark.parametrize("name", [*DIRECT, *OTHERS])
async def test_no_key_is_in_a_wire_and_any_can_be_put_in(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    litellm, said = await provider.start(), [{"role": "user", "content": "hi"}]
    wire = wires.wire(await shown(litellm, fleet, name, said), said, KEY, stream=False)
    assert wire is not None
    assert KEY not in repr((wire.url, wire.headers, wire.fields))
    assert [value for value in wire.keyed("another").values() if "another" in value] in (
        ["Bearer another"],
        ["another"],
    )


SAID: list[Message] = [{"role": "user", "content": "hi"}]


def captured(body: Json, url: str = "http://127.0.0.1/v1/chat/completions") -> Capture:
    return Capture(url, {"authorization": f"Bearer {KEY}", "host": "127.0.0.1"}, orjson.dumps(body))


def test_what_cannot_be_repeated_is_no_wire() -> None:
    whole = {"model": "m", "messages": SAID}
    assert wires.wire(captured(whole), SAID, KEY, stream=False) is not None
    assert wires.wire(captured(whole), SAID, KEY, stream=True) is None, "LiteLLM means to fake the stream"
    assert wires.wire(captured(whole | {"messages": []}), SAID, KEY, stream=False) is None
    assert wires.wire(captured(whole, "http://127.0.0.1/v1/responses"), SAID, KEY, stream=False) is None
    assert wires.wire(captured([whole]), SAID, KEY, stream=False) is None
    assert wires.wire(Capture("http://127.0.0.1/", {}, b"\xff"), SAID, KEY, stream=False) is None


@pytest.mark.parametrize(
    "other",
    [
        [{"role": "developer", "content": "hi"}],
        [{"role": "user", "content": " "}],
        [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
        [{"role": "user", "content": "hi", "name": "ada"}],
        [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}],
        [{"role": "user", "content": "hi"}, {"role": "assistant", "content": None}],
    ],
)
def test_another_form_is_another_kind(other: list[Message]) -> None:
    assert wires.form(other) != wires.form(SAID)
    assert wires.name({}, {}, other) != wires.name({}, {}, SAID)
    assert wires.name({"api_base": "x"}, {}, SAID) != wires.name({}, {}, SAID) != wires.name({}, {"n": 1}, SAID)
    assert wires.form([{"role": "user", "content": "other words"}]) == wires.form(SAID)
