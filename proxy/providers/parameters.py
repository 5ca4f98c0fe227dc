"""What may be sent to whom: from OpenAI's parameter names to the arguments of one call.

The rules are rows where they can be (`NEVER`, `NEUTRAL`) and small functions where they cannot (tools in `tools.py`,
JSON modes here). What must stay true:

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
from proxy.models import Json, Message
from proxy.providers import tools

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
KNOWN = frozenset({*SAMPLING, *tools.PARAMETERS, "response_format", "safe_prompt"})

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
}
"""Values that say nothing, whoever is asked."""

WARM = frozenset({"mistral", "cohere"})
"""Providers whose default temperature is not 1, so that a 1 says something. On Bedrock all models but Claude."""

_OPENAI_ONLY = ("safe_prompt", "top_k")
_ALONE = ("n", "logprobs", "top_logprobs", "logit_bias")
NEVER: Mapping[str, frozenset[str]] = {
    "openai": frozenset(_OPENAI_ONLY),
    "azure": frozenset(_OPENAI_ONLY),
    "anyscale": frozenset(_OPENAI_ONLY),
    "litellm": frozenset(_OPENAI_ONLY),
    "openrouter": frozenset({"safe_prompt", "user"}),
    "anthropic": frozenset({"safe_prompt", "seed", "frequency_penalty", "presence_penalty", *_ALONE}),
    "vertexai": frozenset({"safe_prompt", "logit_bias", "parallel_tool_calls", "user"}),
    "aws_bedrock": frozenset(
        {"safe_prompt", "seed", "frequency_penalty", "presence_penalty", "parallel_tool_calls", "user", *_ALONE}
    ),
    "mistral": frozenset({"top_k", "user", *_ALONE}),
    "groq": frozenset({"safe_prompt", "top_k", "user", *_ALONE}),
    "fireworks": frozenset({"safe_prompt"}),
    "cohere": frozenset({"safe_prompt", "parallel_tool_calls", "user", *_ALONE}),
}
"""Parameters that a provider has no word for, or that LiteLLM cannot give it."""

FORCED: Mapping[str, frozenset[str]] = {"mistral": frozenset({"frequency_penalty", "presence_penalty"})}
"""Parameters that a provider knows although LiteLLM does not know that it does."""

MAX_TOKENS = 4096
"""For Claude's own API, which demands a limit: LiteLLM would send the model's whole output limit."""

JSON_LINE = "Answer with one JSON object and nothing else."

Accepts = Callable[[str, Json], bool]
"""Whether the model takes a parameter with this value (LiteLLM's knowledge of models)."""


@dataclass(slots=True)
class Plan:
    """One call being prepared: who is asked for what, and what had to give way."""

    provider: str
    model: str
    params: dict[str, Json]
    messages: list[Message]
    stream: bool = False
    strict: bool = False
    arguments: dict[str, Any] = field(default_factory=dict)
    forced: set[str] = field(default_factory=set)
    dropped: dict[str, str] = field(default_factory=dict)

    @property
    def claude(self) -> bool:
        """Whether the model is a Claude that is spoken to in Anthropic's own words."""
        return self.provider in ("anthropic", "vertexai", "aws_bedrock") and "claude" in self.model.lower()

    def drop(self, name: str, reason: str) -> None:
        """Leave a parameter out, or refuse the call when told to be strict."""
        self.params.pop(name, None)
        self.dropped[name] = reason
        if self.strict:
            raise UpstreamError(f"{name}: {reason}", code="unsupported_parameter", provider=self.provider)


def prepare(plan: Plan, accepts: Accepts) -> None:
    """Fill `plan.arguments`; its params become empty, its messages may gain a line. Raises `UpstreamError` when
    strict.
    """
    _sift(plan)
    tools.prepare(plan)
    _temperature(plan)
    _lengths(plan)
    _response_format(plan)
    _safe_prompt(plan)
    for name in [name for name in SAMPLING if name in plan.params]:
        _sampling(plan, name, accepts)
    _stream(plan)


def _sift(plan: Plan) -> None:
    """Nulls and neutral values go silently; unknown names and what the provider lacks go with a note."""
    for name, value in list(plan.params.items()):
        if value is None or name in OWN or _neutral(name, value):
            del plan.params[name]
        elif name not in KNOWN:
            plan.drop(name, "not a parameter of chat completions")
        elif name in NEVER.get(plan.provider, ()):
            plan.drop(name, f"{plan.provider} has no such parameter")


def _neutral(name: str, value: Json) -> bool:
    return any(value == other and (type(value) is bool) == (type(other) is bool) for other in NEUTRAL.get(name, ()))


def _temperature(plan: Plan) -> None:
    warm = plan.provider in WARM or (plan.provider == "aws_bedrock" and not plan.claude)
    if plan.params.get("temperature") == 1 and not warm:
        del plan.params["temperature"]
    if "temperature" in plan.params and "top_p" in plan.params and plan.claude and claude_version(plan.model) >= (4, 1):
        plan.drop("top_p", "this Claude takes temperature or top_p, not both")


_CLAUDE = re.compile(r"claude-(?:[a-z]+-)?(\d)(?:[-.](\d{1,2})(?!\d))?")


def claude_version(model: str) -> tuple[int, int]:
    """(4, 1) for `claude-opus-4-1-20250805`; a name without a version counts as newer than all."""
    found = _CLAUDE.search(model.lower())
    return (int(found[1]), int(found[2] or 0)) if found else (99, 0)


_OPENAI_LENGTHS = frozenset({"openai", "azure", "anyscale", "litellm", "openrouter", "groq", "fireworks"})


def _lengths(plan: Plan) -> None:
    """One length parameter at most, by the name that the provider has; Claude's own API always gets one."""
    if plan.provider not in _OPENAI_LENGTHS and "max_completion_tokens" in plan.params:
        plan.params["max_tokens"] = plan.params.pop("max_completion_tokens")
    if "max_completion_tokens" in plan.params:
        plan.params.pop("max_tokens", None)
    if plan.provider in ("anthropic", "vertexai") and plan.claude:
        plan.params.setdefault("max_tokens", MAX_TOKENS)


def _response_format(plan: Plan) -> None:
    """JSON modes: Claude and Bedrock are asked in words, Cohere in its own shape, the rest in OpenAI's."""
    wanted = plan.params.pop("response_format", None)
    kind = wanted.get("type") if isinstance(wanted, dict) else wanted
    if wanted is None or kind == "text":
        return
    if not isinstance(wanted, dict) or kind not in ("json_object", "json_schema"):
        plan.drop("response_format", "must be an object of type text, json_object or json_schema")
    elif kind == "json_object" and (plan.claude or plan.provider in ("aws_bedrock", "anthropic")):
        plan.dropped["response_format"] = "asked for in a system message: the provider has no JSON mode"
        plan.messages[:] = [{"role": "system", "content": JSON_LINE}, *plan.messages]
    elif plan.provider in ("cohere", "groq"):
        # LiteLLM refuses it for Cohere, and fakes the stream when it sees it for Groq
        shape = _cohere_format(wanted) if plan.provider == "cohere" else wanted
        plan.arguments.setdefault("extra_body", {})["response_format"] = shape
    else:
        plan.arguments["response_format"] = wanted
        plan.forced.add("response_format")


def _cohere_format(wanted: Mapping[str, Json]) -> dict[str, Json]:
    described = wanted.get("json_schema")
    if not isinstance(described, dict):
        return {"type": "json_object"}
    return {"type": "json_object", "json_schema": described.get("schema", described)}


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
        plan.drop(
            name,
            f"{plan.model} does not take this value"
            if name == "temperature"
            else f"{plan.model} has no such parameter",
        )
    plan.params.pop(name, None)


def _stream(plan: Plan) -> None:
    """Usage is always asked for."""
    plan.arguments["stream"] = plan.stream
    if plan.stream:
        plan.arguments["stream_options"] = {"include_usage": True}
