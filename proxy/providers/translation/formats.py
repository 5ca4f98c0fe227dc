"""The form that an answer shall have: `response_format` in each provider's words.

What must stay true: a form that cannot be had is refused by the name of its field. It is never left out, because who
asks for JSON reads the answer as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from proxy.errors import UpstreamError
from proxy.models import Json

if TYPE_CHECKING:
    from proxy.providers.translation.parameters import Plan

JSON_LINE = "Answer with one JSON object and nothing else."


def prepare(plan: Plan) -> None:
    """Claude and Bedrock are asked for JSON in words, Cohere in its own shape, the rest in OpenAI's."""
    wanted = plan.params.pop("response_format", None)
    if wanted is None or wanted == "text":
        return
    kind = _checked(wanted, plan.provider)["type"]
    if kind == "text":
        return
    if kind == "json_object" and (plan.claude or plan.provider in ("aws_bedrock", "anthropic")):
        plan.dropped["response_format"] = "asked for in a system message: the provider has no JSON mode"
        plan.messages[:] = [{"role": "system", "content": JSON_LINE}, *plan.messages]
    elif plan.provider in ("cohere", "groq"):
        # LiteLLM refuses it for Cohere, and fakes the stream when it sees it for Groq
        shape = _cohere(wanted) if plan.provider == "cohere" else wanted
        plan.arguments.setdefault("extra_body", {})["response_format"] = shape
    else:
        plan.arguments["response_format"] = wanted
        plan.forced.add("response_format")


def _checked(wanted: Json, provider: str) -> dict[str, Json]:
    """`wanted`, if it has OpenAI's shape. Raises `UpstreamError`."""

    def wrong(field: str, needs: str) -> UpstreamError:
        return UpstreamError(f"response_format{field}: {needs}", code="invalid_request", provider=provider)

    if not isinstance(wanted, dict):
        raise wrong("", "must be an object with a type: text, json_object or json_schema")
    if wanted.get("type") not in ("text", "json_object", "json_schema"):
        raise wrong(".type", "must be text, json_object or json_schema")
    if wanted["type"] == "json_schema":
        described = wanted.get("json_schema")
        if not isinstance(described, dict):
            raise wrong(".json_schema", "must be an object with a name and a schema")
        if not isinstance(described.get("name"), str) or not described["name"]:
            raise wrong(".json_schema.name", "must be a text that is not empty")
        if not isinstance(described.get("schema"), dict):
            raise wrong(".json_schema.schema", "must be an object: the JSON schema that the answer shall fit")
    return wanted


def _cohere(wanted: Mapping[str, Json]) -> dict[str, Json]:
    found: dict[str, Json] = {"type": "json_object"}
    return found if wanted["type"] == "json_object" else found | {"json_schema": wanted["json_schema"]["schema"]}
