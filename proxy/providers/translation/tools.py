"""Tools and the choice among them: the older `functions` become tools, each provider is asked in words that it knows.

A named choice becomes "only that tool, and it is required" where the provider (or LiteLLM for it) has no names;
`none` becomes "no tools" on Bedrock, unless earlier tool calls in the conversation demand that they be described.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from proxy.errors import UpstreamError
from proxy.models import Json

if TYPE_CHECKING:
    from proxy.providers.translation.parameters import Plan

PARAMETERS = ("tools", "tool_choice", "functions", "function_call")

NAMELESS = frozenset({"mistral", "cohere", "fireworks"})
"""Providers that cannot be told the name of the tool to call."""

COHERE_CHOICES = {"none": "NONE", "required": "REQUIRED"}


def prepare(plan: Plan) -> None:
    """Move the tool parameters of a plan into its arguments."""
    offered = _offered(plan)
    choice = _choice(plan)
    if not offered:
        if choice not in (None, "auto", "none"):
            plan.drop("tool_choice", "there are no tools to choose from")
        return
    if isinstance(choice, dict):
        offered, choice = _named(plan, offered, choice["function"]["name"])
    if plan.provider == "aws_bedrock" and choice == "none":
        if not any(message.get("tool_calls") for message in plan.messages):
            return
        plan.drop("tool_choice", "Bedrock has no choice of none, and earlier calls need their tools described")
        choice = None
    plan.arguments["tools"] = offered
    plan.forced.add("tools")
    if plan.provider == "cohere":
        if choice in COHERE_CHOICES:
            plan.arguments.setdefault("extra_body", {})["tool_choice"] = COHERE_CHOICES[choice]
    elif plan.provider == "fireworks" and choice == "required":
        plan.arguments.setdefault("extra_body", {})["tool_choice"] = choice  # LiteLLM would say `any`
    elif choice is not None:
        plan.arguments["tool_choice"] = choice
        plan.forced.add("tool_choice")


def _offered(plan: Plan) -> list[dict[str, Json]]:
    functions = plan.params.pop("functions", None) or []
    offered = plan.params.pop("tools", None) or []
    for name, value in (("functions", functions), ("tools", offered)):
        if not isinstance(value, list):
            raise _wrong(plan, name, "must be a list")
    return [_tool(plan, described) for described in [*offered, *functions]]


def _tool(plan: Plan, described: Json) -> dict[str, Json]:
    """One tool in OpenAI's shape, from that shape, a bare function, or JSON text of either."""
    if isinstance(described, str):
        try:
            described = json.loads(described)
        except ValueError:
            raise _wrong(plan, "functions", "holds text that is not JSON") from None
    mark = described.get("cache_control") if isinstance(described, dict) and plan.claude else None
    if isinstance(described, dict) and isinstance(described.get("function"), dict):
        described = described["function"]
    if not isinstance(described, dict) or not isinstance(described.get("name"), str):
        raise _wrong(plan, "functions", "each function needs a name")
    left = ("type", "cache_control")
    function = {key: value for key, value in described.items() if key not in left and value is not None}
    function.setdefault("parameters", {"type": "object", "properties": {}})
    return {"type": "function", "function": function} | ({"cache_control": mark} if mark else {})


def _choice(plan: Plan) -> Json:
    """`auto`, `none`, `required`, a named choice in OpenAI's shape, or None."""
    newer, older = plan.params.pop("tool_choice", None), plan.params.pop("function_call", None)
    choice = newer if newer is not None else older
    if isinstance(choice, str) and choice.lstrip().startswith("{"):
        try:
            choice = json.loads(choice)
        except ValueError:
            raise _wrong(plan, "function_call", "holds text that is not JSON") from None
    if isinstance(choice, dict):
        inner = choice.get("function")
        name = inner.get("name") if isinstance(inner, dict) else choice.get("name", inner)
    elif choice in (None, "", "auto", "none", "required"):
        return choice or None
    else:
        name = "required" if choice == "any" else choice
        if name == "required":
            return name
    if not isinstance(name, str) or not name:
        raise _wrong(plan, "tool_choice", "must be auto, none, required, or name a function")
    return {"type": "function", "function": {"name": name}}


def _named(plan: Plan, offered: list[dict[str, Json]], name: str) -> tuple[list[dict[str, Json]], Json]:
    only = [tool for tool in offered if tool["function"]["name"] == name]
    if not only:
        raise _wrong(plan, "tool_choice", "names a function that is not offered")
    if plan.provider in NAMELESS:
        return only, "required"
    return offered, {"type": "function", "function": {"name": name}}


def _wrong(plan: Plan, name: str, message: str) -> UpstreamError:
    return UpstreamError(f"{name}: {message}", code="invalid_request", provider=plan.provider)
