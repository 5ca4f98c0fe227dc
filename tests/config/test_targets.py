from __future__ import annotations

from collections.abc import Mapping

import pytest

from proxy.config.document import read
from proxy.config.route import Route, Source
from proxy.config.targets import UNCHANGED, lacking, providers, routes, split
from proxy.config.validation import validated
from proxy.target import Target
from proxy.vendors import VENDORS


def resolve(text: str, environ: Mapping[str, str] | None = None) -> tuple[dict[str, Source], list[Route]]:
    environ = environ or {}
    document = read(text, "config.yaml", environ)
    file, _ = validated(document)
    known = providers(document, file, environ)
    return known, routes(document, file, known)


def route(entry: str, environ: Mapping[str, str] | None = None, more: str = "") -> Route:
    """What becomes of one entry, given as the inside of its `litellm_params`."""
    return resolve(f"model_list: [{{model_name: a, litellm_params: {{{entry}}}}}]\n{more}", environ)[1][0]


def key(target: Target) -> str | None:
    return target.api_key.get_secret_value() if target.api_key else None


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("openai/gpt-4o", ("openai", "gpt-4o")),
        ("bedrock/us.anthropic.claude", ("aws_bedrock", "us.anthropic.claude")),
        ("aws_bedrock/x", ("aws_bedrock", "x")),
        ("vertex_ai/gemini-3", ("vertexai", "gemini-3")),
        ("openrouter/openai/gpt-4o", ("openrouter", "openai/gpt-4o")),
        ("fireworks_ai/accounts/fireworks/models/x", ("fireworks", "accounts/fireworks/models/x")),
        ("cohere/command-r", ("cohere", "command-r")),
        ("litellm_proxy/x", ("litellm", "x")),
        ("gpt-4o", ("openai", "gpt-4o")),
        ("claude-haiku-4-5", ("anthropic", "claude-haiku-4-5")),
        ("deepseek/deepseek-chat", ("litellm", "deepseek/deepseek-chat")),
        ("gemini/gemini-3", ("litellm", "gemini/gemini-3")),
        ("unheard-of", ("litellm", "unheard-of")),
    ],
)
def test_split(model: str, expected: tuple[str, str]) -> None:
    assert split(model) == expected


def test_an_entry_with_everything_of_its_own() -> None:
    found = route(
        "model: azure/dep, api_key: '${K}', api_base: https://a.example, api_version: 2025-02-01, timeout: 1m,"
        " temperature: 0.5, input_cost_per_token: 0.1",
        {"K": "k", "AZURE_API_KEY": "other"},
    )
    target = found.source.target
    assert (target.provider, target.model, key(target)) == ("azure", "dep", "k")
    assert (target.api_base, target.settings) == ("https://a.example", {"api_version": "2025-02-01"})
    assert (target.timeout, target.params, target.input_cost_per_token) == (60, {"temperature": 0.5}, 0.1)
    assert (found.source.key, found.reason, found.line) == ("K", None, 1)


def test_model_info_gives_base_model_and_prices() -> None:
    text = """
model_list:
  - model_name: a
    litellm_params: {model: azure/dep, api_key: k, api_base: "https://a.example", input_cost_per_token: 0.1}
    model_info: {base_model: azure/gpt-4o, input_cost_per_token: 0.2, output_cost_per_token: 0.3}
"""
    target = resolve(text)[1][0].source.target
    assert target.settings["base_model"] == "azure/gpt-4o"
    assert (target.input_cost_per_token, target.output_cost_per_token) == (0.1, 0.3)


@pytest.mark.parametrize("mode", ["completion", "embedding", "audio_speech"])
def test_model_info_gives_the_mode_whatever_word_it_is(mode: str) -> None:
    entry = f"{{model_name: a, litellm_params: {{model: echo/echo}}, model_info: {{mode: {mode}}}}}"
    (found,) = resolve(f"model_list: [{entry}]")[1]
    assert found.source.target.mode == mode
    assert route("model: echo/echo").source.target.mode is None


def test_the_transport_is_the_entry_s_or_its_provider_s_or_lean() -> None:
    text = """
model_list:
  - {model_name: a, litellm_params: {model: openai/x, api_key: k}}
  - {model_name: b, litellm_params: {model: openai/x, api_key: k}, model_info: {transport: lean}}
  - {model_name: c, litellm_params: {model: groq/x, api_key: k}, model_info: {transport: litellm}}
providers: {openai: {transport: litellm}}
"""
    known, found = resolve(text)
    assert [each.source.target.transport for each in found] == ["litellm", "lean", "litellm"]
    assert (known["openai"].target.transport, known["groq"].target.transport) == ("litellm", "lean")
    assert found[0].source.target.settings == {}, "it is no setting of the provider's"


def test_an_entry_takes_from_its_provider_what_it_leaves_out() -> None:
    more = """
providers:
  openai: {api_key: from-block, api_base: "https://o.example", timeout: 5, params: {temperature: 1, seed: 1}}
"""
    found = route("model: openai/x, temperature: 0", {"OPENAI_ORGANIZATION": "org"}, more)
    target = found.source.target
    assert (key(target), target.api_base, target.timeout) == ("from-block", "https://o.example", 5)
    assert target.params == {"temperature": 0, "seed": 1}
    assert target.settings == {"organization": "org"}
    assert found.source.key == "config"


def test_an_entry_takes_the_key_of_the_environment() -> None:
    found = route("model: cohere/command-r", {"CO_API_KEY": "k"})
    assert key(found.source.target) == "k"
    assert found.source.key == "CO_API_KEY"


def test_an_empty_reference_makes_an_entry_unusable_although_another_key_is_there() -> None:
    found = route("model: openai/x, api_key: '${TEAM_KEY:-}'", {"OPENAI_API_KEY": "k"})
    assert found.reason == "api_key is empty: set TEAM_KEY"
    assert key(found.source.target) is None


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ("model: openai/x, api_key: os.environ/NONE", "api_key is empty: set NONE"),
        ("model: openai/x, api_key: k, api_base: os.environ/NONE", "api_base is empty: set NONE"),
        ("model: openai/x, api_key: k, base_url: os.environ/NONE", "base_url is empty: set NONE"),
        ("model: ollama/x, api_key: os.environ/NONE", "api_key is empty: set NONE"),
        (
            "model: bedrock/x, aws_access_key_id: a, aws_secret_access_key: b, aws_region_name: c,"
            " aws_session_token: os.environ/NONE",
            "aws_session_token is empty: set NONE",
        ),
    ],
)
def test_an_entry_that_refers_to_nothing_is_left_out(params: str, reason: str) -> None:
    found = route(params, {"OPENAI_API_KEY": "other"})
    assert found.reason == reason
    assert key(found.source.target) != "other"


def test_an_empty_address_makes_an_entry_unusable() -> None:
    found = route("model: openai/x, api_key: none, api_base: '${LOCAL_BASE:-}'", {"OPENAI_API_KEY": "k"})
    assert found.reason == "api_base is empty: set LOCAL_BASE"


def test_an_address_of_its_own_gets_no_key_from_elsewhere() -> None:
    found = route("model: openai/x, api_base: 'http://127.0.0.1:1/v1'", {"OPENAI_API_KEY": "k"})
    assert key(found.source.target) is None
    assert found.reason is not None
    assert "takes no key from elsewhere" in found.reason


def test_the_provider_s_own_address_gets_its_key() -> None:
    environ = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://127.0.0.1:1/v1"}
    assert route("model: openai/x, api_base: 'http://127.0.0.1:1/v1'", environ).reason is None
    assert key(route("model: azure/x, api_base: 'https://a.example'", {"AZURE_API_KEY": "k"}).source.target) == "k"


def test_a_model_of_an_unknown_provider_takes_nothing() -> None:
    more = "providers: {litellm: {api_key: k, api_base: 'http://127.0.0.1:1', params: {seed: 1}}}"
    found = route("model: deepseek/chat", {}, more)
    target = found.source.target
    assert (target.api_base, key(target), target.params, target.settings) == (None, None, {}, {UNCHANGED: True})
    assert found.reason is not None
    assert route("model: deepseek/chat, api_key: k", {}, more).reason is None
    proxied = route("model: litellm_proxy/chat", {}, more).source.target
    assert (proxied.api_base, key(proxied), UNCHANGED in proxied.settings) == ("http://127.0.0.1:1", "k", False)


def test_the_order_is_the_file_s_and_echo_never_stands_beside_a_real_target() -> None:
    text = """
model_list:
  - {model_name: a, litellm_params: {model: openai/x}}
  - {model_name: a, litellm_params: {model: groq/x}}
  - {model_name: a, litellm_params: {model: echo/echo}}
  - {model_name: b, litellm_params: {model: echo/echo}}
  - {model_name: b, litellm_params: {model: groq/x}}
"""

    def used(environ: dict[str, str]) -> list[str]:
        return [f"{r.name}:{r.source.target.provider}" for r in resolve(text, environ)[1] if r.reason is None]

    assert used({}) == ["a:echo", "b:echo"]
    assert used({"GROQ_API_KEY": "k"}) == ["a:groq", "b:groq"]
    assert used({"GROQ_API_KEY": "k", "OPENAI_API_KEY": "k"}) == ["a:openai", "a:groq", "b:groq"]


@pytest.mark.parametrize("name", [name for name in VENDORS if name != "echo"])
def test_every_provider_is_found_in_the_environment(name: str) -> None:
    vendor = VENDORS[name]
    variables = {"api_key": vendor.key, "api_base": vendor.base, **vendor.settings}
    needed = set(vendor.requires) | {"api_key"} if vendor.key else set(vendor.requires)
    for which in (0, -1):
        environ = {variables[need][which]: f"https://{need}.example" for need in needed}
        source = resolve("", environ)[0][name]
        assert lacking(vendor, source.target) == []
        assert source.key in environ
        assert source.target.provider == name
        assert source.target.model == ""
    assert lacking(vendor, resolve("")[0][name].target) == list(vendor.requires)


def test_a_block_wins_over_the_environment_and_credentials_do_not_mix() -> None:
    environ = {
        "AWS_ACCESS_KEY_ID": "env",
        "AWS_SECRET_ACCESS_KEY": "env",
        "AWS_SESSION_TOKEN": "env",
        "AWS_REGION": "eu-west-1",
    }
    text = "providers: {aws_bedrock: {aws_access_key_id: file, aws_secret_access_key: file}}"
    settings = resolve(text, environ)[0]["aws_bedrock"].target.settings
    assert settings == {
        "aws_access_key_id": "file",
        "aws_secret_access_key": "file",
        "aws_region_name": "eu-west-1",
    }


def test_an_empty_reference_in_a_block_falls_back_on_the_provider_s_usual_variables_only() -> None:
    usual = "providers: {cohere: {api_key: '${COHERE_API_KEY:-}'}}"
    other = "providers: {cohere: {api_key: '${TEAM_KEY:-}'}}"
    assert resolve(usual, {"CO_API_KEY": "k"})[0]["cohere"].key == "CO_API_KEY"
    assert resolve(other, {"CO_API_KEY": "k"})[0]["cohere"].key is None


def test_bedrock_is_content_with_a_bearer_key() -> None:
    source = resolve("", {"AWS_BEARER_TOKEN_BEDROCK": "k"})[0]["aws_bedrock"]
    assert lacking(VENDORS["aws_bedrock"], source.target) == []


def test_anyscale_never_goes_without_its_address() -> None:
    assert resolve("")[0]["anyscale"].target.api_base == VENDORS["anyscale"].default_base


def test_no_secret_is_in_a_representation() -> None:
    found = route("model: bedrock/x, aws_access_key_id: hunter2, aws_secret_access_key: hunter2, api_key: hunter2")
    assert "hunter2" not in repr(found)
