"""Every vendor in every situation, whole and streamed, against its loopback upstream: `openai-tools_named-stream`.

Three tables: the requests of `golden`, with the exact body that each vendor must have received; answers that are out of
the ordinary; failures, with what the gateway says of them.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from proxy.draft import Draft
from proxy.errors import UpstreamError
from proxy.models import Call, Chunk, Completion, CompletionRequest, TraceContext
from proxy.providers.litellm import LiteLLM
from proxy.target import Target
from tests.providers.features import FEATURES
from tests.providers.golden import HELLO, ROWS, Row, plain
from tests.upstreams.connection import Request
from tests.upstreams.fleet import MODELS, Fleet
from tests.upstreams.scenario import SCENARIOS, Reply, Scenario
from tests.upstreams.vertex import Vertex

Json = Any

PRICES: dict[str, tuple[float, float] | None] = {
    "openai": (0.15, 0.60),
    "azure": (0.15, 0.60),
    "anthropic": (1.00, 5.00),
    "anyscale": None,
    "vertexai": (0.30, 2.50),
    "aws_bedrock": (1.00, 5.00),
    "openrouter": None,
    "mistral": (0.15, 0.60),
    "litellm": (0.15, 0.60),
    "groq": (0.075, 0.30),
    "fireworks": (0.90, 0.90),
    "cohere": (0.15, 0.60),
}
"""US dollars for a million tokens of prompt and completion; None where none is published. OpenRouter tells the cost."""

pytestmark = [
    # LiteLLM's own types, and how it reads them
    pytest.mark.filterwarnings("ignore:Items? .* using the `ReadOnly` qualifier:UserWarning"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_(computed_)?fields' attribute:DeprecationWarning"),
]
vendors = pytest.mark.parametrize("name", MODELS)
ways = pytest.mark.parametrize("way", ["whole", "stream"])


@dataclass
class Heard:
    """What came out of the provider: the chunks put together, and the completion."""

    call: Call
    chunks: list[Chunk] = field(default_factory=list)
    completion: Completion | None = None

    @property
    def whole(self) -> Completion:
        assert self.completion is not None
        return self.completion


def a_call(messages: list[Json], params: Mapping[str, Json], way: str) -> Call:
    return Call(
        CompletionRequest(
            dialect="parea",
            trace=TraceContext("t", "t"),
            messages=messages,
            params=dict(params),
            stream=way == "stream",
        )
    )


async def ask(
    provider: LiteLLM, target: Target, way: str, messages: list[Json] = HELLO, params: Mapping[str, Json] | None = None
) -> Heard:
    heard = Heard(a_call(messages, params or {}, way))
    await hear(provider, target, heard)
    return heard


async def hear(provider: LiteLLM, target: Target, heard: Heard) -> None:
    async with aclosing(provider.complete(heard.call, target)) as events:
        async for event in events:
            assert heard.completion is None, "nothing follows the completion"
            if isinstance(event, Chunk):
                heard.chunks.append(event)
            else:
                heard.completion = event


def received(fleet: Fleet, name: str) -> Json:
    """The body of the only request, without what says nothing: nulls, an empty member, and `stream: false`."""
    (request,) = fleet[name].requests
    body = {key: value for key, value in _clean(request.json).items() if value not in ({}, [])}
    if body.get("stream") is False:
        del body["stream"]
    return _camel(body) if name == "vertexai" else body


def _clean(value: Json) -> Json:
    """Without nulls; and with one name for the call of a tool, whose id the gateway makes up when a client has none."""
    if isinstance(value, list):
        return [_clean(each) for each in value]
    if not isinstance(value, dict):
        return value
    named = {
        key: "call00001" if key in ("id", "tool_call_id", "tool_use_id", "toolUseId") else _clean(each)
        for key, each in value.items()
    }
    return {key: each for key, each in named.items() if each is not None}


def _camel(value: Json) -> Json:
    """Protobuf's JSON takes both spellings of a field; this is the one in Google's reference. Data is left alone."""
    if isinstance(value, list):
        return [_camel(each) for each in value]
    if not isinstance(value, dict):
        return value
    data = ("args", "response", "parameters", "responseJsonSchema", "response_json_schema")
    return {
        re.sub("_([a-z])", lambda match: match[1].upper(), key): each if key in data else _camel(each)
        for key, each in value.items()
    }


def check_answer(name: str, way: str, heard: Heard, reply: Reply) -> None:
    completion = heard.whole
    called = [(call.id, call.name, json.loads(call.arguments)) for call in completion.tool_calls]
    assert completion.text == reply.text
    if name == "vertexai":
        # Gemini's calls have no ids; the gateway's are made up
        assert all(identity for identity, _, _ in called)
        assert [call[1:] for call in called] == [(tool.name, tool.arguments) for tool in reply.tools]
    else:
        assert called == [(tool.id, tool.name, tool.arguments) for tool in reply.tools]
    assert completion.choices[0].finish_reason == reply.finish
    assert (completion.provider, completion.model) == (name, MODELS[name]), "by the name that was called"
    if reply.usage is not None:
        usage = completion.usage
        assert (usage.prompt_tokens, usage.completion_tokens, usage.estimated) == (*reply.usage, False)
        assert completion.cost == pytest.approx(cost(name, reply.usage))
    if way == "whole":
        assert heard.chunks == []
        return
    draft = Draft()
    for chunk in heard.chunks:
        draft.add(chunk)
    (choice,) = draft.choices()
    assert (choice.text, choice.tool_calls) == (completion.text, completion.tool_calls)
    assert choice.reasoning == completion.choices[0].reasoning


def cost(name: str, usage: tuple[int, int]) -> float | None:
    if name == "openrouter":
        return 0.00042
    price = PRICES[name]
    return price and (usage[0] * price[0] + usage[1] * price[1]) / 1e6


def greeting(name: str) -> Reply:
    return Reply(("Hello", " from", f" {name}"))


# what is sent


@ways
@pytest.mark.parametrize("row", [*ROWS, *FEATURES], ids=lambda row: row.id)
@vendors
async def test_request(fleet: Fleet, provider: LiteLLM, name: str, row: Row, way: str) -> None:
    fleet[name].script = SCENARIOS[row.script]
    heard = await ask(provider, fleet.target(name), way, row.messages, row.params)
    assert received(fleet, name) == row.expected(name, way == "stream")
    assert set(heard.call.dropped) == row.dropped.get(name, set())
    check_answer(name, way, heard, SCENARIOS[row.script].reply or greeting(name))


@ways
@vendors
async def test_head(fleet: Fleet, provider: LiteLLM, name: str, way: str) -> None:
    """Nothing compressed is asked for, and nothing of the gateway's own environment is told."""
    await ask(provider, fleet.target(name), way)
    (request,) = fleet[name].requests
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["content-type"].startswith("application/json")
    if name == "azure":
        assert request.query == {"api-version": "2024-10-21"}
        assert "authorization" not in request.headers


# what comes back


ANSWERS: dict[str, Scenario] = {
    **{name: SCENARIOS[name] for name in ("unicode", "split", "length", "filtered", "comment", "texttool", "slow")},
    "pieces": Scenario(split=7),
    "long": Scenario(Reply(tuple(f"word{number} " for number in range(300)), usage=(6, 300))),
}


@ways
@pytest.mark.parametrize("answer", ANSWERS)
@vendors
async def test_answer(fleet: Fleet, provider: LiteLLM, name: str, answer: str, way: str) -> None:
    fleet[name].script = ANSWERS[answer]
    reply = ANSWERS[answer].reply or greeting(name)
    if (name, answer, way) == ("vertexai", "filtered", "whole"):
        # Gemini keeps a whole answer back
        reply = replace(reply, pieces=())
    params = {"tools": [{"type": "function", "function": {"name": "get_weather"}}]} if answer == "texttool" else {}
    heard = await ask(provider, fleet.target(name), way, params=params)
    check_answer(name, way, heard, reply)


@ways
@pytest.mark.parametrize("name", [name for name in MODELS if name not in ("openai", "azure", "anyscale")])
async def test_reasoning(fleet: Fleet, provider: LiteLLM, name: str, way: str) -> None:
    """Reasoning is told apart from the answer, by every vendor whose chat tells it at all."""
    fleet[name].script = SCENARIOS["think"]
    heard = await ask(provider, fleet.target(name), way)
    assert heard.whole.text == "Four"
    assert heard.whole.choices[0].reasoning == "Two and two."


@ways
@pytest.mark.parametrize("name", ["anthropic", "aws_bedrock"])
async def test_thinking_blocks(fleet: Fleet, provider: LiteLLM, name: str, way: str) -> None:
    """Claude's thoughts come with the signature that it wants back."""
    fleet[name].script = SCENARIOS["think"]
    heard = await ask(provider, fleet.target(name), way)
    (choice,) = heard.whole.choices
    block = {"type": "thinking", "thinking": "Two and two.", "signature": "c2ln"}
    assert choice.extra == {"thinking_blocks": [block]}
    pieces = [piece for chunk in heard.chunks for piece in chunk.extra.get("thinking_blocks", ())]
    assert [piece.get("signature") for piece in pieces if piece.get("signature")] == (
        ["c2ln"] if way == "stream" else []
    )


FAMILY_BUT_MISTRAL = ["openai", "azure", "anyscale", "openrouter", "litellm", "groq", "fireworks"]


@ways
@pytest.mark.parametrize("script", ["refusal", "cited", "spoken"])
@pytest.mark.parametrize("name", FAMILY_BUT_MISTRAL)
async def test_what_else_a_message_holds(fleet: Fleet, provider: LiteLLM, name: str, script: str, way: str) -> None:
    fleet[name].script = SCENARIOS[script]
    reply = SCENARIOS[script].reply
    assert reply is not None
    heard = await ask(provider, fleet.target(name), way)
    (choice,) = heard.whole.choices
    assert (choice.text, choice.extra) == (reply.text, reply.extra)
    if way == "stream":
        draft = Draft()
        for chunk in heard.chunks:
            draft.add(chunk)
        assert draft.choices()[0].extra == reply.extra
        assert any(chunk.extra for chunk in heard.chunks)


@ways
@pytest.mark.parametrize("name", [*FAMILY_BUT_MISTRAL, "mistral", "anthropic", "vertexai", "aws_bedrock"])
async def test_details_of_usage(fleet: Fleet, provider: LiteLLM, name: str, way: str) -> None:
    fleet[name].script = SCENARIOS["details"]
    usage = (await ask(provider, fleet.target(name), way)).whole.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) == (16, 15, 4)
    # Claude's thoughts are not counted apart
    assert usage.reasoning_tokens == (0 if name in ("anthropic", "aws_bedrock") else 3)


@ways
@pytest.mark.parametrize("name", ["openai", "azure", "anyscale", "openrouter", "litellm", "fireworks"])
async def test_log_probabilities(fleet: Fleet, provider: LiteLLM, name: str, way: str) -> None:
    heard = await ask(provider, fleet.target(name), way, params={"logprobs": True, "top_logprobs": 1, "n": 2})
    for choice in heard.whole.choices:
        assert [each["token"] for each in choice.logprobs["content"]] == ["Hello", " from", f" {name}"]
        assert [each["top_logprobs"][0]["logprob"] for each in choice.logprobs["content"]] == [-0.25] * 3
    assert [choice.index for choice in heard.whole.choices] == [0, 1]
    if way == "stream":
        told = [chunk.logprobs["content"][0]["token"] for chunk in heard.chunks if chunk.index == 1]
        assert told == ["Hello", " from", f" {name}"], "with the piece that they belong to"


@ways
@pytest.mark.parametrize("name", ["openai", "azure"])
async def test_the_systems_fingerprint(fleet: Fleet, provider: LiteLLM, name: str, way: str) -> None:
    assert (await ask(provider, fleet.target(name), way)).whole.system_fingerprint == "fp_1"


SOUND: list[Json] = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "Listen."},
            {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
        ],
    },
    {"role": "assistant", "audio": {"id": "audio_1"}},
    {"role": "user", "content": "Go on."},
]


@pytest.mark.parametrize("name", ["openai", "azure", "openrouter", "litellm"])
async def test_sound_passes(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    await ask(provider, fleet.target(name), "whole", SOUND)
    sent = received(fleet, name)["messages"]
    assert sent[0] == SOUND[0]
    assert "audio" in sent[1]


@pytest.mark.parametrize("name", ["anthropic", "aws_bedrock"])
async def test_tools_are_marked_for_claudes_cache(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    tool = {"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}}
    await ask(provider, fleet.target(name), "whole", params={"tools": [tool]})
    body = received(fleet, name)
    if name == "anthropic":
        assert body["tools"][0]["cache_control"] == {"type": "ephemeral"}
    else:
        assert body["toolConfig"]["tools"][1] == {"cachePoint": {"type": "default"}}


@ways
@vendors
async def test_usage_that_is_missing_is_estimated(fleet: Fleet, provider: LiteLLM, name: str, way: str) -> None:
    fleet[name].script = SCENARIOS["nousage"]
    if way == "whole" and name in ("anthropic", "vertexai", "aws_bedrock"):
        # their answers are not theirs without it
        error, _ = await fail(provider, fleet.target(name), way)
        assert error.code == "bad_answer"
        return
    heard = await ask(provider, fleet.target(name), way)
    assert heard.whole.text == "Hello there"
    assert heard.whole.usage.estimated
    assert heard.whole.usage.prompt_tokens > 0
    assert heard.whole.usage.completion_tokens > 0


@ways
@vendors
async def test_an_answer_may_be_empty(fleet: Fleet, provider: LiteLLM, name: str, way: str) -> None:
    """A model may say nothing: with its end and its usage that is an answer."""
    fleet[name].script = SCENARIOS["empty"]
    heard = await ask(provider, fleet.target(name), way)
    assert (heard.whole.text, heard.whole.usage.completion_tokens) == ("", 1)


# failures


@dataclass(frozen=True)
class Failure:
    """A failure and the gateway's word for it; `by` names the vendors whose own words say something finer."""

    script: str
    code: str
    by: Mapping[str, str] = field(default_factory=dict)
    way: str = ""
    upstream: int | None = None
    retry_after: float | None = None
    part: str = ""

    def expected(self, name: str) -> str:
        return self.by.get(name, self.code)


OVERLOADED = dict.fromkeys(
    ("openai", "azure", "anyscale", "openrouter", "litellm", "mistral", "groq", "fireworks", "vertexai"), "overloaded"
)
FAILURES: tuple[Failure, ...] = (
    Failure("e400", "invalid_request", upstream=400),
    Failure("e401", "authentication", upstream=401),
    Failure("e402", "payment_required", upstream=402),
    Failure("e403", "permission", upstream=403),
    Failure("e404", "model_not_found", upstream=404),
    Failure("e408", "timeout", upstream=408),
    Failure("e422", "invalid_request", upstream=422),
    Failure("e429", "rate_limited", upstream=429),
    Failure("e429after", "rate_limited", upstream=429, retry_after=7.0),
    Failure("e500", "upstream_failed", upstream=500),
    Failure("e502", "upstream_failed", upstream=502),
    Failure("e503", "unavailable", OVERLOADED, upstream=503),
    Failure("e529", "overloaded", upstream=529),
    Failure("context", "context_length_exceeded", upstream=400),
    Failure("filter", "content_filter", upstream=400),
    Failure("html502", "upstream_failed", upstream=502),
    Failure("badjson", "bad_answer", upstream=200),
    Failure("nan", "bad_answer", upstream=200),
    Failure("deep", "bad_answer", upstream=200),
    Failure("array", "bad_answer", upstream=200),
    Failure("nothing", "bad_answer", upstream=200),
    Failure("redirect", "redirected", upstream=307),
    Failure("gzip", "bad_answer", upstream=200),
    Failure("reset", "unreachable"),
    Failure("close", "unreachable"),
    Failure("garbage", "unreachable"),
    Failure("hang", "timeout"),
    Failure("cutbody", "truncated", way="whole", upstream=200),
    Failure("stall", "timeout", upstream=200, part="Hello from"),
    Failure("stall0", "timeout", way="stream", upstream=200),
    Failure("cut", "truncated", way="stream", upstream=200, part="Hello from"),
    Failure("fin", "truncated", way="stream", upstream=200, part="Hello from"),
    Failure("noend", "truncated", way="stream", upstream=200, part="Hello from"),
    Failure("half", "truncated", way="stream", upstream=200, part="Hello from"),
    Failure(
        "serr",
        "upstream_failed",
        {"anthropic": "overloaded", "vertexai": "overloaded"},
        way="stream",
        upstream=200,
        part="Hello from",
    ),
)
FAILING = [
    pytest.param(name, failure, way, id=f"{name}-{failure.script}-{way}")
    for name in MODELS
    for failure in FAILURES
    for way in ("whole", "stream")
    if failure.way in ("", way)
]


async def fail(provider: LiteLLM, target: Target, way: str) -> tuple[UpstreamError, str]:
    """The error of a call that fails, and the text that had arrived before."""
    heard = Heard(a_call(HELLO, {}, way))
    with pytest.raises(UpstreamError) as failure:
        await hear(provider, target, heard)
    assert heard.completion is None
    return failure.value, "".join(chunk.text for chunk in heard.chunks)


@pytest.mark.fault("U2", "U3")
@pytest.mark.parametrize(("name", "failure", "way"), FAILING)
async def test_failure(fleet: Fleet, provider: LiteLLM, name: str, failure: Failure, way: str) -> None:
    fleet[name].script = SCENARIOS[failure.script]
    slow = failure.script in ("hang", "stall", "stall0")
    target = replace(fleet.target(name), timeout=0.3) if slow else fleet.target(name)
    error, text = await fail(provider, target, way)
    assert error.code == failure.expected(name)
    assert error.status == UpstreamError.STATUS[error.code]
    assert error.upstream_status == failure.upstream
    assert error.retry_after == failure.retry_after
    assert text == (failure.part if way == "stream" else "")
    assert error.provider == name
    check_wording(fleet, name, error)
    assert len(fleet[name].requests) == 1, "the gateway repeats, not LiteLLM"


def check_wording(fleet: Fleet, name: str, error: UpstreamError) -> None:
    """A person can read it, and no secret is in it."""
    said = error.message.removeprefix(name)
    assert "litellm" not in said.lower()
    assert "Traceback" not in said
    assert not re.search(r"b'|\{\"|<html|\w+(Error|Exception)\b", said), said
    for secret in secrets(fleet, name):
        assert secret not in str(error)


def secrets(fleet: Fleet, name: str) -> list[str]:
    upstream = fleet[name]
    return [upstream.key, getattr(upstream, "secret", upstream.key), getattr(upstream, "token", upstream.key)]


@ways
@vendors
async def test_wrong_key(fleet: Fleet, provider: LiteLLM, name: str, way: str) -> None:
    target = fleet.target(name)
    match name:
        case "vertexai":
            info = json.loads(target.settings["vertex_credentials"])
            info["private_key"] = json.loads(Vertex().credentials)["private_key"]
            target = replace(target, settings={**target.settings, "vertex_credentials": json.dumps(info)})
        case "aws_bedrock":
            target = replace(target, settings={**target.settings, "aws_secret_access_key": "a-wrong-secret-01"})
        case _:
            target = target.with_key(SecretStr("a-wrong-key-0123456789"))
    error, _ = await fail(provider, target, way)
    # AWS answers 403 to a wrong signature
    assert error.code == ("permission" if name == "aws_bedrock" else "authentication")
    assert "a-wrong" not in str(error)
    check_wording(fleet, name, error)


@pytest.mark.fault("U4")
@ways
@vendors
async def test_an_answer_may_be_too_large(fleet: Fleet, provider: LiteLLM, name: str, way: str) -> None:
    fleet[name].script = Scenario(flood=2**21)
    error, _ = await fail(provider, fleet.target(name), way)
    assert error.code == "bad_answer"
    assert "larger than allowed" in error.message


@pytest.mark.fault("U3")
@vendors
async def test_a_corrupt_stream_is_no_answer(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    """Whichever word is found for it: what could be read is delivered, and the end is a failure of the provider."""
    fleet[name].script = SCENARIOS["corrupt"]
    error, text = await fail(provider, fleet.target(name), "stream")
    assert error.status == 502
    assert text.startswith("Hello from")
    check_wording(fleet, name, error)


@pytest.mark.fault("U5")
@ways
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@vendors
async def test_redirects_are_not_followed(fleet: Fleet, provider: LiteLLM, name: str, status: int, way: str) -> None:
    """Not a byte of the prompt, nor the key, reaches another host."""
    other = fleet["groq" if name == "openai" else "openai"]
    fleet[name].script = Scenario(status=status, raw=b"", headers={"location": f"{other.url}/v1/chat/completions"})
    error, _ = await fail(provider, fleet.target(name), way)
    assert (error.code, error.upstream_status) == ("redirected", status)
    assert other.requests == []


@pytest.mark.fault("U2")
@pytest.mark.parametrize("name", [name for name in MODELS if name != "vertexai"])
async def test_a_body_instead_of_a_stream_is_no_answer(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    fleet[name].script = Scenario(raw=b'{"status": "ok"}')
    error, text = await fail(provider, fleet.target(name), "stream")
    assert (error.code, text) == ("bad_answer", "")


# a client that leaves


async def left(request: Request) -> bool:
    return await anyio.to_thread.run_sync(request.abandoned.wait, 1.5)


@pytest.mark.fault("U6")
@vendors
async def test_leaving_a_stream_closes_the_upstream(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    fleet[name].script = SCENARIOS["stall"]
    call = a_call(HELLO, {}, "stream")
    async with aclosing(provider.complete(call, fleet.target(name))) as events:
        event = await anext(events)
        assert isinstance(event, Chunk)
        (request,) = fleet[name].requests
        assert not request.abandoned.is_set()
    assert await left(request)


@pytest.mark.fault("U6")
@ways
@vendors
async def test_cancelling_while_waiting_closes_the_upstream(
    fleet: Fleet, provider: LiteLLM, name: str, way: str
) -> None:
    fleet[name].script = SCENARIOS["hang"]
    task = asyncio.create_task(ask(provider, fleet.target(name), way))
    assert await anyio.to_thread.run_sync(fleet[name].arrived.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await left(fleet[name].requests[0])


# single vendors


@pytest.mark.parametrize("model", ["o3-mini", "gpt-5"])
async def test_reasoning_models_take_no_max_tokens(fleet: Fleet, provider: LiteLLM, model: str) -> None:
    target = fleet.target("openai", model)
    heard = await ask(provider, target, "whole", params={"max_tokens": 50, "temperature": 0.2})
    assert received(fleet, "openai") == plain("openai", False, model) | {"max_completion_tokens": 50}
    assert set(heard.call.dropped) == {"temperature"}


@pytest.mark.parametrize("framing", ["events", "lines"])
async def test_both_framings_of_cohere(fleet: Fleet, provider: LiteLLM, framing: str) -> None:
    fleet["cohere"].framing = framing  # type: ignore[attr-defined]
    heard = await ask(provider, fleet.target("cohere"), "stream")
    check_answer("cohere", "stream", heard, greeting("cohere"))


async def test_a_token_is_bought_once(fleet: Fleet, provider: LiteLLM) -> None:
    upstream = fleet["vertexai"]
    assert isinstance(upstream, Vertex)
    await ask(provider, fleet.target("vertexai"), "whole")
    given = upstream.tokens_given
    assert given > 0
    await ask(provider, fleet.target("vertexai"), "stream")
    assert upstream.tokens_given == given


async def test_calls_at_the_same_time(fleet: Fleet, provider: LiteLLM) -> None:
    """All vendors at once, several times each, and every answer goes to whom it belongs."""

    async def one(name: str, way: str) -> None:
        check_answer(name, way, await ask(provider, fleet.target(name), way), greeting(name))

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            for name in MODELS:
                for way in ("whole", "stream"):
                    group.create_task(one(name, way))
