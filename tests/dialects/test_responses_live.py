"""OpenAI's own client and its responses against a live gateway: the offline provider and the loopback vendors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.responses import FunctionToolParam
from pydantic import BaseModel

from tests.gateway import Local
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import Reply, Scenario

SCHEMA: dict[str, object] = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOLS: list[FunctionToolParam] = [
    {"type": "function", "name": name, "parameters": SCHEMA, "strict": None} for name in ("get_weather", "get_time")
]
GPT, CLAUDE, ROUTER = "openai/gpt-4o-mini", "anthropic/claude-haiku-4-5", "openrouter/openai/gpt-4o-mini"
NEW = ("id", "created_at", "completed_at")


class City(BaseModel):
    name: str


@pytest.fixture(scope="module")
def gateway(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    models = [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}]
    config = {"model_list": models, "providers": _fleet.providers, "server": {"dialects": ["responses"]}}
    with Local(tmp_path_factory.mktemp("responses"), config) as served:
        served.wait_until_ready()
        yield served


@pytest.fixture(scope="module")
def client(gateway: Local) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="any", max_retries=0) as made:
        yield made


def told(response: Any) -> dict[str, Any]:
    """A response without what is new in each."""
    found = {name: value for name, value in response.to_dict().items() if name not in NEW}
    found["output"] = [{name: value for name, value in item.items() if name != "id"} for item in found["output"]]
    for item in found["output"]:
        if item["type"] == "function_call":  # LiteLLM writes what Claude says whole with spaces
            item["arguments"] = json.loads(item["arguments"])
    return found


def both(client: openai.OpenAI, model: str, **more: Any) -> Any:
    """The response, whole and streamed alike."""
    whole = client.responses.create(model=model, input="hi", **more)
    *_, last = client.responses.create(model=model, input="hi", stream=True, **more)
    assert told(last.response) == told(whole)
    return whole


def test_text(client: openai.OpenAI) -> None:
    response = both(client, "echo", instructions="Be brief.", metadata={"team": "a"}, user="u")
    assert (response.output_text, response.status, response.model) == ("You said: hi", "completed", "echo")
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (3, 3, 6)
    assert (response.instructions, response.metadata, response.error) == ("Be brief.", {"team": "a"}, None)


def test_a_text_stream_and_its_row(client: openai.OpenAI, gateway: Local) -> None:
    with client.responses.stream(model="echo", input="hi", extra_headers={"x-trace-id": "r-1"}) as stream:
        heard = [event.delta for event in stream if event.type == "response.output_text.delta"]
        assert stream.get_final_response().output_text == "".join(heard) == "You said: hi"
    assert len(heard) == 3
    row = gateway.row("r-1")
    assert (row["output"], row["notes"]["dialect"], row["notes"]["stream"]) == ("You said: hi", "responses", True)


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("model", [GPT, CLAUDE, "mistral/mistral-small-latest", "cohere/command-r-08-2024"])
def test_tools(client: openai.OpenAI, model: str) -> None:
    output = both(client, f"{model}~tool2", tools=TOOLS).output
    assert [(item.name, json.loads(item.arguments)) for item in output if item.type == "function_call"] == [
        ("get_weather", {"city": "Paris"}),
        ("get_time", {"zone": "Europe/Paris"}),
    ]


def test_a_turn_goes_back_as_it_came(client: openai.OpenAI, fleet: Fleet) -> None:
    include: Any = ["reasoning.encrypted_content"]
    first = client.responses.create(model=f"{CLAUDE}~think", input="hi", include=include)
    call = client.responses.create(model=f"{CLAUDE}~tool", input="hi", tools=TOOLS).output[0]
    said: list[Any] = [
        {"role": "user", "content": "hi"},
        *first.output,
        call,
        {"type": "function_call_output", "call_id": "call00001", "output": "sunny"},
    ]
    again = client.responses.create(model=CLAUDE, input=said, tools=TOOLS, instructions="Be brief.")
    assert again.status == "completed"
    sent = fleet["anthropic"].requests[-1].json
    kinds = [[block["type"] for block in turn["content"]] for turn in sent["messages"]]
    assert kinds == [["text"], ["thinking", "text", "tool_use"], ["tool_result"]]
    assert sent["messages"][1]["content"][0]["signature"] == "c2ln"


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("model", [CLAUDE, ROUTER])
def test_thoughts(client: openai.OpenAI, model: str) -> None:
    thought, said = both(client, f"{model}~think").output
    assert (thought.type, thought.summary[0].text) == ("reasoning", "Two and two.")
    assert said.content[0].text == "Four"


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(("scenario", "reason"), [("length", "max_output_tokens"), ("filtered", "content_filter")])
def test_an_answer_that_was_cut_short_is_incomplete(client: openai.OpenAI, scenario: str, reason: str) -> None:
    response = both(client, f"{GPT}~{scenario}")
    assert (response.status, response.incomplete_details.reason) == ("incomplete", reason)


def test_a_format_is_asked_for_and_parsed(client: openai.OpenAI, fleet: Fleet) -> None:
    fleet["openai"].script = Scenario(Reply(('{"name": ', '"Paris"}')))
    assert client.responses.parse(model=GPT, input="hi", text_format=City).output_parsed == City(name="Paris")
    with client.responses.stream(model=GPT, input="hi", text_format=City) as stream:
        assert stream.get_final_response().output_parsed == City(name="Paris")
    for request in fleet["openai"].requests:
        assert request.json["response_format"]["json_schema"]["name"] == "City"


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "expected", "kind", "code"),
    [
        (f"{GPT}~e401", openai.AuthenticationError, "invalid_request_error", "invalid_api_key"),
        (f"{GPT}~e429after", openai.RateLimitError, "rate_limit_error", "rate_limit_exceeded"),
        (f"{GPT}~context", openai.BadRequestError, "invalid_request_error", "context_length_exceeded"),
        ("nobody", openai.NotFoundError, "invalid_request_error", "model_not_found"),
    ],
)
def test_failures(
    client: openai.OpenAI, model: str, expected: type[openai.APIStatusError], kind: str, code: str, stream: bool
) -> None:
    with pytest.raises(expected) as caught:
        client.responses.create(model=model, input="hi", stream=stream)
    assert (caught.value.type, caught.value.code) == (kind, code)
    headers = caught.value.response.headers
    limited = expected is openai.RateLimitError
    assert (headers["x-should-retry"], headers.get("retry-after")) == (("true", "7") if limited else ("false", None))


@pytest.mark.usefixtures("fleet")
def test_a_failure_in_mid_stream_raises(client: openai.OpenAI) -> None:
    heard: list[Any] = []
    with pytest.raises(openai.APIError, match="openai failed"):
        heard.extend(client.responses.create(model=f"{GPT}~serr", input="hi", stream=True))
    assert "".join(event.delta for event in heard if event.type == "response.output_text.delta") == "Hello from"
    assert (heard[-1].type, heard[-1].response.error.code) == ("response.failed", "server_error")


def test_the_cache_answers_a_stream_with_a_whole_answer(client: openai.OpenAI, fleet: Fleet) -> None:
    asked: dict[str, Any] = {"model": f"{GPT}~tool2", "input": "hi", "tools": TOOLS, "extra_body": {"cache": True}}
    first = client.responses.create(**asked)
    answer = client.responses.with_raw_response.create(**asked)
    assert answer.headers["x-cache"] == "hit"
    *_, last = client.responses.create(stream=True, **asked)
    assert told(last.response) == told(first) == told(answer.parse())
    assert len(fleet["openai"].requests) == 1


def test_what_needs_a_memory_is_refused(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="nothing is stored here") as caught:
        client.responses.create(model="echo", input="hi", previous_response_id="resp_1")
    assert caught.value.param == "previous_response_id"
    with pytest.raises(openai.NotFoundError) as missing:
        client.responses.retrieve("resp_1")
    assert missing.value.type == "invalid_request_error"
