"""What a call can go to: a target, the group of targets that a model name stands for, and what became of an attempt.

What must stay true: none of it shows a key. A target's `id` is for people and for counting; it is made of names.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from pydantic import SecretStr

Transport = Literal["lean", "litellm"]
"""How a target is called: with LiteLLM's translation over the gateway's own connections, or by LiteLLM's wrapper."""

Strategy = Literal["weighted", "ordered", "least-busy", "lowest-latency", "lowest-cost"]
"""Which target of a group is asked first: drawn by weight, as the file has them, with the fewest calls under way, with
the shortest measured time to a first token, or with the lowest price.
"""


@dataclass(slots=True, frozen=True)
class Target:
    """One endpoint of one provider, with its key and base: what a model name resolves to.

    `provider` is a name of the provider table (`openai`, `azure`, ..., `echo`), `model` the provider's own model id.
    `settings` are the provider's further credentials and options (`api_version`, `aws_region_name`, ...); `params` are
    defaults that a request's own parameters override. `mode` is LiteLLM's word for what the model is made for (`chat`,
    `completion`, `embedding`), where the config says it. `transport` says how it is called, and nothing about what is
    asked.

    `id` names it in the log and where its health and its use are counted; a target that the config does not list has
    none, and neither has one with a request's own key, whose failures are nobody else's. Targets of a lower `order` are
    asked before those of a higher one; among equals `weight` is its share. `timeout`, `first_token_timeout` and
    `idle_timeout` (between two pieces of an answer) are in seconds. `rpm`, `tpm` and `max_parallel` are its provider's
    limits: requests and tokens a minute, and calls at a time.
    """

    provider: str
    model: str
    api_key: SecretStr | None = field(default=None, repr=False)
    api_base: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict, repr=False)
    params: Mapping[str, Any] = field(default_factory=dict)
    timeout: float | None = None
    mode: str | None = None
    transport: Transport = "lean"
    input_cost_per_token: float | None = None
    output_cost_per_token: float | None = None
    id: str = ""
    weight: float = 1.0
    order: int = 0
    first_token_timeout: float | None = None
    idle_timeout: float | None = None
    rpm: int | None = None
    tpm: int | None = None
    max_parallel: int | None = None

    def with_key(self, api_key: SecretStr) -> Target:
        """This target with the key that a request brought instead of the configured one."""
        return replace(self, api_key=api_key, id="")

    @property
    def label(self) -> str:
        """Its id, or what it would be."""
        return self.id or f"{self.provider}/{self.model}"


@dataclass(slots=True, frozen=True, kw_only=True)
class Group:
    """What a model name stands for: its targets, in the file's order, and how they are asked.

    The timeouts, in seconds, hold for each attempt where the target has none of its own; `timeout` is the deadline of
    the whole call, too. `num_retries` is how often a call is tried again after its first attempt, at whichever target.
    """

    name: str
    targets: tuple[Target, ...]
    strategy: Strategy = "weighted"
    timeout: float = 600.0
    first_token_timeout: float | None = None
    idle_timeout: float | None = None
    num_retries: int = 0


PASSED_OVER = frozenset({"cooled_down", "limited"})
"""Why a target was not called."""


@dataclass(slots=True)
class Attempt:
    """One call to one target, or why there was none: `name` is the model name that led to it, `ended` is `success`,
    `cancelled`, or the failure's code (`timeout`, `rate_limited`, ...), and empty while it is under way; a target that
    was passed over has one of `PASSED_OVER` and took no time. `status` is what the provider answered, `seconds` how
    long it took.
    """

    target: str
    name: str
    ended: str = ""
    status: int | None = None
    seconds: float = 0.0
