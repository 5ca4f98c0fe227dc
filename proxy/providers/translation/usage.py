"""How many tokens an answer took, as the provider counts them.

What must stay true: a count is the provider's own, and is a number that can be written.
"""

from __future__ import annotations

from typing import Any

from proxy.models import Usage
from proxy.providers.translation import values


def tokens(usage: Any) -> Usage | None:
    """The provider's count, or None when it gave none that is one: no prompt has zero tokens."""
    told = values.fields(usage)
    prompt = values.count(told.get("prompt_tokens"))
    said = values.count(told.get("completion_tokens") or 0)
    if not prompt or said is None:
        return None
    cached = values.fields(told.get("prompt_tokens_details")).get("cached_tokens")
    thought = values.fields(told.get("completion_tokens_details")).get("reasoning_tokens")
    return Usage(prompt, said, cached_tokens=values.count(cached) or 0, reasoning_tokens=values.count(thought) or 0)
