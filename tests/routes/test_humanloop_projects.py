"""Projects, what is deployed in them, and sessions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from proxy.cli import main
from proxy.ids import derived_id
from tests.gateway import Local
from tests.routes.humanloop_gateway import CONFIG, SUPPORT, Humanloop


@pytest.fixture
def humanloop(tmp_path: Path) -> Iterator[Humanloop]:
    with Local(tmp_path, CONFIG) as gateway:
        yield Humanloop(gateway)


def names(humanloop: Humanloop, **params: Any) -> list[str]:
    return [one["name"] for one in humanloop.ask("GET", "/projects", **params)["records"]]


def test_projects_are_those_of_the_config_and_those_that_were_logged_to(humanloop: Humanloop) -> None:
    assert names(humanloop) == ["support", "trial"]
    made = humanloop.log(project="Made", created_at="2026-11-20T10:00:00Z")
    humanloop.log(project="support")
    humanloop.gateway.client.post("/project", json={"name": "parea"})
    assert names(humanloop, sort_by="name") == ["Made", "parea", "support", "trial"]
    assert names(humanloop, sort_by="name", order="desc", size=3) == ["trial", "support", "parea"]
    assert names(humanloop, sort_by="name", size=3, page=2) == ["trial"]
    assert names(humanloop, filter="MA") == ["Made"]
    assert names(humanloop, user_filter="ann") == []
    assert humanloop.ask("GET", "/projects", size=1)["total"] == 4
    project = humanloop.ask("GET", f"/projects/{made['project_id']}")
    assert (project["name"], project["data_count"]) == ("Made", 1)
    assert "active_config" not in project
    assert humanloop.ask("GET", f"/projects/{made['project_id']}/deployed-configs") == []
    assert (
        "projects"
        in humanloop.ask("GET", f"/projects/{made['project_id']}/active-config", status=404)["detail"]["message"]
    )


def test_a_project_tells_its_active_configuration_or_its_experiment(humanloop: Humanloop) -> None:
    support = humanloop.ask("GET", f"/projects/{SUPPORT}")
    assert support["active_config"]["config"] == {
        "id": support["active_config"]["config"]["id"],
        "type": "model",
        "name": "p-text",
        "model": "echo",
        "prompt_template": "Say {{word}}",
        "temperature": 0.5,
        "other": {"top_k": 3},
        "endpoint": "complete",
    }
    assert "active_experiment" not in support
    trial = humanloop.ask("GET", "/projects/pr_own")
    assert "active_config" not in trial
    experiment = trial["active_experiment"]
    assert [(one["display_name"], one["weight"]) for one in experiment["configs"]] == [("Chat", 1), ("p-text", 1)]
    chat = experiment["configs"][0]["config"]
    assert chat["chat_template"] == [{"role": "system", "content": "Be brief about {{word}}"}]
    assert chat["provider"] == "mock"
    assert [tool["name"] for tool in chat["tools"]] == ["f"]


def test_each_environment_tells_what_it_has(humanloop: Humanloop) -> None:
    production, staging = humanloop.ask("GET", f"/projects/{SUPPORT}/deployed-configs")
    assert (production["environment_name"], production["environment_tag"]) == ("production", "default")
    assert production["model_config_name"] == "p-text"
    assert (staging["environment_tag"], staging["experiment_name"]) == ("other", "staging")
    assert "model_config_id" not in staging
    assert [one["weight"] for one in staging["experiment"]["configs"]] == [1, 3]
    active = humanloop.ask("GET", f"/projects/{SUPPORT}/active-config")
    assert active["config"]["id"] == production["model_config_id"]
    assert active["environment_id"] == production["environment_id"]
    assert "experiment" not in active


def test_an_experiments_active_configuration_is_drawn_by_the_shares(humanloop: Humanloop) -> None:
    drawn = [
        humanloop.ask("GET", "/projects/pr_own/active-config", environment="only")["config"]["name"] for _ in range(40)
    ]
    assert set(drawn) == {"p-text", "Chat"}  # fails once in 5e11 runs


def test_a_session_counts_what_hangs_under_it(humanloop: Humanloop) -> None:
    session = humanloop.ask("POST", "/sessions", status=201)["id"]
    empty = humanloop.ask("GET", f"/sessions/{session}")
    assert (empty["datapoints_count"], empty["projects"]) == (0, [])
    assert humanloop.ask("GET", "/sessions", project_id=SUPPORT)["total"] == 0
    humanloop.log(session_id=session, inputs={"a": 1}, output="first", created_at="2026-11-20T10:00:00Z")
    humanloop.ask(
        "POST",
        "/completion",
        {"project": "other", "session_id": session, "model_config": {"model": "echo", "prompt_template": "last"}},
    )
    for project in (SUPPORT, derived_id("pr", "other")):
        page = humanloop.ask("GET", "/sessions", project_id=project)
        assert [one["id"] for one in page["records"]] == [session]
    told = humanloop.ask("GET", f"/sessions/{session}")
    assert page["records"] == [told]
    assert told["datapoints_count"] == 2
    assert [one["name"] for one in told["projects"]] == ["support", "other"]
    assert (told["first_inputs"], told["last_output"]) == ({"a": 1}, "You said: last")
    assert told["created_at"] == "2026-11-20T10:00:00.000000+00:00"
    assert told["updated_at"] > empty["updated_at"]


def test_what_has_no_parent_there_is_counted_and_shown_in_its_session(humanloop: Humanloop) -> None:
    session = humanloop.log(session_reference_id="s", name="first")["session_id"]
    inline = {"model_config": {"model": "echo", "prompt_template": "x"}, "project": "support", "session_id": session}
    orphan = humanloop.ask("POST", "/completion", {"parent_reference_id": "nobody-has-it", **inline})["data"][0]["id"]
    below = humanloop.log(session_id=session, parent_id=orphan, created_at="2020-01-01T00:00:00Z")["id"]
    assert humanloop.ask("GET", f"/sessions/{session}")["datapoints_count"] == 3
    shown = CliRunner().invoke(main, ["traces", session, "--data", str(humanloop.gateway.data)]).output.splitlines()
    depths = {line.split()[-1]: len(line) - len(line.lstrip("│ ├└─")) for line in shown}
    assert (len(shown), depths[session], depths[orphan], depths[below]) == (4, 0, 4, 8)
    page = humanloop.gateway.client.post("/get_trace_logs", json={}).json()
    assert [one["trace_id"] for one in page["results"]] == [session]
    (tree,) = page["results"]
    assert [len(one["children_logs"]) for one in tree["children_logs"] if one["trace_id"] == orphan] == [1]


def test_sessions_come_in_pages_newest_first(humanloop: Humanloop) -> None:
    for number in range(3):
        humanloop.log(session_reference_id=str(number), created_at=f"2026-11-2{number}T10:00:00Z")
    page = humanloop.ask("GET", "/sessions", project_id=SUPPORT, size=2)
    assert (page["total"], [one["reference_id"] for one in page["records"]]) == (3, ["2", "1"])
    page = humanloop.ask("GET", "/sessions", project_id=SUPPORT, size=2, page=2)
    assert [one["reference_id"] for one in page["records"]] == ["0"]
