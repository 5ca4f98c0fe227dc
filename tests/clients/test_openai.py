"""openai 3.52 and 1.109.1, unmodified, with nothing set but OPENAI_BASE_URL and OPENAI_API_KEY."""

from __future__ import annotations

from typing import Any

import pytest

from tests.clients import environment
from tests.clients.conftest import KEY, as_openai
from tests.clients.environment import Session
from tests.gateway import Local
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import Scenario

VERSIONS = {"3.52.0": environment.DEVELOPMENT, "1.109.1": "openai1"}
HELLO = "Hello from openai"


@pytest.fixture(scope="module", params=VERSIONS)
def session(
    request: pytest.FixtureRequest,
    gateway: Local,
    guarded: Local,
    _fleet: Fleet,
    tmp_path_factory: pytest.TempPathFactory,
) -> Session:
    _fleet.reset()
    _fleet["groq"].script = [Scenario(status=429, headers={"retry-after": "1"}), Scenario()]
    environ = {**as_openai(gateway), "GUARDED": f"{guarded.url}/v1", "GUARD": KEY}
    home = tmp_path_factory.mktemp("home")
    seen = environment.seen(VERSIONS[request.param], "openai_script.py", home=home, **environ)
    assert seen["version"] == request.param
    return Session(seen, list(_fleet["openai"].requests))


@pytest.mark.parametrize(
    ("what", "expected"),
    [
        ("chat", ["chat.completion", "assistant", HELLO, "stop", 6, 5, 11]),
        ("stream", [HELLO, ["stop"], 1, [], 11]),
        ("stream_without_usage", ["You said: hi", True, []]),
        ("tools", ["tool_calls", [["get_weather", {"city": "Paris"}], ["get_time", {"zone": "Europe/Paris"}]]]),
        ("tools_stream", ["tool_calls", ["Weather(city='Paris')", "Time(zone='Europe/Paris')"], True]),
        ("text_stream", [HELLO, HELLO, 11]),
        ("tool_result", HELLO),
        ("samples", [[0, "Hello from anthropic"], [1, "Hello from anthropic"]]),
        ("samples_stream", [HELLO, HELLO]),
        ("logprobs", [HELLO, True, True]),
        ("structured", "City(city='Paris')"),
        ("image", HELLO),
        ("every_parameter", HELLO),
        ("completions", ["text_completion", HELLO, "stop"]),
        ("completions_stream", ["You said: Once", "text_completion"]),
        ("embeddings", [[0, True, "float"], [1, True, "float"]]),
        ("models", ["echo", "claude-haiku-4-5", *(f"deployment/p-{name}" for name in ("a", "b", "hello", "vendor"))]),
        ("model", ["echo", "model"]),
        ("responses", ["response", "completed", HELLO, 11]),
        ("responses_stream", ["response.created", HELLO, "response.completed", HELLO]),
        ("responses_tools", [["get_weather", {"city": "Paris"}]]),
        ("deployment", "You said: Hello Ada"),
        ("cache", [["miss", True], ["hit", True]]),
        ("unknown_model", ["NotFoundError", 404, "invalid_request_error", "model_not_found", "model", "false"]),
        ("unknown_path", ["NotFoundError", 404, "invalid_request_error", None, None, "false"]),
        ("unknown_name", ["NotFoundError", 404, "invalid_request_error", "model_not_found", "model", "false"]),
        ("wrong_key", ["AuthenticationError", 401, "invalid_request_error", "invalid_api_key", None, "false"]),
        ("right_key", "You said: hi"),
        ("wrong_upstream_key", ["AuthenticationError", 401, "invalid_request_error", "invalid_api_key", None, "false"]),
        ("wrong_field", ["BadRequestError", 400, "invalid_request_error", "invalid_type", "temperature", "false"]),
        ("limited", [429, "rate_limit_exceeded", "7"]),
        ("tried_again", ["Hello from groq", True]),
        ("too_long", ["BadRequestError", 400, "invalid_request_error", "context_length_exceeded", "messages", "false"]),
        ("failing_stream", ["Hello from", "APIError", True]),
        ("cut_stream", ["Hello from", "APIError"]),
        ("concurrent", ["You said: hi", HELLO]),
    ],
)
def test_what_the_client_saw(session: Session, what: str, expected: Any) -> None:
    assert session.seen[what] == expected


def test_the_headers_tell_the_trace_and_the_cache(session: Session, gateway: Local) -> None:
    trace = f"openai-{session.seen['version']}"
    trace_id, cached, reason, timed, content = session.seen["headers"]
    assert (trace_id, cached, timed, content) == (trace, "bypass", True, "You said: hi")
    assert reason
    row = gateway.row(trace_id)
    assert (row["model"], row["tags"]) == ("echo", ["a", "b"])


def test_an_image_arrives(session: Session) -> None:
    messages = [message for request in session.sent for message in (request.json or {}).get("messages", [])]
    (parts,) = [message["content"] for message in messages if isinstance(message.get("content"), list)]
    assert [part["type"] for part in parts] == ["text", "image_url"]
    assert parts[1]["image_url"]["url"].startswith("data:image/gif;base64,R0lG")


def test_every_parameter_arrives(session: Session) -> None:
    (request,) = [one for one in session.sent if (one.json or {}).get("logit_bias")]
    assert request.json == {
        "model": "gpt-4o-mini",
        # this model takes the two roles for one, and LiteLLM says so
        "messages": [{"role": "system", "content": "Answer in JSON."}, {"role": "user", "content": "hi"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "presence_penalty": 0.1,
        "frequency_penalty": 0.2,
        "max_completion_tokens": 20,
        "stop": ["END"],
        "seed": 7,
        "logit_bias": {"50256": -100},
        "user": "user-1",
        "response_format": {"type": "json_object"},
        "service_tier": "auto",
        "store": False,
        "prompt_cache_key": "k",
    }
