"""A call's cost in US dollars by the provider's own figure, the target's prices or LiteLLM's list; in this order.

LiteLLM's reckoning takes longer than the rest of a call. For nearly all models it is so much a token, of each of four
sorts: what a token costs is found out once, by asking LiteLLM for the cost of made-up calls. What must stay true: a
rate is used only where it gave LiteLLM's own figure for a mixed call, small and large; whatever else a usage tells
(audio, searches, caches that were filled), and each tier of service that has its own price, is reckoned by LiteLLM each
time.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

from proxy.models import Usage
from proxy.providers.credentials import named
from proxy.providers.preparation import keep
from proxy.providers.translation import values
from proxy.target import Target

LISTED: Mapping[str, tuple[str, ...]] = {"openai": ("text-completion-openai",), "cohere_chat": ("cohere",)}
"""Under which further names LiteLLM lists a provider's models: those for texts, and those that embed."""

PriceList = Callable[..., float]
"""`Engine.price`."""

LARGEST = 100_000
"""Tokens of a prompt up to which a rate holds; longer ones may have another price."""

SAMPLES = ((1000, 0, 0, 0), (1000, 1000, 0, 0), (1000, 0, 1000, 0), (1000, 0, 1000, 1000))
"""Usages by which a rate is found: tokens of the prompt, those of them that were cached, of the answer, those of them
that were thought.
"""

CHECKS = ((700, 300, 200, 50), (LARGEST, 40_000, 50_000, 20_000), (33_000, 0, 33_000, 0))
"""Usages for which a rate must give what LiteLLM does."""

COUNTED = frozenset({"prompt_tokens", "completion_tokens", "total_tokens"})
DETAILED = {"prompt_tokens_details": "cached_tokens", "completion_tokens_details": "reasoning_tokens"}
BESIDE = frozenset({"queue_time", "prompt_time", "completion_time", "total_time", "service_tier"})
"""What a usage may tell without changing its price: counts, their details, Groq's times, and the tier, which is asked
for apart.
"""


STANDARD = frozenset({"auto", "default", "on_demand", "standard", "standard_only"})
"""Tiers of service that cost what a rate says."""


@dataclass(slots=True, frozen=True)
class Rate:
    """US dollars for a token of each sort."""

    fresh: float
    cached: float
    said: float
    thought: float

    def cost(self, usage: Usage) -> float:
        return (
            (usage.prompt_tokens - usage.cached_tokens) * self.fresh
            + usage.cached_tokens * self.cached
            + (usage.completion_tokens - usage.reasoning_tokens) * self.said
            + usage.reasoning_tokens * self.thought
        )


class Prices:
    """What calls cost, by LiteLLM's list, which `listed` reads once `loaded` has been awaited. `rates` are kept by the
    names of a model; None is one that has no price.
    """

    def __init__(self, listed: PriceList, loaded: Callable[[], Awaitable[object]]) -> None:
        self._price = listed
        self._loaded = loaded
        self.rates: dict[str, Rate | None] = {}
        self._varied: set[str] = set()

    async def cost(
        self, target: Target, counted: Any, usage: Usage, model: str | None, tier: Any = None
    ) -> float | None:
        """None when nobody knows a price. `counted` is the provider's usage; `model` is the name that its answer gave,
        and `tier` the service's.
        """
        told = values.amount(values.fields(counted).get("cost")) if target.provider == "openrouter" else None
        if told is not None:
            return told
        if target.input_cost_per_token is not None or target.output_cost_per_token is not None:
            spent = usage.prompt_tokens * (target.input_cost_per_token or 0)
            return values.amount(spent + usage.completion_tokens * (target.output_cost_per_token or 0))
        listed = names(target, model)
        name = key(listed)
        if name not in self.rates and name not in self._varied:
            await self._loaded()
            if name not in self.rates:
                self._find(name, listed)
        dear = isinstance(tier, str) and tier.lower() not in STANDARD
        if dear or name in self._varied or not _simple(counted, usage):
            await self._loaded()
            return self._listed(listed, usage, None if usage.estimated else counted, tier if dear else None)
        rate = self.rates[name]
        return values.amount(rate.cost(usage)) if rate else None

    def _find(self, name: str, listed: list[tuple[str, str]]) -> None:
        """Find out a model's rate, or that it has none that is always the same."""
        sums = [self._listed(listed, *_made(*sample)) for sample in SAMPLES]
        if None in sums:
            keep(self.rates, name, None)
            return
        prompt, cached, said, thought = (each or 0.0 for each in sums)
        rate = Rate(prompt / 1000, cached / 1000, (said - prompt) / 1000, (thought - prompt) / 1000)
        for sample in CHECKS:
            usage, counted = _made(*sample)
            if not math.isclose(rate.cost(usage), self._listed(listed, usage, counted) or 0.0, rel_tol=1e-9):
                self._varied.add(name)
                return
        keep(self.rates, name, rate)

    def _listed(
        self, listed: list[tuple[str, str]], usage: Usage, counted: Any, tier: str | None = None
    ) -> float | None:
        """LiteLLM's own figure."""
        for listing, name in listed:
            try:
                paid = self._price(
                    model=name,
                    custom_llm_provider=listing,
                    prompt_tokens=usage.prompt_tokens,
                    completion_tokens=usage.completion_tokens,
                    usage=counted,
                    service_tier=tier,
                )
            except Exception:  # LiteLLM tells a model without a price by raising, and not always the same class
                continue
            return values.amount(paid)
        return None


def names(target: Target, model: str | None) -> list[tuple[str, str]]:
    """Under which listings and names a model's price may be found; `model` is the name that its answer gave."""
    prefix, own = named(target)
    known = [str(name) for name in (target.settings.get("base_model"), own, model) if name]
    return [(listing, name) for name, listing in product(known, (prefix, *LISTED.get(prefix, ())))]


def key(listed: list[tuple[str, str]]) -> str:
    """By what a rate is kept."""
    return "\n".join(map(":".join, listed))


def _simple(counted: Any, usage: Usage) -> bool:
    """Whether a usage tells nothing that a rate does not know."""
    if usage.prompt_tokens > LARGEST or usage.completion_tokens > LARGEST // 2:
        return False
    if usage.estimated:
        return True
    fresh = usage.prompt_tokens - usage.cached_tokens
    texts = {
        "prompt_tokens_details": fresh,
        "completion_tokens_details": usage.completion_tokens - usage.reasoning_tokens,
    }
    for name, value in values.fields(counted).items():
        if not value or name in COUNTED or name in BESIDE:
            continue
        known = DETAILED.get(name)
        if known is None:
            return False
        for part, each in values.fields(value).items():
            if each and part != known and not (part == "text_tokens" and each == texts[name]):
                return False
    return True


def _made(prompt: int, cached: int, said: int, thought: int) -> tuple[Usage, dict[str, Any]]:
    """A usage, as the gateway and as a provider tells it."""
    return Usage(prompt, said, cached_tokens=cached, reasoning_tokens=thought), {
        "prompt_tokens": prompt,
        "completion_tokens": said,
        "total_tokens": prompt + said,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": thought},
    }
