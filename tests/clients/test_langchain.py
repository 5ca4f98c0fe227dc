"""langchain-openai, unmodified, with nothing set but OPENAI_BASE_URL and OPENAI_API_KEY."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients import environment
from tests.clients.conftest import as_openai
from tests.gateway import Local

HELLO = "Hello from openai"


@pytest.fixture(scope="module")
def seen(gateway: Local, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("home")
    return environment.seen("tools", "langchain_script.py", home=home, **as_openai(gateway))


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("invoke", [HELLO, 11, "stop"]),
        ("stream", [HELLO, 11, True]),
        ("bind_tools", ["get_weather", {"city": "Paris"}, "sunny in Paris", HELLO]),
        ("bind_tools_stream", [["get_weather", {"city": "Paris"}], ["get_time", {"zone": "Europe/Paris"}]]),
        ("structured", "City(city='Paris')"),
        ("batch", ["You said: one", "You said: two"]),
        ("asynchronous", "You said: hi"),
        ("responses", HELLO),
        ("text", HELLO),
        ("embeddings", [True, True]),
        # its own heir of openai.NotFoundError, which it chooses by the code
        ("refused", ["OpenAIModelNotFoundError", "model_not_found"]),
    ],
)
def test_what_the_client_saw(seen: dict[str, Any], what: str, expected: Any) -> None:
    assert seen[what] == expected
