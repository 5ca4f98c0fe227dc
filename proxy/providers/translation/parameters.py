"""What may be sent to whom: from OpenAI's parameter names to the arguments of one call.

The rules are rows where they can be (`NEVER`, `NEUTRAL`) and small functions where they cannot (tools in `tools.py`,
the form of the answer in `formats.py`, what a request adds by hand in `extras.py`, the text endpoint in `texts.py`).
What must stay true:

* Only parameters of `KNOWN` reach LiteLLM: its other arguments choose addresses, keys, callbacks and fallbacks.
* Neutral values count as absent, because clients send them with every request and half the models refuse them.
* Every parameter that is left out or changed is noted with its reason; with `strict` it is an error instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from proxy.errors import UpstreamError
from proxy.models import Json, Kind, Message
from proxy.providers.translation import extras, formats, tools

SAMPLING = (
    "temperature",
    "top_p",
    "frequency_penalty",
    "presence_penalty",
    "stop",
    "seed",
    "n",
    "logprobs",
    "top_logprobs",
    "logit_bias",
    "top_k",
    "user",
    "parallel_tool_calls",
    "reasoning_effort",
    "max_tokens",
    "max_completion_tokens",
)
_KEPT = ("store", "prompt_cache_key", "prompt_cache_retention", "safety_identifier")
"""What OpenAI shall keep of a call, and know it by."""

FEATURES = ("modalities", "audio", "prediction", "thinking", "verbosity", "service_tier", "web_search_options", *_KEPT)
"""What some vendors' models can do besides; sent as it is to those that have it."""

TEXT_ONLY = ("suffix", "echo", "best_of")
"""Parameters that only a completion model has."""

KNOWN = frozenset(
    {*SAMPLING, *FEATURES, *TEXT_ONLY, *tools.PARAMETERS, *extras.NAMES, "response_format", "safe_prompt"}
)

OWN = frozenset({"stream", "stream_options"})
"""Parameters that the gateway decides itself; a client's are no loss."""

NEUTRAL: Mapping[str, tuple[Json, ...]] = {
    "top_p": (1,),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "safe_prompt": (False,),
    "stop": ([], ""),
    "top_k": (0,),
    "user": ("",),
    "suffix": ("",),
    "echo": (False,),
    "best_of": (1,),
    "thinking": ({"type": "disabled"},),
    "extra_body": ({},),
    "extra_headers": ({},),
}
"""Values that say nothing, whoever is asked."""

WARM = frozenset({"mistral", "cohere"})
"""Providers whose default temperature is not 1, so that a 1 says something. On Bedrock all models but Claude."""

_ODD = ("safe_prompt", "top_k", "thinking")
_ALONE = ("n", "logprobs", "top_logprobs", "logit_bias")
_MADE = ("modalities", "audio", "prediction", "verbosity", *_KEPT)
"""What is made by OpenAI, and by those who pass its models on."""

NEVER: Mapping[str, frozenset[str]] = {
    "openai": frozenset(_ODD),
    "azure": frozenset(_ODD),
    "anyscale": frozenset({*_ODD, *_KEPT}),
    "litellm": frozenset({"safe_prompt", "top_k"}),
    "openrouter": frozenset({"safe_prompt", "user", "thinking", *_KEPT}),
    "anthropic": frozenset({"safe_prompt", "seed", "frequency_penalty", "presence_penalty", *_ALONE, *_MADE}),
    "vertexai": frozenset({"safe_prompt", "logit_bias", "parallel_tool_calls", "user", "service_tier", *_MADE}),
    "aws_bedrock": frozenset(
        {"safe_prompt", "seed", "frequency_penalty", "presence_penalty", "parallel_tool_calls", "user", *_ALONE, *_MADE}
    ),
    "mistral": frozenset({"top_k", "user", "thinking", "service_tier", "web_search_options", *_ALONE, *_MADE}),
    "groq": frozenset({"safe_prompt", "top_k", "user", "thinking", "web_search_options", *_ALONE, *_MADE}),
    "fireworks": frozenset({"safe_prompt", "thinking", "service_tier", "web_search_options", *_MADE}),
    "cohere": frozenset(
        {"safe_prompt", "parallel_tool_calls", "user", "thinking", "service_tier", "web_search_options"}
    ).union(_ALONE, _MADE),
}
"""Parameters that a provider has no word for, or that LiteLLM cannot give it."""

FORCED: Mapping[str, frozenset[str]] = {
    "mistral": frozenset({"frequency_penalty", "presence_penalty"}),
    "azure": frozenset({"service_tier"}),
}
"""Parameters that a provider knows although LiteLLM does not know that it does."""

MAX_TOKENS = 4096
"""For Claude's own API, which demands a limit: LiteLLM would send the model's whole output limit."""

Accepts = Callable[[str, Json], bool]
"""Whether the model takes a parameter with this value (LiteLLM's knowledge of models)."""


@dataclass(slots=True)
class Plan:
    """One call being prepared: who is asked for what, and what had to give way.

    `asked` is what the client asked for, `kind` what the provider is asked for; `base64` that vectors are wanted
    in it. `wanted` are the parameters as they were, `own` those of them that have a stand-in; `name` and `wire` are by
    what the kind of call is kept.
    """

    provider: str
    model: str
    params: dict[str, Json]
    messages: list[Message]
    stream: bool = False
    strict: bool = False
    demanded: frozenset[str] = frozenset()
    asked: Kind = "chat"
    kind: Kind = "chat"
    base64: bool = False
    arguments: dict[str, Any] = field(default_factory=dict)
    forced: set[str] = field(default_factory=set)
    dropped: dict[str, str] = field(default_factory=dict)
    wanted: Mapping[str, Json] = field(default_factory=dict)
    own: Mapping[str, Json] = field(default_factory=dict)
    name: bytes | None = None
    wire: bytes | None = None

    @property
    def claude(self) -> bool:
        """Whether the model is a Claude that is spoken to in Anthropic's own words."""
        return self.provider in ("anthropic", "vertexai", "aws_bedrock") and "claude" in self.model.lower()

    def has(self, name: str) -> bool:
        """Whether the provider has a word for a parameter."""
        return name not in NEVER.get(self.provider, ())

    def drop(self, name: str, reason: str) -> None:
        """Leave a parameter out, or refuse the call where it is demanded, or when told to be strict."""
        self.params.pop(name, None)
        self.dropped[name] = reason
        if self.strict or name in self.demanded:
            raise UpstreamError(f"{name}: {reason}", code="unsupported_parameter", provider=self.provider)


def prepare(plan: Plan, accepts: Accepts) -> None:
    """Fill `plan.arguments`; its params become empty, its messages may gain a line. Raises `UpstreamError` when
    strict.
    """
    extras.unfold(plan, KNOWN)
    sift(plan)
    for name in [name for name in TEXT_ONLY if name in plan.params]:
        plan.drop(name, "only a completion model has it")
    tools.prepare(plan)
    _temperature(plan)
    _lengths(plan)
    _logprobs(plan)
    formats.prepare(plan)
    _safe_prompt(plan)
    for name in [name for name in (*SAMPLING, *FEATURES) if name in plan.params]:
        _sampling(plan, name, accepts)
    extras.prepare(plan)
    _stream(plan)


def sift(plan: Plan) -> None:
    """Nulls and neutral values go silently; unknown names and what the provider lacks go with a note."""
    for name, value in list(plan.params.items()):
        if value is None or name in OWN or _neutral(name, value):
            del plan.params[name]
        elif name not in KNOWN:
            plan.drop(name, "not a parameter of completions")
        elif not plan.has(name):
            plan.drop(name, f"{plan.provider} has no such parameter")


def _neutral(name: str, value: Json) -> bool:
    return any(value == other and (type(value) is bool) == (type(other) is bool) for other in NEUTRAL.get(name, ()))


def _temperature(plan: Plan) -> None:
    warm = plan.provider in WARM or (plan.provider == "aws_bedrock" and not plan.claude)
    if plan.params.get("temperature") == 1 and not warm:
        del plan.params["temperature"]
    if plan.claude and "thinking" in plan.params:
        for name in [name for name in ("temperature", "top_k") if name in plan.params]:
            plan.drop(name, "a Claude that thinks does not take it")
    if "temperature" in plan.params and "top_p" in plan.params and plan.claude and claude_version(plan.model) >= (4, 1):
        plan.drop("top_p", "this Claude takes temperature or top_p, not both")


_CLAUDE = re.compile(r"claude-(?:[a-z]+-)?(\d)(?:[-.](\d{1,2})(?!\d))?")


def claude_version(model: str) -> tuple[int, int]:
    """(4, 1) for `claude-opus-4-1-20250805`; a name without a version counts as newer than all."""
    found = _CLAUDE.search(model.lower())
    return (int(found[1]), int(found[2] or 0)) if found else (99, 0)


OPENAI_LENGTHS = frozenset({"openai", "azure", "anyscale", "litellm", "openrouter", "groq", "fireworks"})
"""Providers that have both of OpenAI's names for the length of an answer."""


def _lengths(plan: Plan) -> None:
    """One length parameter at most, by the name that the provider has; Claude's own API always gets one."""
    if plan.provider not in OPENAI_LENGTHS and "max_completion_tokens" in plan.params:
        plan.params["max_tokens"] = plan.params.pop("max_completion_tokens")
    if "max_completion_tokens" in plan.params:
        plan.params.pop("max_tokens", None)
    if plan.provider in ("anthropic", "vertexai") and plan.claude:
        plan.params.setdefault("max_tokens", MAX_TOKENS + _thoughts(plan))


def _thoughts(plan: Plan) -> int:
    """Tokens that a Claude may think with, which count to its limit; an effort in words is at most `MAX_TOKENS`."""
    thinking = plan.params.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, Mapping) else None
    if type(budget) is int and budget > 0:
        return budget
    return MAX_TOKENS if plan.params.get("reasoning_effort") not in (None, "none") else 0


def _logprobs(plan: Plan) -> None:
    """The number of a completion's log probabilities, in a chat's words."""
    wanted = plan.params.get("logprobs")
    if type(wanted) is int:
        plan.params["logprobs"] = True
        if wanted > 0:
            plan.params.setdefault("top_logprobs", wanted)


def _safe_prompt(plan: Plan) -> None:
    """Mistral's own; everybody else's has been dropped."""
    if "safe_prompt" in plan.params:
        plan.arguments["safe_prompt"] = bool(plan.params.pop("safe_prompt"))


def _sampling(plan: Plan, name: str, accepts: Accepts) -> None:
    value = plan.params[name]
    if name == "top_k":
        plan.arguments["k" if plan.provider == "cohere" else "top_k"] = value
    elif name in FORCED.get(plan.provider, ()):
        plan.arguments[name] = value
        plan.forced.add(name)
    elif accepts(name, value):
        plan.arguments[name] = value
    else:
        lacks = "does not take this value" if name == "temperature" else "has no such parameter"
        plan.drop(name, f"{plan.model} {lacks}")
    plan.params.pop(name, None)


def _stream(plan: Plan) -> None:
    """Usage is always asked for."""
    plan.arguments["stream"] = plan.stream
    if plan.stream:
        plan.arguments["stream_options"] = {"include_usage": True}
