"""The packages openai and ai from npm, unmodified, with nothing set but OPENAI_BASE_URL and OPENAI_API_KEY."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients import environment
from tests.clients.conftest import as_openai
from tests.gateway import Local
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import SCENARIOS, Scenario

HELLO = "Hello from openai"
WAYS = ["chat", "responses", "compatible"]


@pytest.fixture(scope="module")
def seen(gateway: Local, _fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    _fleet.reset()
    _fleet["groq"].script = [SCENARIOS["tool"], Scenario()] * len(WAYS)
    home = tmp_path_factory.mktemp("home")
    return environment.seen("node", "openai_script.mjs", home=home, **as_openai(gateway))


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("chat", [HELLO, "stop", 11]),
        ("stream", [HELLO, 11]),
        ("tools_stream", [["get_weather", {"city": "Paris"}], ["get_time", {"zone": "Europe/Paris"}]]),
        ("embeddings", [[0, True], [1, True]]),
        ("models", ["echo", "claude-haiku-4-5"]),
        ("responses", HELLO),
        ("responses_stream", HELLO),
        ("refused", [True, 404, "model_not_found", "model"]),
        ("failing_stream", ["Hello from", True]),
    ],
)
def test_what_openai_saw(seen: dict[str, Any], what: str, expected: Any) -> None:
    assert seen[what] == expected


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("", [HELLO, "stop", 11]),
        ("_stream", [HELLO, "stop", 11]),
        ("_tools", [[["get_weather", {"city": "Paris"}, "sunny in Paris"]], 2, "Hello from groq"]),
        ("_tools_stream", [["get_weather", {"city": "Paris"}]]),
        ("_object", {"city": "Paris"}),
    ],
)
def test_what_ai_saw(seen: dict[str, Any], way: str, what: str, expected: Any) -> None:
    assert seen[f"ai_{way}{what}"] == expected


@pytest.mark.parametrize(
    ("what", "expected"), [("ai_embeddings", [True, True]), ("ai_refused", ["AI_APICallError", 404, False])]
)
def test_what_ai_saw_besides(seen: dict[str, Any], what: str, expected: Any) -> None:
    assert seen[what] == expected
