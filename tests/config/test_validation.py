from __future__ import annotations

import pytest

from proxy.config.document import read
from proxy.config.validation import ConfigWarning, validated
from proxy.errors import ConfigError

SECRET = "hunter2-secret"


def refusal(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        validated(read(text, "config.yaml", {"KEY": SECRET}))
    head, *lines = caught.value.message.split("\n")
    assert head == f"config.yaml: {len(lines)} problem{'s' if len(lines) > 1 else ''}"
    assert SECRET not in caught.value.message
    return [line.strip() for line in lines]


def warnings(text: str) -> list[ConfigWarning]:
    return validated(read(text, "config.yaml", {"KEY": SECRET}))[1]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("provders: {}", 'line 1: provders: unknown key; did you mean "providers"?'),
        ("providers:\n  opnai: {api_key: x}", 'line 2: providers.opnai: unknown key; did you mean "openai"?'),
        ("providers: {groq: {apikey: x}}", 'line 1: providers.groq.apikey: unknown key; did you mean "api_key"?'),
        ("providers: {groq: {base_url: x}}", 'line 1: providers.groq.base_url: unknown key; did you mean "api_base"?'),
        ("deployments: {p: {params: {temp: 1}}}",
         'line 1: deployments.p.params.temp: unknown key; did you mean "temperature"?'),
        ("cache:\n  zzz: 1", "line 2: cache.zzz: unknown key"),
    ],
)  # fmt: skip
def test_an_unknown_key_of_our_own(text: str, line: str) -> None:
    assert refusal(text) == [line]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("- a", "line 1: the file: should be a mapping (key: value)"),
        ("just text", "line 1: the file: should be a mapping (key: value)"),
        ("model_list: {}", "line 1: model_list: should be a valid list"),
        ("model_list: [{model_name: a}]", "line 1: model_list[0].litellm_params: is missing"),
        ("model_list:\n  -\n    model_name: a\n    litellm_params: {}",
         "line 4: model_list[0].litellm_params.model: is missing"),
        ("providers: {openai: hunter2-secret}", "line 1: providers.openai: should be a mapping (key: value)"),
        ("providers: {openai: {api_key: 123}}", "line 1: providers.openai.api_key: should be text; put it in quotes"),
        ("providers: {openai: {api_base: hunter2-secret}}",
         "line 1: providers.openai.api_base: should be a URL that begins with http:// or https://"),
        ("providers: {openai: {timeout: '${KEY}'}}",
         "line 1: providers.openai.timeout: should be a duration like 90s, 15m, 12h or 30d"),
        ("log: {sample_rate: '${KEY}'}",
         "line 1: log.sample_rate: should be a valid number, unable to parse string as a number"),
        ("log: {sample_rate: .nan}", "line 1: log.sample_rate: should be a finite number"),
        ("log: {omit: '${KEY}'}", "line 1: log.omit: should be 'none', 'inputs', 'outputs' or 'all'"),
        ("providers: {openai: {transport: fast}}", "line 1: providers.openai.transport: should be 'lean' or 'litellm'"),
        ("model_list: [{model_name: a, litellm_params: {model: echo/echo}, model_info: {transport: litelm}}]",
         "line 1: model_list[0].model_info.transport: should be 'lean' or 'litellm'; did you mean \"litellm\"?"),
        ("router_settings: {num_retries: true}",
         "line 1: router_settings.num_retries: should be a number, not true or false"),
        ("litellm_settings: {drop_params: '${KEY}'}",
         "line 1: litellm_settings.drop_params: should be a valid boolean, unable to interpret input"),
        ("deployments: {p: {params: {stop: 3}}}",
         "line 1: deployments.p.params.stop: should be text; put it in quotes or should be a valid list"),
    ],
)  # fmt: skip
def test_a_wrong_type(text: str, line: str) -> None:
    assert refusal(text) == [line]


def test_all_problems_are_told_at_once() -> None:
    text = """
model_list:
  - model_name: a
    litellm_params: {model: openai/x, api_version: os.environ/NONE}
cache: {ttl: soon}
cache: {}
log: {omitt: all}
"""
    assert refusal(text) == [
        "line 4: model_list[0].litellm_params.api_version: the environment variable NONE is not set:"
        " export NONE=..., or write ${NONE:-} to do without it",
        "line 5: cache.ttl: should be a duration like 90s, 15m, 12h or 30d",
        "line 6: cache: stands twice; the first is on line 5",
        'line 7: log.omitt: unknown key; did you mean "omit"?',
    ]


def test_a_missing_variable_is_told_once() -> None:
    (line,) = refusal("router_settings: {num_retries: '${NONE}'}")
    assert "NONE is not set" in line


def test_keys_of_litellm_that_have_no_effect_are_warnings() -> None:
    text = """
model_list:
  - model_name: a
    litellm_params:
      model: openai/x
      mock_response: hello
    model_info: {mode: chat, max_tokens: 5, our_own_word: 7}
    blocked: true
router_settings:
  redis_host: x
litellm_settings:
  success_callback: [langfuse]
general_settings:
  database_url: x
guardrails: []
"""
    found = warnings(text)
    assert {(one.line, one.key) for one in found} == {
        (6, "model_list[0].litellm_params.mock_response"),
        (7, "model_list[0].model_info.max_tokens"),
        (7, "model_list[0].model_info.our_own_word"),
        (8, "model_list[0].blocked"),
        (10, "router_settings.redis_host"),
        (12, "litellm_settings.success_callback"),
        (14, "general_settings.database_url"),
        (15, "guardrails"),
    }
    said = {one.key: one.message for one in found}
    assert said["guardrails"] == "is a block of LiteLLM's that is not supported; ignored: no guardrails"
    assert said["model_list[0].blocked"] == "is LiteLLM's; not supported here"
    assert said["general_settings.database_url"] == (
        "is LiteLLM's; not supported here: no database server: the file decides, and the log is SQLite"
    )


def entry(params: str) -> str:
    return f"model_list: [{{model_name: a, litellm_params: {{{params}}}}}]"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (entry("model: openai/x, api_kye: os.environ/NONE"),
         'model_list[0].litellm_params.api_kye: unknown key; did you mean "api_key"?'),
        (entry("model: openai/x, key: hunter2-secret"),
         'model_list[0].litellm_params.key: unknown key; did you mean "api_key"?'),
        (entry("modle: openai/x"), 'model_list[0].litellm_params.modle: unknown key; did you mean "model"?'),
        ("model_list: [{model_nam: a, litellm_params: {model: openai/x}}]",
         'model_list[0].model_nam: unknown key; did you mean "model_name"?'),
        ("model_list: [{model_name: a, litellm_params: {model: openai/x}, model_info: {base_modle: x}}]",
         'model_list[0].model_info.base_modle: unknown key; did you mean "base_model"?'),
        ("general_settings: {masterkey: hunter2-secret}",
         'general_settings.masterkey: unknown key; did you mean "master_key"?'),
        ("router_settings: {timout: 3}", 'router_settings.timout: unknown key; did you mean "timeout"?'),
        ("router_settings: {num_retires: 3}", 'router_settings.num_retires: unknown key; did you mean "num_retries"?'),
        (entry("model: openai/x, rmp: 3"), 'model_list[0].litellm_params.rmp: unknown key; did you mean "rpm"?'),
        ("rooter_settings: {}", 'rooter_settings: unknown key; did you mean "router_settings"?'),
        ("litellm_settings: {drop_param: true}",
         'litellm_settings.drop_param: unknown key; did you mean "drop_params"?'),
    ],
)  # fmt: skip
def test_a_misspelt_key_in_a_block_of_litellm_s_is_an_error(text: str, line: str) -> None:
    assert refusal(text) == [f"line 1: {line}"]


CALLBACKS = ": no callbacks: every call is in the trace log"
UNKNOWN = "is an unknown key; it has no effect here"


@pytest.mark.parametrize(
    ("text", "key", "said"),
    [
        ("litellm_settings: {global_prompt_directory: ./prompts}", "litellm_settings.global_prompt_directory", UNKNOWN),
        ("litellm_settings: {guardrails: []}", "litellm_settings.guardrails", f"{UNKNOWN}: no guardrails"),
        ("litellm_settings: {generic_api_compatible_callbacks: []}",
         "litellm_settings.generic_api_compatible_callbacks", f"{UNKNOWN}{CALLBACKS}"),
        ("general_settings: {databse_url: hunter2-secret}", "general_settings.databse_url", UNKNOWN),
        ("router_settings: {zzz: 3}", "router_settings.zzz", UNKNOWN),
        ("ui_theme_config: {logo_url: x}", "ui_theme_config", UNKNOWN),
        (entry("model: openai/x, my_param: 1"), "model_list[0].litellm_params.my_param", UNKNOWN),
        (entry("model: openai/x, voice: alloy"), "model_list[0].litellm_params.voice", UNKNOWN),
        (entry("model: openai/x, encoding_format: float"), "model_list[0].litellm_params.encoding_format", UNKNOWN),
        (entry("model: openai/x").replace("}}]", "}, model_info: {my_custom_key: 1}}]"),
         "model_list[0].model_info.my_custom_key", UNKNOWN),
        (entry("model: openai/x").replace("}}]", "}, model_info: {cost_center: 1}}]"),
         "model_list[0].model_info.cost_center", UNKNOWN),
    ],
)  # fmt: skip
def test_a_key_that_nobody_knows_is_a_warning_in_a_block_of_litellm_s(text: str, key: str, said: str) -> None:
    assert [(one.line, one.key, one.message) for one in warnings(text)] == [(1, key, said)]


@pytest.mark.parametrize("reference", ["os.environ/NONE", "'${NONE}'"])
def test_a_variable_that_is_not_there_is_a_problem_but_of_an_entry(reference: str) -> None:
    assert warnings(entry(f"model: openai/x, api_key: {reference}")) == []
    for text in (
        f"general_settings: {{master_key: {reference}}}",
        f"providers: {{openai: {{api_key: {reference}}}}}",
        f"credential_list: [{{credential_name: a, credential_values: {{api_key: {reference}}}}}]",
        entry(f"model: openai/x, timeout: {reference}"),
    ):
        assert len(refusal(text)) == 1, text


def test_a_key_pasted_into_a_reference_is_a_problem() -> None:
    (line,) = refusal(entry("model: openai/x, api_key: os.environ/sk-hunter2"))
    assert "hunter2" not in line


def test_what_stands_below_an_ignored_key_is_no_problem() -> None:
    text = "litellm_settings: {cache_params: {password: os.environ/NONE}}\nguardrails: [{A: '${NONE}'}]\n"
    assert len(warnings(text)) == 2


def test_an_empty_block_is_as_none() -> None:
    file, found = validated(read("model_list:\nproviders:\ncache:\n", "config.yaml", {}))
    assert file.model_list == []
    assert found == []
