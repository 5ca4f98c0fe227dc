"""anthropic 2.11, unmodified, with nothing set but ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients import environment
from tests.gateway import Local

CLAUDE, GPT = "Hello from anthropic", "Hello from openai"
WEATHER = ["get_weather", {"city": "Paris"}]
TIME = ["get_time", {"zone": "Europe/Paris"}]
EVENTS = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop",
]


@pytest.fixture(scope="module")
def seen(gateway: Local, guarded: Local, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    environ = {"ANTHROPIC_BASE_URL": gateway.url, "ANTHROPIC_API_KEY": "anything", "GUARDED": guarded.url}
    home = tmp_path_factory.mktemp("home")
    return environment.seen(environment.DEVELOPMENT, "anthropic_script.py", home=home, **environ)


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("version", "2.11.0"),
        (
            "whole",
            [
                ["message", "assistant", [CLAUDE], "end_turn", 6, 5],
                ["message", "assistant", [GPT], "end_turn", 6, 5],
                ["You said: hi"],
            ],
        ),
        ("stream", [[CLAUDE, [CLAUDE], "end_turn", 5], [GPT, [GPT], "end_turn", 5]]),
        ("events", EVENTS),
        ("tools", [["tool_use", [WEATHER]]] * 2),
        ("tools_stream", [["tool_use", [WEATHER, TIME]]] * 2),
        ("tool_result", [[CLAUDE], [GPT]]),
        ("image", [GPT]),
        ("length", "max_tokens"),
        ("counted", True),
        ("headers", ["anthropic-1", "bypass", ["You said: hi"]]),
        ("unknown_model", ["NotFoundError", 404, "error", "not_found_error"]),
        ("wrong_key", ["AuthenticationError", 401, "error", "authentication_error"]),
        ("wrong_upstream_key", ["AuthenticationError", 401, "error", "authentication_error"]),
        ("wrong_field", ["BadRequestError", 400, "error", "invalid_request_error"]),
        ("missing_field", ["BadRequestError", 400, "error", "invalid_request_error"]),
        ("limited", ["RateLimitError", 429, "error", "rate_limit_error"]),
        ("broken", ["InternalServerError", 502, "error", "api_error"]),
        # what this client raises for an event of the type `error`
        ("failing_stream", ["Hello from", "APIStatusError"]),
        ("concurrent", [["You said: hi"], GPT]),
    ],
)
def test_what_the_client_saw(seen: dict[str, Any], what: str, expected: Any) -> None:
    assert seen[what] == expected
