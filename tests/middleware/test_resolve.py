from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml
from pydantic import SecretStr

from proxy.config import Config, load
from proxy.errors import BadRequest, NotFound
from proxy.middleware.resolve import resolve
from proxy.models import Call, CompletionRequest, TraceContext
from proxy.vendors import PREFIXES, VENDORS, infer

FILE: dict[str, Any] = {
    "model_list": [
        {"model_name": "fast", "litellm_params": {"model": "groq/llama", "api_key": "g"}},
        {"model_name": "fast", "litellm_params": {"model": "openai/gpt-4o-mini", "api_key": "o2"}},
        {"model_name": "openai:listed", "litellm_params": {"model": "groq/llama", "api_key": "g"}},
        {"model_name": "deployment/listed", "litellm_params": {"model": "groq/llama", "api_key": "g"}},
    ],
    "providers": {
        "openai": {"api_key": "o"},
        "anthropic": {"api_key": "a"},
        "openrouter": {"api_key": "r"},
        "fireworks": {"api_key": "f"},
    },
    "deployments": {
        "p": {
            "model": "gpt-4o",
            "provider": "openai",
            "version": "2",
            "messages": [{"role": "user", "content": "of the deployment"}],
            "params": {"temperature": 0.1, "max_tokens": 9},
            "functions": [{"name": "f"}],
            "function_call": "f",
        },
        "prompt": {"model": "fast", "prompt": "Say {{what}}"},
    },
}


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(yaml.safe_dump(FILE))
    return load(path, {})


def resolved(config: Config, keys: dict[str, str] | None = None, **changes: Any) -> Call:
    given: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}], **changes}
    request = CompletionRequest("parea", TraceContext("t", "t"), **given)
    call = Call(request, api_keys={name: SecretStr(key) for name, key in (keys or {}).items()})
    resolve(config)(call)
    return call


def target(call: Call) -> tuple[str, str, str | None]:
    first = call.targets[0]
    return first.provider, first.model, first.api_key.get_secret_value() if first.api_key else None


@pytest.mark.parametrize(
    ("model", "provider", "expected"),
    [
        ("fast", None, ("groq", "llama", "g")),
        ("fast", "openai", ("openai", "gpt-4o-mini", "o2")),
        ("fast", "anthropic", ("anthropic", "fast", "a")),
        ("gpt-4o", "openai", ("openai", "gpt-4o", "o")),
        ("openai/gpt-4o", "openai", ("openai", "gpt-4o", "o")),
        ("openai/gpt-4o", "openrouter", ("openrouter", "openai/gpt-4o", "r")),
        ("openai/gpt-4o", None, ("openai", "gpt-4o", "o")),
        ("fireworks_ai/accounts/fireworks/models/x", None, ("fireworks", "accounts/fireworks/models/x", "f")),
        ("accounts/fireworks/models/x", None, ("fireworks", "accounts/fireworks/models/x", "f")),
        ("claude-haiku-4-5", None, ("anthropic", "claude-haiku-4-5", "a")),
        ("meta-llama/llama-3", None, ("openrouter", "meta-llama/llama-3", "r")),
        ("anthropic/claude-haiku-4-5", "litellm", ("anthropic", "claude-haiku-4-5", "a")),
        ("gpt-4o", "litellm", ("openai", "gpt-4o", "o")),
        ("gpt-4o", "azure", ("azure", "gpt-4o", None)),
        ("openai:gpt-4o", None, ("openai", "gpt-4o", "o")),
        ("openai:gpt-4o", "openai", ("openai", "gpt-4o", "o")),
        ("openai:gpt-4o", "litellm", ("openai", "gpt-4o", "o")),
        ("openai:listed", None, ("groq", "llama", "g")),
        ("openrouter:meta-llama/llama-3:free", None, ("openrouter", "meta-llama/llama-3:free", "r")),
        ("meta-llama/llama-3:free", None, ("openrouter", "meta-llama/llama-3:free", "r")),
        ("bedrock:us.anthropic.claude-x-v1:0", None, ("aws_bedrock", "us.anthropic.claude-x-v1:0", None)),
        ("anthropic.claude-x-v1:0", None, ("aws_bedrock", "anthropic.claude-x-v1:0", None)),
        ("bedrock/anthropic.claude-x-v1:0", None, ("aws_bedrock", "anthropic.claude-x-v1:0", None)),
        ("ft:gpt-4o:us::id", None, ("openai", "ft:gpt-4o:us::id", "o")),
        ("deployment/listed", None, ("groq", "llama", "g")),
    ],
)
def test_what_is_called(
    config: Config, model: str, provider: str | None, expected: tuple[str, str, str | None]
) -> None:
    assert target(resolved(config, model=model, provider=provider)) == expected


def test_a_model_that_fits_nothing_is_refused_with_the_names_there_are(config: Config) -> None:
    with pytest.raises(NotFound, match="fast"):
        resolved(config, model="who-knows")


def test_the_provider_litellm_needs_a_proxy_or_a_prefix(config: Config) -> None:
    with pytest.raises(BadRequest, match="providers.litellm.api_base"):
        resolved(config, model="who-knows", provider="litellm")


@pytest.mark.parametrize("missing", ["model", "messages"])
def test_what_is_missing_is_named(config: Config, missing: str) -> None:
    given: dict[str, Any] = {"model": "fast", missing: None}
    with pytest.raises(BadRequest, match=missing):
        resolved(config, **given)


def test_a_deployment_that_asks_nothing_is_named(config: Config) -> None:
    empty = replace(config.deployments["p"], id="empty", messages=[])
    config = replace(config, versions={"empty": replace(config.versions["p"], id="empty", versions={"v1": empty})})
    with pytest.raises(BadRequest, match="^deployment 'empty' has no messages or prompt of its own"):
        resolved(config, deployment_id="empty", messages=None)


def test_history_alone_is_a_conversation(config: Config) -> None:
    assert resolved(config, model="fast", messages=None, history=[{"role": "user", "content": "x"}]).targets


def test_a_deployment_fills_what_is_left_out(config: Config) -> None:
    call = resolved(config, deployment_id="p", messages=None)
    assert call.request.messages == [{"role": "user", "content": "of the deployment"}]
    assert call.request.params == {
        "temperature": 0.1,
        "max_tokens": 9,
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
    }
    assert (target(call)[:2], call.template_of, call.deployment_version) == (("openai", "gpt-4o"), "p", "2")


@pytest.mark.parametrize("own", ["id", "config_id", "model"])
def test_a_deployment_may_be_named_in_three_ways(config: Config, own: str) -> None:
    config_id = config.deployments["p"].config_id
    named: dict[str, dict[str, Any]] = {
        "id": {"deployment_id": "p"},
        "config_id": {"deployment_id": config_id},
        "model": {"model": "deployment/p"},
    }
    call = resolved(config, messages=None, **named[own])
    assert (call.request.deployment_id, call.template_of, call.config_id) == ("p", "p", config_id)
    assert (call.request.model, target(call)[:2]) == ("gpt-4o", ("openai", "gpt-4o"))


def test_a_deployment_as_a_model_beside_another_one_is_refused(config: Config) -> None:
    assert resolved(config, model="deployment/p", deployment_id="p").request.model == "gpt-4o"
    with pytest.raises(BadRequest, match="two deployments"):
        resolved(config, model="deployment/p", deployment_id="prompt")
    with pytest.raises(NotFound, match="there are: p, prompt"):
        resolved(config, model="deployment/none")


def test_only_a_prompt_is_completed_as_a_text(config: Config) -> None:
    def kind(deployment_id: str, **changes: Any) -> str:
        return resolved(
            config, deployment_id=deployment_id, **{"kind": "text", "messages": None, **changes}
        ).request.kind

    assert (kind("prompt"), kind("p")) == ("text", "chat")
    assert kind("p", messages=[{"role": "user", "content": "own"}]) == "text"
    assert kind("prompt", kind="chat") == "chat"


def test_turns_alone_are_a_conversation(config: Config) -> None:
    turns = [{"role": "user", "content": "x"}]
    assert resolved(config, model="fast", messages=None, turns=turns).request.turns == turns


@pytest.mark.parametrize("kind", ["chat", "text", "embedding"])
def test_what_is_missing_is_told_in_no_single_api_s_words(config: Config, kind: str) -> None:
    lacking: list[dict[str, Any]] = [{"model": None}, {"messages": None}, {"model": "who-knows"}]
    for given in lacking:
        with pytest.raises((BadRequest, NotFound)) as caught:
            resolved(config, **{"model": "fast", "kind": kind, **given})
        assert caught.value.param in ("model", "messages")
        assert "llm_configuration" not in caught.value.message


def test_the_requests_own_fields_win(config: Config) -> None:
    call = resolved(config, deployment_id="p", model="claude-haiku-4-5", params={"temperature": 0.9})
    assert call.request.messages == [{"role": "user", "content": "x"}]
    assert (call.request.params["temperature"], call.request.params["max_tokens"]) == (0.9, 9)
    assert (target(call)[:2], call.template_of) == (("anthropic", "claude-haiku-4-5"), None)


def test_resolving_changes_neither_the_config_nor_the_request(config: Config) -> None:
    params: dict[str, Any] = {"temperature": 0.9}
    call = resolved(config, deployment_id="p", messages=None, params=params)
    assert call.request.messages is not None
    call.request.messages[0]["content"] = "changed"
    assert config.deployments["p"].messages[0]["content"] == "of the deployment"
    assert params == {"temperature": 0.9}


def test_an_unknown_deployment_is_refused_with_those_there_are(config: Config) -> None:
    with pytest.raises(NotFound, match="there are: p, prompt"):
        resolved(config, deployment_id="q")


@pytest.mark.parametrize("keys", [{"": "mine"}, {"openai": "mine", "anthropic": "other"}])
def test_a_key_of_the_request_replaces_the_configured_one(config: Config, keys: dict[str, str]) -> None:
    assert target(resolved(config, keys, model="gpt-4o"))[2] == "mine"
    assert config.providers["openai"].api_key == SecretStr("o")


def test_a_key_for_another_provider_is_not_sent_to_this_one(config: Config) -> None:
    assert target(resolved(config, {"anthropic": "mine"}, model="gpt-4o"))[2] == "o"


def test_fallbacks_follow_in_order(config: Config) -> None:
    call = resolved(config, model="fast", fallbacks=["gpt-4o", "claude-haiku-4-5"])
    assert [[each.provider for each in group.targets] for group in call.groups] == [
        ["groq", "openai"],
        ["openai"],
        ["anthropic"],
    ]
    assert call.targets == tuple(target for group in call.groups for target in group.targets)


def test_every_prefix_leads_to_a_vendor_and_every_vendor_has_one() -> None:
    assert set(PREFIXES.values()) == set(VENDORS)


@pytest.mark.parametrize("name", ["llama-3", "", "x", "4o"])
def test_a_name_without_a_form_is_nobodys(name: str) -> None:
    assert infer(name) is None
