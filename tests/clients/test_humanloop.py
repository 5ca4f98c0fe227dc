"""humanloop 0.7.35 from PyPI and 0.5.36 from npm, unmodified, with nothing set but their address."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.clients import environment
from tests.gateway import Local, rows

HELLO = "Hello from openai"
ADA = {"name": "Ada"}


@pytest.fixture(scope="module")
def seen(gateway: Local, guarded: Local, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    environ = {"GATEWAY": f"{gateway.url}/v4", "GUARDED": f"{guarded.url}/v4"}
    return environment.seen("humanloop", "humanloop_script.py", home=tmp_path_factory.mktemp("home"), **environ)


@pytest.fixture(scope="module")
def seen_by_node(gateway: Local, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("home")
    return environment.seen("node", "humanloop_script.mjs", home=home, GATEWAY=f"{gateway.url}/v4")


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("deployed", [0, "You said: Hello Ada", "You said: Hello Ada", ADA, "stop", 1]),
        ("vendor", [HELLO, 6, 5, 11]),
        ("every_field", [[[0, HELLO, {}], [1, HELLO, {}]], "user-1", {"k": "v"}]),
        ("unsaved", "You said: Hello Confidential"),
        ("shortcuts", ["You said: Hello Ada", HELLO, HELLO, HELLO]),
        ("by_project_id", "You said: Hello Ada"),
        ("complete", [HELLO, "stop"]),
        ("complete_without_a_project", HELLO),
        ("complete_model_config", ["You said: Hello Ada", True]),
        ("chat", [HELLO, "assistant", HELLO, "stop"]),
        ("chat_tool", ["tool_call", [["get_weather", {"city": "Paris"}]]]),
        ("chat_deployed", [HELLO, HELLO]),
        ("chat_model_config", "You said: hi"),
        ("feedback", ["rating", "good", True, "ann_", ["fine"]]),
        ("logs", [True, "changed", "on purpose", "sdk", "reference-1", "gpt-4o-mini", 0.5]),
        ("log_of_a_completion", [True, "You said: Hello Ada", ADA, "support"]),
        ("log_of_each_sample", [HELLO, HELLO]),
        ("several_logs", [2, 2]),
        ("listed_logs", [1, 2, True, True, True]),
        ("sessions", ["sesh_", True, "conversation-1", 4, True]),
        ("projects", [True, ["support"], "support", "echo"]),
        ("configs", ["Hello {{name}}", True, ["production", "staging"]]),
        ("async_deployed", "You said: Hello Ada"),
        ("deployed_stream", [["You said: Hello Ada", ["stop"], 1]]),
        ("samples_stream", [[HELLO, ["stop"], 1], [HELLO, ["stop"], 1]]),
        ("complete_stream", [[HELLO, ["stop"], 1]]),
        ("chat_stream", [[HELLO, ["stop"], 1]]),
        ("chat_deployed_stream", [[HELLO, ["stop"], 1]]),
        ("failed_stream", ["Hello from", [], "ClientPayloadError"]),
        ("failed_chat_stream", ["Hello from", [], "ClientPayloadError"]),
        ("broken_stream", "ClientPayloadError"),
    ],
)
def test_what_the_client_saw(seen: dict[str, Any], what: str, expected: Any) -> None:
    assert seen[what] == expected


@pytest.mark.parametrize(
    ("what", "status", "kind", "word"),
    [
        ("unknown_project", 404, "not_found_error", "project"),
        ("unknown_environment", 404, "not_found_error", "environment"),
        ("missing_inputs", 400, "bad_request_error", "Missing input variables: name"),
        ("unknown_log", 404, "not_found_error", "log"),
        ("vendor_refuses", 429, "rate_limit_error", "429"),
        ("wrong_key", 401, "authentication_error", "key"),
        ("stream_error", 404, "not_found_error", "project"),
    ],
)
def test_a_refusal_says_why(seen: dict[str, Any], what: str, status: int, kind: str, word: str) -> None:
    told, detail = seen[what]
    assert (told, detail["type"], detail["code"]) == (status, kind, status)
    assert word in detail["message"]


def test_a_body_that_does_not_fit_names_the_field(seen: dict[str, Any]) -> None:
    status, [detail] = seen["no_project"]
    assert (status, detail["loc"], detail["type"]) == (422, ["body", "project"], "missing")


def test_ids_look_like_humanloop_s(seen: dict[str, Any]) -> None:
    for prefix, identifier in zip(("data", "config", "pr"), seen["deployed_ids"], strict=True):
        assert re.fullmatch(rf"{prefix}_[A-Za-z0-9]{{21}}", identifier)
    assert re.fullmatch(r"sesh_[A-Za-z0-9]{21}", seen["session"])


def test_a_reference_to_a_session_leads_to_the_same_session(seen: dict[str, Any]) -> None:
    assert seen["same_session"] == [seen["session"]] * 2


def test_what_is_not_to_be_saved_is_not_in_the_log(seen: dict[str, Any], gateway: Local) -> None:
    row = gateway.row(seen["unsaved_id"])
    assert (row["status"], row["model"]) == ("success", "echo")
    assert "Confidential" not in repr(row)


def test_a_session_has_one_variant_of_an_experiment(seen: dict[str, Any], gateway: Local) -> None:
    answers = seen["experiment"]
    assert answers[0] in ("You said: A Ada", "You said: B Ada")
    assert answers == answers[:1] * 3
    variant = {"A": "p-a", "B": "p-b"}[answers[0].split()[2]]
    found = rows(gateway.data, "deployment_id IN ('p-a', 'p-b')")
    assert [row["deployment_id"] for row in found] == [variant] * 3


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("deployed", [0, "You said: Hello Ada", "stop", ADA]),
        ("unicode", "You said: Hello 日本"),
        ("stream", {"0": "You said: Hello Ada"}),
        ("unicode_stream", {"0": "You said: Hello " + "日本 é" * 500}),
        ("samples_stream", {"0": HELLO, "1": HELLO}),
        ("chat", [HELLO, "assistant"]),
        ("feedback", ["rating", "good", True]),
        ("log", [True, "changed", True]),
        ("session", [True, 1]),
        ("project", ["support", "echo"]),
        ("refused", [True, 404, "object"]),
    ],
)
def test_what_the_client_of_npm_saw(seen_by_node: dict[str, Any], what: str, expected: Any) -> None:
    assert seen_by_node[what] == expected
