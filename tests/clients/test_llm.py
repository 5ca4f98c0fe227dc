"""The command line `llm`, unmodified, with both of the ways to a compatible endpoint that its own plugin has, and with
the plugin llm-lmstudio, which lists the models of a server by itself.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from tests.clients import environment
from tests.clients.environment import Session
from tests.gateway import Local
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import SCENARIOS, Scenario

MODELS: dict[str, dict[str, str | bool]] = {
    "mine": {"model_name": "openai/gpt-4o-mini"},
    "mine-json": {"model_name": "openai/gpt-4o-mini~json", "supports_schema": True},
    "mine-tools": {"model_name": "groq/openai/gpt-oss-20b", "supports_tools": True},
    "mine-text": {"model_name": "echo", "completion": True},
    "mine-responses": {"model_name": "openai/gpt-4o-mini", "responses": True},
}
FUNCTION = """
def get_weather(city: str) -> str:
    return "sunny in " + city
"""
ENDPOINT = ["openai", "endpoint", "ADDRESS"]
COMMANDS = {
    "endpoint": [*ENDPOINT, "-m", "echo", "hi"],
    "endpoint_whole": [*ENDPOINT, "-m", "echo", "--no-stream", "--key", "anything", "hi"],
    "endpoint_responses": [*ENDPOINT, "-m", "openai/gpt-4o-mini", "--responses", "hi"],
    "endpoint_models": [*ENDPOINT, "--models"],
    "stream": ["-m", "mine", "in pieces"],
    "whole": ["-m", "mine", "--no-stream", "in one piece"],
    "schema": ["-m", "mine-json", "--schema", "city str", "hi"],
    "text": ["-m", "mine-text", "hi"],
    "responses": ["-m", "mine-responses", "hi"],
    "tool": ["-m", "mine-tools", "--functions", FUNCTION, "hi"],
    "plugin": ["-m", "lmstudio/echo", "hi"],
}


@pytest.fixture(scope="module")
def session(gateway: Local, tmp_path_factory: pytest.TempPathFactory, _fleet: Fleet) -> Session:
    """What each command prints. Several run at a time, since most of a second goes into the start of each; each has a
    folder of its own, since two at once cannot make one database.
    """
    _fleet.reset()
    _fleet["groq"].script = [SCENARIOS["tool"], Scenario()]
    program, address = str(environment.program("tools", "llm")), f"{gateway.url}/v1"
    models = yaml.safe_dump([{"model_id": name, "api_base": address, **more} for name, more in MODELS.items()])
    homes = tmp_path_factory.mktemp("llm")

    def run(name: str) -> str:
        home = homes / name
        home.mkdir()
        (home / "extra-openai-models.yaml").write_text(models)
        environ = {"HOME": str(home), "LLM_USER_PATH": str(home), "LMSTUDIO_API_BASE": gateway.url}
        command = [program, *(address if argument == "ADDRESS" else argument for argument in COMMANDS[name])]
        return environment.output(command, "", home, environ).strip()

    with ThreadPoolExecutor(3) as pool:
        printed = dict(zip(COMMANDS, pool.map(run, COMMANDS), strict=True))
    return Session(printed, _fleet["openai"].requests + _fleet["groq"].requests)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("endpoint", "You said: hi"),
        ("endpoint_whole", "You said: hi"),
        ("endpoint_responses", "Hello from openai"),
        ("stream", "Hello from openai"),
        ("whole", "Hello from openai"),
        ("schema", '{"city": "Paris"}'),
        ("text", "You said: hi"),
        ("responses", "Hello from openai"),
        ("tool", "Hello from groq"),
        ("plugin", "You said: hi"),
    ],
)
def test_what_it_prints(session: Session, what: str, expected: str) -> None:
    assert session.seen[what] == expected


def test_the_models_of_an_endpoint(session: Session) -> None:
    assert session.seen["endpoint_models"].split()[:2] == ["echo", "claude-haiku-4-5"]


@pytest.mark.parametrize(("text", "streamed"), [("in pieces", True), ("in one piece", False)])
def test_a_prompt_is_streamed_unless_told_otherwise(session: Session, text: str, streamed: bool) -> None:
    (asked,) = [one.json for one in session.sent if one.json["messages"][-1]["content"] == text]
    assert asked.get("stream", False) is streamed


def test_a_tool_is_called_and_its_result_sent_back(session: Session) -> None:
    (result,) = [one.json["messages"][-1] for one in session.sent if one.json["messages"][-1]["role"] == "tool"]
    assert result["content"] == "sunny in Paris"
