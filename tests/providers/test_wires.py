"""What a kind of call may depend on: LiteLLM's own translation of other words is what a kept wire makes of them."""

from __future__ import annotations

import asyncio
import re
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from proxy.models import Call, CompletionRequest, Event, Json, Message, TraceContext
from proxy.providers import wires
from proxy.providers.engine import wrapper
from proxy.providers.engine.capture import Capture, capture
from proxy.providers.litellm import LiteLLM
from proxy.providers.standins import LENGTHS, STANDINS
from proxy.providers.translation.parameters import OPENAI_LENGTHS, Plan
from proxy.target import Target
from tests.upstreams.fleet import MODELS, Fleet

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
    wire = wires.wire(first, drawn[0], {}, KEY, stream=False)
    assert wire is not None
    assert wire.direct == (name in DIRECT)
    for messages in drawn:
        found = await shown(litellm, fleet, name, messages)
        assert wires.form(messages) == wires.form(drawn[0])
        assert orjson.loads(orjson.dumps(wire.body(messages, {}))) == orjson.loads(found.body)
        assert found.url == wire.url


@pytest.mark.parametrize("name", [*DIRECT, *OTHERS])
async def test_no_key_is_in_a_wire_and_any_can_be_put_in(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    litellm, said = await provider.start(), [{"role": "user", "content": "hi"}]
    wire = wires.wire(await shown(litellm, fleet, name, said), said, {}, KEY, stream=False)
    assert wire is not None
    assert KEY not in repr((wire.url, wire.headers, wire.fields))
    assert [value for value in wire.keyed("another").values() if "another" in value] in (
        ["Bearer another"],
        ["another"],
    )


SAID: list[Message] = [{"role": "user", "content": "hi"}]


def captured(body: Json, url: str = "http://127.0.0.1/v1/chat/completions") -> Capture:
    return Capture(url, {"authorization": f"Bearer {KEY}", "host": "127.0.0.1"}, orjson.dumps(body))


@pytest.mark.parametrize("key", ["a", "application/json", "json", "Bearer", "1", "Bearer a"])
def test_a_key_that_stands_elsewhere_too_is_no_key_there(key: str) -> None:
    """Or the next key would be written into every header in which the first one was found."""
    sent = {"content-type": "application/json", "x-stage": "a", "anthropic-version": "2023-06-01"}
    body = orjson.dumps({"model": "m", "messages": SAID})
    for header in ({"authorization": f"Bearer {key}"}, {"x-api-key": key}):
        found = Capture("http://127.0.0.1/v1/chat/completions", {**sent, **header}, body)
        wire = wires.wire(found, SAID, {}, key, stream=False)
        assert wire is not None
        assert wire.keyed("another") == sent | {
            name: "Bearer another" if name == "authorization" else "another" for name in header
        }


def test_what_cannot_be_repeated_is_no_wire() -> None:
    whole = {"model": "m", "messages": SAID}
    assert wires.wire(captured(whole), SAID, {}, KEY, stream=False) is not None
    assert wires.wire(captured(whole), SAID, {}, KEY, stream=True) is None, "LiteLLM means to fake the stream"
    assert wires.wire(captured(whole | {"messages": []}), SAID, {}, KEY, stream=False) is None
    assert wires.wire(captured(whole, "http://127.0.0.1/v1/responses"), SAID, {}, KEY, stream=False) is None
    assert wires.wire(captured([whole]), SAID, {}, KEY, stream=False) is None
    assert wires.wire(Capture("http://127.0.0.1/", {}, b"\xff"), SAID, {}, KEY, stream=False) is None


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


OWN: dict[str, Json] = {
    "user": "ada",
    "seed": 7,
    "max_tokens": 33,
    "prompt_cache_key": "a key of a cache",
    "safety_identifier": "someone",
}


async def sent(fleet: Fleet, provider: LiteLLM, target: Target, **params: Json) -> Json:
    """The body that a call with these parameters comes with."""
    fleet.reset()
    trace = TraceContext("t", "t")
    call = Call(CompletionRequest("parea", trace, messages=[{"role": "user", "content": "hi"}], params=params))
    async with aclosing(provider.complete(call, target)) as events:
        assert [event async for event in events]
    (request,) = fleet[target.provider].requests
    return request.json


@pytest.mark.parametrize("name", MODELS)
async def test_values_of_a_calls_own_make_no_other_kind(fleet: Fleet, name: str) -> None:
    provider, lean = LiteLLM(timeout=10), fleet.target(name)
    await provider.start()
    wrapped = replace(lean, transport="litellm")
    assert await sent(fleet, provider, lean, **OWN) == await sent(fleet, provider, wrapped, **OWN)
    kinds = len(provider._lean.wires)
    others = {key: f"{value} more" if isinstance(value, str) else value + 1 for key, value in OWN.items()}
    body = await sent(fleet, provider, lean, **others)
    assert body == await sent(fleet, provider, wrapped, **others)
    assert "stand-in" not in orjson.dumps(body).decode()
    # elsewhere the length of an answer has rules
    assert (len(provider._lean.wires) == kinds) == (name in OPENAI_LENGTHS)
    await provider.close()


@pytest.mark.parametrize(
    "params",
    [
        {"user": "ada@example.com"},
        {"user": "+49 (30) 1234567"},
        {"user": "ada", "seed": 1},
        {"max_tokens": 5, "max_completion_tokens": 9},
        {"seed": LENGTHS["max_tokens"], "max_tokens": 5},
        {"user": STANDINS["prompt_cache_key"], "prompt_cache_key": "k"},
        {"stop": [STANDINS["user"]], "user": "ada"},
        {"metadata": {"a": STANDINS["user"]}, "user": "ada"},
    ],
)
@pytest.mark.parametrize("name", MODELS)
async def test_values_that_are_alike_are_not_mistaken(
    fleet: Fleet, provider: LiteLLM, name: str, params: dict[str, Json]
) -> None:
    lean = fleet.target(name)
    wrapped = replace(lean, transport="litellm")
    await sent(fleet, provider, lean, **{each: STANDINS.get(each, value) for each, value in params.items()})
    assert await sent(fleet, provider, lean, **params) == await sent(fleet, provider, wrapped, **params)


@pytest.mark.parametrize("asked", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("configured", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("name", MODELS)
async def test_a_request_s_length_counts_by_either_name(
    fleet: Fleet, provider: LiteLLM, name: str, configured: str, asked: str
) -> None:
    target = replace(fleet.target(name), params={configured: 500})
    for transport in ("lean", "litellm"):
        body = orjson.dumps(await sent(fleet, provider, replace(target, transport=transport), **{asked: 10})).decode()
        assert re.search(r":10\b", body)
        assert not re.search(r":500\b", body)


async def test_a_key_of_another_form_is_another_kind(
    fleet: Fleet, provider: LiteLLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LiteLLM sends Anthropic's tokens of a login in another header than its keys."""
    for key in ("sk-ant-api-1", "sk-ant-oat-2", "another", "sk-ant-oat-3", "sk-ant-api-4"):
        monkeypatch.setattr(fleet["anthropic"], "key", key)
        await sent(fleet, provider, fleet.target("anthropic").with_key(SecretStr(key)))
        headers = fleet["anthropic"].requests[0].headers
        found = {name: headers[name] for name in ("authorization", "x-api-key") if name in headers}
        assert found == ({"authorization": f"Bearer {key}"} if "oat" in key else {"x-api-key": key})


async def test_calls_of_one_kind_that_come_together_ask_litellm_once(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = LiteLLM(timeout=10)
    litellm, asked = await provider.start(), []
    ask = litellm.acompletion

    async def counted(**named: Any) -> Any:
        asked.append(named["model"])
        return await ask(**named)

    monkeypatch.setattr(litellm, "acompletion", counted)
    request = CompletionRequest("parea", TraceContext("t", "t"), messages=[{"role": "user", "content": "hi"}])

    async def one() -> list[Event]:
        async with aclosing(provider.complete(Call(request), fleet.target("openai"))) as events:
            return [event async for event in events]

    first = asyncio.create_task(one())
    others = [asyncio.create_task(one()) for _ in range(10)]
    await asyncio.sleep(0)
    first.cancel()
    assert all(await asyncio.gather(*others))
    assert len(asked) == 1
    await provider.close()
