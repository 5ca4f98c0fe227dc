"""What a target's tokens cost, as far as that can be told before it was called: by the file, or by LiteLLM's list.
And which budgets could not be kept, since nobody knows it.

The list is read as the file that it is, because importing LiteLLM for it takes seconds; only who has a budget needs it.
What an answer has cost is the providers' to say, who know more of it. What must stay true: a target is not said to have
a price here when its answers would come without one.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from proxy.config.keys import KeyBlock
from proxy.config.router import RouterSettings
from proxy.config.targets import UNCHANGED
from proxy.target import Target
from proxy.vendors import VENDORS, infer, named

LIST = "model_prices_and_context_window_backup.json"

Price = tuple[float, float]
"""US dollars for a token of the prompt, and for one of the answer."""


UNPRICED = "set input_cost_per_token and output_cost_per_token in its litellm_params"


def priced(target: Target) -> bool:
    """Whether it will be known what a call to `target` has cost. OpenRouter says so with each answer."""
    return target.provider == "openrouter" or price(target) is not None


def problems(
    blocks: Mapping[str, KeyBlock],
    models: Mapping[str, tuple[Target, ...]],
    deployments: Mapping[str, Collection[str | None]],
    router: RouterSettings,
) -> list[tuple[tuple[str, ...], str]]:
    """The budgets that could not be kept: where they stand, and why. `deployments` are by id, with the models
    of their versions. What `router` falls back to from a key's models counts as well.

    Of keys for any model, or for a pattern of names, each call tells.
    """
    found: list[tuple[tuple[str, ...], str]] = []
    for name, block in blocks.items():
        for model in block.models if block.budget else ():
            deployed = (
                deployments.get(model.removeprefix("deployment/"), ()) if model.startswith("deployment/") else [model]
            )
            own = [one for one in deployed if one is not None and "*" not in one]
            for target in [target for one in _reached(own, router) for target in _targets(one, models, router)]:
                if not priced(target):
                    why = f"model {model} leads to {target.label}, whose price is not known: {UNPRICED}"
                    found.append((("keys", name, "budget"), why))
    return found


def _reached(names: Iterable[str], router: RouterSettings) -> list[str]:
    """`names`, and all that a call to them may fall back to."""
    found = list(dict.fromkeys(names))
    for name in found:
        for table in (router.fallbacks, router.context_window_fallbacks, router.content_policy_fallbacks):
            found += [other for other in table.get(name, table.get("*", ())) if other not in found]
    return found


def _targets(model: str, models: Mapping[str, tuple[Target, ...]], router: RouterSettings) -> tuple[Target, ...]:
    model = router.aliases.get(model, model)
    if model in models:
        return models[model]
    told = named(model) or ((provider, model) if (provider := infer(model)) else None)
    return (Target(*told),) if told else ()


def price(target: Target) -> Price | None:
    """None where nobody knows."""
    if target.provider == "echo":
        return 0.0, 0.0
    if target.input_cost_per_token is not None or target.output_cost_per_token is not None:
        return target.input_cost_per_token or 0.0, target.output_cost_per_token or 0.0
    prefix, model = VENDORS[target.provider].prefix, target.model
    if target.settings.get(UNCHANGED):
        prefix, _, model = target.model.partition("/")
    names = [str(name) for name in (target.settings.get("base_model"), model) if name]
    return next((found for name in names if (found := _listed(prefix, name)) is not None), None)


def _listed(prefix: str, name: str) -> Price | None:
    listed = _prices()
    for one in (f"{prefix}/{name}", name, *([name.partition(".")[2]] if prefix == "bedrock" else [])):
        found = listed.get(one)
        # A name without its vendor may be another one's, too; that of a vendor may have several words behind it.
        if found is not None and (one != name or "/" in name or _whose(prefix, found[0])):
            return found[1]
    return None


def _whose(prefix: str, vendor: str) -> bool:
    return vendor.startswith(prefix) or vendor == f"text-completion-{prefix}"


@lru_cache(maxsize=1)
def _prices() -> dict[str, tuple[str, Price]]:
    """LiteLLM's list: whose a model is and what its tokens cost. Empty where there is none to read."""
    found = importlib.util.find_spec("litellm")
    folders = (found.submodule_search_locations if found else None) or []
    for folder in folders:
        if (path := Path(folder) / LIST).is_file():
            entries: dict[str, dict[str, Any]] = orjson.loads(path.read_bytes())
            return {name: (_text(one), price) for name, one in entries.items() if (price := _price(one)) is not None}
    return {}


def _text(entry: dict[str, Any]) -> str:
    return str(entry.get("litellm_provider") or "")


def _price(entry: dict[str, Any]) -> Price | None:
    prompt, answer = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
    if not (isinstance(prompt, int | float) or isinstance(answer, int | float)):
        return None
    return float(prompt or 0.0), float(answer or 0.0)
