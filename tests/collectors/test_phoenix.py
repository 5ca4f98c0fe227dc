"""Spans in Arize Phoenix: it is sent what a gateway sends, and asked by its own API what it has stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.collectors import scene as scenes
from tests.collectors.environment import free, program, served, until
from tests.collectors.scene import Scene, Stored
from tests.upstreams.fleet import Fleet

pytestmark = pytest.mark.timeout(600)

SPANS = "/v1/projects/default/spans"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("phoenix")


@pytest.fixture(scope="module")
def phoenix(folder: Path) -> Iterator[str]:
    port = free()
    quiet = {"PHOENIX_TELEMETRY_ENABLED": "false", "PHOENIX_DISABLE_AGENT_ASSISTANT": "true"}
    with served(
        [program("phoenix", "bin/phoenix"), "serve"], folder, port, "/healthz",
        PHOENIX_HOST="127.0.0.1", PHOENIX_PORT=str(port), PHOENIX_GRPC_PORT=str(free()),
        PHOENIX_WORKING_DIR=str(folder), PHOENIX_ALLOW_EXTERNAL_RESOURCES="false", **quiet,
    ) as url:  # fmt: skip
        yield url


@pytest.fixture(scope="module")
def scene(phoenix: str, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    with Fleet() as fleet:
        scene = scenes.play(tmp_path_factory.mktemp("gateway"), fleet, phoenix)
    until(lambda: len(stored(phoenix)) == len(scene.rows) + scenes.OWN)
    return scene


@pytest.fixture(scope="module")
def spans(phoenix: str, scene: Scene) -> dict[str, Stored]:
    return scenes.spans_of(scene, stored(phoenix))


def got(phoenix: str, path: str) -> list[dict[str, Any]]:
    answer = httpx.get(phoenix + path, params={"limit": 100})
    if answer.status_code == 404:
        return []  # a project begins with its first span
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["data"]
    return found


def stored(phoenix: str) -> list[Stored]:
    def one(span: dict[str, Any]) -> Stored:
        start, end = (datetime.fromisoformat(span[name]) for name in ("start_time", "end_time"))
        return Stored(
            span["name"], span["context"]["trace_id"], span["context"]["span_id"], span["parent_id"],
            span["status_code"] == "ERROR", span["status_message"], span["start_time"], (end - start).total_seconds(),
            span["attributes"],
        )  # fmt: skip

    return [one(span) for span in got(phoenix, SPANS)]


def test_it_has_every_call_as_the_log_has_it(scene: Scene, spans: dict[str, Stored]) -> None:
    for what, row in scene.rows.items():
        scenes.agrees(what, spans[what], row, scene)


def test_messages_are_there_where_they_may_be(spans: dict[str, Stored]) -> None:
    scenes.conversation(spans)


def test_what_is_redacted_does_not_get_there(spans: dict[str, Stored]) -> None:
    scenes.redaction(spans)


def test_a_call_hangs_in_the_application_s_tree(phoenix: str, scene: Scene) -> None:
    scenes.tree(scene, stored(phoenix))


def test_it_understands_them(spans: dict[str, Stored]) -> None:
    """It reads the conventions by their own schemas, and shows nothing of messages that do not keep to them."""
    whole, tool, turns = (spans[name].attributes for name in ("whole", "tool", "turns"))
    assert {
        name: whole[name] for name in ("llm.provider", "llm.model_name", "llm.token_count.total", "session.id")
    } == {
        "llm.provider": "openai",
        "llm.model_name": "small",
        "llm.token_count.total": 11,
        "session.id": "s-1",
    }
    asked = {"temperature": 0.5, "seed": 7, "stop": ["x", "y"]}
    assert json.loads(whole["llm.invocation_parameters"]) == asked
    roles = [whole[f"llm.input_messages.{number}.message.role"] for number in (0, 1)]
    assert (roles, whole["llm.output_messages.0.message.content"]) == (["system", "user"], "Hello from openai")
    call = "message.tool_calls.0.tool_call"
    for found, where in ((tool, "llm.output_messages.0"), (turns, "llm.input_messages.1")):
        assert found[f"{where}.{call}.function.name"] == "get_weather"
        assert json.loads(found[f"{where}.{call}.function.arguments"]) == {"city": "Paris"}
    assert json.loads(tool["llm.tools.0.tool.json_schema"])["function"] == scenes.TOOL
    seen = "llm.input_messages.0.message.contents.1.message_content.image.image.url"
    assert turns[seen] == scenes.PIXEL
    assert turns["llm.input_messages.2.message.content"] == "7 degrees"


def test_a_session_is_one(phoenix: str, scene: Scene) -> None:
    (session,) = got(phoenix, "/v1/projects/default/sessions")
    assert session["session_id"] == "s-1"
    assert {trace["trace_id"] for trace in session["traces"]} == {
        scene.rows[what]["trace_id"].replace("-", "") for what in ("whole", "streamed")
    }


def test_nothing_that_was_omitted_is_in_its_database(folder: Path, scene: Scene) -> None:
    written = b"".join(path.read_bytes() for path in folder.iterdir() if path.is_file())
    assert b"Hello from openai" in written
    assert scenes.CANARY.encode() not in written
