from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.caller import Budget, Caller
from proxy.config import Config, load
from proxy.config.prices import price, priced
from proxy.errors import ConfigError
from proxy.target import Target

HASH = f"sha256:{sha256(b'a key').hexdigest()}"
MODELS = [
    {"model_name": "fast", "litellm_params": {"model": "openai/gpt-4o-mini", "api_key": "sk-x"}},
    {"model_name": "own", "litellm_params": {"model": "anyscale/mine", "api_key": "sk-x"}},
]


def read(folder: Path, keys: dict[str, Any], **rest: Any) -> Config:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"model_list": MODELS, **rest, "keys": keys}, sort_keys=False))
    return load(path, {})


def refused(folder: Path, keys: dict[str, Any], **rest: Any) -> str:
    with pytest.raises(ConfigError) as told:
        read(folder, keys, **rest)
    return told.value.message


def test_a_key_is_found_by_its_digest(tmp_path: Path) -> None:
    block = {
        "hash": HASH,
        "models": ["fast"],
        "dialects": ["openai"],
        "project": "p",
        "budget": {"amount": 0.5, "window": "month"},
        "rpm": 6,
        "tpm": 7,
        "max_parallel": 8,
        "expires": "2027-01-31",
        "omit": "outputs",
        "sample_rate": 0.5,
        "log": True,
    }
    config = read(tmp_path, {"team": block})
    assert config.keys[sha256(b"a key").digest()] == Caller(
        name="team",
        models=("fast",),
        dialects=("openai",),
        project="p",
        budget=Budget(500_000_000, "month"),
        rpm=6,
        tpm=7,
        max_parallel=8,
        expires=1801353600.0,
        inputs=True,
        outputs=False,
        sample_rate=0.5,
        log=True,
    )
    assert config.closed
    assert HASH.removeprefix("sha256:") not in repr(config)


def test_a_key_needs_no_more_than_its_hash(tmp_path: Path) -> None:
    (caller,) = read(tmp_path, {"team": {"hash": HASH}}).keys.values()
    assert caller == Caller(name="team")


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ({}, "line 11: keys.team.hash: is missing"),
        (
            {"hash": "sha256:abc"},
            "keys.team.hash: should be sha256: and 64 hexadecimal digits, as `parea-proxy keys new`",
        ),
        ({"hash": HASH.upper()}, "keys.team.hash: should be sha256:"),
        ({"hash": HASH, "modles": ["a"]}, 'keys.team.modles: unknown key; did you mean "models"?'),
        ({"hash": HASH, "rpm": 0}, "keys.team.rpm: should be greater than or equal to 1"),
        ({"hash": HASH, "rpm": True}, "keys.team.rpm: should be a number"),
        ({"hash": HASH, "budget": 10}, "keys.team.budget: should be a"),
        ({"hash": HASH, "budget": {"amount": 0, "window": "1d"}}, "keys.team.budget.amount: should be greater than 0"),
        ({"hash": HASH, "budget": {"amount": 1, "window": "2d"}}, "keys.team.budget.window: should be '1d', '7d'"),
        ({"hash": HASH, "expires": "soon"}, "keys.team.expires: should be a day like 2027-01-31"),
        ({"hash": HASH, "dialects": ["opnai"]}, 'keys.team.dialects[0]: no such dialect; did you mean "openai"?'),
        ({"hash": HASH, "models": []}, "keys.team.models: is empty: leave it out for any"),
        ({"hash": HASH, "dialects": []}, "keys.team.dialects: is empty: leave it out for any"),
        ({"hash": HASH, "sample_rate": 2}, "keys.team.sample_rate: should be less than or equal to 1"),
    ],
)
def test_what_is_wrong_is_told_by_its_key(tmp_path: Path, block: dict[str, Any], told: str) -> None:
    message = refused(tmp_path, {"team": block})
    assert told in message
    assert HASH.removeprefix("sha256:") not in message


def test_a_hash_is_one_keys(tmp_path: Path) -> None:
    message = refused(tmp_path, {"a": {"hash": HASH}, "b": {"hash": HASH}})
    assert "keys.b.hash: is that of key a, too" in message
    assert HASH.removeprefix("sha256:") not in message


BUDGET = {"hash": HASH, "budget": {"amount": 1, "window": "1d"}}


@pytest.mark.parametrize(
    ("model", "target"),
    [("own", "anyscale/mine"), ("anyscale/other", "anyscale/other"), ("deployment/d", "anyscale/mine")],
)
def test_a_budget_that_cannot_be_kept_stops_the_start(tmp_path: Path, model: str, target: str) -> None:
    deployments = {"d": {"model": "own", "prompt": "hi"}}
    message = refused(tmp_path, {"k": {**BUDGET, "models": ["fast", model]}}, deployments=deployments)
    assert f"keys.k.budget: model {model} leads to {target}, whose price is not known: set input_cost" in message


@pytest.mark.parametrize("kind", ["fallbacks", "context_window_fallbacks", "content_policy_fallbacks"])
@pytest.mark.parametrize("of", ["fast", "openai/gpt-4o", "quick", "deployment/d"])
def test_a_budget_holds_for_what_its_models_fall_back_to(tmp_path: Path, kind: str, of: str) -> None:
    router = {
        "model_group_alias": {"quick": "fast", "mine": "own"},
        kind: [{"fast": ["openai/gpt-4o"]}, {"quick": ["openai/gpt-4o"]}, {"openai/gpt-4o": ["mine"]}],
    }
    deployments = {"d": {"model": "fast", "prompt": "hi"}}
    rest = {"router_settings": router, "deployments": deployments}
    message = refused(tmp_path, {"k": {**BUDGET, "models": [of]}}, **rest)
    assert f"keys.k.budget: model {of} leads to anyscale/mine, whose price is not known" in message


def test_what_opens_nothing_to_a_key_is_told(tmp_path: Path) -> None:
    good = ["fast", "quick", "deployment/d", "deployment/d@v1", "openai/anything", "gpt-4o", "pat-1", "unheard*"]
    config = read(
        tmp_path,
        {"k": {"hash": HASH, "models": [*good, "fats", "deployment/e", "zzz"], "dialects": ["openai", "scale"]}},
        model_list=[*MODELS, {"model_name": "pat-*", "litellm_params": {"model": "openai/*", "api_key": "sk-x"}}],
        router_settings={"model_group_alias": {"quick": "fast"}},
        deployments={"d": {"model": "own", "prompt": "hi"}},
        server={"dialects": ["openai"]},
    )
    told = {one.key: one.message for one in config.warnings if one.key.startswith("keys")}
    assert told == {
        "keys.k.models[8]": 'leads nowhere; did you mean "fast"?',
        "keys.k.models[9]": 'leads nowhere; did you mean "deployment/d"?',
        "keys.k.models[10]": "leads nowhere",
        "keys.k.dialects[1]": "is not served: server.dialects does not have it",
    }


@pytest.mark.parametrize("models", [["fast"], ["own*"], ["*"], ["openai/gpt-4o", "gpt-4o"], ["openrouter/some/model"]])
def test_a_budget_that_can_be_kept_or_that_calls_tell_of_does_not(tmp_path: Path, models: list[str]) -> None:
    assert read(tmp_path, {"k": {**BUDGET, "models": models}}).keys


@pytest.mark.parametrize(
    ("target", "known"),
    [
        (Target("echo", "echo"), (0.0, 0.0)),
        (Target("openai", "mine", input_cost_per_token=1e-6), (1e-6, 0.0)),
        (Target("openai", "mine"), None),
        (Target("groq", "gpt-4o-mini"), None),
        (Target("azure", "my-deployment", settings={"base_model": "azure/gpt-4o-mini"}), (1.5e-7, 6e-7)),
        (Target("litellm", "nobody/knows", settings={"unchanged": True}), None),
    ],
)
def test_prices(target: Target, known: tuple[float, float] | None) -> None:
    assert price(target) == pytest.approx(known) if known else price(target) is None


def test_openrouter_tells_what_its_answers_cost() -> None:
    assert priced(Target("openrouter", "nobody/knows"))
