"""Every route of Humanloop's against what its client sends and what its client demands.

`golden/humanloop/routes/requests.json` has what `humanloop` 0.7.35 (and, as `js-`, 0.5.36 from npm) put on the wire;
`schemas.json` has the client's own models of the answers as JSON Schema, see `humanloop_schemas.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from proxy.ids import datapoint_id, derived_id
from tests.gateway import Local
from tests.routes.humanloop_gateway import CONFIG, SUPPORT, Humanloop

GOLDEN = Path(__file__).parents[1] / "golden" / "humanloop" / "routes"
REQUESTS: dict[str, Any] = json.loads((GOLDEN / "requests.json").read_text())
SCHEMAS: dict[str, Any] = json.loads((GOLDEN / "schemas.json").read_text())

ANSWERS = {
    "logs-post": "logs-post",
    "logs-post-list": "logs-post",
    "js-logs-post": "logs-post",
    "feedback": "feedback",
    "feedback-list": "feedback",
    "js-feedback": "feedback",
    "log-get": "log",
    "log-patch": "log",
    "log-patch-by-reference": "log",
    "logs-list": "logs-list",
    "sessions-post": "sessions-post",
    "sessions-list": "sessions-list",
    "session-get": "session",
    "projects-list": "projects-list",
    "project-get": "project",
    "active-config": "active-config",
    "deployed-configs": "deployed-configs",
    "configs": "configs",
}
"""Each recorded request, and which of the client's models its answer is."""

IDS = {"data_1": datapoint_id("ref-1"), "pr_1": SUPPORT, "sesh_1": derived_id("sesh", "s-1")}
"""What stands in the recorded requests, and what is there when they are sent here."""


@pytest.fixture(scope="module")
def humanloop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Humanloop]:
    with Local(tmp_path_factory.mktemp("gateway"), CONFIG) as gateway:
        humanloop = Humanloop(gateway)
        request = REQUESTS["logs-post"]
        humanloop.ask("POST", "/logs", request["body"])
        humanloop.ask(
            "POST",
            "/completion-deployed",
            {"project": "support", "inputs": {"word": "x"}, "metadata": {"k": "m"}, "session_reference_id": "s-1"},
        )
        humanloop.ask(
            "POST",
            "/chat-deployed",
            {"project": "support", "messages": [{"role": "user", "content": "hi"}], "inputs": {"word": "x"}},
        )
        yield humanloop


def demanded(answer: Any, name: str) -> None:
    jsonschema.validate(answer, {**SCHEMAS["answers"][name], "$defs": SCHEMAS["$defs"]})


def replayed(humanloop: Humanloop, name: str) -> Any:
    text = json.dumps(REQUESTS[name])
    for theirs, ours in IDS.items():
        text = text.replace(theirs, ours)
    request = json.loads(text)
    status = 201 if name == "sessions-post" else 200
    return humanloop.ask(request["method"], request["path"].removeprefix("/v4"), request["body"], status=status)


def test_every_recorded_request_is_replayed() -> None:
    assert set(ANSWERS) == set(REQUESTS)
    assert set(ANSWERS.values()) == set(SCHEMAS["answers"])


@pytest.mark.parametrize("name", ANSWERS)
def test_the_client_takes_the_answer(humanloop: Humanloop, name: str) -> None:
    demanded(replayed(humanloop, name), ANSWERS[name])


@pytest.mark.parametrize("dialect", ["completion", "logged", "parea", "error"])
def test_the_client_takes_every_row_of_the_log(humanloop: Humanloop, dialect: str) -> None:
    """Whichever API it came by, and whatever a client put into it."""
    message = {"role": "function", "content": None}
    wild = {
        "provider": "mistral",
        "functions": ["{", 5, {"name": 1}],
        "messages": [message],
        "model_params": {"n": 1, "temp": 0.1},
    }
    bodies: dict[str, tuple[str, dict[str, Any]]] = {
        "completion": ("/v4/completion", {"model_config": {"model": "echo", "prompt_template": "x"}}),
        "logged": ("/v4/logs", {"config": {"type": "tool", "name": "f", "parameters": {}}, "judgment": ["a"]}),
        "parea": ("/api/parea/v1/trace_log", {"trace_id": "wild", "configuration": wild, "project_name": dialect}),
        "error": ("/v4/logs", {"error": "broke", "config": {"model": "m", "provider": "openai", "max_tokens": -1}}),
    }
    path, body = bodies[dialect]
    response = humanloop.gateway.client.post(f"{humanloop.gateway.url}{path}", json={"project": dialect, **body})
    assert response.status_code == 200, response.text
    page = humanloop.ask("GET", "/logs", project_id=derived_id("pr", dialect))
    assert page["total"] == 1
    demanded(page, "logs-list")


@pytest.mark.parametrize(
    ("method", "path", "body", "where"),
    [
        ("POST", "/feedback", {"type": "rating", "value": "good"}, ["body", "data_id"]),
        ("POST", "/feedback", [{"type": "rating", "value": "good", "data_id": "d"}, {}], ["body", 1, "type"]),
        ("POST", "/feedback", {"type": "rating", "data_id": "d"}, ["body", "value"]),
        ("POST", "/feedback", {"type": "issue", "data_id": "d", "unset": True}, ["body", "value"]),
        ("POST", "/feedback", 5, ["body"]),
        ("POST", "/logs", {"output": "x"}, ["body", "project"]),
        ("POST", "/logs", [{"project": "p"}, {"output": "x"}], ["body", 1, "project"]),
        ("POST", "/logs", {"project": "p", "session_id": "a", "session_reference_id": "b"}, None),
        ("POST", "/logs", {"project": "p", "config": {"type": "model"}}, ["body", "config", "model"]),
        ("POST", "/logs", {"project": "p", "config": {"type": "tool"}}, ["body", "config", "name"]),
        ("POST", "/logs", {"project": "p", "feedback": [{"type": "rating"}]}, ["body", "feedback", "value"]),
        ("POST", "/logs", {"project": "p", "duration": -1}, ["body", "duration"]),
        ("POST", "/logs", {"project": "p", "created_at": "0001-01-01T00:00:00+10:00"}, ["body", "created_at"]),
        ("POST", "/logs", {"project": "p", "messages": [{"role": "robot"}]}, ["body", "messages", 0, "role"]),
        ("GET", "/logs", None, ["query", "project_id"]),
        ("GET", "/logs?project_id=p&size=1000", None, ["query", "size"]),
        ("GET", "/logs?project_id=p&start_date=soon", None, ["query", "start_date"]),
        ("GET", "/logs?project_id=p&version_status=old", None, ["query", "version_status"]),
        ("PATCH", "/logs", {"output": "x"}, ["query", "reference_id"]),
        ("GET", "/sessions", None, ["query", "project_id"]),
        ("GET", "/projects?sort_by=size", None, ["query", "sort_by"]),
    ],
)
def test_what_does_not_fit_is_told_by_its_place(
    humanloop: Humanloop, method: str, path: str, body: Any, where: list[Any] | None
) -> None:
    answer = humanloop.ask(method, path, body, status=422)
    assert all(set(item) == {"loc", "msg", "type"} for item in answer["detail"])
    assert answer["detail"][0]["loc"] == (where or ["body", "session_reference_id"])


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("GET", "/logs/data_0", None, "id"),
        ("PATCH", "/logs/data_0", {"output": "x"}, "id"),
        ("PATCH", "/logs?reference_id=none", {"output": "x"}, "reference_id"),
        ("GET", f"/logs/{IDS['sesh_1']}", None, "id"),
        ("GET", "/sessions/sesh_0", None, "id"),
        ("GET", f"/sessions/{IDS['data_1']}", None, "id"),
        ("GET", "/projects/pr_0", None, "id"),
        ("GET", "/projects/pr_0/deployed-configs", None, "id"),
        ("GET", f"/projects/{SUPPORT}/active-config?environment=moon", None, "environment"),
        ("GET", "/logs?project_id=pr_0", None, "project_id"),
        ("GET", "/sessions?project_id=pr_0", None, "project_id"),
        ("POST", "/logs", {"project_id": "pr_0"}, "project_id"),
    ],
)
def test_what_is_not_there_is_told_by_the_name_of_its_id(
    humanloop: Humanloop, method: str, path: str, body: Any, named: str
) -> None:
    detail = humanloop.ask(method, path, body, status=404)["detail"]
    assert detail["message"].startswith(f"{named}: ")
    assert detail["code"] == 404


def test_without_the_dialect_there_are_no_routes(tmp_path: Path) -> None:
    with Local(tmp_path, {**CONFIG, "server": {"dialects": ["parea"]}}) as gateway:
        Humanloop(gateway).ask("GET", "/projects", status=404)
