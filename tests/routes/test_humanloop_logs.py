"""Datapoints: logged, found again, completed; and those that completions leave."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.ids import datapoint_id, derived_id
from tests.gateway import Local
from tests.routes.humanloop_gateway import CONFIG, SUPPORT, Humanloop


@pytest.fixture(scope="module")
def humanloop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Humanloop]:
    with Local(tmp_path_factory.mktemp("gateway"), CONFIG) as gateway:
        yield Humanloop(gateway)


FULL: dict[str, Any] = {
    "inputs": {"a": 1, "b": None},
    "source": "sdk",
    "metadata": {"k": [1]},
    "source_datapoint_id": "data_source",
    "reference_id": "full",
    "messages": [{"role": "user", "content": "hi"}],
    "output": " out ",
    "raw_output": "raw",
    "output_message": {"role": "assistant", "content": " out "},
    "judgment": True,
    "config": {
        "type": "model",
        "model": "gpt-4o",
        "provider": "openai_azure",
        "temperature": 1,
        "chat_template": [{"role": "system", "content": "{{a}}"}],
        "tools": [{"name": "f", "parameters": {}}],
        "endpoint": "chat",
    },
    "environment": "production",
    "feedback": [{"type": "rating", "value": "good"}],
    "created_at": "2026-11-20T10:00:00Z",
    "stdout": "printed",
    "duration": 1.5,
    "provider_latency": 0.3,
    "finish_reason": "eos",
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "trial_id": "t1",
    "status": "x",
    "user": "ann@example.org",
    "prompt_tokens": 3,
    "output_tokens": 4,
    "prompt_cost": 0.25,
    "output_cost": 0.5,
    "provider_request": {"x": 1},
    "provider_response": {"y": 2},
}


def test_a_datapoint_comes_back_as_it_was_logged(humanloop: Humanloop) -> None:
    made = humanloop.log(**FULL, shoe_size=43)
    assert made == {"id": datapoint_id("full"), "project_id": SUPPORT, "session_id": None}
    read = humanloop.read(made["id"])
    assert {name: read[name] for name in FULL if name not in ("config", "feedback", "created_at")} == {
        name: value for name, value in FULL.items() if name not in ("config", "feedback", "created_at")
    }
    assert read["created_at"] == "2026-11-20T10:00:00.000000+00:00"
    assert read["updated_at"] == "2026-11-20T10:00:01.500000+00:00"
    assert read["tokens"] == 7
    config = read["config"]
    assert config["id"].startswith("config_")
    assert config["tools"][0].pop("id").startswith("config_")
    assert {**config, "id": ""} == {**FULL["config"], "id": ""}
    row = humanloop.gateway.row(made["id"])
    assert (row["cost"], row["model"], row["status"]) == (0.75, "gpt-4o", "success")
    assert row["configuration"]["model_params"] == {"temp": 1.0}
    assert row["extra"]["unknown"] == ["shoe_size"]


def test_what_is_not_logged_beside_the_output_follows_from_it(humanloop: Humanloop) -> None:
    read = humanloop.read(humanloop.log(output="out", duration=1.5, tool_choice="auto")["id"])
    assert (read["raw_output"], read["provider_latency"], read["tool_choice"]) == ("out", 1.5, "auto")
    assert read.keys().isdisjoint({"finish_reason", "trial_id", "status"})


def test_a_key_that_comes_along_is_not_kept(humanloop: Humanloop) -> None:
    key = "sk-unspeakable"
    made = humanloop.log(provider_api_keys={"openai": key}, config={"model": "m", "provider_api_key": key})
    assert humanloop.gateway.row(made["id"])["extra"]["unknown"] == ["provider_api_keys"]
    data = humanloop.gateway.data
    assert not [path for path in data.rglob("*") if path.is_file() and key.encode() in path.read_bytes()]


def test_a_list_is_answered_with_a_list_and_refused_as_a_whole(humanloop: Humanloop) -> None:
    bodies: list[dict[str, Any]] = [{"project": "whole", "output": "a"}, {"project": "whole", "output": "b"}]
    made = humanloop.ask("POST", "/logs", bodies)
    assert [humanloop.read(one["id"])["output"] for one in made] == ["a", "b"]
    assert humanloop.ask("POST", "/logs", []) == []
    humanloop.ask("POST", "/logs", [*bodies, {"project_id": "pr_0"}], status=404)
    assert humanloop.ask("GET", "/logs", project_id=derived_id("pr", "whole"))["total"] == 2


@pytest.mark.parametrize("project", [{"project": "support"}, {"project_id": SUPPORT}, {"project_id": "pr_own"}])
def test_a_project_is_named_by_either(humanloop: Humanloop, project: dict[str, str]) -> None:
    made = humanloop.ask("POST", "/logs", project)
    assert made["project_id"] == project.get("project_id", SUPPORT)


def test_a_name_and_an_id_must_be_of_one_project(humanloop: Humanloop) -> None:
    humanloop.ask("POST", "/logs", {"project": "support", "project_id": "pr_own"}, status=400)
    humanloop.ask("POST", "/logs", {"project": "support", "project_id": SUPPORT})


def test_a_completion_is_a_datapoint_of_its_project(humanloop: Humanloop) -> None:
    asked = {"project": "support", "inputs": {"word": "hello"}, "user": "ann", "source": "app"}
    sample = humanloop.ask("POST", "/completion-deployed", asked)["data"][0]
    read = humanloop.read(sample["id"])
    assert read["output"] == "You said: Say hello"
    assert read["config_id"] == read["config"]["id"] == sample["model_config_id"]
    assert read["config"]["prompt_template"] == "Say {{word}}"
    assert read["config"]["other"] == {"top_k": 3}
    assert (read["environment"], read["finish_reason"], read["source"]) == ("production", "stop", "app")
    assert "messages" not in read
    inline = {"project_id": "pr_own", "model_config": {"model": "echo", "prompt_template": "x", "temperature": 0}}
    sample = humanloop.ask("POST", "/completion", inline)["data"][0]
    (read,) = [one for one in humanloop.ask("GET", "/logs", project_id="pr_own")["records"] if one.get("output")]
    assert (read["id"], read["config_id"]) == (sample["id"], sample["model_config_id"])
    assert read["config"]["temperature"] == 0


def projects(humanloop: Humanloop) -> dict[str, tuple[str, int]]:
    found = humanloop.ask("GET", "/projects", size=100)["records"]
    return {one["id"]: (one["name"], one["data_count"]) for one in found}


INLINE = {"model_config": {"model": "echo", "prompt_template": "x"}}


def test_a_completion_keeps_a_project_id_that_is_nobodys(humanloop: Humanloop) -> None:
    asked = {"project_id": "pr_nobodys", "session_reference_id": "nobodys", **INLINE}
    answer = humanloop.ask("POST", "/completion", asked)
    assert answer["project_id"] == "pr_nobodys"
    (read,) = humanloop.ask("GET", "/logs", project_id="pr_nobodys")["records"]
    assert (read["id"], read["project"], read["project_id"]) == (answer["data"][0]["id"], "pr_nobodys", "pr_nobodys")
    assert read == humanloop.read(read["id"])
    assert projects(humanloop)["pr_nobodys"] == ("pr_nobodys", 1)
    assert humanloop.ask("GET", "/projects/pr_nobodys")["data_count"] == 1
    (session,) = humanloop.ask("GET", "/sessions", project_id="pr_nobodys")["records"]
    assert session["projects"] == [{"id": "pr_nobodys", "name": "pr_nobodys", "type": "prompt"}]
    humanloop.log(project=None, project_id="pr_nobodys", output="too")
    assert humanloop.ask("GET", "/logs", project_id="pr_nobodys")["total"] == 2


@pytest.mark.parametrize("by", ["log", "completion"])
def test_a_completion_by_the_id_of_a_project_that_was_named_is_of_it(humanloop: Humanloop, by: str) -> None:
    """Whichever comes first, the name or the id."""
    project_id = derived_id("pr", by)
    first = humanloop.ask("POST", "/completion", {"project_id": project_id, **INLINE})["data"][0]["id"]
    assert humanloop.read(first)["project"] == project_id
    if by == "log":
        assert humanloop.log(project=by, output="x")["project_id"] == project_id
        assert humanloop.read(first)["project"] == by
    else:
        humanloop.ask("POST", "/completion", {"project": by, **INLINE})
    page = humanloop.ask("GET", "/logs", project_id=project_id)
    assert page["total"] == 2
    assert {(one["project"], one["project_id"]) for one in page["records"]} == {(by, project_id)}
    assert projects(humanloop)[project_id] == (by, 2)
    assert humanloop.read(first)["project"] == by


def test_an_id_of_a_configuration_tells_its_deployment(humanloop: Humanloop) -> None:
    (known,) = [one for one in humanloop.ask("GET", "/projects/pr_own/configs") if one["config"]["name"] == "Chat"]
    read = humanloop.read(humanloop.log(config_id=known["config"]["id"])["id"])
    assert read["config"] == known["config"]
    assert humanloop.read(humanloop.log(config_id="config_unknown")["id"])["config"]["id"] == "config_unknown"


def test_an_experiment_is_told_with_its_variant(humanloop: Humanloop) -> None:
    asked = {"project": "support", "environment": "staging", "inputs": {"word": "x"}, "session_id": "sesh_1"}
    sample = humanloop.ask("POST", "/completion-deployed", asked)["data"][0]
    read = humanloop.read(sample["id"])
    assert read["experiment"]["id"] == derived_id("exp", SUPPORT, "staging")
    assert read["experiment"]["variant"] in ("p-text", "p-chat")
    assert read["session_id"] == "sesh_1"


def test_save_false_keeps_nothing_then_or_later(tmp_path: Path) -> None:
    secret = {"inputs": {"a": "unspeakable"}, "stdout": "unspeakable", "output_message": {"role": "user"}}
    with Local(tmp_path, CONFIG) as gateway:
        humanloop = Humanloop(gateway)
        template = {"model": "m", "chat_template": [{"role": "user", "content": "unspeakable"}]}
        made = humanloop.log(
            output="unspeakable",
            messages=[{"role": "user", "content": "unspeakable"}],
            config=template,
            provider_response={"a": "unspeakable"},
            save=False,
            reference_id="quiet",
            prompt_tokens=5,
            duration=1.5,
            provider_latency=0.3,
            raw_output="unspeakable",
            tool_choice="unspeakable",
            status="unspeakable",
            **secret,
        )
        humanloop.ask("PATCH", f"/logs/{made['id']}", {"output": "unspeakable", "error": "unspeakable", "duration": 2})
        read = humanloop.read(made["id"])
        assert (read["save"], read["reference_id"], read["prompt_tokens"], read["duration"]) == (False, "quiet", 5, 2)
        assert (read["provider_latency"], "raw_output" in read) == (0.3, False)
        assert gateway.row(made["id"])["status"] == "error"
    held = [path for path in gateway.data.rglob("*") if path.is_file() and b"unspeakable" in path.read_bytes()]
    assert held == []


def test_what_was_left_open_is_completed_later(humanloop: Humanloop) -> None:
    made = humanloop.log(reference_id="open", created_at="2026-11-20T10:00:00Z")
    assert humanloop.gateway.row(made["id"])["status"] is None
    read = humanloop.ask("PATCH", "/logs", {"output": "done", "duration": 2}, reference_id="open")
    assert (read["id"], read["output"], read["duration"]) == (made["id"], "done", 2)
    assert read["updated_at"] == "2026-11-20T10:00:02.000000+00:00"
    assert humanloop.gateway.row(made["id"])["status"] == "success"
    assert humanloop.ask("PATCH", f"/logs/{made['id']}", {"error": "broke"})["error"] == "broke"
    assert humanloop.gateway.row(made["id"])["status"] == "error"


def test_a_child_without_a_session_joins_its_parents_tree(humanloop: Humanloop) -> None:
    top = humanloop.log(reference_id="top")["id"]
    child = humanloop.log(reference_id="child", parent_reference_id="top")["id"]
    grandchild = humanloop.log(parent_id=child)["id"]
    orphan = humanloop.log(parent_reference_id="never")["id"]
    tree = humanloop.gateway.client.get(f"/trace_log/{top}").json()
    assert tree["children_logs"][0]["children_logs"][0]["trace_id"] == grandchild
    assert humanloop.read(grandchild)["parent_id"] == child
    assert humanloop.read(orphan)["parent_id"] == datapoint_id("never")


@pytest.fixture(scope="module")
def searched(humanloop: Humanloop) -> Humanloop:
    (config_id,) = [
        one["config"]["id"] for one in humanloop.ask("GET", f"/projects/{SUPPORT}/configs") if "Chat" in str(one)
    ]
    bodies: list[dict[str, Any]] = [
        {"output": "Half 50% done", "created_at": "2026-11-01T10:00:00Z", "metadata": {"team": "blue"}},
        {"inputs": {"q": {"deep": "Needle"}}, "created_at": "2026-11-02T23:30:00Z", "config_id": config_id},
        {"messages": [{"role": "user", "content": "needle"}], "created_at": "2026-11-03T00:00:00+00:00"},
        {"output": "half 500 done", "created_at": "2026-11-04T10:00:00Z", "session_reference_id": "searched"},
    ]
    for number, body in enumerate(bodies):
        humanloop.log(project="searched", reference_id=str(number), **body)
    return humanloop


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({}, "3210"),
        ({"search": "NEEDLE"}, "21"),
        ({"search": "50%"}, "0"),
        ({"search": ""}, "3210"),
        ({"metadata_search": "blu"}, "0"),
        ({"version_status": "committed"}, "1"),
        ({"version_status": "uncommitted"}, "320"),
        ({"version_status": "deleted"}, ""),
        ({"start_date": "2026-11-02", "end_date": "2026-11-02"}, "1"),
        ({"start_date": "2026-11-02T23:30:00Z", "end_date": "2026-11-03T02:00:00+02:00"}, "21"),
        ({"page": 0, "size": 3}, "321"),
        ({"page": 2, "size": 3}, "0"),
        ({"page": 3, "size": 3}, ""),
        ({"search": "needle", "version_status": "committed", "start_date": "2026-11-01"}, "1"),
    ],
)
def test_searching(searched: Humanloop, params: dict[str, Any], expected: str) -> None:
    page = searched.ask("GET", "/logs", project_id=derived_id("pr", "searched"), **params)
    assert "".join(one["reference_id"] for one in page["records"]) == expected
    assert page["page"] == max(params.get("page", 1), 1)
    assert page["total"] == (4 if "page" in params else len(expected))
