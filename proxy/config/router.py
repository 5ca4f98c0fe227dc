"""How model names are routed: what `router_settings` come to, for every name and for each.

What must stay true: a name in `fallbacks` or `aliases` can be asked for, and nothing falls back to itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.target import Strategy, Target


@dataclass(slots=True, frozen=True, kw_only=True)
class RouterSettings:
    """What holds for every model name that does not say otherwise; times in seconds.

    Without `num_retries` a call is tried once at each target of its name. A target that failed more than
    `allowed_fails` times within a minute is not asked for `cooldown_time`, and then once, to see; with a
    `cooldown_time` of 0 none is ever spared. `retry_after` is the least wait before a repetition.
    `fallbacks` are the names asked after all targets of one have failed, `context_window_fallbacks` those after a
    conversation was too long, `content_policy_fallbacks` after it was refused; under `*` those of every other name.
    `aliases` are other names of names. With `continue_streams` an answer that broke off is gone on with by another
    target, which is given what there is of it.
    """

    strategy: Strategy = "weighted"
    num_retries: int | None = None
    timeout: float = 600.0
    first_token_timeout: float | None = None
    idle_timeout: float | None = None
    retry_after: float = 0.0
    allowed_fails: int = 3
    cooldown_time: float = 5.0
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    context_window_fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    content_policy_fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    max_fallbacks: int = 5
    aliases: Mapping[str, str] = field(default_factory=dict)
    hidden: frozenset[str] = frozenset()
    """The aliases that are not listed among the models."""
    continue_streams: bool = False


@dataclass(slots=True, frozen=True, kw_only=True)
class GroupSettings:
    """What one model name says for itself; what is None is as `RouterSettings` has it. Times in seconds."""

    strategy: Strategy | None = None
    timeout: float | None = None
    first_token_timeout: float | None = None
    idle_timeout: float | None = None
    num_retries: int | None = None


@dataclass(slots=True, frozen=True)
class Wildcard:
    """A model name with `*` in it, which stands for every name of that form.

    Where a target's model has `*` too, it is called with what the name has there; else with its model as it stands.
    """

    pattern: str
    targets: tuple[Target, ...]
