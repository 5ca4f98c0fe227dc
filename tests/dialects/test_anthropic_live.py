"""Anthropic's own client against a live gateway: the offline provider and the loopback vendors behind it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic.types import MessageParam, ToolParam
from pydantic import BaseModel

from tests.gateway import Local
from tests.upstreams.fleet import Fleet

HI: list[MessageParam] = [{"role": "user", "content": "hi"}]
SCHEMA: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS: list[ToolParam] = [
    {"name": name, "description": name, "input_schema": SCHEMA} for name in ("get_weather", "get_time")
]
GPT, CLAUDE, ROUTER = "openai/gpt-4o-mini", "anthropic/claude-haiku-4-5", "openrouter/openai/gpt-4o-mini"


class City(BaseModel):
    name: str


@pytest.fixture(scope="module")
def gateway(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    models = [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}]
    config = {"model_list": models, "providers": _fleet.providers, "server": {"dialects": ["anthropic"]}}
    with Local(tmp_path_factory.mktemp("anthropic"), config) as served:
        served.wait_until_ready()
        yield served


@pytest.fixture(scope="module")
def client(gateway: Local) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key="any", max_retries=0) as made:
        yield made


def told(message: Any) -> dict[str, Any]:
    """A message without what is new in each."""
    found: dict[str, Any] = message.to_dict()
    return {name: value for name, value in found.items() if name not in ("id", "stop_details")}


def both(client: anthropic.Anthropic, model: str, **more: Any) -> dict[str, Any]:
    """What is answered, whole and streamed alike."""
    whole = told(client.messages.create(model=model, max_tokens=99, messages=HI, **more))
    with client.messages.stream(model=model, max_tokens=99, messages=HI, **more) as stream:
        streamed = told(stream.get_final_message())
    assert streamed == whole
    return whole


def test_text(client: anthropic.Anthropic) -> None:
    message = both(client, "echo")
    assert message["content"] == [{"type": "text", "text": "You said: hi"}]
    assert (message["stop_reason"], message["usage"]["input_tokens"], message["usage"]["output_tokens"]) == (
        "end_turn",
        1,
        3,
    )


def test_a_text_stream_and_its_row(client: anthropic.Anthropic, gateway: Local) -> None:
    with client.messages.stream(model="echo", max_tokens=9, messages=HI, metadata={"user_id": "u"}) as stream:
        assert list(stream.text_stream) == ["You", " said:", " hi"]
        row = gateway.row(stream.response.headers["x-trace-id"])
    assert (row["output"], row["end_user"], row["notes"]["dialect"]) == ("You said: hi", "u", "anthropic")


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("model", [GPT, CLAUDE, "mistral/mistral-small-latest", "cohere/command-r-08-2024"])
def test_tools(client: anthropic.Anthropic, model: str) -> None:
    message = both(client, f"{model}~tool2", tools=TOOLS)
    assert [(block["name"], block["input"]) for block in message["content"] if block["type"] == "tool_use"] == [
        ("get_weather", {"city": "Paris"}),
        ("get_time", {"zone": "Europe/Paris"}),
    ]
    assert message["stop_reason"] == "tool_use"


@pytest.mark.usefixtures("fleet")
def test_text_before_a_tool(client: anthropic.Anthropic) -> None:
    text, call = both(client, f"{GPT}~texttool", tools=TOOLS)["content"]
    assert (text["text"], call["name"]) == ("Let me look.", "get_weather")


def test_a_turn_with_results_goes_to_anthropic_as_it_came(client: anthropic.Anthropic, fleet: Fleet) -> None:
    first = client.messages.create(model=f"{CLAUDE}~think", max_tokens=2048, messages=HI)
    picture = {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}
    said: list[Any] = [
        *HI,
        {
            "role": "assistant",
            "content": [*first.content, {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "image", "source": picture}]},
                {"type": "text", "text": "Go on.", "cache_control": {"type": "ephemeral"}},
            ],
        },
    ]
    client.messages.create(model=CLAUDE, max_tokens=99, system="Be brief.", messages=said, tools=TOOLS)
    sent = fleet["anthropic"].requests[-1].json
    assert sent["messages"][1]["content"][:2] == [
        {"type": "thinking", "thinking": "Two and two.", "signature": "c2ln"},
        {"type": "text", "text": "Four"},
    ]
    result, *rest = sent["messages"][2]["content"]
    assert (result["type"], result["tool_use_id"]) == ("tool_result", "toolu_1")
    assert [block["type"] for block in rest] == ["text", "image", "text"]
    assert rest[-1]["cache_control"] == {"type": "ephemeral"}


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(("model", "signature"), [(CLAUDE, "c2ln"), (ROUTER, "")])
def test_thoughts(client: anthropic.Anthropic, model: str, signature: str) -> None:
    thought, text = both(client, f"{model}~think")["content"]
    assert thought == {"type": "thinking", "thinking": "Two and two.", "signature": signature}
    assert text["text"] == "Four"


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(("scenario", "reason"), [("length", "max_tokens"), ("filtered", "refusal")])
def test_why_it_stopped(client: anthropic.Anthropic, scenario: str, reason: str) -> None:
    assert both(client, f"{GPT}~{scenario}")["stop_reason"] == reason


def test_a_format_is_asked_for(client: anthropic.Anthropic, fleet: Fleet) -> None:
    with pytest.raises(ValueError, match="City"):
        client.messages.parse(model=GPT, max_tokens=9, messages=HI, output_format=City)  # the answer is no JSON
    wanted = fleet["openai"].requests[-1].json["response_format"]["json_schema"]
    assert (wanted["strict"], wanted["schema"]["required"]) == (True, ["name"])


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "expected", "kind"),
    [
        (f"{GPT}~e401", anthropic.AuthenticationError, "authentication_error"),
        (f"{GPT}~e429after", anthropic.RateLimitError, "rate_limit_error"),
        (f"{CLAUDE}~e529", anthropic.APIStatusError, "overloaded_error"),
        (f"{GPT}~context", anthropic.BadRequestError, "invalid_request_error"),
        ("nobody", anthropic.NotFoundError, "not_found_error"),
    ],
)
def test_failures(
    client: anthropic.Anthropic, model: str, expected: type[anthropic.APIStatusError], kind: str, stream: bool
) -> None:
    with pytest.raises(expected) as caught:
        client.messages.create(model=model, max_tokens=9, messages=HI, stream=stream)
    body: Any = caught.value.body
    assert (body["type"], body["error"]["type"]) == ("error", kind)
    headers = caught.value.response.headers
    assert headers["x-should-retry"] == ("true" if kind in ("rate_limit_error", "overloaded_error") else "false")
    assert headers.get("retry-after") == ("7" if kind == "rate_limit_error" else None)
    assert (caught.value.status_code == 529) == (kind == "overloaded_error")


@pytest.mark.usefixtures("fleet")
def test_a_failure_in_mid_stream_raises(client: anthropic.Anthropic) -> None:
    heard: list[str] = []
    with (
        pytest.raises(anthropic.APIStatusError, match="api_error"),
        client.messages.stream(model=f"{GPT}~serr", max_tokens=9, messages=HI) as stream,
    ):
        heard.extend(stream.text_stream)
    assert "".join(heard) == "Hello from"


def test_the_cache_answers_a_stream_with_a_whole_answer(client: anthropic.Anthropic, fleet: Fleet) -> None:
    asked: dict[str, Any] = {"model": f"{GPT}~tool2", "max_tokens": 77, "messages": HI, "tools": TOOLS}
    more: dict[str, Any] = {"extra_headers": {"x-cache": "true"}}
    first = client.messages.create(**asked, **more)
    with client.messages.stream(**asked, **more) as stream:
        assert stream.response.headers["x-cache"] == "hit"
        assert told(stream.get_final_message()) == told(first)
    assert len(fleet["openai"].requests) == 1


def test_tokens_are_estimated_and_said_to_be(client: anthropic.Anthropic) -> None:
    picture: Any = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    long: list[MessageParam] = [{"role": "user", "content": [{"type": "text", "text": "x" * 4000}, picture]}]
    short = client.messages.count_tokens(model="echo", messages=HI)
    assert (short.input_tokens, short.to_dict()["estimated"]) == (5, True)
    count = client.messages.count_tokens(model="echo", messages=long, system="Be brief.", tools=TOOLS)
    assert 2500 < count.input_tokens < 2700


def test_other_paths_and_bodies_are_refused_in_anthropics_words(client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        client.messages.batches.list()
    assert caught.value.body["type"] == "error"  # type: ignore[index]
    odd: Any = [{"role": "user", "content": [{"type": "video"}]}]
    with pytest.raises(anthropic.BadRequestError, match="messages.0.content.0.type: 'video'"):
        client.messages.count_tokens(model="echo", messages=odd)
    with pytest.raises(anthropic.BadRequestError, match="max_tokens: Field required"):
        client.post("/v1/messages", body={"model": "echo", "messages": HI}, cast_to=object)
