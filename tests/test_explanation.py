"""What a request is said to become is what becomes of it: explained, then sent, to the same gateway."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from click.testing import CliRunner

from proxy.cli import main
from tests.gateway import Local, rows
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import SCENARIOS

KEY = "the-master-key"
ASKED = {"temperature": 0.3, "seed": 7, "min_p": 0.5, "max_tokens": 20}


def config(fleet: Fleet) -> dict[str, Any]:
    def target(name: str, model: str, **params: Any) -> dict[str, Any]:
        return {"model_name": name, "litellm_params": {"model": model, **params}}

    return {
        "model_list": [
            target("fast", "groq/openai/gpt-oss-20b", weight=3),
            target("fast", "openai/gpt-4o-mini", weight=1),
            target("alone", "mistral/mistral-small-latest"),
            target("openai/*", "openai/*"),
        ],
        "router_settings": {
            "num_retries": 0,
            "allowed_fails": 0,
            "cooldown_time": 60,
            "fallbacks": [{"alone": ["fast"]}],
            "model_group_alias": {"quick": "fast"},
        },
        "providers": fleet.providers,
        "deployments": {
            "d": {
                "model": "alone",
                "messages": [{"role": "user", "content": "Weather in {{city}}?"}],
                "params": {"temperature": 0},
            }
        },
        "general_settings": {"master_key": KEY},
        "keys": {
            "narrow": {
                "hash": f"sha256:{sha256(b'narrow').hexdigest()}",
                "models": ["alone"],
                "omit": "inputs",
            }
        },
        "log": {"sample_rate": 0.5},
    }


@pytest.fixture
def gateway(fleet: Fleet, tmp_path: Path) -> Iterator[Local]:
    with Local(tmp_path, config(fleet)) as running:
        running.wait_until_ready()
        yield running


def post(gateway: Local, where: str, body: Any, **query: str) -> httpx.Response:
    return httpx.post(gateway.url + where, params=query, json=body, headers={"x-api-key": KEY}, timeout=20)


def explained(gateway: Local, body: Any, **query: str) -> dict[str, Any]:
    answer = post(gateway, "/admin/explain", body, **query)
    assert answer.status_code == 200, answer.text
    assert KEY not in answer.text
    found: dict[str, Any] = answer.json()
    return found


def chat(model: str, **rest: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "hi"}], **rest}


def test_what_is_told_is_what_is_sent(gateway: Local, fleet: Fleet) -> None:
    body = chat("alone", **ASKED, cache=True)
    told = explained(gateway, body)
    assert all(not upstream.requests for upstream in fleet.upstreams.values())
    assert rows(gateway.data) == []
    (group,) = told["groups"]
    (target,) = group["targets"]
    assert (told["dialect"], told["path"]) == ("openai", "/v1/chat/completions")
    assert (group["name"], group["why"]) == ("alone", "a model_name of the config")
    assert (target["target"], target["state"], target["share"]) == ("mistral/mistral-small-latest", "ready", 1.0)
    assert told["fallbacks"]["fallbacks"] == ["fast"]
    assert (told["cache"]["found"], told["cache"]["kept"]) == (False, True)

    answer = post(gateway, "/v1/chat/completions", body)
    assert answer.headers["x-target"] == target["target"]
    sent = json.loads(fleet["mistral"].requests[-1].body)
    assert {name: sent.get(name) for name in ("temperature", "max_tokens")} == {"temperature": 0.3, "max_tokens": 20}
    assert {name: target["sent"].get(name) for name in ("temperature", "max_tokens")} == {
        "temperature": 0.3,
        "max_tokens": 20,
    }
    assert target["dropped"].keys() >= {"min_p"}
    (row,) = rows(gateway.data, "trace_id = ?", answer.headers["x-trace-id"]) or [{"notes": None}]
    if row["notes"] is not None and "dropped" in row["notes"]:
        assert row["notes"]["dropped"] == target["dropped"]
    end = time.monotonic() + 10
    while not (again := explained(gateway, body)["cache"])["found"]:
        assert time.monotonic() < end, "an answer does not wait for the store, but it comes there"
    assert again["key"] == told["cache"]["key"]


def test_a_deployment_by_pareas_api(gateway: Local) -> None:
    told = explained(gateway, {"deployment_id": "d", "llm_inputs": {"city": "Rome"}})
    assert (told["dialect"], told["deployment"]["id"], told["model"]) == ("parea", "d", "alone")
    assert told["messages"] == [{"role": "user", "content": "Weather in Rome?"}]
    assert told["groups"][0]["targets"][0]["sent"]["temperature"] == 0


def test_shares_aliases_and_patterns(gateway: Local) -> None:
    (group,) = explained(gateway, chat("quick"))["groups"]
    assert group["why"] == "an alias of fast"
    assert [(one["target"], one["share"]) for one in group["targets"]] == [
        ("groq/openai/gpt-oss-20b", 0.75),
        ("openai/gpt-4o-mini", 0.25),
    ]
    (group,) = explained(gateway, chat("openai/gpt-4.1"))["groups"]
    assert (group["why"], group["targets"][0]["model"]) == ("fits a model_name with a *", "gpt-4.1")


def test_a_target_that_rests_is_told(gateway: Local, fleet: Fleet) -> None:
    fleet["mistral"].script = SCENARIOS["e500"]
    post(gateway, "/v1/chat/completions", chat("alone"))
    (target,) = explained(gateway, chat("alone"))["groups"][0]["targets"]
    assert target["state"] == "cooled_down"
    assert 0 < target["wait"] <= 60


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("/v1/chat/completions", chat("nobody-knows-it"), "model"),
        ("/v1/chat/completions", {"model": "alone", "messages": "hi"}, "messages"),
        ("/v1/chat/completions", {"model": "alone"}, "messages"),
        ("/v1/messages", {"model": "alone"}, "messages"),
        ("/api/parea/v1/completion", {"deployment_id": "nowhere"}, "deployment_id"),
        ("/v4/completion-deployed", {"project": "nowhere"}, "project"),
    ],
)
def test_what_is_refused_is_told_as_it_would_be(gateway: Local, path: str, body: dict[str, Any], param: str) -> None:
    refused = explained(gateway, body, path=path)["refused"]
    answer = post(gateway, path, body)
    assert (refused["status"], refused["param"].partition(".")[0]) == (answer.status_code, param)
    if "no such" in refused["message"]:
        assert json.dumps(refused["message"])[1:-1] in answer.text


def test_a_key_narrows_what_may_be_called_and_logged(gateway: Local) -> None:
    told = explained(gateway, chat("alone"), key="narrow")
    assert told["refused"] is None
    assert (told["log"]["inputs"], told["log"]["outputs"], told["log"]["sample_rate"]) == (False, True, 0.5)
    assert told["log"]["why"] == "narrowed by log in the config, the key 'narrow'"
    assert explained(gateway, chat("fast"), key="narrow")["refused"]["status"] == 403
    assert post(gateway, "/admin/explain", chat("fast"), key="nobody").status_code == 404


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"llm_configuration": {"model": "alone"}}, "/api/parea/v1/completion"),
        ({"model_config": {"model": "alone"}, "project": "p", "messages": []}, "/v4/chat"),
        ({"model_config": {"model": "alone"}, "project": "p"}, "/v4/completion"),
        ({"project": "p", "messages": []}, "/v4/chat-deployed"),
        ({"project_id": "p", "inputs": {}}, "/v4/completion-deployed"),
        ({"model": "alone", "input": "hi"}, "/v1/responses"),
        ({"model": "alone", "prompt": "hi"}, "/v1/completions"),
    ],
)
def test_a_body_tells_where_it_is_sent(gateway: Local, body: dict[str, Any], path: str) -> None:
    assert explained(gateway, body)["path"] == path


@pytest.mark.parametrize("body", [{}, {"hello": 1}, []])
def test_a_body_that_tells_nothing_needs_its_path(gateway: Local, body: Any) -> None:
    answer = post(gateway, "/admin/explain", body)
    assert (answer.status_code, "give it" in answer.text) == (400, True)


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_line_explains_a_request(fleet: Fleet, tmp_path: Path, as_json: bool) -> None:
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config(fleet)))
    options = ["check", "--config", str(tmp_path / "config.yaml"), "--request", "-", *(["--json"] if as_json else [])]
    found = CliRunner().invoke(main, options, input=json.dumps(chat("alone", **ASKED)))
    assert found.exit_code == 0, found.output
    if as_json:
        assert json.loads(found.output)["groups"][0]["targets"][0]["sent"]["temperature"] == 0.3
    else:
        lines = [" ".join(line.split()) for line in found.output.splitlines()]
        assert "api openai, /v1/chat/completions" in lines
        assert "model alone: a model_name of the config; weighted" in lines
        assert any(line.startswith("mistral/mistral-small-latest, 100%, ready: ") for line in lines)
        assert "fallbacks fast" in lines
    assert not (tmp_path / "data").exists()
    refused = CliRunner().invoke(main, options, input=json.dumps(chat("nowhere")))
    assert (refused.exit_code, "404" in refused.output) == (2, True)
