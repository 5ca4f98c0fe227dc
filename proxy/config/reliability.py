"""How calls are repeated, passed on and given up, as the file has it: LiteLLM's keys and the gateway's own.

LiteLLM takes many of them in two blocks; `router_settings` win where both say something.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from proxy.config.block import Block, Foreign
from proxy.config.fields import Integer, Name, Seconds, Text, Wait
from proxy.target import Strategy

Limit = Annotated[Integer, Field(gt=0)]
Retries = Annotated[Integer, Field(ge=0, le=10)]
Fails = Annotated[Integer, Field(ge=0)]

Fallbacks = list[dict[Name, list[Name]]]

RoutingStrategy = Literal[
    Strategy,
    "simple-shuffle",
    "latency-based-routing",
    "cost-based-routing",
    "usage-based-routing",
    "usage-based-routing-v2",
    "provider-budget-routing",
]
"""Our own words for strategies, and LiteLLM's."""


class Alias(Block):
    """Another name of a model name; a hidden one is not listed."""

    model: Name
    hidden: bool = False


Meant = Annotated[
    Annotated[Name, Tag("str")] | Annotated[Alias, Tag("Alias")],
    Discriminator(lambda value: "Alias" if isinstance(value, dict) else "str"),
]
"""What an alias stands for: a name, or one with more to say of it."""


class RetryPolicy(Foreign):
    """How often which failure is tried again. Those that have no key here are never tried again."""

    TimeoutErrorRetries: Retries | None = None
    RateLimitErrorRetries: Retries | None = None
    InternalServerErrorRetries: Retries | None = None
    ServiceUnavailableErrorRetries: Retries | None = None
    DefaultRetries: Retries | None = None


class Reliability(Foreign):
    """What LiteLLM takes in `router_settings` and in `litellm_settings`."""

    num_retries: Retries | None = None
    allowed_fails: Fails | None = None
    cooldown_time: Wait | None = None
    fallbacks: Fallbacks | None = None
    default_fallbacks: list[Name] | None = None
    context_window_fallbacks: Fallbacks | None = None
    content_policy_fallbacks: Fallbacks | None = None
    max_fallbacks: Fails | None = None


class RouterKeys(Reliability):
    """`router_settings` as the file has them."""

    routing_strategy: RoutingStrategy | None = None
    timeout: Seconds | None = None
    stream_timeout: Seconds | None = None
    idle_timeout: Seconds | None = None
    retry_after: Wait | None = None
    disable_cooldowns: bool | None = None
    model_group_alias: dict[Name, Meant] | None = None
    retry_policy: RetryPolicy | None = None
    model_group_retry_policy: dict[Name, RetryPolicy] | None = None
    default_max_parallel_requests: Limit | None = None
    enable_mid_stream_fallback_continuation: bool | None = None
    continue_streams: bool | None = None


class CacheParams(Foreign):
    """`cache_params`: what of them has a counterpart in `cache`."""

    type: Text = None
    ttl: Seconds | None = None


class LiteLLMKeys(Reliability):
    """`litellm_settings` as the file has them; `router_settings` and `cache` win where both say something."""

    drop_params: bool = True
    request_timeout: Seconds | None = None
    cache: bool | None = None
    cache_params: CacheParams = CacheParams()


class GroupKeys(Block):
    """What one model name says for itself, instead of `router_settings`."""

    strategy: Strategy | None = None
    timeout: Seconds | None = None
    first_token_timeout: Seconds | None = None
    idle_timeout: Seconds | None = None
    num_retries: Retries | None = None
