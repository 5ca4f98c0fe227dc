"""Fields and headers that a request adds by hand: what reaches each vendor, and what never does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import UpstreamError
from proxy.models import Json
from proxy.providers.litellm import LiteLLM
from proxy.providers.translation import extras
from proxy.providers.translation.parameters import KNOWN, Plan, prepare
from tests.providers.features import ADDED
from tests.providers.golden import HELLO, plain
from tests.providers.test_matrix import ask, received
from tests.upstreams.fleet import MODELS, Fleet

vendors = pytest.mark.parametrize("name", MODELS)
ways = pytest.mark.parametrize("way", ["whole", "stream"])

FORBIDDEN_FIELDS: dict[str, Json] = {
    "model": "other",
    "messages": [],
    "prompt": "other",
    "stream": True,
    "stream_options": {},
    "api_base": "http://127.0.0.1:1",
    "base_url": "http://127.0.0.1:1",
    "api_key": "x",
    "custom_llm_provider": "openai",
    "mock_response": "x",
    "fallbacks": ["x"],
    "model_list": [],
    "num_retries": 5,
    "aws_bedrock_runtime_endpoint": "http://127.0.0.1:1",
    "vertex_credentials": "/etc/passwd",
    "extra_headers": {"authorization": "x"},
    "client": "x",
    "timeout": 1,
    "user_config": {"model_list": []},
    "no-log": True,
    "cache": {"no-cache": True},
    "baseURL": "http://127.0.0.1:1",
    "endpointUrl": "http://127.0.0.1:1",
    "apiBase": "http://127.0.0.1:1",
    "proxies": {"http": "http://127.0.0.1:1"},
    "token": "x",
}
FORBIDDEN_HEADERS = {
    "Authorization": "Bearer other",
    "api-key": "x",
    "x-api-key": "x",
    "X-Goog-Api-Key": "x",
    "x-auth-token": "x",
    "x-amz-security-token": "x",
    "x-amz-date": "x",
    "cookie": "x",
    "host": "evil.invalid",
    "content-length": "1",
    "content-type": "text/plain",
    "connection": "close",
    "transfer-encoding": "chunked",
    "proxy-authorization": "x",
    "accept-encoding": "gzip",
    "openai-organization": "x",
    "bad name": "x",
    "x-broken": "a\r\nb: c",
    "x-number": 5,
    "helicone-target-url": "http://127.0.0.1:1",
    "x-host": "127.0.0.1",
    "x-original-url": "/",
    "x-rewrite-url": "/",
    "x-http-method-override": "DELETE",
}


@ways
@vendors
async def test_a_field_of_the_vendors_own(fleet: Fleet, provider: LiteLLM, name: str, way: str) -> None:
    heard = await ask(provider, fleet.target(name), way, params={"extra_body": ADDED[name]})
    assert received(fleet, name) == plain(name, way == "stream") | ADDED[name]
    assert heard.call.dropped == {}


@vendors
async def test_what_the_call_decides_stays(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    heard = await ask(provider, fleet.target(name), "whole", params={"extra_body": FORBIDDEN_FIELDS})
    assert received(fleet, name) == plain(name, stream=False)
    assert set(heard.call.dropped) == {f"extra_body.{field}" for field in FORBIDDEN_FIELDS}


@pytest.mark.parametrize("name", ["anthropic", "aws_bedrock"])
async def test_fields_that_would_be_arguments_are_the_vendors(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    heard = await ask(provider, fleet.target(name), "whole", params={"extra_body": {"metadata": {"a": 1}, "x": 1}})
    assert received(fleet, name) == plain(name, stream=False)
    assert set(heard.call.dropped) == {"extra_body.metadata", "extra_body.x"}


@ways
@vendors
async def test_headers(fleet: Fleet, provider: LiteLLM, name: str, way: str) -> None:
    headers = {"X-Own": "1", "x-other": "two words", **FORBIDDEN_HEADERS}
    heard = await ask(provider, fleet.target(name), way, params={"extra_headers": headers})
    (request,) = fleet[name].requests
    assert (request.headers["x-own"], request.headers["x-other"]) == ("1", "two words")
    assert set(heard.call.dropped) == {f"extra_headers.{header}" for header in FORBIDDEN_HEADERS}
    assert request.headers["accept-encoding"] == "identity"
    assert received(fleet, name) == plain(name, way == "stream"), "and no field of the body"


def a_plan(provider: str, *, strict: bool = False, **params: Json) -> Plan:
    plan = Plan(provider, "some-model", params, list(HELLO), strict=strict)
    prepare(plan, lambda name, value: True)
    return plan


def test_a_field_that_has_rules_obeys_them() -> None:
    plan = a_plan("mistral", extra_body={"temperature": 0.5, "max_completion_tokens": 5, "own": 1})
    assert plan.arguments == {"temperature": 0.5, "max_tokens": 5, "extra_body": {"own": 1}, "stream": False}
    assert a_plan("openai", temperature=0.25, extra_body={"temperature": 0.5}).arguments["temperature"] == 0.25


def test_a_field_that_the_vendor_is_not_known_to_have_is_meant() -> None:
    """The servers behind a compatible address have more than their vendor."""
    assert a_plan("anyscale", extra_body={"top_k": 5}).arguments["extra_body"] == {"top_k": 5}
    assert a_plan("anyscale", top_k=5).dropped.keys() == {"top_k"}


def test_coheres_own_fields_are_kept_beside_it() -> None:
    tool = {"type": "function", "function": {"name": "f"}}
    plan = a_plan("cohere", tools=[tool], tool_choice="required", extra_body={"priority": 1, "tool_choice": "auto"})
    assert plan.arguments["extra_body"] == {"priority": 1, "tool_choice": "REQUIRED"}


@pytest.mark.parametrize("name", extras.NAMES)
def test_both_are_objects(name: str) -> None:
    wrong: dict[str, Json] = {name: [1]}
    assert a_plan("openai", **wrong).dropped == {name: "must be an object"}
    with pytest.raises(UpstreamError, match=f"{name}: must be an object"):
        a_plan("openai", strict=True, **wrong)


@given(
    st.sampled_from(sorted(MODELS)), st.dictionaries(st.text(max_size=12) | st.sampled_from(sorted(KNOWN)), st.none())
)
def test_every_name_is_sent_or_noted_or_known(name: str, fields: dict[str, Json]) -> None:
    plan = a_plan(name, extra_body=fields, extra_headers=dict.fromkeys(fields, "x"))
    sent = {*plan.arguments.get("extra_body", {}), *plan.arguments}
    for field in fields:
        assert field in sent or field in KNOWN or f"extra_body.{field}" in plan.dropped
        assert field.lower() in plan.arguments.get("extra_headers", {}) or f"extra_headers.{field}" in plan.dropped
