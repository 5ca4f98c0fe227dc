"""What a call costs: the kept rates beside LiteLLM's own reckoning."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.models import Usage
from proxy.providers.engine import Engine
from proxy.providers.prices import LARGEST, Prices
from proxy.target import Target
from proxy.vendors import VENDORS

MODELS = {
    "openai": ["gpt-4o-mini", "gpt-4o", "o3-mini", "gpt-5", "gpt-3.5-turbo"],
    "anthropic": ["claude-haiku-4-5", "claude-opus-4-1"],
    "vertexai": ["gemini-2.5-flash", "gemini-2.5-pro"],
    "groq": ["openai/gpt-oss-20b"],
    "mistral": ["mistral-small-latest"],
    "cohere": ["command-r-08-2024"],
    "fireworks": ["accounts/fireworks/models/llama-v3p3-70b-instruct"],
}
CASES = [(provider, model) for provider, models in MODELS.items() for model in models]


def told(usage: Usage, **more: Any) -> dict[str, Any]:
    """A usage as a provider tells it."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        **more,
    }


@pytest.fixture(scope="module")
async def engine(anyio_backend: str) -> AsyncIterator[Engine]:
    engine = Engine()
    await engine.loaded()
    yield engine
    await engine.close()


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    prompt, said = draw(st.integers(1, LARGEST + 50_000)), draw(st.integers(0, 60_000))
    cached, thought = draw(st.integers(0, prompt)), draw(st.integers(0, said))
    return Usage(prompt, said, cached_tokens=cached, reasoning_tokens=thought)


def listed(engine: Engine, provider: str, model: str, usage: Usage) -> float:
    return engine.price(
        model=model,
        custom_llm_provider=VENDORS[provider].prefix,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        usage=told(usage),
    )


@pytest.mark.parametrize(("provider", "model"), CASES)
async def test_a_kept_rate_gives_litellms_own_figure(engine: Engine, provider: str, model: str) -> None:
    prices, seen = Prices(engine.price, engine.loaded), list[Usage]()

    @given(usages())
    def collect(usage: Usage) -> None:
        seen.append(usage)

    collect()
    assert len(seen) > 10
    for usage in seen:
        kept = await prices.cost(Target(provider, model), told(usage), usage, None)
        assert kept is not None
        assert math.isclose(kept, listed(engine, provider, model, usage), rel_tol=1e-9, abs_tol=1e-15), usage
    assert list(prices.rates.values()) != [None]


async def test_what_a_rate_does_not_know_is_reckoned_by_litellm(engine: Engine) -> None:
    prices, usage = Prices(engine.price, engine.loaded), Usage(1000, 100)
    plain = await prices.cost(Target("openai", "gpt-audio"), told(usage), usage, None)
    heard = told(usage, prompt_tokens_details={"audio_tokens": 900, "text_tokens": 100})
    spoken = await prices.cost(Target("openai", "gpt-audio"), heard, usage, None)
    assert plain is not None
    assert spoken is not None
    assert spoken > 5 * plain


@pytest.mark.parametrize("model", ["gpt-5", "gpt-4o"])
@pytest.mark.parametrize("tier", ["flex", "priority", "default", "auto", None])
async def test_a_tier_of_service_has_its_own_price(engine: Engine, model: str, tier: str | None) -> None:
    prices, usage = Prices(engine.price, engine.loaded), Usage(1000, 100)
    counted = told(usage)
    answer = engine.module.ModelResponse(model=model, usage=engine.module.Usage(**counted), service_tier=tier)
    expected = engine.module.completion_cost(answer, custom_llm_provider="openai", optional_params={})
    for _ in range(2):
        found = await prices.cost(Target("openai", model), counted, usage, None, tier)
        assert found == pytest.approx(expected, rel=1e-9)


async def test_searches_are_paid_for(engine: Engine) -> None:
    prices, usage, target = Prices(engine.price, engine.loaded), Usage(10, 5), Target("anthropic", "claude-sonnet-4-5")
    plain = await prices.cost(target, told(usage), usage, None)
    searched = await prices.cost(target, told(usage, server_tool_use={"web_search_requests": 2}), usage, None)
    assert plain is not None
    assert searched == pytest.approx(plain + 2 * 0.01, rel=1e-9)


@pytest.mark.parametrize("cached", [0, 400])
async def test_texts_that_are_counted_apart_have_the_same_price(engine: Engine, cached: int) -> None:
    """As LiteLLM tells the usage of Claude and Gemini."""
    asked = []

    def price(**named: Any) -> float:
        asked.append(named)
        return engine.price(**named)

    prices, usage = Prices(price, engine.loaded), Usage(1000, 100, cached_tokens=cached, reasoning_tokens=30)
    target = Target("anthropic", "claude-haiku-4-5")
    plain = await prices.cost(target, told(usage), usage, None)
    once = len(asked)
    apart = told(
        usage,
        prompt_tokens_details={"cached_tokens": cached, "text_tokens": 1000 - cached},
        completion_tokens_details={"reasoning_tokens": 30, "text_tokens": 70},
        service_tier="standard",
    )
    found = await prices.cost(target, apart, usage, None, "standard")
    assert (
        found
        == plain
        == pytest.approx(
            price(
                model=target.model,
                custom_llm_provider="anthropic",
                prompt_tokens=1000,
                completion_tokens=100,
                usage=apart,
            )
        )
    )
    assert len(asked) == once + 1, "LiteLLM was asked again"


async def test_a_model_without_a_price_is_asked_for_once(engine: Engine) -> None:
    asked = []

    def price(**named: Any) -> float:
        asked.append(named["model"])
        return engine.price(**named)

    prices = Prices(price, engine.loaded)
    for _ in range(3):
        assert await prices.cost(Target("openai", "nobodys"), told(Usage(5, 5)), Usage(5, 5), None) is None
    once = len(asked)
    assert 0 < once <= 8
    assert await prices.cost(Target("openai", "nobodys"), told(Usage(5, 5)), Usage(5, 5), "gpt-4o") is not None
    assert len(asked) > once


async def test_a_price_that_changes_with_the_length_is_never_a_rate() -> None:
    def price(*, prompt_tokens: int, completion_tokens: int, **_: Any) -> float:
        return (prompt_tokens + completion_tokens) * (1e-6 if prompt_tokens < 32_000 else 2e-6)

    async def loaded() -> None:
        """Nothing has to be."""

    prices = Prices(price, loaded)
    for prompt, each in ((1000, 1e-6), (40_000, 2e-6)):
        usage = Usage(prompt, 0)
        assert await prices.cost(Target("openai", "m"), told(usage), usage, None) == pytest.approx(prompt * each)
    assert prices.rates == {}
