"""Texts to complete, against the loopback vendors: the body of each, whole and streamed, and its failures."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from proxy.errors import UpstreamError
from proxy.models import Call, CompletionRequest, Json, TraceContext
from proxy.providers.litellm import LiteLLM
from proxy.providers.translation import texts
from proxy.target import Target
from tests.providers.golden import same
from tests.providers.test_matrix import Heard, check_wording, hear, received
from tests.upstreams.fleet import MODELS, Fleet
from tests.upstreams.scenario import SCENARIOS, Reply, Scenario

TEXT_MODELS = {
    "openai": "gpt-3.5-turbo-instruct",
    "azure": "gpt-35-turbo-instruct",
    "anyscale": "mistralai/Mixtral-8x7B-v0.1",
    "openrouter": "mistralai/mixtral-8x7b",
    "litellm": "gpt-3.5-turbo-instruct",
    "fireworks": "accounts/fireworks/models/starcoder-16b",
}
PROMPT = "Once upon"
vendors = pytest.mark.parametrize("name", TEXT_MODELS)
ways = pytest.mark.parametrize("way", ["whole", "stream"])


def a_target(fleet: Fleet, name: str) -> Target:
    return replace(fleet.target(name, TEXT_MODELS[name]), mode="completion")


def a_text(params: dict[str, Json], way: str, *prompts: Json) -> Heard:
    messages = [{"role": "user", "content": prompt} for prompt in prompts or (PROMPT,)]
    return Heard(
        Call(
            CompletionRequest(
                "openai",
                TraceContext("t", "t"),
                kind="text",
                messages=messages,
                params=params,
                stream=way == "stream",
            )
        )
    )


async def ask(
    provider: LiteLLM, target: Target, way: str, params: dict[str, Json] | None = None, *prompts: Json
) -> Heard:
    heard = a_text(params or {}, way, *prompts)
    await hear(provider, target, heard)
    return heard


async def fail(provider: LiteLLM, target: Target, way: str) -> tuple[UpstreamError, str]:
    heard = a_text({}, way)
    with pytest.raises(UpstreamError) as failure:
        await hear(provider, target, heard)
    return failure.value, "".join(chunk.text for chunk in heard.chunks)


def plain(name: str, way: str) -> dict[str, Json]:
    body: dict[str, Json] = {"model": TEXT_MODELS[name], "prompt": PROMPT}
    return body | ({"stream": True, "stream_options": {"include_usage": True}} if way == "stream" else {})


SAMPLED = {
    "temperature": 0.25,
    "top_p": 0.5,
    "frequency_penalty": 0.5,
    "presence_penalty": 0.25,
    "stop": ["END"],
    "seed": 7,
    "max_tokens": 50,
    "logit_bias": {"50256": -100},
}
OWN = {"suffix": " the end.", "echo": True, "best_of": 3, "n": 2}
EXPECTED: dict[str, tuple[dict[str, Json], dict[str, dict[str, Json]], dict[str, set[str]]]] = {
    "plain": ({}, {}, {}),
    "sampled": (SAMPLED, dict.fromkeys(TEXT_MODELS, SAMPLED), {}),
    "own": (OWN, dict.fromkeys(TEXT_MODELS, OWN), {}),
    "logprobs": ({"logprobs": 2}, dict.fromkeys(TEXT_MODELS, {"logprobs": 2}), {}),
    "no_logprobs_but_its_own": ({"logprobs": 0}, dict.fromkeys(TEXT_MODELS, {"logprobs": 0}), {}),
    "a_chats_logprobs": ({"logprobs": True, "top_logprobs": 3}, dict.fromkeys(TEXT_MODELS, {"logprobs": 3}), {}),
    "length": ({"max_completion_tokens": 9}, dict.fromkeys(TEXT_MODELS, {"max_tokens": 9}), {}),
    "neutral": (
        {"temperature": 1.0, "top_p": 1, "n": 1, "best_of": 1, "echo": False, "suffix": "", "logprobs": False},
        {},
        {},
    ),
    "user": (
        {"user": "u"},
        same("openai azure anyscale litellm fireworks", {"user": "u"}),
        same("openrouter", {"user"}),
    ),
    "top_k": (
        {"top_k": 5},
        same("openrouter fireworks", {"top_k": 5}),
        same("openai azure anyscale litellm", {"top_k"}),
    ),
    "a_chats": (
        {"tools": [{"type": "function", "function": {"name": "f"}}], "response_format": {"type": "json_object"}},
        {},
        dict.fromkeys(TEXT_MODELS, {"tools", "response_format"}),
    ),
}


@ways
@pytest.mark.parametrize("row", EXPECTED)
@vendors
async def test_request(fleet: Fleet, provider: LiteLLM, name: str, row: str, way: str) -> None:
    params, bodies, dropped = EXPECTED[row]
    heard = await ask(provider, a_target(fleet, name), way, params)
    assert received(fleet, name) == plain(name, way) | bodies.get(name, {})
    assert fleet[name].requests[0].path.endswith("/completions")
    assert "/chat/" not in fleet[name].requests[0].path
    assert set(heard.call.dropped) == dropped.get(name, set())
    echoed = PROMPT if "echo" in bodies.get(name, {}) else ""
    said = f"{echoed}Hello from {name}"
    assert [choice.text for choice in heard.whole.choices] == [said] * bodies.get(name, {}).get("n", 1)
    if way == "stream":
        for choice in heard.whole.choices:
            assert "".join(chunk.text for chunk in heard.chunks if chunk.index == choice.index) == said


@ways
@vendors
async def test_answer(fleet: Fleet, provider: LiteLLM, name: str, way: str) -> None:
    fleet[name].script = Scenario(Reply(("a", " time"), finish="length", usage=(6, 2), cached=4))
    heard = await ask(provider, a_target(fleet, name), way, {"logprobs": 1})
    completion = heard.whole
    (choice,) = completion.choices
    assert (choice.text, choice.finish_reason) == ("a time", "length")
    assert choice.logprobs == {
        "tokens": ["a", " time"],
        "token_logprobs": [-0.25, -0.25],
        "top_logprobs": [{"a": -0.25}, {" time": -0.25}],
        "text_offset": [0, 1],
    }
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.estimated) == (6, 2, 4, False)
    assert (completion.model, completion.provider) == (TEXT_MODELS[name], name)
    assert completion.system_fingerprint == ("fp_1" if name in ("openai", "azure") else None)
    if name in ("openai", "litellm"):
        assert completion.cost == pytest.approx((6 * 1.5 + 2 * 2.0) / 1e6)
    if way == "stream":
        assert [chunk.logprobs["tokens"] for chunk in heard.chunks] == [["a"], [" time"]]


@ways
async def test_a_prompt_in_tokens(fleet: Fleet, provider: LiteLLM, way: str) -> None:
    heard = await ask(provider, a_target(fleet, "openai"), way, {}, [1, 2, 3])
    assert received(fleet, "openai")["prompt"] == [1, 2, 3]
    assert heard.whole.text == "Hello from openai"


async def test_a_deployment_of_several_messages_is_one_text(fleet: Fleet, provider: LiteLLM) -> None:
    await ask(provider, a_target(fleet, "openai"), "whole", {}, "One", [{"type": "text", "text": "two"}])
    assert received(fleet, "openai")["prompt"] == "One\n\ntwo"


async def test_the_names_of_completion_models_are_known(fleet: Fleet, provider: LiteLLM) -> None:
    for name in ("openai", "azure"):
        await ask(provider, fleet.target(name, TEXT_MODELS[name]), "whole")
        assert fleet[name].requests[0].kind == "text"


# a text for a chat model


@ways
@pytest.mark.parametrize("name", MODELS)
async def test_a_chat_model_is_asked_in_a_message(fleet: Fleet, provider: LiteLLM, name: str, way: str) -> None:
    heard = await ask(provider, fleet.target(name), way, {"suffix": ".", "echo": True, "logprobs": 2, "max_tokens": 9})
    (request,) = fleet[name].requests
    assert request.kind == "chat"
    assert PROMPT in request.body.decode()
    assert {"suffix", "echo"} <= set(heard.call.dropped)
    if name in ("openai", "azure", "anyscale", "openrouter", "litellm", "fireworks"):
        assert (request.json["logprobs"], request.json["top_logprobs"]) == (True, 2)
        logprobs = heard.whole.choices[0].logprobs
        assert [each["token"] for each in logprobs["content"]] == ["Hello", " from", f" {name}"]
    elif name != "vertexai":
        assert "logprobs" in heard.call.dropped


async def test_vendors_without_texts_are_asked_in_a_message(fleet: Fleet, provider: LiteLLM) -> None:
    for name in ("mistral", "groq", "cohere", "anthropic"):
        await ask(provider, replace(fleet.target(name), mode="completion"), "whole")
        assert fleet[name].requests[0].kind == "chat"


async def test_tokens_are_not_for_chat_models(fleet: Fleet, provider: LiteLLM) -> None:
    with pytest.raises(UpstreamError, match="prompt: only a completion model takes tokens") as caught:
        await ask(provider, fleet.target("openai"), "whole", {}, [1, 2, 3])
    assert caught.value.code == "invalid_request"
    assert fleet["openai"].requests == []


# failures

FAILURES = [
    ("e400", "invalid_request", 400, ""),
    ("e401", "authentication", 401, ""),
    ("e404", "model_not_found", 404, ""),
    ("e429after", "rate_limited", 429, ""),
    ("e500", "upstream_failed", 500, ""),
    ("html502", "upstream_failed", 502, ""),
    ("context", "context_length_exceeded", 400, ""),
    ("badjson", "bad_answer", 200, ""),
    ("nan", "bad_answer", 200, ""),
    ("array", "bad_answer", 200, ""),
    ("redirect", "redirected", 307, ""),
    ("gzip", "bad_answer", 200, ""),
    ("reset", "unreachable", None, ""),
    ("close", "unreachable", None, ""),
    ("hang", "timeout", None, ""),
    ("stall", "timeout", 200, "Hello from"),
    ("cut", "truncated", 200, "Hello from"),
    ("fin", "truncated", 200, "Hello from"),
    ("noend", "truncated", 200, "Hello from"),
    ("serr", "upstream_failed", 200, "Hello from"),
]
ONLY_STREAMED = {"noend", "serr"}


@pytest.mark.parametrize(
    ("script", "code", "status", "part", "way"),
    [
        (*failure, way)
        for failure in FAILURES
        for way in ("whole", "stream")
        if not (failure[0] in ONLY_STREAMED and way == "whole")
    ],
)
@pytest.mark.parametrize("name", ["openai", "azure", "openrouter"])
async def test_failure(
    fleet: Fleet, provider: LiteLLM, name: str, script: str, code: str, status: int | None, part: str, way: str
) -> None:
    fleet[name].script = SCENARIOS[script]
    slow = script in ("hang", "stall")
    target = replace(a_target(fleet, name), timeout=0.3 if slow else None)
    error, text = await fail(provider, target, way)
    assert (error.code, error.upstream_status, error.provider) == (code, status, name)
    assert text == (part if way == "stream" else "")
    assert error.retry_after == (7.0 if script == "e429after" else None)
    check_wording(fleet, name, error)
    assert len(fleet[name].requests) == 1, "the gateway repeats, not the client"


@ways
@vendors
async def test_guards(fleet: Fleet, provider: LiteLLM, name: str, way: str) -> None:
    """The same as for a conversation: an explicit key, nothing compressed, no answer without bounds, no secret told."""
    target = a_target(fleet, name)
    error, _ = await fail(provider, replace(target, api_key=None, settings={}), way)
    assert (error.code, fleet[name].requests) == ("authentication", [])
    error, _ = await fail(provider, target.with_key(SecretStr("a-wrong-key-0123456789")), way)
    assert error.code == "authentication"
    assert "a-wrong" not in error.message
    assert fleet[name].requests[-1].headers["accept-encoding"] == "identity"
    fleet[name].script = Scenario(flood=2**21)
    error, _ = await fail(provider, target, way)
    assert error.code == "bad_answer"
    assert "larger than allowed" in error.message


@ways
@vendors
async def test_leaving_closes_the_upstream(fleet: Fleet, provider: LiteLLM, name: str, way: str) -> None:
    fleet[name].script = SCENARIOS["stall" if way == "stream" else "hang"]
    task = asyncio.create_task(ask(provider, a_target(fleet, name), way))
    assert await anyio.to_thread.run_sync(fleet[name].arrived.wait, 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await anyio.to_thread.run_sync(fleet[name].requests[0].abandoned.wait, 1.5)


async def test_what_is_added_by_hand(fleet: Fleet, provider: LiteLLM) -> None:
    added = {"extra_body": {"min_p": 0.5, "prompt": "other", "temperature": 0.5}, "extra_headers": {"X-Own": "1"}}
    heard = await ask(provider, a_target(fleet, "fireworks"), "whole", added)
    assert received(fleet, "fireworks") == plain("fireworks", "whole") | {"min_p": 0.5, "temperature": 0.5}
    assert fleet["fireworks"].requests[0].headers["x-own"] == "1"
    assert set(heard.call.dropped) == {"extra_body.prompt"}


async def test_a_token_of_entra_instead_of_a_key(fleet: Fleet, provider: LiteLLM) -> None:
    target = a_target(fleet, "azure")
    settings: dict[str, Any] = {**target.settings, "azure_ad_token": "a-token-of-entra-0123456789"}
    error, _ = await fail(provider, replace(target, api_key=None, settings=settings), "whole")
    assert error.code == "authentication"
    (request,) = fleet["azure"].requests
    assert request.headers["authorization"] == "Bearer a-token-of-entra-0123456789"
    assert "a-token" not in error.message


async def test_odd_answers(fleet: Fleet, provider: LiteLLM) -> None:
    """A completion is read like any other answer: what is no text is none."""
    for text in ('{"x": 1}', "5", '["a"]'):
        body = f'{{"id": "c", "object": "text_completion", "choices": [{{"index": 0, "text": {text}}}]}}'
        fleet["openai"].script = Scenario(raw=body.encode())
        error, _ = await fail(provider, a_target(fleet, "openai"), "whole")
        assert error.code == "bad_answer"


def test_kinds() -> None:
    target = Target("openai", "gpt-3.5-turbo-instruct")
    assert [texts.kind(target, kind) for kind in ("chat", "text", "embedding")] == ["chat", "text", "embedding"]
    assert texts.kind(replace(target, mode="chat"), "text") == "chat"
    assert texts.kind(Target("cohere", "command", mode="completion"), "text") == "chat"
