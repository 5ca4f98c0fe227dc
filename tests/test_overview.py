from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from proxy.cli import main

TEXT = """
include: [more.yaml]
model_list:
  - {model_name: fast, litellm_params: {model: groq/a, api_key: k, weight: 3, rpm: 60, timeout: 20, order: 1}}
  - {model_name: fast, litellm_params: {model: groq/a, api_key: l, weight: 1, max_parallel_requests: 2, order: 1}}
  - {model_name: fast, litellm_params: {model: mistral/b, api_key: m, stream_timeout: 1.5, order: 2}}
  - {model_name: "all/*", litellm_params: {model: "openai/*", api_key: n}, model_info: {id: everything}}
groups:
  row: {strategy: ordered, num_retries: 2, idle_timeout: 9}
router_settings:
  fallbacks: [{fast: [row]}]
  default_fallbacks: [fast]
  context_window_fallbacks: [{row: ["all/long"]}]
  model_group_alias: {quick: fast, old: {model: fast, hidden: true}}
  allowed_fails: 2
  cooldown_time: 30
  retry_after: 0.5
"""
MORE = """
model_list:
  - {model_name: row, litellm_params: {model: cohere/first, api_key: k}}
  - {model_name: row, litellm_params: {model: cohere/second, api_key: k}}
  - {model_name: row, litellm_params: {model: groq/none}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(TEXT)
    Path("more.yaml").write_text(MORE)
    return tmp_path


def check(*options: str) -> str:
    found = CliRunner(env={"GROQ_API_KEY": None}).invoke(main, ["check", *options])
    assert found.exit_code == 0, found.output
    return found.stdout


@pytest.mark.usefixtures("folder")
def test_the_effective_routing_is_told_line_by_line() -> None:
    rows = [" ".join(line.split()) for line in check().splitlines()]
    assert rows[: rows.index("provider key from")] == [
        "config.yaml is valid.",
        "model name asked target key from limits line",
        "fast order 1, 75% groq/a config 60 rpm, 20 s in all 4 called",
        "fast order 1, 25% groq/a#2 config 2 at a time 5 called",
        "fast order 2, 100% mistral/b config 1.5 s to the first token 6 called",
        "all/* 100% everything openai/* config - 7 called",
        "row no. 1 cohere/first config - more.yaml:3 called",
        "row no. 2 cohere/second config - more.yaml:4 called",
        "row groq/none - - more.yaml:5 no api_key: set GROQ_API_KEY, or write it here",
        "model name strategy retries timeouts fallbacks other names",
        "fast weighted 2 600 s in all row quick, old",
        "all/* weighted 0 600 s in all fast -",
        "row ordered 2 600 s in all, 9 s between two pieces fast; too long: all/long -",
        "A target that fails more than 2 times a minute rests for 30 s; a call is repeated after 0.5 s at the earliest;"
        " at most 5 fallbacks are asked.",
    ]


@pytest.mark.usefixtures("folder")
def test_the_effective_routing_as_json() -> None:
    found = json.loads(check("--json"))
    assert found["files"] == ["config.yaml", "more.yaml", "deployments"]
    assert [(one["id"], one["order"], one["share"]) for one in found["models"]["fast"]] == [
        ("groq/a", 1, 0.75),
        ("groq/a#2", 1, 0.25),
        ("mistral/b", 2, 1.0),
    ]
    assert [(one["used"], one["place"], one["file"]) for one in found["models"]["row"]] == [
        (True, 1, "more.yaml"),
        (True, 2, "more.yaml"),
        (False, None, "more.yaml"),
    ]
    assert found["groups"]["row"] == {
        "strategy": "ordered",
        "timeout": 600.0,
        "first_token_timeout": None,
        "idle_timeout": 9.0,
        "num_retries": 2,
        "fallbacks": ["fast"],
        "context_window_fallbacks": ["all/long"],
        "content_policy_fallbacks": [],
        "aliases": [],
        "orders": 1,
    }
    assert found["routing"] == {
        "retry_after": 0.5,
        "allowed_fails": 2,
        "cooldown_time": 30.0,
        "max_fallbacks": 5,
        "continue_streams": False,
        "wildcards": ["all/*"],
        "aliases": {"quick": "fast", "old": "fast"},
        "hidden_aliases": ["old"],
    }
