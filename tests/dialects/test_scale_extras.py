from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects.scale.extras import extras, lift
from proxy.errors import Unprocessable

NAMES = ("temperature", "seed", "model", "prompt", "stream", "inference_extra_params")


@pytest.mark.parametrize(
    "name",
    [
        *("model", "models", "messages", "prompt", "input", "stream", "stream_options"),
        *("api_base", "base_url", "api_key", "api_version", "url", "endpoint", "host", "Api_Key", "organization"),
        *(
            "aws_secret_access_key",
            "aws_region_name",
            "region_name",
            "azure_ad_token",
            "vertex_credentials",
            "access_token",
        ),
        *("custom_llm_provider", "mock_response", "fallbacks", "extra_headers", "extra_body", "headers", "timeout"),
    ],
)
def test_what_a_client_does_not_choose_is_dropped_by_name(name: str) -> None:
    found = extras({name: "sk-canary"}, None)
    assert (found.params, found.body) == ({}, {})
    assert list(found.dropped) == [f"inference_extra_params.{name}"]
    assert "canary" not in str(found.dropped)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "min_p",
            "repetition_penalty",
            "stop_token_ids",
            "skip_special_tokens",
            "min_tokens",
            "truncate_prompt_tokens",
        ),
        *("prompt_cache_key", "safety_identifier", "guided_json", "top_a", "provider", "transforms", "safe_prompt"),
    ],
)
def test_a_vendors_further_fields_pass(name: str) -> None:
    assert extras({name: 1}, None).body == {name: 1}


def test_parameters_of_the_gateway_become_ones() -> None:
    assert extras({"thinking": {"type": "enabled"}}, None).params == {"thinking": {"type": "enabled"}}


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Authorization",
            "Proxy-Authorization",
            "X-Api-Key",
            "api-key",
            "x-goog-api-key",
            "Ocp-Apim-Subscription-Key",
        ),
        *("Cookie", "Host", "Connection", "TE", "Transfer-Encoding", "Upgrade", "Keep-Alive", "Content-Type"),
        *("content-length", "X-Amz-Security-Token", "x-amz-date", "X-Auth-Token", "x-secret", "X-Forwarded-Host"),
        *("anthropic-auth-token", "x-signature", "Expect", "Accept-Encoding"),
    ],
)
def test_headers_of_credentials_and_of_the_connection_are_dropped(name: str) -> None:
    found = extras(None, {name: "sk-canary"})
    assert found.headers == {}
    assert list(found.dropped) == [f"inference_extra_headers.{name}"]
    assert "canary" not in str(found.dropped)


def test_other_headers_pass_as_text() -> None:
    found = extras(None, {"X-Team": "search", "anthropic-beta": "x-2026", "X-N": 1, "X-B": True, "X-None": None})
    assert found.headers == {"X-Team": "search", "anthropic-beta": "x-2026", "X-N": "1", "X-B": "true"}
    assert found.dropped == {}


def test_a_parameter_is_taken_from_the_extra_ones_where_the_body_has_none() -> None:
    body: dict[str, Any] = {"seed": 1, "inference_extra_params": {"seed": 2, "temperature": 0.5, "min_p": 0.1}}
    assert lift(body, NAMES) == {"temperature"}
    assert body == {"seed": 1, "temperature": 0.5, "inference_extra_params": {"min_p": 0.1}}


def test_the_question_is_not_taken_from_them() -> None:
    extra = {"model": "x", "prompt": "y", "stream": True, "inference_extra_headers": {}}
    body: dict[str, Any] = {"inference_extra_params": extra}
    assert lift(body, (*NAMES, "inference_extra_headers")) == frozenset()
    assert body == {"inference_extra_params": extra}


def test_what_is_no_object_is_left_to_the_schema() -> None:
    assert lift({"inference_extra_params": "x"}, NAMES) == frozenset()


@given(st.dictionaries(st.text(), st.text()))
def test_every_header_that_passes_is_one_line_of_ascii(headers: dict[str, str]) -> None:
    passed: dict[str, str] = {}
    for name, value in headers.items():
        with suppress(Unprocessable):
            passed |= extras(None, {name: value}).headers
    assert all(text.isascii() and not {"\r", "\n", "\0"} & set(text) for pair in passed.items() for text in pair)
