"""Files of LiteLLM's format: each loads, and comes to what stands beside its name in `litellm_cases.py`.

The files are our own; their forms are those of LiteLLM's public documentation. What LiteLLM itself makes of them, as
far as it has the same, is asked of the LiteLLM that is installed.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from proxy.config import Config, load
from proxy.config.route import Route
from proxy.config.router import RouterSettings
from proxy.config.settings import CacheSettings
from proxy.target import Target
from tests.config.litellm_cases import CASES, Expected

FILES = Path(__file__).parent / "litellm"
ROOT = Path(__file__).parents[2]
SHOWN = {"weight", "order", "rpm", "tpm", "max_parallel", "timeout", "first_token_timeout", "idle_timeout", "mode"} | {
    "input_cost_per_token",
    "output_cost_per_token",
    "params",
}


def loaded(name: str) -> Config:
    return load(FILES / f"{name}.yaml", CASES[name].environ)


def told(route: Route) -> str:
    """A target as the table has it: its id, its address, whose key, and whatever is not as it is by default."""
    target, default = route.source.target, Target("", "")
    words = [target.id, *([f"at {target.api_base}"] if target.api_base else []), f"by {route.source.key}"]
    settings = {name: value for name, value in target.settings.items() if name not in SECRETS}
    words += [f"{name}={value}" for name, value in settings.items()]
    for field in fields(target):
        value = getattr(target, field.name)
        if field.name in SHOWN and value != getattr(default, field.name):
            words.append(f"{field.name}={value:g}" if isinstance(value, float) else f"{field.name}={value}")
    return " ".join(words)


SECRETS = {"aws_access_key_id", "aws_secret_access_key", "azure_ad_token", "vertex_credentials"}


def changed(settings: RouterSettings | CacheSettings) -> dict[str, Any]:
    default = type(settings)()
    names = [one.name for one in fields(settings)] if isinstance(settings, RouterSettings) else ["store", "ttl"]
    return {one: getattr(settings, one) for one in names if getattr(settings, one) != getattr(default, one)}


def found(name: str) -> Expected:
    config = loaded(name)
    targets: dict[str, list[str]] = {}
    for route in config.routes:
        if route.reason is None:
            targets.setdefault(route.name, []).append(told(route))
    return Expected(
        targets=targets,
        router=changed(config.router),
        retries={group: settings.num_retries for group, settings in config.groups.items()},
        wildcards=[one.pattern for one in config.wildcards],
        cache=changed(config.cache),
        files=[str(path.relative_to(FILES)) for path in config.files[1:-1]],  # the last is the folder of deployments
        warnings=[
            " ".join([*([Path(one.file).name] if one.file else []), str(one.line), one.key]) for one in config.warnings
        ],
        environ=CASES[name].environ,
    )


def test_every_file_has_its_case() -> None:
    assert {path.stem for path in FILES.glob("*.yaml")} == CASES.keys()
    assert len(CASES) >= 30


@pytest.mark.parametrize("name", CASES)
def test_a_file_comes_to_what_is_expected(name: str) -> None:
    assert found(name) == CASES[name]


def test_no_warning_shows_a_value() -> None:
    for name in CASES:
        for one in loaded(name).warnings:
            assert not any(value in one.message for value in CASES[name].environ.values())


@pytest.fixture(scope="module")
def theirs() -> dict[str, dict[str, Any]]:
    """What LiteLLM's own Router makes of each file."""
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.config.litellm_router", str(FILES)],
        input=json.dumps({name: case.environ for name, case in CASES.items()}),
        cwd=ROOT,
        env={**environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    answer: dict[str, dict[str, Any]] = json.loads(done.stdout.splitlines()[-1])
    return answer


@pytest.mark.parametrize("name", CASES)
def test_litellm_has_the_same_names_targets_and_fallbacks(name: str, theirs: dict[str, dict[str, Any]]) -> None:
    config, their = loaded(name), theirs[name]
    ours: dict[str, int] = {}
    for route in config.routes:
        ours[route.name] = ours.get(route.name, 0) + 1
    assert ours == their["targets"]
    kinds = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
    for kind in kinds:
        expected = {group: [one for one in others if one != group] for group, others in their[kind].items()}
        assert {group: list(others) for group, others in getattr(config.router, kind).items()} == expected
    direct = {alias: one if isinstance(one, str) else one["model"] for alias, one in their["aliases"].items()}
    assert dict(config.router.aliases) == {alias: direct.get(one, one) for alias, one in direct.items()}


@pytest.mark.parametrize("name", CASES)
def test_litellm_draws_by_the_same_shares(name: str, theirs: dict[str, dict[str, Any]]) -> None:
    for group, targets in loaded(name).models.items():
        first = min(target.order for target in targets)
        weights = [target.weight for target in targets if target.order == first]
        drawn = theirs[name]["shares"][group]
        assert [one / sum(weights) for one in weights] == pytest.approx([one / sum(drawn) for one in drawn])


@pytest.mark.parametrize("name", CASES)
def test_litellm_asks_the_patterns_in_the_same_order(name: str, theirs: dict[str, dict[str, Any]]) -> None:
    ours = [re.escape(one.pattern).replace(r"\*", "(.*)") for one in loaded(name).wildcards]
    assert ours == theirs[name]["wildcards"]
