"""What models cost, for who chooses among them: the target's own prices, or those of LiteLLM's list, which is read
without LiteLLM. What a call has cost is another matter (`prices`).

What must stay true: a price that cannot be found is none, and nothing raises.
"""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path
from typing import Any

import orjson

from proxy.providers.prices import names
from proxy.target import Target

logger = logging.getLogger(__name__)

FILE = "model_prices_and_context_window_backup.json"


class PriceList:
    """The prices of targets. The list is read when the first of them has none of its own, which takes 30 ms."""

    def __init__(self) -> None:
        self._listed: dict[str, tuple[str, float]] | None = None

    def price(self, target: Target) -> float | None:
        """US dollars for a token of a prompt and one of an answer together; None where nobody knows."""
        if target.input_cost_per_token is not None or target.output_cost_per_token is not None:
            return (target.input_cost_per_token or 0.0) + (target.output_cost_per_token or 0.0)
        if target.provider == "echo":
            return 0.0
        if self._listed is None:
            self._listed = _read()
        for vendor, name in names(target, None):
            for key in (f"{vendor}/{name}", name):
                found = self._listed.get(key)
                # `bedrock_converse` and `vertex_ai-language-models` are bedrock's and Vertex AI's
                if found is not None and found[0].startswith(vendor):
                    return found[1]
        return None


def _read() -> dict[str, tuple[str, float]]:
    """Each model's vendor and price."""
    try:
        found = importlib.util.find_spec("litellm")
        if found is None or found.origin is None:
            raise OSError("LiteLLM is not installed")
        listed = orjson.loads(Path(found.origin).with_name(FILE).read_bytes())
        return {name: each for name, model in listed.items() if (each := _priced(model)) is not None}
    except (OSError, ValueError, AttributeError) as error:
        logger.warning("LiteLLM's price list cannot be read (%s): targets without prices come last", error)
        return {}


def _priced(model: Any) -> tuple[str, float] | None:
    vendor, costs = model.get("litellm_provider"), [model.get(f"{way}_cost_per_token") for way in ("input", "output")]
    known = [cost for cost in costs if isinstance(cost, int | float)]
    return (vendor, float(sum(known))) if known and isinstance(vendor, str) else None
