"""Which names of models may be called: a name becomes part of an address, or chooses LiteLLM's way of calling.

LiteLLM puts the name as it is into the path for Vertex AI and Azure, behind the gateway's own credentials. What must
stay true: a client's name chooses a model, and never another path, verb, project, host or kind of resource.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

from proxy.config.targets import UNCHANGED
from proxy.errors import UpstreamError
from proxy.target import Target
from proxy.vendors import PREFIXES

_SEGMENT = r"[A-Za-z0-9][A-Za-z0-9._~-]*"
_VERSION = r"(?:@[A-Za-z0-9][A-Za-z0-9._-]*)?"
_ARN = r"arn:aws[a-z-]*:(?:bedrock|sagemaker):[a-z0-9-]+:[0-9]*:[a-z-]+(?:/[A-Za-z0-9][A-Za-z0-9._:-]*)+"

_BEDROCK_WAYS = (
    r"(?:bedrock|converse|converse_like|invoke|chat_completions|openai|mantle"
    r"|llama|deepseek_r1|qwen2|qwen3|moonshot|nova|nova-2|[a-z]{2}(?:-[a-z]+)+-[0-9])"
)
"""How Bedrock can be asked for a model, and the regions that may stand before it; agents are no models."""

SHAPES: Mapping[str, re.Pattern[str]] = {
    vendor: re.compile(shape, re.ASCII)
    for vendor, shape in {
        # a model of Google's, the number of an endpoint, or publisher/model
        "vertexai": rf"(?!agent_engine/)(?:{_SEGMENT}/)?{_SEGMENT}{_VERSION}",
        "azure": rf"(?:(?:o_series|gpt5_series|responses)/)?{_SEGMENT}",
        "aws_bedrock": rf"(?:{_BEDROCK_WAYS}/){{0,3}}(?:{_ARN}|{_SEGMENT}{_VERSION}(?::[0-9a-z]+)*)",
        "openrouter": r"[^@#]*(?:@[\w.-]+(?:/[\w.-]+)?)?",
        # the deployment of one's own behind a model
        "fireworks": r"[^@#]+(?:#accounts/[\w-]+/deployments/[\w-]+)?",
    }.items()
}
"""What a name looks like, by provider, whole."""

OTHERS = re.compile(r"[^@#]+(?:@[\w.-]+)?", re.ASCII)
"""The same for providers to whom the name goes in the body: at most a version after the @."""

KNOWN = 200
"""Characters of a name up to which it is remembered whether it fits."""

_NOWHERE = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff?%\\]")
"""Characters that no model's name holds."""


def check(target: Target) -> None:
    """Raise `UpstreamError` for a name that is more than a name; nothing has been sent then.

    The name of a provider that LiteLLM alone knows is the operator's: it can only come from the config.
    """
    fits = _known if len(target.model) <= KNOWN else _fits
    if not fits(target.provider, target.model, bool(target.settings.get(UNCHANGED))):
        raise UpstreamError(
            f"model: this cannot be the name of a model of {target.provider}",
            code="invalid_request",
            provider=target.provider,
        )


def _fits(provider: str, model: str, unchanged: bool) -> bool:
    if _NOWHERE.search(model) or any(segment in ("", ".", "..") for segment in model.split("/")):
        return False
    return unchanged or SHAPES.get(provider, OTHERS).fullmatch(model) is not None


_known = lru_cache(maxsize=4096)(_fits)


def route(target: Target) -> Target:
    """The target to call: `litellm` without a base of its own stands for the provider that its model begins with."""
    if target.provider != "litellm" or target.api_base or target.settings.get(UNCHANGED):
        return target
    prefix, _, model = target.model.partition("/")
    provider = PREFIXES.get(prefix)
    if provider is None or not model or provider in ("litellm", "echo"):
        known = ", ".join(sorted(set(PREFIXES) - {"litellm", "litellm_proxy", "echo"}))
        raise UpstreamError(
            f"model: without providers.litellm.api_base the model must be provider/model, with one of {known}",
            code="invalid_request",
            provider=target.provider,
        )
    return replace(target, provider=provider, model=model)
