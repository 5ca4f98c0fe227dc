from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config import Config, load
from proxy.config.router import GroupSettings
from proxy.errors import ConfigError

MODELS = """
model_list:
  - {model_name: small, litellm_params: {model: openai/a, api_key: k}}
  - {model_name: large, litellm_params: {model: openai/b, api_key: k}}
  - {model_name: "house/*", litellm_params: {model: "openai/*", api_key: k}}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def config(path: Path, text: str, models: str = MODELS) -> Config:
    path.write_text(models + text, "utf-8")
    return load(path, {})


def refusal(path: Path, text: str) -> list[str]:
    """Every problem, without the line."""
    with pytest.raises(ConfigError) as caught:
        config(path, text)
    return [line.split(": ", 1)[1] for line in caught.value.message.splitlines()[1:]]


NOTHING = "no model_name of model_list, and no provider can be told from it"


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("router_settings: {fallbacks: [{small: [lrge]}]}",
         [f'router_settings.fallbacks[0].small[0]: {NOTHING}; did you mean "large"?']),
        ("router_settings: {fallbacks: [{smal: [large]}]}",
         [f'router_settings.fallbacks[0].smal: {NOTHING}; did you mean "small"?']),
        ("litellm_settings: {default_fallbacks: [large, zzz]}",
         [f"litellm_settings.default_fallbacks[1]: {NOTHING}"]),
        ("litellm_settings: {context_window_fallbacks: [{small: [zzz]}]}",
         [f"litellm_settings.context_window_fallbacks[0].small[0]: {NOTHING}"]),
        ("router_settings: {content_policy_fallbacks: [{small: zzz}]}",
         ["router_settings.content_policy_fallbacks[0].small: should be a valid list"]),
        ("router_settings: {model_group_alias: {a: smal}}",
         [f'router_settings.model_group_alias.a: is for a name that is {NOTHING}; did you mean "small"?']),
        ("router_settings: {model_group_alias: {a: b, b: a}}",
         ["router_settings.model_group_alias.a: stands for itself",
          "router_settings.model_group_alias.b: stands for itself"]),
        ("router_settings: {model_group_alias: {a: {model: small, hiden: true}}}",
         ['router_settings.model_group_alias.a.hiden: unknown key; did you mean "hidden"?']),
        ("groups: {smll: {timeout: 3}}", ['groups.smll: no model_name of model_list; did you mean "small"?']),
        ("groups: {small: {stategy: ordered}}", ['groups.small.stategy: unknown key; did you mean "strategy"?']),
        ("router_settings: {routing_strategy: least_busy}",
         ["router_settings.routing_strategy: should be 'weighted', 'ordered', 'least-busy', 'lowest-latency',"
          " 'lowest-cost', 'simple-shuffle', 'latency-based-routing', 'cost-based-routing', 'usage-based-routing',"
          " 'usage-based-routing-v2' or 'provider-budget-routing'; did you mean \"least-busy\"?"]),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_told_with_the_nearest_name(path: Path, text: str, problems: list[str]) -> None:
    assert refusal(path, text) == problems


@pytest.mark.parametrize("name", ["large", "house/anything", "gpt-4o", "anthropic/claude-haiku-4-5", "other-name"])
def test_what_can_be_asked_for_can_be_fallen_back_to(path: Path, name: str) -> None:
    found = config(
        path, f"router_settings: {{fallbacks: [{{small: [{name}]}}], model_group_alias: {{other-name: large}}}}"
    )
    assert found.router.fallbacks == {"small": (name,)}


def test_nothing_falls_back_to_itself_by_whatever_name(path: Path) -> None:
    text = "router_settings: {fallbacks: [{small: [small, tiny, large, large]}], model_group_alias: {tiny: small}}"
    assert config(path, text).router.fallbacks == {"small": ("large",)}


def test_an_alias_that_is_a_model_name_too_is_told(path: Path) -> None:
    found = config(path, "router_settings: {model_group_alias: {small: large}}")
    assert [(one.key, one.message) for one in found.warnings] == [
        ("router_settings.model_group_alias.small", "is a model_name, too, in whose place it is called, as in LiteLLM")
    ]


def test_what_names_say_for_themselves(path: Path) -> None:
    text = """
groups:
  small: {strategy: lowest-cost, timeout: 1m, first_token_timeout: 2, idle_timeout: 3, num_retries: 4}
  large: {}
  "house/*": {strategy: ordered}
router_settings:
  model_group_retry_policy: {small: {DefaultRetries: 7}, large: {DefaultRetries: 0}, unknown: {DefaultRetries: 1}}
"""
    found = config(path, text)
    assert found.groups == {
        "small": GroupSettings(
            strategy="lowest-cost", timeout=60, first_token_timeout=2, idle_timeout=3, num_retries=4
        ),
        "large": GroupSettings(num_retries=0),
        "house/*": GroupSettings(strategy="ordered"),
    }
    assert [one.key for one in found.warnings] == ["router_settings.model_group_retry_policy.unknown"]


def test_fallbacks_that_stand_twice_are_told(path: Path) -> None:
    text = "router_settings:\n  fallbacks: [{small: [large]}, {small: [openai/x]}, {large: [small]}]\n"
    found = config(path, text)
    assert found.router.fallbacks == {"small": ("large",), "large": ("small",)}
    (warning,) = found.warnings
    assert (warning.key, warning.message) == (
        "router_settings.fallbacks[1].small", "stands twice; the first holds, as in LiteLLM"
    )  # fmt: skip


def test_what_the_other_block_says_first_is_told(path: Path) -> None:
    text = "router_settings: {cooldown_time: 3, fallbacks: [{small: [large]}]}\n"
    found = config(path, text + "litellm_settings: {cooldown_time: 4, allowed_fails: 2, fallbacks: [{large: [small]}]}")
    assert {one.key: one.message for one in found.warnings} == {
        "litellm_settings.cooldown_time": "has no effect: router_settings.cooldown_time stands before it",
        "litellm_settings.fallbacks": "has no effect: router_settings.fallbacks stands before it",
    }


def test_a_credential_that_is_not_there(path: Path) -> None:
    text = "credential_list: [{credential_name: team, credential_values: {api_key: hunter2}}]"
    models = "model_list: [{model_name: m, litellm_params: {model: openai/a, litellm_credential_name: taem}}]\n"
    with pytest.raises(ConfigError) as caught:
        config(path, text, models)
    assert 'litellm_credential_name: no credential_name of credential_list; did you mean "team"?' in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_an_empty_key_of_an_entry_s_own_is_not_filled_from_its_credential(path: Path) -> None:
    text = "credential_list: [{credential_name: team, credential_values: {api_key: secret}}]"
    params = "{model: openai/a, litellm_credential_name: team, api_key: ''}"
    found = config(path, text, f"model_list: [{{model_name: m, litellm_params: {params}}}]\n")
    assert found.models == {}


def test_no_variable_of_the_file_is_set_in_the_process(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A_NAME_OF_THE_FILE", raising=False)
    config(path, "environment_variables: {A_NAME_OF_THE_FILE: x}")
    import os

    assert "A_NAME_OF_THE_FILE" not in os.environ


@pytest.mark.parametrize(
    ("text", "store", "ttl"),
    [
        ("litellm_settings: {cache: true, cache_params: {type: local, ttl: 60}}", "memory", 60),
        (
            "litellm_settings: {cache: true, cache_params: {type: local, ttl: 60}}\ncache: {store: diskcache}",
            "diskcache",
            60,
        ),
        ("litellm_settings: {cache: true, cache_params: {type: disk, ttl: 60}}\ncache: {ttl: 9}", "diskcache", 9),
        ("litellm_settings: {cache: false, cache_params: {type: local, ttl: 60}}", "diskcache", 30 * 86400),
    ],
)
def test_litellm_s_cache_is_ours_where_ours_says_nothing(path: Path, text: str, store: str, ttl: float) -> None:
    found = config(path, text).cache
    assert (found.store, found.ttl) == (store, ttl)


NAMES = st.sampled_from(["a", "b"])
ENTRIES = st.lists(
    st.tuples(NAMES, st.sampled_from(["openai/x", "openai/y"]), st.booleans(), NAMES | st.none()), max_size=8
)


@given(ENTRIES, st.integers(0, 7))
def test_ids_are_nobody_else_s_and_stay_when_a_key_comes_or_goes(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[str, str, bool, str | None]], changed: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "ids.yaml"

    def ids(flipped: int | None) -> list[str]:
        lines = []
        for i, (name, model, keyed, own) in enumerate(entries):
            key = "k" * (keyed != (i == flipped))
            params = f"{{model: {model}, api_key: '{key}'}}"
            info = f"{{id: {own or '~'}}}"
            lines.append(f"  - {{model_name: {name}, litellm_params: {params}, model_info: {info}}}")
        found = config(path, "", "\n".join(["model_list:", *lines] if lines else []))
        return [route.source.target.id for route in found.routes]

    assert len(set(ids(None))) == len(entries)
    assert ids(changed) == ids(None)
