"""The form of the answer: each provider's words for it, and what is no form at all."""

from __future__ import annotations

import pytest

from proxy.errors import UpstreamError
from proxy.models import Json
from proxy.providers.translation.formats import JSON_LINE, prepare
from proxy.providers.translation.parameters import Plan
from proxy.vendors import VENDORS

NAMES = [name for name in VENDORS if name != "echo"]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}


def plan(provider: str, wanted: Json) -> Plan:
    found = Plan(provider, "some-model", {"response_format": wanted}, [{"role": "user", "content": "json"}])
    prepare(found)
    return found


@pytest.mark.parametrize("provider", ["anthropic", "aws_bedrock"])
def test_json_is_asked_for_in_words(provider: str) -> None:
    found = plan(provider, {"type": "json_object"})
    assert "response_format" not in found.arguments
    assert found.messages[0] == {"role": "system", "content": JSON_LINE}
    assert "system message" in found.dropped["response_format"]


@pytest.mark.parametrize("provider", NAMES)
def test_a_schema_arrives(provider: str) -> None:
    arguments = plan(provider, SCHEMA).arguments
    if provider == "cohere":
        shape = {"type": "json_object", "json_schema": {"type": "object"}}
        assert arguments == {"extra_body": {"response_format": shape}}
    else:
        assert arguments.get("extra_body", arguments) == {"response_format": SCHEMA}


def test_cohere_is_asked_for_json_alone() -> None:
    assert plan("cohere", {"type": "json_object"}).arguments == {
        "extra_body": {"response_format": {"type": "json_object"}}
    }


@pytest.mark.parametrize("wanted", [None, "text", {"type": "text"}])
@pytest.mark.parametrize("provider", NAMES)
def test_text_says_nothing(provider: str, wanted: Json) -> None:
    found = plan(provider, wanted)
    assert (found.arguments, found.dropped, found.params) == ({}, {}, {})


BAD: list[tuple[Json, str]] = [
    ("SECRET", "response_format: must be an object"),
    (["SECRET"], "response_format: must be an object"),
    ({}, "response_format.type: must be text, json_object or json_schema"),
    ({"type": "SECRET"}, "response_format.type: "),
    ({"type": {"SECRET": 1}}, "response_format.type: "),
    ({"type": "json_schema"}, "response_format.json_schema: "),
    ({"type": "json_schema", "json_schema": None}, "response_format.json_schema: "),
    ({"type": "json_schema", "json_schema": {}}, "response_format.json_schema.name: "),
    ({"type": "json_schema", "json_schema": {"name": "SECRET"}}, "response_format.json_schema.schema: "),
    ({"type": "json_schema", "json_schema": {"name": "", "schema": {}}}, "response_format.json_schema.name: "),
    ({"type": "json_schema", "json_schema": {"name": "x", "schema": "SECRET"}}, "response_format.json_schema.schema: "),
]


@pytest.mark.parametrize(("wanted", "told"), BAD)
@pytest.mark.parametrize("provider", NAMES)
def test_what_is_no_form_is_refused_by_name(provider: str, wanted: Json, told: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        plan(provider, wanted)
    error = caught.value
    assert (error.code, error.status, error.provider, error.retryable) == ("invalid_request", 400, provider, False)
    assert error.message.startswith(told)
    assert "SECRET" not in error.message
