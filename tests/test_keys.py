"""Keys from outside: whole gateways, real sockets, a loopback vendor whose answers have a price."""

from __future__ import annotations

import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from click.testing import CliRunner

from proxy.app import Gateway
from proxy.cli import main
from proxy.config import load
from proxy.config.document import read
from proxy.errors import ConfigError
from proxy.stores.schema.migrations import migrate
from tests.gateway import Local, Process, rows, written
from tests.spoken import SPOKEN, Spoken
from tests.upstreams.fleet import Fleet

COST = 60_000_000
"""Nanodollars of an answer: six tokens of a prompt, 0.01 USD each."""

KEYS: dict[str, Any] = {
    "open": {},
    "once": {"rpm": 1},
    "poor": {"budget": {"amount": 0.05, "window": "month"}},
    "spent": {"budget": {"amount": 0.01, "window": "total"}},
    "explained-rpm": {"rpm": 1},
    "explained-budget": {"budget": {"amount": 0.05, "window": "total"}},
    "tokens": {"tpm": 11},
    "named": {"models": ["gpt-4o-mini", "deployment/d-own", "fast"], "project": "support"},
    "kept": {"models": ["deployment/d-kept:production", "deployment/d-kept@v2"]},
    "spoken": {"dialects": ["anthropic", "parea"]},
    "silent": {"omit": "all", "dialects": ["openai"], "project": "quiet"},
    "silent-parea": {"omit": "all"},
    "inputs": {"omit": "inputs", "sample_rate": 0},
    "log": {"log": True, "models": ["echo"]},
    "old": {"expires": "2020-02-29"},
}
LIMITED = {"once": "x-ratelimit-remaining-requests", "spent": "x-budget-remaining"}
"""Keys that one call is enough for, and the header that says so."""

KEYS |= {f"{name}-{one.name}-{stream}": KEYS[name] for name in LIMITED for one in SPOKEN for stream in (False, True)}


def config(fleet: Fleet, keys: dict[str, Any] = KEYS, **rest: Any) -> dict[str, Any]:
    price = {"input_cost_per_token": 0.01, "output_cost_per_token": 0}
    return {
        "model_list": [
            {"model_name": "gpt-4o-mini", "litellm_params": {"model": "openai/gpt-4o-mini", **price}},
            {"model_name": "free", "litellm_params": {"model": "openai/nobody-knows"}},
            {"model_name": "echo", "litellm_params": {"model": "echo/echo"}},
        ],
        "providers": {"openai": fleet.providers["openai"]},
        "deployments": {
            "d-own": {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]},
            "d-kept": {
                "versions": {
                    "v1": {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]},
                    "v2": {"model": "free", "messages": [{"role": "user", "content": "Hello"}]},
                },
                "environments": {"production": "v1", "staging": "v2"},
            },
            "d-other": {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]},
        },
        "projects": {"support": {"environments": {"production": "d-own"}}},
        "general_settings": {"master_key": "the-master-key"},
        "keys": {
            name: {"hash": f"sha256:{sha256(name.encode()).hexdigest()}", **block} for name, block in keys.items()
        },
        **rest,
    }


@pytest.fixture(scope="module")
def gateway(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with Local(tmp_path_factory.mktemp("gateway"), config(_fleet)) as running:
        running.wait_until_ready()
        yield running


def ask(
    gateway: Local | Process, key: str, model: str = "echo", path: str = "/v1/chat/completions", **rest: Any
) -> Any:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], **rest}
    return httpx.post(gateway.url + path, headers={"x-api-key": key}, json=body, timeout=20)


def spend(data: Path) -> dict[str, int]:
    """Nanodollars by key."""
    connection = sqlite3.connect(f"file:{data / 'traces.db'}?mode=ro", uri=True)
    try:
        return dict(connection.execute("SELECT key, sum(nanodollars) FROM spend GROUP BY key"))
    finally:
        connection.close()


def test_every_request_must_bring_a_key_that_is_known_and_lasts(gateway: Local) -> None:
    for key in ("the-master-key", "open"):
        assert ask(gateway, key).status_code == 200
    for key in ("", "opem", sha256(b"open").hexdigest()):
        assert ask(gateway, key).status_code == 401
    refused = ask(gateway, "old")
    assert (refused.status_code, "'old' has expired" in refused.text) == (401, True)
    assert httpx.get(f"{gateway.url}/health").status_code == 200


def test_a_row_tells_whose_key_it_came_with(gateway: Local) -> None:
    told = {key: gateway.row(ask(gateway, key).headers["x-trace-id"])["key"] for key in ("the-master-key", "open")}
    assert told == {"the-master-key": None, "open": "open"}


spoken = pytest.mark.parametrize("one", SPOKEN, ids=[one.name for one in SPOKEN])


@spoken
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("limit", LIMITED)
def test_over_a_limit_every_api_says_so_in_its_own_words(gateway: Local, one: Spoken, stream: bool, limit: str) -> None:
    key, left = f"{limit}-{one.name}-{stream}", LIMITED[limit]
    body, headers = one.body("gpt-4o-mini", stream=stream), {"x-api-key": key, "x-cache": "false"}
    first, second = [
        httpx.post(gateway.url + one.route(stream=stream), json=body, headers=headers, timeout=20) for _ in range(2)
    ]
    assert first.status_code == 200, first.text
    assert float(first.headers[left]) == (0.01 if stream and limit == "spent" else 0)
    assert second.status_code == 429
    assert f"the key '{key}'" in one.refused(second.json())
    assert float(second.headers[left]) == 0
    assert second.headers["x-should-retry"] == ("true" if limit == "once" else "false")
    assert 0 < int(second.headers["retry-after"]) <= 65 if limit == "once" else "retry-after" not in second.headers
    if one.dialect == "openai":
        assert second.json()["error"]["code"] == ("rate_limit_exceeded" if limit == "once" else "insufficient_quota")
    if one.dialect == "anthropic":
        assert second.json()["error"]["type"] == "rate_limit_error"


def test_a_budget_says_what_is_left_and_until_when(gateway: Local) -> None:
    first, second = ask(gateway, "poor", "gpt-4o-mini"), ask(gateway, "poor", "gpt-4o-mini")
    assert (first.status_code, first.headers["x-budget-remaining"]) == (200, "0.00")
    assert second.status_code == 429
    assert "spent its budget of 0.05 USD (month); the next one begins at" in second.json()["error"]["message"]
    assert first.headers["x-budget-reset"] == second.headers["x-budget-reset"]
    assert second.headers["x-budget-reset"].endswith("-01T00:00:00Z")
    assert 0 < int(second.headers["retry-after"]) <= 31 * 86400
    assert spend(gateway.data)["poor"] == COST


def test_tokens_a_minute(gateway: Local) -> None:
    first, second = ask(gateway, "tokens", "gpt-4o-mini"), ask(gateway, "tokens", "gpt-4o-mini")
    assert (first.status_code, second.status_code) == (200, 429)
    assert (first.headers["x-ratelimit-limit-tokens"], first.headers["x-ratelimit-remaining-tokens"]) == ("11", "0")
    assert "11 tokens a minute (tpm)" in second.text


def test_a_cached_answer_costs_nothing(gateway: Local) -> None:
    before = spend(gateway.data).get("open", 0)
    answers = [ask(gateway, "open", "gpt-4o-mini", cache=True, seed=7) for _ in range(3)]
    assert [answer.headers["x-cache"] for answer in answers] == ["miss", "hit", "hit"]
    assert spend(gateway.data)["open"] - before == COST


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"model": "gpt-4o-mini"}, 200),
        ({"model": "openai/gpt-4o-mini"}, 200),
        ({"model": "deployment/d-own"}, 200),
        ({"model": "deployment/d-other"}, 403),
        ({"model": "echo"}, 403),
        ({"model": "openai/nobody-knows"}, 403),
        ({"model": "echo/gpt-4o-mini"}, 403),
    ],
)
def test_a_key_calls_its_models_only(gateway: Local, body: dict[str, Any], status: int) -> None:
    refused = ask(gateway, "named", **body)
    assert refused.status_code == status, refused.text
    if status == 403:
        assert "it may call gpt-4o-mini, deployment/d-own, fast" in refused.json()["error"]["message"]


@pytest.mark.parametrize(
    "model", ["zzz", "deployment/zzz", "deployment/d-kept:zzz", "deployment/d-kept@v9", "vertex_ai/x"]
)
def test_a_key_is_not_told_what_it_may_not_call(gateway: Local, model: str) -> None:
    refused = ask(gateway, "named", model)
    assert refused.status_code in (403, 404), refused.text
    assert not any(word in refused.text for word in ("echo", "free", "d-other", "staging", "v1", "v2"))
    if refused.status_code == 404:
        assert ("d-own" if model.startswith("deployment/") else "gpt-4o-mini") in refused.text
    if model == "zzz":
        assert "echo, free, gpt-4o-mini" in ask(gateway, "open", model).text


SAID: dict[str, Any] = {"messages": [{"role": "user", "content": "x"}]}


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"deployment_id": "d-own"}, 200),
        ({"deployment_id": "d-own", "llm_configuration": {"model": "mine", "provider": "openai"}}, 403),
        ({"llm_configuration": {"model": "gpt-4o-mini", "provider": "openai", **SAID}}, 200),
        ({"llm_configuration": {"model": "gpt-4o-mini", "provider": "groq", **SAID}}, 403),
        ({"llm_configuration": {"model": "gpt-4o-mini", **SAID}, "fallback_strategy": ["echo"]}, 403),
    ],
)
def test_a_name_that_it_may_use_opens_no_other_model(gateway: Local, body: dict[str, Any], status: int) -> None:
    refused = httpx.post(f"{gateway.parea}/completion", json=body, headers={"x-user-id": "named"})
    assert refused.status_code == status, refused.text


def test_a_key_may_have_a_version_or_an_environment(gateway: Local) -> None:
    asked = {
        name: ask(gateway, "kept", f"deployment/d-kept{name}").status_code
        for name in (":production", "@v2", "@v1", "", ":staging")
    }
    assert asked == {":production": 200, "@v2": 200, "@v1": 403, "": 403, ":staging": 403}
    shown = httpx.get(f"{gateway.url}/v1/models", headers={"x-api-key": "kept"}).json()["data"]
    assert {one["id"] for one in shown} == {"deployment/d-kept:production", "deployment/d-kept@v2"}


def test_a_key_uses_its_apis_only(gateway: Local) -> None:
    refused = ask(gateway, "spoken")
    assert (refused.status_code, "it may use anthropic, parea" in refused.text) == (403, True)
    assert ask(gateway, "spoken", path="/v1/messages", max_tokens=5).status_code == 200


def test_the_calls_of_a_key_are_of_its_project(gateway: Local) -> None:
    def row(**named: Any) -> tuple[int, str, str]:
        answer = ask(gateway, "named", "gpt-4o-mini", metadata=named)
        told = gateway.row(answer.headers["x-trace-id"])
        return answer.status_code, told["project_name"], told["project_uuid"]

    known = httpx.post(f"{gateway.parea}/project", json={"name": "support"}, headers={"x-api-key": "the-master-key"})
    none, right, wrong = row(), row(project_name="support"), row(project_name="other")
    assert none[:2] == right[:2] == (200, "support")
    assert wrong == (403, *none[1:])
    body = {
        "llm_configuration": {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "x"}]},
        "project_uuid": known.json()["uuid"],
    }
    asked = [
        httpx.post(f"{gateway.parea}/completion", json=body | more, headers={"x-user-id": "named"})
        for more in ({}, {"project_uuid": "x"})
    ]
    assert [one.status_code for one in asked] == [200, 403]


def test_what_a_key_omits_is_omitted_of_refusals_too(gateway: Local) -> None:
    answered = ask(gateway, "silent", messages=[{"role": "user", "content": "a-secret-word"}])
    refused = ask(
        gateway, "silent", path="/v1/messages", max_tokens=5, messages=[{"role": "user", "content": "a-secret-word"}]
    )
    assert (answered.status_code, refused.status_code) == (200, 403)
    told = rows(gateway.data, "key = 'silent'")
    assert len(told) == 2
    assert {row["project_name"] for row in told} == {"quiet"}
    assert "a-secret-word" not in json.dumps(told)


def test_what_is_not_kept_is_counted(gateway: Local) -> None:
    assert ask(gateway, "inputs", "gpt-4o-mini").status_code == 200
    assert rows(gateway.data, "key = 'inputs'") == []
    assert spend(gateway.data)["inputs"] == COST


def test_a_budget_buys_nothing_of_which_the_price_is_not_known(gateway: Local, fleet: Fleet) -> None:
    refused = ask(gateway, "poor", "free")
    assert refused.status_code == 403
    assert "costs is not known: set input_cost_per_token and output_cost_per_token" in refused.text
    assert fleet["openai"].requests == []
    assert ask(gateway, "open", "free").status_code == 200


def explained(gateway: Local, key: str, body: Any, **query: str) -> Any:
    where, master = f"{gateway.url}/admin/explain", {"x-api-key": "the-master-key"}
    return httpx.post(where, params={"key": key, **query}, json=body, headers=master, timeout=20).json()["refused"]


CALL: dict[str, Any] = {"messages": [{"role": "user", "content": "explain"}], "seed": 11}


@pytest.mark.parametrize(
    ("key", "model", "status"),
    [
        ("explained-rpm", "echo", 429),
        ("explained-budget", "gpt-4o-mini", 429),
        ("explained-budget", "free", 403),
        ("named", "echo", 403),
        ("old", "echo", 401),
        ("spoken", "echo", 403),
    ],
)
def test_what_would_be_refused_is_explained_so(gateway: Local, key: str, model: str, status: int) -> None:
    body = {**CALL, "model": model}
    if status == 429:
        # explaining takes nothing: the one call that is left stays
        assert [explained(gateway, key, body) for _ in range(3)] == [None] * 3
        assert ask(gateway, key, model).status_code == 200
    told, refused = explained(gateway, key, body), ask(gateway, key, **body)
    assert told["status"] == refused.status_code == status
    # how long to wait is another thing a moment later
    words = [re.sub(r"[\d.]+ s$", "", text) for text in (told["message"], refused.json()["error"]["message"])]
    assert words[0] == words[1]


def test_lists_of_models_show_a_key_its_own(gateway: Local) -> None:
    def listed(path: str, key: str, field: str, **headers: str) -> list[str]:
        told = httpx.get(gateway.url + path, headers={"x-api-key": key, **headers}).json()
        return [one[field] for one in told.get("data") or told["items"]]

    assert listed("/v1/models", "named", "id") == ["gpt-4o-mini", "deployment/d-own"]
    assert listed("/v1/models", "named", "id", **{"anthropic-version": "2023-06-01"}) == [
        "gpt-4o-mini",
        "deployment/d-own",
    ]
    assert listed("/v5/models", "named", "id") == ["gpt-4o-mini"]
    assert listed("/v5/chat/completions/models", "named", "model_name") == ["gpt-4o-mini"]
    assert listed("/v1/models", "open", "id") == listed("/v1/models", "the-master-key", "id")
    one = {key: httpx.get(f"{gateway.url}/v1/models/echo", headers={"x-api-key": key}) for key in ("named", "open")}
    assert (one["named"].status_code, one["open"].status_code) == (404, 200)
    assert "free" not in one["named"].text


LOG = [
    ("POST", "/api/parea/v1/get_trace_logs"),
    ("POST", "/api/parea/v1/api/parea/v1/get_trace_logs"),
    ("GET", "/api/parea/v1/trace_log/x"),
    ("GET", "/api/parea/v1/trace_log"),
    ("PUT", "/api/parea/v1/trace_log/langchain"),
    ("POST", "/api/parea/v1/deployed-prompt"),
    ("GET", "/v4/logs"),
    ("GET", "/v4/projects"),
    ("POST", "/v4/sessions"),
    ("GET", "/v1/modelsx"),
    ("GET", "/nowhere"),
]


@pytest.mark.parametrize(("method", "path"), LOG)
def test_the_log_is_closed_to_keys(gateway: Local, method: str, path: str) -> None:
    def status(key: str) -> int:
        body: Any = {} if method == "POST" else None
        return httpx.request(method, gateway.url + path, headers={"x-api-key": key}, json=body).status_code

    assert status("open") == 403
    assert status("log") == status("the-master-key") != 403


def sent(gateway: Local, key: str, path: str, body: Any, method: str = "POST") -> httpx.Response:
    return httpx.request(method, gateway.url + path, headers={"x-api-key": key}, json=body)


PAREA_LOG = "/api/parea/v1/trace_log"


def test_a_key_resolves_its_own_project(gateway: Local) -> None:
    def asked(key: str, name: str) -> str:
        answer = sent(gateway, key, "/api/parea/v1/project", {"name": name})
        assert answer.status_code == 200, answer.text
        found: str = answer.json()["name"]
        return found

    assert [asked("named", "other"), asked("open", "mine")] == ["support", "mine"]
    assert sent(gateway, "silent", "/api/parea/v1/project", {"name": "x"}).status_code == 403


def test_a_key_logs_its_own_rows_to_its_own_project(gateway: Local) -> None:
    theirs = {"trace_id": "k-1", "trace_name": "one", "project_name": "other", "project_uuid": "x"}
    assert sent(gateway, "named", PAREA_LOG, theirs).json() == {"trace_id": "k-1", "logged": True}
    edit = {"trace_id": "k-1", "field_name_to_value_map": {"output": "done", "project_name": "other"}}
    assert sent(gateway, "named", PAREA_LOG, edit, "PUT").json()["logged"] is True
    assert sent(gateway, "named", "/api/parea/v1/feedback", {"trace_id": "k-1", "score": 1}).status_code == 200
    row = gateway.row("k-1")
    told = [row[name] for name in ("key", "project_name", "name", "output", "feedback_score")]
    assert told == ["named", "support", "one", "done", 1.0]
    assert row["project_uuid"] != "x"
    assert sent(gateway, "named", f"{PAREA_LOG}/k-1", None, "GET").status_code == 403


@pytest.mark.parametrize("owner", ["the-master-key", "open"])
def test_a_key_changes_no_row_of_anybody_else(gateway: Local, owner: str) -> None:
    own, reference = f"of-{owner}", f"ref-{owner}"
    called = ask(gateway, owner, messages=[{"role": "user", "content": "mine"}]).headers["x-trace-id"]
    assert sent(gateway, owner, PAREA_LOG, {"trace_id": own, "output": "kept"}).status_code == 200
    logged = {"project": "p", "reference_id": reference, "output": "kept"}
    humanloop = sent(gateway, owner, "/v4/logs", logged).json()["id"]
    before = [gateway.row(one) for one in (called, own, humanloop)]
    fields = {"output": "changed", "trace_name": "changed"}
    run = {"id": "r", "name": "chain", "run_type": "chain", "child_runs": [{"id": own, "name": "changed"}]}
    statuses = [
        [
            sent(gateway, "named", PAREA_LOG, {"trace_id": one, **fields}).status_code,
            sent(gateway, "named", PAREA_LOG, {"trace_id": one, "field_name_to_value_map": fields}, "PUT").status_code,
            sent(gateway, "named", "/api/parea/v1/feedback", {"trace_id": one, "score": 0}).status_code,
        ]
        for one in (called, own, humanloop)
    ]
    assert statuses == [[403, 404, 404]] * 3
    assert sent(gateway, "named", f"{PAREA_LOG}/langchain", run).status_code == 403
    assert sent(gateway, "named", "/v4/logs", [{"project": "p"}, {**logged, "output": "changed"}]).status_code == 403
    assert [gateway.row(one) for one in (called, own, humanloop)] == before


def test_a_call_with_the_id_of_another_s_row_gets_one_of_its_own(gateway: Local) -> None:
    called = ask(gateway, "open", messages=[{"role": "user", "content": "mine"}]).headers["x-trace-id"]
    before = gateway.row(called)
    body = {"trace_id": called, "llm_configuration": {"model": "gpt-4o-mini", "messages": MESSAGES}}
    answer = sent(gateway, "named", "/api/parea/v1/completion", body)
    assert answer.status_code == 200, answer.text
    assert gateway.row(called) == before
    own = answer.json()["inference_id"]
    assert own != called
    assert (gateway.row(own)["key"], gateway.row(own)["parent_trace_id"]) == ("named", called)
    again = sent(gateway, "named", "/api/parea/v1/completion", {**body, "trace_id": own})
    assert again.json()["inference_id"] == own


MESSAGES = [{"role": "user", "content": "theirs"}]


def test_what_is_not_there_cannot_be_edited_in_advance(gateway: Local) -> None:
    edit = {"trace_id": "to-come", "field_name_to_value_map": {"output": "changed"}}
    assert sent(gateway, "named", PAREA_LOG, edit, "PUT").status_code == 404
    assert sent(gateway, "the-master-key", PAREA_LOG, {"trace_id": "to-come"}).status_code == 200
    assert gateway.row("to-come")["output"] is None


def test_a_humanloop_log_is_of_the_keys_project(gateway: Local) -> None:
    answer = sent(gateway, "named", "/v4/logs", {"project": "other", "output": "x"})
    assert answer.status_code == 200, answer.text
    row = gateway.row(answer.json()["id"])
    assert (row["key"], row["project_name"], row["project_uuid"]) == ("named", "support", answer.json()["project_id"])


def test_what_a_key_omits_is_omitted_of_what_it_logs(gateway: Local) -> None:
    body = {"trace_id": "quiet-1", "inputs": {"a": "a-secret-word"}, "output": "an-answer", "log_sample_rate": 1}
    assert sent(gateway, "silent-parea", PAREA_LOG, body).status_code == 200
    edit = {"trace_id": "quiet-1", "field_name_to_value_map": {"output": "a-secret-word", "target": "t"}}
    assert sent(gateway, "silent-parea", PAREA_LOG, edit, "PUT").status_code == 200
    row = gateway.row("quiet-1")
    assert (row["target"], row["output"], "a-secret-word" in json.dumps(row)) == ("t", None, False)
    assert sent(gateway, "inputs", PAREA_LOG, {"trace_id": "unkept"}).status_code == 200
    assert rows(gateway.data, "trace_id = 'unkept'") == []


def test_admin_is_the_masters(gateway: Local) -> None:
    statuses = {
        key: httpx.post(f"{gateway.url}/admin/x", headers={"x-api-key": key}, json={}).status_code
        for key in ("open", "log", "the-master-key")
    }
    assert statuses == {"open": 403, "log": 403, "the-master-key": 404}


@pytest.mark.parametrize("path", ["/docs", "/openapi.json", "/"])
def test_documents_are_open_to_every_key(gateway: Local, path: str) -> None:
    assert httpx.get(gateway.url + path, headers={"x-api-key": "open"}).status_code == 200


def test_a_project_is_one_in_every_api_whichever_id_it_goes_by(fleet: Fleet, tmp_path: Path) -> None:
    master = {"x-api-key": "the-master-key"}

    def asked(gateway: Local, name: str) -> list[Any]:
        """What Parea's and Humanloop's routes call it, and where the rows are that name it in their ways."""
        uuid = httpx.post(f"{gateway.parea}/project", json={"name": name}, headers=master).json()["uuid"]
        listed = httpx.get(f"{gateway.url}/v4/projects", headers=master).json()["records"]
        (one,) = [each for each in listed if each["name"] == name]
        parea = {"llm_configuration": {"model": "echo", **SAID}}
        humanloop = {"model_config": {"model": "echo", "prompt_template": "x"}, "inputs": {}}
        ways: list[tuple[str, Any]] = [
            ("/api/parea/v1/completion", {**parea, "project_uuid": uuid}),
            ("/v4/completion", {**humanloop, "project": name}),
            ("/v4/completion", {**humanloop, "project_id": one["id"]}),
            ("/v4/completion", {**humanloop, "project_id": uuid}),
        ]
        if name == "support":
            ways.append(("/api/parea/v1/completion", {**parea, "project_uuid": one["id"]}))
        for path, body in ways:
            answer = httpx.post(gateway.url + path, json=body, headers=master)
            assert answer.status_code == 200, answer.text
        return [uuid, one["id"]]

    told = []
    for _ in range(2):
        with Local(tmp_path, config(fleet)) as gateway:
            told.append({name: asked(gateway, name) for name in ("support", "quiet")})
            listed = httpx.get(f"{gateway.url}/v4/projects", headers=master).json()["records"]
    assert told[0] == told[1]
    assert {one["name"]: one["data_count"] for one in listed} == {"support": 10, "quiet": 8}
    of_support = rows(gateway.data, "project_name = 'support'")
    assert (len(of_support), {row["project_uuid"] for row in of_support}) == (10, {told[0]["support"][1]})


class Elsewhere:
    """A log that keeps rows and counts no money."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name == "spent":
            raise AttributeError(name)
        return lambda *arguments: None


def elsewhere(*arguments: object) -> Elsewhere:
    return Elsewhere()


def test_a_log_that_counts_no_money_stops_the_start(fleet: Fleet, tmp_path: Path) -> None:
    log = {"store": "tests.test_keys:elsewhere"}
    made = load(written(tmp_path, config(fleet, {"open": {}}, log=log)), {})
    Gateway(made, tmp_path / "one").board.close()
    made = load(written(tmp_path, config(fleet, {"poor": KEYS["poor"]}, log=log)), {})
    with pytest.raises(ConfigError, match=r"keys\.poor\.budget cannot be kept: log\.store: .* does not count"):
        Gateway(made, tmp_path / "two")


@pytest.mark.timeout(120)
def test_two_workers_and_200_calls_at_once(fleet: Fleet, tmp_path: Path) -> None:
    """A budget for 20 calls: no more are answered than these and those that were under way meanwhile."""
    clients, calls, fits = 16, 200, 20
    keys = {"team": {"budget": {"amount": fits * COST / 10**9, "window": "total"}}}
    with Process(tmp_path, config(fleet, keys), PAREA_PROXY_WORKERS="2") as gateway:
        gateway.wait_for("/ready")
        with ThreadPoolExecutor(clients) as pool:
            statuses = Counter(
                answer.status_code for answer in pool.map(lambda _: ask(gateway, "team", "gpt-4o-mini"), range(calls))
            )
        assert ask(gateway, "team", "gpt-4o-mini").headers["x-budget-remaining"] == "0.00"
    assert statuses.keys() == {200, 429}
    assert fits <= statuses[200] <= fits + clients - 1
    assert spend(gateway.data) == {"team": statuses[200] * COST}
    assert len(fleet["openai"].requests) == statuses[200]
    assert sum(row["cost"] or 0 for row in rows(gateway.data)) == pytest.approx(statuses[200] * COST / 10**9)


PAGE = (Path(__file__).parents[1] / "docs" / "keys.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.M | re.S)


def said(language: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind == language]


def cli(folder: Path, command: str) -> str:
    """What a command of the page prints, run beside a config."""
    arguments = shlex.split(command.removeprefix("parea-proxy"))
    environ = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-m", "proxy", *arguments], cwd=folder, env=environ, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_commands_of_the_page_and_what_they_print_work(tmp_path: Path) -> None:
    """A key that is made so opens a gateway with the block that was printed beside it, and nowhere else is it seen."""
    new, listing = said("sh")
    printed = cli(tmp_path, new)
    key, block = printed.splitlines()[1], yaml.safe_load(printed.partition("# For the config:")[2])
    assert block["keys"]["team-a"].keys() == {"hash", "models", "budget", "rpm"}
    models = [{"model_name": "default", "litellm_params": {"model": "echo/echo"}}]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"model_list": models, **block}))
    assert "team-a  default, openai/*  60 rpm  10.00/30d  0.00   10.00" in cli(tmp_path, listing)
    with Process(tmp_path, {"model_list": models, **block}) as gateway:
        assert [ask(gateway, one, "default").status_code for one in (key, key[:-1])] == [200, 401]
        assert ask(gateway, key, "default").headers["x-budget-remaining"] == "10.00"
    (told,) = json.loads(cli(tmp_path, f"{listing.strip()} --json"))
    assert (told["name"], told["spent"], told["left"], told["window"]) == ("team-a", "0.00", "10.00", "30d")
    secrets = [key, block["keys"]["team-a"]["hash"].removeprefix("sha256:")]
    outputs = [
        cli(tmp_path, f"parea-proxy {more}") for more in ("keys list --json", "keys list", "check", "check --json")
    ]
    for text in [*outputs, gateway.output.read_text()]:
        assert not any(secret in text for secret in secrets)
    for path in (tmp_path / "data").rglob("*"):
        assert not (path.is_file() and any(secret.encode() in path.read_bytes() for secret in secrets))


def test_the_block_and_the_queries_of_the_page_work(tmp_path: Path) -> None:
    (block,), (queries,) = said("yaml"), said("sql")
    (tmp_path / "config.yaml").write_text(block)
    (caller,) = load(tmp_path / "config.yaml", {}).keys.values()
    assert (caller.name, caller.inputs, caller.sample_rate) == ("team-a", False, 0.5)
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    connection.execute("INSERT INTO spend VALUES ('team-a', date('now'), 1500000000, 2)")
    month, kept, anew = [connection.execute(one).fetchall() for one in queries.split(";") if one.strip()]
    assert (month[0][2:], kept, anew) == ((1.5, 2), [], [])
    assert connection.execute("SELECT count(*) FROM spend").fetchone() == (0,)
    connection.close()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("--budget 10/3d", "--budget: Input should be '1d'"),
        ("--budget much/1d", "--budget: should be USD and a window, such as 10/30d"),
        ("--rpm 0", "--rpm: Input should be greater than or equal to 1"),
        ("--expires soon", "--expires: should be a day like 2027-01-31"),
        ("--sample-rate 2", "--sample-rate: Input should be less than or equal to 1"),
    ],
)
def test_a_key_that_the_config_would_refuse_is_not_made(given: str, told: str) -> None:
    done = CliRunner().invoke(main, ["keys", "new", "team-a", *given.split()])
    assert (done.exit_code, done.stdout) == (2, "")
    assert told in done.stderr


@pytest.mark.parametrize("name", ["- y", "-y", "a: b", "#a", "yes", "1e5", "é", "a\nb", "\x85y", "\u2028", "x" * 200])
def test_the_block_of_a_new_key_is_read_back_as_it_was_said(name: str) -> None:
    done = CliRunner().invoke(main, ["keys", "new", "--project", name, "--models", name, "--", name])
    assert done.exit_code == 0, done.output
    printed = done.stdout.split("# For the config:\n")[1]
    document = read(printed, "config.yaml", {})
    assert document.problems == []
    (block,) = document.data["keys"].values()
    assert ([*document.data["keys"]], block["project"], block["models"]) == ([name], name, [name])


def test_a_key_needs_a_name() -> None:
    done = CliRunner().invoke(main, ["keys", "new", ""])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "NAME: should not be empty" in done.stderr
