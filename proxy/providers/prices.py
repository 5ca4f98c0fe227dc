"""A call's cost in US dollars by the provider's own figure, the target's prices or LiteLLM's list; in this order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxy.models import Target, Usage
from proxy.providers import values
from proxy.providers.credentials import named

PriceList = Callable[..., tuple[float, float]]
"""LiteLLM's `cost_per_token`."""


def cost(target: Target, counted: Any, usage: Usage, model: str | None, listed: PriceList) -> float | None:
    """None when nobody knows a price. `counted` is the provider's usage, `model` the name that its answer gave."""
    told = values.amount(getattr(counted, "cost", None)) if target.provider == "openrouter" else None
    if told is not None:
        return told
    if target.input_cost_per_token is not None or target.output_cost_per_token is not None:
        spent = usage.prompt_tokens * (target.input_cost_per_token or 0)
        return values.amount(spent + usage.completion_tokens * (target.output_cost_per_token or 0))
    prefix, own = named(target)
    for name in (target.settings.get("base_model"), own, model):
        if not name:
            continue
        try:
            paid = listed(
                model=str(name),
                custom_llm_provider=prefix,
                prompt_tokens=usage.prompt_tokens,
                completion_tokens=usage.completion_tokens,
                usage_object=None if usage.estimated else counted,
            )
        except Exception:  # LiteLLM tells a model without a price by raising, and not always the same class
            continue
        return values.amount(sum(paid))
    return None
