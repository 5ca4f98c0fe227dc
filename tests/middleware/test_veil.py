"""Credentials among parameters: what of them a row may hold."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.middleware.veil import HIDDEN, veiled


@pytest.mark.parametrize(
    "name",
    [
        *("api_key", "apikey", "provider_api_key", "provider_api_keys", "aws_secret_access_key", "vertex_credentials"),
        *("azure_ad_token", "token", "key", "Authorization", "x-goog-api-key", "password", "aws_access_key_id"),
    ],
)
def test_text_under_the_name_of_a_credential_is_withheld(name: str) -> None:
    for value in ("sk-1", {"openai": "sk-1"}, ["sk-1", ["sk-1"]]):
        assert "sk-1" not in repr(veiled({name: value}))
        assert "sk-1" not in repr(veiled({"extra_body": {name: value}}))
        assert "sk-1" not in repr(veiled({"extra_headers": {name: value}}))


def test_it_is_withheld_further_down_as_well() -> None:
    servers = [{"url": "https://example.com", "authorization_token": "sk-1"}]
    assert veiled({"mcp_servers": servers}) == {
        "mcp_servers": [{"url": "https://example.com", "authorization_token": HIDDEN}]
    }


@pytest.mark.parametrize(
    "params",
    [
        {"max_tokens": 5, "logit_bias": {"50256": -100}, "stop_token_ids": [1, 2], "return_token_log_probs": True},
        {"prompt_cache_key": "of-the-chapter", "extra_body": {"keep": "x", "filters": [{"key": "genre"}]}},
        {"response_format": {"schema": {"properties": {"api_key": {"type": "string", "description": "the key"}}}}},
        {"thinking": {"budget_tokens": 100}, "extra_body": "no object", "extra_headers": {"x-tenant": "t"}},
    ],
)
def test_everything_else_stays(params: dict[str, Any]) -> None:
    assert veiled(params) == params
