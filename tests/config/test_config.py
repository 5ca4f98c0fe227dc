from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from proxy.config import Config, LiteLLMSettings, load
from proxy.config.router import RouterSettings
from proxy.config.settings import CacheSettings, LogSettings, ServerSettings
from proxy.errors import ConfigError
from proxy.vendors import VENDORS

SAMPLE = Path(__file__).parents[2] / "config.yaml"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def config(path: Path, text: str, environ: dict[str, str] | None = None) -> Config:
    path.write_text(text, "utf-8")
    return load(path, environ or {})


def refusal(path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        config(path, text)
    return caught.value.message.removeprefix(str(path))


@pytest.mark.parametrize("path", [None, SAMPLE], ids=["built-in", "sample"])
def test_without_any_key_the_default_model_is_echo(path: Path | None) -> None:
    found = load(path, {})
    assert {name: [t.provider for t in targets] for name, targets in found.models.items()} == {
        "default": ["echo"],
        "echo": ["echo"],
    }
    assert found.master_key is None
    assert {warning.kind for warning in found.warnings} == {"target"}


@pytest.mark.parametrize("path", [None, SAMPLE], ids=["built-in", "sample"])
@pytest.mark.parametrize(
    ("variable", "provider", "model"),
    [
        ("OPENAI_API_KEY", "openai", "gpt-4o-mini"),
        ("ANTHROPIC_API_KEY", "anthropic", "claude-haiku-4-5"),
        ("GROQ_API_KEY", "groq", "openai/gpt-oss-20b"),
        ("MISTRAL_API_KEY", "mistral", "mistral-small-latest"),
        ("COHERE_API_KEY", "cohere", "command-r7b-12-2024"),
        ("CO_API_KEY", "cohere", "command-r7b-12-2024"),
        ("FIREWORKS_API_KEY", "fireworks", "accounts/fireworks/models/llama-v3p1-8b-instruct"),
        ("OPENROUTER_API_KEY", "openrouter", "openai/gpt-4o-mini"),
        ("ANYSCALE_API_KEY", "anyscale", "meta-llama/Meta-Llama-3-8B-Instruct"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "vertexai", "gemini-3.1-flash-lite"),
        ("AWS_BEARER_TOKEN_BEDROCK", "aws_bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0"),
    ],
)
def test_with_a_key_the_default_model_is_that_provider_s_only(
    path: Path | None, variable: str, provider: str, model: str
) -> None:
    found = load(path, {variable: "key"})
    assert [(target.provider, target.model) for target in found.models["default"]] == [(provider, model)]
    assert [target.provider for target in found.models["echo"]] == ["echo"]


@pytest.mark.parametrize("path", [None, SAMPLE], ids=["built-in", "sample"])
@pytest.mark.parametrize(
    ("provider", "environ", "model"),
    [
        ("azure", {"AZURE_API_KEY": "k", "AZURE_API_BASE": "https://a.example"}, "gpt-4o-mini"),
        ("azure", {"AZURE_AD_TOKEN": "k", "AZURE_API_BASE": "https://a.example", "AZURE_DEPLOYMENT": "d"}, "d"),
        ("anyscale", {"ANYSCALE_API_KEY": "k", "ANYSCALE_MODEL": "m/n"}, "m/n"),
        ("litellm", {"LITELLM_PROXY_API_KEY": "k", "LITELLM_PROXY_API_BASE": "http://p.example"}, "gpt-4o-mini"),
        (
            "litellm",
            {"LITELLM_PROXY_API_KEY": "k", "LITELLM_PROXY_API_BASE": "http://p.example", "LITELLM_PROXY_MODEL": "m"},
            "m",
        ),
    ],
)
def test_with_an_address_and_a_key_the_default_model_is_the_one_named(
    path: Path | None, provider: str, environ: dict[str, str], model: str
) -> None:
    (target,) = load(path, environ).models["default"]
    assert (target.provider, target.model) == (provider, model)


def test_clouds_are_the_last_before_echo() -> None:
    default = [route.source.target.provider for route in load(None, {}).routes if route.name == "default"]
    assert default[-3:] == ["vertexai", "aws_bedrock", "echo"]
    assert set(default) == set(VENDORS)


def test_a_proxy_without_an_address_is_not_called() -> None:
    found = load(None, {"LITELLM_PROXY_API_KEY": "k"})
    assert [target.provider for target in found.models["default"]] == ["echo"]
    (reason,) = [one.reason for one in found.routes if one.source.target.provider == "litellm"]
    assert reason == "no api_base: set LITELLM_PROXY_API_BASE, or write it here"


def test_the_built_in_config_and_the_sample_do_the_same() -> None:
    environ = {"OPENAI_API_KEY": "k", "AZURE_API_BASE": "https://a.example", "PAREA_PROXY_KEY": "m"}
    built_in, sample = load(None, environ), load(SAMPLE, environ)
    for name in ("models", "providers", "cache", "log", "router", "server", "litellm", "master_key"):
        assert getattr(built_in, name) == getattr(sample, name), name
    assert built_in.master_key is not None
    assert built_in.master_key.get_secret_value() == "m"


def test_the_sample_project() -> None:
    project = load(SAMPLE, {}).projects["support"]
    assert project.default == "production"
    assert [one.deployment for one in project.environments["production"].variants] == ["p-weather"]
    assert [one.weight for one in project.environments["staging"].variants] == [90, 10]


def test_the_sample_deployment() -> None:
    deployment = load(SAMPLE, {}).deployments["p-weather"]
    assert deployment.model == "default"
    assert deployment.messages == [{"role": "user", "content": "What is the weather in {{city}}?"}]
    assert deployment.request_params() == {"temperature": 0, "max_tokens": 200}


def test_an_empty_file_is_all_defaults(written: Path) -> None:
    found = config(written, "")
    assert found.models == {}
    assert list(found.providers) == list(VENDORS)
    assert found.cache == CacheSettings(store="diskcache", ttl=30 * 86400, max_size=2 * 2**30)
    assert found.log == LogSettings(store="sqlite", sample_rate=1.0, omit="none", synchronous="normal")
    assert found.server == ServerSettings(max_body=32 * 2**20, max_depth=200, max_response=48 * 2**20, allowed_hosts=[])
    assert (found.router, found.litellm) == (RouterSettings(num_retries=None, timeout=600.0), LiteLLMSettings())
    assert found.warnings == ()


def test_a_name_without_a_usable_target_is_no_model(written: Path) -> None:
    found = config(written, "model_list: [{model_name: a, litellm_params: {model: openai/x}}]")
    assert found.models == {}
    (warning,) = found.warnings
    assert (warning.key, warning.line, warning.kind) == ("model_list[0]", 1, "target")
    assert warning.message == "a -> openai/x is not used: no api_key: set OPENAI_API_KEY, or write it here"


def test_router_settings_win_over_litellm_settings(written: Path) -> None:
    litellm = "litellm_settings: {request_timeout: 10, num_retries: 3, drop_params: false}\n"
    assert config(written, litellm).router == RouterSettings(num_retries=3, timeout=10)
    assert config(written, litellm).litellm.strict_params is True
    both = config(written, litellm + "router_settings: {timeout: 1m, num_retries: 0}\n")
    assert both.router == RouterSettings(num_retries=0, timeout=60)


def test_a_version_is_given_or_a_hash_of_the_content(written: Path) -> None:
    def versions(body: str) -> str:
        return config(written, f"deployments: {{p: {{{body}}}}}").deployments["p"].version

    first = versions("model: gpt-4o, messages: [{role: user, content: a}]")
    assert len(first) == 12
    assert int(first, 16) >= 0
    assert versions("messages: [{content: a, role: user}], name: other, model: gpt-4o") == first
    assert versions("model: gpt-4o, messages: [{role: user, content: b}]") != first
    assert versions("model: gpt-4o, version: v7") == "v7"


@pytest.mark.parametrize(
    ("call", "choice"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("f", {"type": "function", "function": {"name": "f"}}),
        ("{name: f}", {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_functions_of_a_deployment_are_tools(written: Path, call: str, choice: object) -> None:
    text = f"deployments: {{p: {{functions: [{{name: f, parameters: {{}}}}], function_call: {call}}}}}"
    params = config(written, text).deployments["p"].request_params()
    assert params == {
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "tool_choice": choice,
    }


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("deployments: {p: {model: fats}}\nmodel_list: [{model_name: fast, litellm_params: {model: echo/echo}}]",
         'deployments.p.model: no model_name of model_list, and no provider can be told from it; did you mean "fast"?'),
        ("deployments: {p: {provider: opnai}}", 'deployments.p.provider: unknown provider; did you mean "openai"?'),
        ("cache: {store: diskcahce}", 'cache.store: no such store; did you mean "diskcache"?'),
        ("log: {store: sqlite3}", 'log.store: no such store; did you mean "sqlite"?'),
        ("server: {dialects: [parea, opnai]}", 'server.dialects[1]: no such dialect; did you mean "openai"?'),
    ],
)  # fmt: skip
def test_what_only_the_whole_file_can_tell(written: Path, text: str, line: str) -> None:
    assert refusal(written, text) == f": 1 problem\n  line 1: {line}"


@pytest.mark.parametrize("model", ["fast", "openai/anything", "gpt-4o", "claude-x"])
def test_models_a_deployment_may_name(written: Path, model: str) -> None:
    entry = "model_list: [{model_name: fast, litellm_params: {model: openai/x}}]"
    assert config(written, f"{entry}\ndeployments: {{p: {{model: {model}}}}}").deployments["p"].model == model


def test_a_plugin_of_one_s_own_is_accepted(written: Path) -> None:
    assert config(written, "cache: {store: 'my.module:Cache'}").cache.store == "my.module:Cache"
    assert config(written, "server: {dialects: ['my.module:surface']}").server.dialects == ["my.module:surface"]


@pytest.mark.parametrize("content", [b"\xff\xfe\x00bad", None])
def test_a_file_that_cannot_be_read(written: Path, content: bytes | None) -> None:
    if content is not None:
        written.write_bytes(content)
    with pytest.raises(ConfigError, match="config.yaml: (is no UTF-8 text|cannot be read)"):
        load(written, {})


def test_a_byte_order_mark_is_no_part_of_the_first_key(written: Path) -> None:
    written.write_bytes(b"\xef\xbb\xbfcache: {ttl: 1d}\n")
    assert load(written, {}).cache.ttl == 86400


def test_no_secret_is_in_a_representation(written: Path) -> None:
    text = """
general_settings: {master_key: hunter2}
providers:
  azure: {api_key: hunter2, azure_ad_token: hunter2}
  vertexai: {vertex_credentials: hunter2}
  aws_bedrock: {aws_access_key_id: hunter2, aws_secret_access_key: hunter2, aws_session_token: hunter2}
"""
    found = config(written, text, dict.fromkeys(("OPENAI_API_KEY", "GROQ_API_KEY"), "hunter2"))
    assert "hunter2" not in repr(found)
    assert "hunter2" not in str(found)


def test_the_environment_of_the_process_is_not_consulted(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "OPENAI_API_KEY", "k")
    assert config(written, "").providers["openai"].api_key is None


@pytest.mark.parametrize(
    ("mode", "told"), [("complete", True), ("completions", True), ("completion", False), ("rerank", False)]
)
def test_a_mode_that_nearly_is_one_is_told(tmp_path: Path, mode: str, told: bool) -> None:
    entry = {"model_name": "m", "litellm_params": {"model": "echo/echo"}, "model_info": {"mode": mode}}
    path = tmp_path / "config.yaml"
    path.write_text(json.dumps({"model_list": [entry]}))
    warnings = load(path, {}).warnings
    assert [warning.key for warning in warnings] == ["model_list[0].model_info.mode"] * told
    assert all("did you mean" in warning.message for warning in warnings)
