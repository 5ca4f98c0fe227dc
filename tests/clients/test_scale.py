"""scale-gp 0.1.0a58 and scale-gp-beta 0.7.0, unmodified, with nothing set but SGP_CLIENT_BASE_URL."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients import environment
from tests.clients.environment import Session
from tests.gateway import Local
from tests.upstreams.fleet import Fleet

CLIENTS = ["scale_gp", "scale_gp_beta"]
HELLO = "Hello from openai"
CALLS = [["get_weather", {"city": "Paris"}], ["get_time", {"zone": "Europe/Paris"}]]


@pytest.fixture(scope="module", params=CLIENTS)
def session(
    request: pytest.FixtureRequest,
    gateway: Local,
    guarded: Local,
    _fleet: Fleet,
    tmp_path_factory: pytest.TempPathFactory,
) -> Session:
    _fleet.reset()
    home = tmp_path_factory.mktemp("home")
    environ = {"SGP_CLIENT_BASE_URL": gateway.url, "GUARDED": guarded.url}
    seen = environment.seen("scale", "scale_script.py", request.param, home=home, **environ)
    return Session(seen, list(_fleet["openai"].requests))


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("whole", ["text_completion", "echo", 1, 0, "You said: What is the capital of France?", "stop"]),
        ("whole_vendor", [HELLO, True, True, 6, 5, 11]),
        ("stream", [HELLO, ["stop"], True, 11]),
        ("samples", [[number, "Hello from anthropic"] for number in range(3)]),
        ("deployment", "Hello from azure"),
        ("chat", ["chat.completion", "assistant", HELLO, "stop"]),
        ("chat_stream", [HELLO, ["stop"], "chat.completion.chunk", 11]),
        ("tools", ["tool_calls", CALLS]),
        ("tools_stream", CALLS),
        ("every_parameter", [HELLO, HELLO]),
        ("best_of", [HELLO]),
        ("text_model", HELLO),
        ("unknown_model", ["NotFoundError", 404, ["detail"], "false"]),
        ("bad_key", ["AuthenticationError", 401, ["detail"], "false"]),
        ("wrong_field", ["UnprocessableEntityError", True]),
        ("limited", ["RateLimitError", 429, ["detail"], "true"]),
        ("broken", ["InternalServerError", 502, ["detail"], "true"]),
        ("unguarded", ["AuthenticationError", 401, ["detail"], "false"]),
        ("failing_stream", ["Hello from", [True, "RemoteProtocolError"]]),
        ("concurrent", ["You said: async", HELLO]),
    ],
)
def test_what_both_clients_saw(session: Session, what: str, expected: Any) -> None:
    assert session.seen[what] == expected


@pytest.mark.parametrize("session", ["scale_gp_beta"], indirect=True)
@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("own_key", ["AuthenticationError", 401]),
        ("models", ["echo", "claude-haiku-4-5"]),
        ("model", ["echo", "echo"]),
        ("chat_models", ["claude-haiku-4-5", "echo"]),
        ("chat_models_of_a_vendor", [["claude-haiku-4-5", "anthropic", "chat_completion"]]),
    ],
)
def test_what_the_newer_client_saw_besides(session: Session, what: str, expected: Any) -> None:
    assert session.seen[what] == expected


@pytest.mark.parametrize("session", ["scale_gp"], indirect=True)
def test_every_parameter_of_the_document_reaches_a_vendor_that_knows_it(session: Session) -> None:
    """All but `response_format`, which was the default, and `top_k`, which OpenAI does not know."""
    (request,) = [one for one in session.sent if (one.json or {}).get("logit_bias")]
    tools = request.json.pop("tools")
    assert request.json == {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "hi"}],
        "frequency_penalty": 0.1,
        "logit_bias": {"50256": -100},
        "logprobs": True,
        "max_tokens": 20,
        "modalities": ["text"],
        "n": 2,
        "parallel_tool_calls": False,
        "prediction": {"type": "content", "content": "Hello"},
        "presence_penalty": 0.2,
        "prompt_cache_key": "k",
        "seed": 7,
        "stop": ["END"],
        "temperature": 0.5,
        "tool_choice": "auto",
        "top_logprobs": 2,
        "top_p": 0.9,
        "user": "user-1",
    }
    assert [tool["function"]["name"] for tool in tools] == ["get_weather"]
    assert request.headers["x-extra"] == "sent"
    assert "stolen" not in request.headers["authorization"]


def test_a_text_model_is_asked_for_a_text(session: Session) -> None:
    asked = [one for one in session.sent if (one.json or {}).get("suffix")]
    assert [(one.path, one.json["prompt"]) for one in asked] == [("/v1/completions", "Once")]


@pytest.mark.parametrize("session", ["scale_gp"], indirect=True)
def test_a_conversation_may_be_cut_to_its_end(session: Session) -> None:
    assert session.seen["memory"] == HELLO
    spoken = [one.json["messages"] for one in session.sent if "speaks" in str(one.json)]
    assert spoken == [[{"role": "user", "content": "user speaks"}]]
