"""The rules of parameters, without LiteLLM: what becomes an argument, what is dropped and why."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import UpstreamError
from proxy.models import Json
from proxy.providers.translation.parameters import KNOWN, NEVER, SAMPLING, Plan, claude_version, prepare
from proxy.vendors import VENDORS

MODELS = {
    "anthropic": "claude-sonnet-4-5",
    "aws_bedrock": "meta.llama3-1-8b-instruct-v1:0",
    "vertexai": "gemini-2.5-flash",
}
NAMES = [name for name in VENDORS if name != "echo"]
FUNCTION = {"name": "look", "description": "d", "parameters": {"type": "object", "properties": {}}}
TOOL = {"type": "function", "function": FUNCTION}
OTHER = {"type": "function", "function": {**FUNCTION, "name": "other"}}


def plan(
    provider: str,
    params: dict[str, Json] | None = None,
    *,
    accepts: bool = True,
    model: str = "",
    strict: bool = False,
    demanded: frozenset[str] = frozenset(),
    stream: bool = False,
    **more: Json,
) -> Plan:
    found = Plan(
        provider,
        model or MODELS.get(provider, "some-model"),
        {**(params or {}), **more},
        [{"role": "user", "content": "hi"}],
        stream=stream,
        strict=strict,
        demanded=demanded,
    )
    prepare(found, lambda name, value: accepts)
    return found


def arguments(provider: str, **params: Any) -> dict[str, Json]:
    return {name: value for name, value in plan(provider, **params).arguments.items() if name != "stream"}


@pytest.mark.parametrize("provider", NAMES)
def test_what_parea_sends_by_default_says_nothing(provider: str) -> None:
    found = plan(provider, temperature=1.0, top_p=1.0, frequency_penalty=0.0, presence_penalty=0.0, max_tokens=None)
    expected: dict[str, Json] = {"stream": False}
    if provider in ("mistral", "cohere", "aws_bedrock"):
        expected["temperature"] = 1.0
    if provider == "anthropic":
        expected["max_tokens"] = 4096
    assert found.arguments == expected
    assert found.dropped == {}


@pytest.mark.parametrize(
    ("model", "version"),
    [
        ("claude-3-7-sonnet-20250219", (3, 7)),
        ("claude-3-haiku-20240307", (3, 0)),
        ("claude-sonnet-4-20250514", (4, 0)),
        ("claude-opus-4@20250514", (4, 0)),
        ("claude-opus-4-1-20250805", (4, 1)),
        ("anthropic.claude-haiku-4-5-20251001-v1:0", (4, 5)),
        ("us.anthropic.claude-sonnet-5", (5, 0)),
        ("claude-next", (99, 0)),
    ],
)
def test_claude_versions(model: str, version: tuple[int, int]) -> None:
    assert claude_version(model) == version


@pytest.mark.parametrize("provider", ["anthropic", "vertexai", "aws_bedrock"])
def test_newer_claudes_take_one_of_temperature_and_top_p(provider: str) -> None:
    found = plan(provider, model="claude-opus-4-1", temperature=0.5, top_p=0.5)
    assert found.arguments["temperature"] == 0.5
    assert "top_p" not in found.arguments
    assert "not both" in found.dropped["top_p"]
    older = plan(provider, model="claude-3-5-sonnet", temperature=0.5, top_p=0.5)
    assert (older.arguments["temperature"], older.arguments["top_p"]) == (0.5, 0.5)


def test_one_length_parameter() -> None:
    assert arguments("openai", max_tokens=5, max_completion_tokens=6) == {"max_completion_tokens": 6}
    assert arguments("mistral", max_completion_tokens=6) == {"max_tokens": 6}
    assert arguments("anthropic", max_tokens=7) == {"max_tokens": 7}
    assert arguments("vertexai", model="claude-sonnet-4-5") == {"max_tokens": 4096}


@pytest.mark.parametrize("provider", NAMES)
def test_safe_prompt_is_mistrals(provider: str) -> None:
    found = plan(provider, safe_prompt=True)
    assert found.arguments.get("safe_prompt") is (True if provider == "mistral" else None)
    assert ("safe_prompt" in found.dropped) == (provider != "mistral")
    assert plan(provider, safe_prompt=False).dropped == {}


def test_unknown_parameters_never_pass() -> None:
    dangerous = ("api_base", "api_key", "custom_llm_provider", "mock_response", "fallbacks", "headers", "client")
    for name in dangerous:
        found = plan("openai", {name: "x"})
        assert name not in found.arguments
        assert name in found.dropped


@pytest.mark.parametrize("provider", NAMES)
def test_what_openai_shall_keep_is_for_openai(provider: str) -> None:
    wanted: dict[str, Json] = {"store": False, "prompt_cache_key": "k", "safety_identifier": "s"}
    found = plan(provider, wanted)
    if provider in ("openai", "azure", "litellm"):
        assert wanted.items() <= found.arguments.items()
    else:
        assert set(found.dropped) == set(wanted)


OPENAIS = ("openai", "azure", "anyscale", "litellm", "openrouter")


@pytest.mark.parametrize("provider", NAMES)
def test_what_openai_makes_is_for_those_who_pass_it_on(provider: str) -> None:
    wanted: dict[str, Json] = {
        "prediction": {"type": "content", "content": "x"},
        "modalities": ["text", "audio"],
        "audio": {"voice": "alloy", "format": "wav"},
        "verbosity": "low",
    }
    found = plan(provider, wanted)
    if provider in OPENAIS:
        assert wanted.items() <= found.arguments.items()
    else:
        assert set(found.dropped) == set(wanted)


@pytest.mark.parametrize("provider", ["anthropic", "vertexai"])
def test_a_claude_that_thinks_gets_room_for_it(provider: str) -> None:
    budget = {"type": "enabled", "budget_tokens": 2000}
    found = plan(provider, model="claude-sonnet-4-5", thinking=budget, temperature=0.5, top_k=5)
    assert found.arguments["thinking"] == budget
    assert found.arguments["max_tokens"] == 6096
    assert set(found.dropped) == {"temperature", "top_k"}
    assert plan(provider, model="claude-sonnet-4-5", reasoning_effort="high").arguments["max_tokens"] == 8192
    assert plan(provider, model="claude-sonnet-4-5", thinking=budget, max_tokens=9).arguments["max_tokens"] == 9
    assert plan(provider, model="claude-sonnet-4-5", thinking={"type": "disabled"}).arguments["max_tokens"] == 4096


def test_the_number_of_a_texts_log_probabilities() -> None:
    assert arguments("openai", logprobs=3) == {"logprobs": True, "top_logprobs": 3}
    assert arguments("openai", logprobs=0) == {"logprobs": True}
    assert arguments("openai", logprobs=3, top_logprobs=1) == {"logprobs": True, "top_logprobs": 1}
    assert arguments("openai", logprobs=False) == {}
    assert set(plan("anthropic", logprobs=3).dropped) == {"logprobs"}


@pytest.mark.parametrize("provider", NAMES)
def test_what_only_a_completion_model_has(provider: str) -> None:
    found = plan(provider, suffix="x", echo=True, best_of=2)
    assert found.dropped == dict.fromkeys(("suffix", "echo", "best_of"), "only a completion model has it")
    assert plan(provider, suffix="", echo=False, best_of=1).dropped == {}


def test_what_the_model_does_not_take_is_dropped() -> None:
    found = plan("openai", accepts=False, temperature=0.5, stop=["END"])
    assert set(found.dropped) == {"temperature", "stop"}
    assert "temperature" not in found.arguments


def test_mistral_knows_penalties_that_litellm_does_not() -> None:
    found = plan("mistral", accepts=False, frequency_penalty=0.5)
    assert found.arguments["frequency_penalty"] == 0.5
    assert found.forced == {"frequency_penalty"}


@pytest.mark.parametrize("provider", NAMES)
def test_strict_refuses_what_would_be_dropped(provider: str) -> None:
    with pytest.raises(UpstreamError) as caught:
        plan(provider, strict=True, no_such_thing=1)
    assert (caught.value.code, caught.value.status) == ("unsupported_parameter", 400)
    assert "no_such_thing" in caught.value.message
    for name in sorted(NEVER[provider] & set(SAMPLING)):
        with pytest.raises(UpstreamError):
            plan(provider, {name: 3}, strict=True)


def test_a_demanded_parameter_is_not_left_out() -> None:
    for name, provider, accepts in (("n", "mistral", True), ("logprobs", "openai", False)):
        with pytest.raises(UpstreamError, match=f"^{name}: ") as caught:
            plan(provider, {name: 3, "no_such_thing": 1}, demanded=frozenset({name}), accepts=accepts)
        assert caught.value.code == "unsupported_parameter"
    assert "n" in plan("mistral", n=3, demanded=frozenset({"logprobs"})).dropped


def test_strict_lets_neutral_values_pass() -> None:
    assert plan("anthropic", strict=True, frequency_penalty=0, n=1, top_p=1.0).dropped == {}


@pytest.mark.parametrize(
    "described",
    [TOOL, FUNCTION, '{"name": "look", "description": "d", "parameters": {"type": "object", "properties": {}}}'],
)
def test_functions_become_tools(described: Json) -> None:
    found = arguments("openai", functions=[described], function_call="auto")
    assert found == {"tools": [TOOL], "tool_choice": "auto"}


@pytest.mark.parametrize(
    "choice", [{"name": "look"}, {"type": "function", "function": {"name": "look"}}, "look", '{"name": "look"}']
)
def test_a_named_choice(choice: Json) -> None:
    named = {"type": "function", "function": {"name": "look"}}
    assert arguments("openai", tools=[TOOL, OTHER], tool_choice=choice) == {
        "tools": [TOOL, OTHER],
        "tool_choice": named,
    }
    assert arguments("mistral", tools=[TOOL, OTHER], tool_choice=choice) == {"tools": [TOOL], "tool_choice": "required"}
    assert arguments("cohere", tools=[TOOL, OTHER], function_call=choice) == {
        "tools": [TOOL],
        "extra_body": {"tool_choice": "REQUIRED"},
    }
    assert arguments("fireworks", tools=[TOOL, OTHER], tool_choice=choice) == {
        "tools": [TOOL],
        "extra_body": {"tool_choice": "required"},
    }


def test_a_choice_of_none() -> None:
    assert arguments("openai", tools=[TOOL], tool_choice="none") == {"tools": [TOOL], "tool_choice": "none"}
    assert arguments("cohere", tools=[TOOL], tool_choice="none") == {
        "tools": [TOOL],
        "extra_body": {"tool_choice": "NONE"},
    }
    assert arguments("aws_bedrock", tools=[TOOL], tool_choice="none") == {}
    called = Plan(
        "aws_bedrock", "m", {"tools": [TOOL], "tool_choice": "none"}, [{"role": "assistant", "tool_calls": [1]}]
    )
    prepare(called, lambda name, value: True)
    assert called.arguments["tools"] == [TOOL]
    assert "tool_choice" in called.dropped


def test_a_choice_without_tools() -> None:
    assert plan("openai", tool_choice="auto").dropped == {}
    assert "tool_choice" in plan("openai", tool_choice="required").dropped


@pytest.mark.parametrize(
    "params",
    [
        {"functions": ["not json"]},
        {"functions": [{"description": "nameless"}]},
        {"tools": {"name": "look"}},
        {"tools": [TOOL], "tool_choice": {"name": "absent"}},
        {"tools": [TOOL], "tool_choice": 7},
    ],
)
def test_broken_tools_are_refused(params: dict[str, Json]) -> None:
    with pytest.raises(UpstreamError) as caught:
        plan("openai", params)
    assert caught.value.code == "invalid_request"


@pytest.mark.parametrize("provider", NAMES)
def test_streams_ask_for_usage(provider: str) -> None:
    found = plan(provider, stream=True, response_format={"type": "json_object"})
    assert found.arguments["stream"] is True
    assert found.arguments["stream_options"] == {"include_usage": True}
    assert "stream_options" not in plan(provider).arguments


values: st.SearchStrategy[Json] = (
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats(allow_nan=False) | st.text(max_size=3) | st.just([])
)
parameters = st.dictionaries(st.sampled_from(sorted(KNOWN)) | st.text(max_size=5), values)


@given(st.sampled_from(NAMES), parameters, st.booleans())
def test_every_parameter_is_sent_or_noted_or_says_nothing(
    provider: str, params: dict[str, Json], accepts: bool
) -> None:
    found = Plan(provider, "some-model", dict(params), [{"role": "user", "content": "hi"}])
    refusal = None
    try:
        prepare(found, lambda name, value: accepts)
    except UpstreamError as error:
        refusal = error.code
    if refusal is not None:
        assert refusal == "invalid_request"
        return
    assert found.params == {}
    assert found.arguments.keys() <= KNOWN | {"k", "stream", "extra_body"}
    added = {name for name in found.dropped if name.startswith(("extra_body.", "extra_headers."))}
    assert found.dropped.keys() - added <= {*params, "tool_choice", "max_tokens", "top_logprobs"}
