"""A model's name chooses a model: whatever else it could choose is refused, and nothing arrives at the vendor."""

from __future__ import annotations

from contextlib import aclosing, suppress
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.targets import UNCHANGED
from proxy.errors import UpstreamError
from proxy.models import Call, CompletionRequest, TraceContext
from proxy.providers.litellm import LiteLLM
from proxy.providers.translation.names import check
from proxy.target import Target
from tests.upstreams.fleet import MODELS, Fleet

vendors = pytest.mark.parametrize("name", MODELS)

NOWHERE = (
    "",
    " ",
    "{}/../../../../projects/other/locations/us-central1/publishers/google/models/{}:rawPredict?q=",
    "../{}",
    "{}/..",
    "{}/./x",
    "{}//x",
    "/{}",
    "{}/",
    "{}?x=",
    "{}#x",
    "{}%2f..%2fx",
    "{}\\..\\x",
    "{}\r\nhost: evil",
    "{}\n",
    "{} x",
    "{}\u00a0x",
    "{}\x00",
    "{}\x7f",
    "{}\u2028",
    "{}\u202e",
    "{}\u200b",
    "{}\ud800",
    "{}@",
    "{}@evil:80/x/y",
    "user@evil@{}",
    "{}@1/x/y",
)
"""Around each vendor's own model: no vendor takes these."""

ELSEWHERE = {
    "vertexai": (
        "gemini-2.5-flash:predict",
        "gemini-2.5-flash:rawPredict",
        "a/b/c",
        "agent_engine/1234567",
        "projects/other/locations/us-central1/endpoints/1",
        "gemini-2.5-flash@",
        "gemini-2.5-flash&x",
        "gemini-2.5-flash;x",
        "gemi\u00f1i",
        ".hidden",
    ),
    "azure": ("a/b", "chat-deployment:x", "o_series/a/b", "d\u00e9ploiement", "chat-deployment@1", ".hidden"),
    "aws_bedrock": (
        "agent/ABCDEF/GHIJKL",
        "agentcore/arn:aws:bedrock-agentcore:us-east-1:123456789012:runtime/x",
        "a/b/c",
        "anthropic.claude/invoke",
        "converse/a/b",
        "arn:aws:s3:::bucket/x",
        "arn:aws:bedrock:evil.example:1:inference-profile/x",
        "arn:aws:bedrock:us-east-1:1:inference-profile",
    ),
}

REAL = {
    "openai": (
        "gpt-4o-mini",
        "ft:gpt-4o-mini-2024-07-18:acme:name:AbC123",
        "responses/gpt-4o",
        "org/model:tag",
        "m@1.2",
    ),
    "azure": ("chat-deployment", "gpt-4.1_eu", "o_series/reasoner", "gpt5_series/x", "responses/gpt-4o"),
    "anthropic": ("claude-haiku-4-5", "claude-3-5-sonnet-20241022", "claude-sonnet-4@20250514"),
    "anyscale": ("mistralai/Mixtral-8x7B-Instruct-v0.1", "meta-llama/Llama-2-7b-chat-hf:acme:x"),
    "vertexai": (
        "gemini-2.5-flash",
        "gemini-1.5-pro-002",
        "claude-haiku-4-5@20251001",
        "claude-opus-4-6@default",
        "meta/llama-3.1-405b-instruct-maas",
        "mistralai/codestral-2@001",
        "deepseek-ai/deepseek-v3.1-maas",
        "4965075652664360960",
        "gemini/4965075652664360960",
    ),
    "aws_bedrock": (
        "anthropic.claude-haiku-4-5-20251001-v1:0",
        "us.anthropic.claude-haiku-4-5-20251001-v1:0",
        "global.amazon.nova-2-lite-v1:0",
        "amazon.titan-text-lite-v1:0:4k",
        "anthropic.claude-haiku-4-5@20251001",
        "converse/us.anthropic.claude-haiku-4-5-20251001-v1:0",
        "invoke/anthropic.claude-haiku-4-5-20251001-v1:0",
        "bedrock/converse/amazon.nova-lite-v1:0",
        "us-east-1/anthropic.claude-v2:1",
        "us-gov-west-1/anthropic.claude-v2:1",
        "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-haiku-4-5-20251001-v1:0",
        "converse/arn:aws:bedrock:eu-west-1:123456789012:application-inference-profile/a1b2c3d4e5f6",
        "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/anthropic.claude-v2:1",
        "llama/arn:aws:bedrock:us-east-1:123456789012:imported-model/r4c4kewx2s0n",
        "arn:aws:bedrock:us-east-1:123456789012:custom-model/amazon.titan-text-lite-v1:0:4k/abcd1234",
    ),
    "openrouter": (
        "openai/gpt-4o-mini",
        "meta-llama/llama-3.3-70b-instruct:free",
        "anthropic/claude-sonnet-4:online",
        "openrouter/auto",
        "@preset/reviewer",
        "openai/gpt-4o@preset/reviewer",
    ),
    "mistral": ("mistral-small-latest", "ft:open-mistral-7b:abc:20240101:xyz", "magistral-medium-2506"),
    "litellm": ("gpt-4o-mini", "team/alias-1", "bedrock/anthropic.claude-v2:1"),
    "groq": ("openai/gpt-oss-20b", "llama-3.1-8b-instant"),
    "fireworks": (
        "accounts/fireworks/models/llama-v3p3-70b-instruct",
        "accounts/acme/models/own#accounts/acme/deployments/a1b2c3d4",
        "llama-v3p3-70b-instruct",
    ),
    "cohere": ("command-r-08-2024", "0a1b2c3d-1234-5678-9abc-def012345678-ft"),
}
"""Forms that the vendors, or LiteLLM, document."""


async def ask(provider: LiteLLM, target: Target, *, stream: bool = False) -> None:
    messages = [{"role": "user", "content": "hi"}]
    call = Call(CompletionRequest("parea", TraceContext("t", "t"), messages=messages, stream=stream))
    async with aclosing(provider.complete(call, target)) as events:
        async for _ in events:
            pass


@vendors
async def test_a_name_that_is_more_than_a_name_reaches_nobody(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    spelled = [form.replace("{}", MODELS[name]) for form in NOWHERE]
    for model in [*spelled, *ELSEWHERE.get(name, ())]:
        for stream in (False, True):
            with pytest.raises(UpstreamError) as caught:
                await ask(provider, replace(fleet.target(name), model=model), stream=stream)
            assert (caught.value.code, caught.value.status) == ("invalid_request", 400), repr(model)
            assert caught.value.message.startswith("model: ")
            assert "evil" not in caught.value.message
    assert fleet[name].requests == []


@vendors
async def test_every_form_of_a_name_is_sent(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    """What the loopback vendor knows of it is another matter: it was asked, by its own path."""
    assert set(REAL) == set(MODELS)
    for model in REAL[name]:
        fleet.reset()
        with suppress(UpstreamError):
            await ask(provider, fleet.target(name, model))
        assert fleet[name].requests, model
        assert all(".." not in request.path for request in fleet[name].requests)


async def test_the_prefix_of_another_vendor_opens_no_way_around(fleet: Fleet, provider: LiteLLM) -> None:
    """A model of `litellm` without an address is another vendor's, with that vendor's rules."""
    upstream = fleet.target("vertexai")
    target = Target("litellm", "vertex_ai/gemini-2.5-flash:predict", settings=upstream.settings)
    with pytest.raises(UpstreamError, match=r"^model: "):
        await ask(provider, target)


def test_a_name_of_the_config_is_the_operators() -> None:
    target = Target("litellm", "cloudflare/@cf/meta/llama-2-7b-chat-int8", settings={UNCHANGED: True})
    check(target)
    with pytest.raises(UpstreamError):
        check(replace(target, model="cloudflare/../x"))


@given(st.text(), st.sampled_from(["vertexai", "azure", "aws_bedrock"]))
def test_what_is_let_into_a_path_stays_where_it_is_put(model: str, provider: str) -> None:
    try:
        check(Target(provider, model))
    except UpstreamError:
        return
    assert model.isascii()
    assert not set(model) & set("?#%\\&;= ")
    assert ".." not in model.split("/")
    assert provider == "aws_bedrock" or ":" not in model
