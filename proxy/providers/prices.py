"""A call's cost in US dollars by the provider's own figure, the target's prices or LiteLLM's list; in this order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from typing import Any

from proxy.models import Target, Usage
from proxy.providers import values
from proxy.providers.credentials import named

LISTED: Mapping[str, tuple[str, ...]] = {"openai": ("text-completion-openai",), "cohere_chat": ("cohere",)}
"""Under which further names LiteLLM lists a provider's models: those for texts, and those that embed."""

PriceList = Callable[..., float]
"""`Engine.price`."""


def cost(target: Target, counted: Any, usage: Usage, model: str | None, listed: PriceList) -> float | None:
    """None when nobody knows a price. `counted` is the provider's usage, `model` the name that its answer gave."""
    told = values.amount(values.fields(counted).get("cost")) if target.provider == "openrouter" else None
    if told is not None:
        return told
    if target.input_cost_per_token is not None or target.output_cost_per_token is not None:
        spent = usage.prompt_tokens * (target.input_cost_per_token or 0)
        return values.amount(spent + usage.completion_tokens * (target.output_cost_per_token or 0))
    prefix, own = named(target)
    names = [str(name) for name in (target.settings.get("base_model"), own, model) if name]
    for name, listing in product(names, (prefix, *LISTED.get(prefix, ()))):
        try:
            paid = listed(
                model=name,
                custom_llm_provider=listing,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                usage=None if usage.estimated else counted,
            )
        except Exception:  # LiteLLM tells a model without a price by raising, and not always the same class
            continue
        return values.amount(paid)
    return None
