"""The providers by the names of Parea's enum: one row each says how to name, find and recognise it.

`prefix` is LiteLLM's; a row's `key` and `settings` are looked up in the environment under the names given, in that
order, when the config has no entry of its own. Adding an OpenAI-compatible provider is one row here; what a
provider's parameters need is told in `providers/`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from proxy.models import Kind
from proxy.target import Target


@dataclass(slots=True, frozen=True)
class Vendor:
    """One provider.

    `pattern` recognises the model names that belong to it when a request names no provider. `settings` are credentials
    besides the key (name -> environment variables). `requires` are the settings without which no call can be made,
    `instead` says by what each of them may be replaced. `samples` says whether one call can ask for several answers,
    `logprobs` whether an answer can come with its log probabilities.
    """

    name: str
    prefix: str
    key: tuple[str, ...] = ()
    base: tuple[str, ...] = ()
    default_base: str | None = None
    settings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    requires: tuple[str, ...] = ("api_key",)
    instead: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pattern: re.Pattern[str] | None = None
    other_prefixes: tuple[str, ...] = ()
    samples: bool = True
    logprobs: bool = True


def _names(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


VENDORS: dict[str, Vendor] = {
    vendor.name: vendor
    for vendor in (
        Vendor(
            "openai",
            "openai",
            key=("OPENAI_API_KEY",),
            base=("OPENAI_BASE_URL", "OPENAI_API_BASE"),
            settings={"organization": ("OPENAI_ORGANIZATION", "OPENAI_ORG_ID")},
            pattern=_names(r"(gpt-|chatgpt|o\d|ft:|codex|davinci|babbage|text-embedding-(ada|3))"),
        ),
        Vendor(
            "azure",
            "azure",
            key=("AZURE_API_KEY",),
            base=("AZURE_API_BASE",),
            settings={"api_version": ("AZURE_API_VERSION",), "azure_ad_token": ("AZURE_AD_TOKEN",)},
            requires=("api_key", "api_base"),
            instead={"api_key": ("azure_ad_token",)},
        ),
        Vendor(
            "anthropic",
            "anthropic",
            key=("ANTHROPIC_API_KEY",),
            base=("ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"),
            pattern=_names(r"claude"),
            samples=False,
            logprobs=False,
        ),
        Vendor(
            "anyscale",
            "openai",
            key=("ANYSCALE_API_KEY",),
            base=("ANYSCALE_API_BASE", "ANYSCALE_BASE_URL"),
            default_base="https://api.endpoints.anyscale.com/v1",
        ),
        Vendor(
            "vertexai",
            "vertex_ai",
            base=("VERTEXAI_API_BASE",),
            settings={
                "vertex_credentials": ("VERTEXAI_CREDENTIALS", "GOOGLE_APPLICATION_CREDENTIALS"),
                "vertex_project": ("VERTEXAI_PROJECT", "GOOGLE_CLOUD_PROJECT"),
                "vertex_location": ("VERTEXAI_LOCATION", "GOOGLE_CLOUD_LOCATION"),
            },
            requires=("vertex_credentials",),
            pattern=_names(r"gemini"),
            other_prefixes=("gemini",),
        ),
        Vendor(
            "aws_bedrock",
            "bedrock",
            key=("AWS_BEARER_TOKEN_BEDROCK",),
            base=("AWS_BEDROCK_RUNTIME_ENDPOINT",),
            settings={
                "aws_access_key_id": ("AWS_ACCESS_KEY_ID",),
                "aws_secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
                "aws_session_token": ("AWS_SESSION_TOKEN",),
                "aws_region_name": ("AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"),
            },
            requires=("aws_access_key_id", "aws_secret_access_key"),
            instead=dict.fromkeys(("aws_access_key_id", "aws_secret_access_key"), ("api_key",)),
            pattern=_names(
                r"(us\.|eu\.|apac\.|global\.)?(anthropic|amazon|meta|ai21|cohere|mistral|stability)\.[a-z0-9-]+"
            ),
            samples=False,
            logprobs=False,
        ),
        Vendor(
            "openrouter",
            "openrouter",
            key=("OPENROUTER_API_KEY",),
            base=("OPENROUTER_API_BASE",),
            pattern=_names(r"[^/]+/"),
        ),
        Vendor(
            "mistral",
            "mistral",
            key=("MISTRAL_API_KEY",),
            base=("MISTRAL_API_BASE",),
            pattern=_names(r"(open-)?(mistral|mixtral|codestral|ministral|magistral|pixtral|devstral)"),
            samples=False,
            logprobs=False,
        ),
        Vendor("litellm", "litellm_proxy", key=("LITELLM_PROXY_API_KEY",), base=("LITELLM_PROXY_API_BASE",)),
        Vendor("groq", "groq", key=("GROQ_API_KEY",), base=("GROQ_API_BASE",), samples=False, logprobs=False),
        Vendor(
            "fireworks",
            "fireworks_ai",
            key=("FIREWORKS_API_KEY", "FIREWORKS_AI_API_KEY"),
            base=("FIREWORKS_API_BASE",),
            pattern=_names(r"accounts/fireworks/"),
        ),
        Vendor(
            "cohere",
            "cohere_chat",
            key=("COHERE_API_KEY", "CO_API_KEY"),
            base=("COHERE_API_BASE",),
            pattern=_names(r"(command|c4ai-)"),
            other_prefixes=("cohere",),
            samples=False,
            logprobs=False,
        ),
        Vendor("echo", "echo", requires=(), pattern=_names(r"echo"), samples=False, logprobs=False),
    )
}
"""Every provider by its name in Parea's enum, and `echo`, which is the gateway's own."""

PREFIXES: dict[str, str] = {
    prefix: vendor.name
    for vendor in reversed(VENDORS.values())
    if vendor.name != "anyscale"
    for prefix in (vendor.name, vendor.prefix, *vendor.other_prefixes)
} | {"anyscale": "anyscale"}
"""What may stand before the slash of `provider/model`, and whose name it is: the enum's word and LiteLLM's."""


COMPLETING = _names(r"(gpt-3\.?5-turbo-instruct|davinci-002|babbage-002)")
"""The models that OpenAI still has for completing texts, also under Azure's spelling."""


def asked(target: Target, kind: Kind) -> Kind:
    """What the provider is asked for: a text to complete is one message of a conversation to a chat model.

    A completion model is told by `mode: completion` in the config's `model_info`, or by OpenAI's names for them.
    """
    if kind != "text":
        return kind
    completes = target.mode == "completion" or (
        target.mode is None and target.provider in ("openai", "azure") and COMPLETING.match(target.model) is not None
    )
    return "text" if completes else "chat"


UNREACHED = frozenset({"launch", "llmengine", "model_zoo", "xai"})
"""Vendors of Scale's of which nothing is known here: only the config can say where a model of theirs is."""

_BEHIND = re.compile(r"^(?!o_series/|gpt5_series/|responses/)[^/]+/(?=[^/]+$)")
"""The model that stands before the name of its deployment on Azure; the words are LiteLLM's ways of calling."""


def named(model: str) -> tuple[str, str] | None:
    """The provider and its own model id, for a model that is written `provider/model` or `provider:model`.

    Azure knows a model by its deployment alone, which may be written behind it: `azure/model/deployment`.
    """
    for mark in "/:":
        prefix, _, rest = model.partition(mark)
        if rest and prefix in PREFIXES:
            provider = PREFIXES[prefix]
            return provider, _BEHIND.sub("", rest, count=1) if provider == "azure" else rest
    return None


def infer(model: str) -> str | None:
    """The provider that a bare model name belongs to, or None."""
    # OpenRouter's form, anything with a slash, is the most general and so the last to be asked.
    for vendor in sorted(VENDORS.values(), key=lambda vendor: vendor.name == "openrouter"):
        if vendor.pattern is not None and vendor.pattern.match(model):
            return vendor.name
    return None
