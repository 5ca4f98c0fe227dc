"""OpenAI's own client, unmodified, against a live gateway: `echo` offline, and the loopback vendors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.gateway import Local
from tests.upstreams.fleet import MODELS, Fleet
from tests.upstreams.scenario import SCENARIOS

ECHO = {"model_name": "echo", "litellm_params": {"model": "echo/echo"}}
HELLO = {"model": "echo", "messages": [{"role": "user", "content": "Hello {{name}}"}]}
MODEL = "openai/gpt-4o-mini"
USER: list[Any] = [{"role": "user", "content": "one two"}]
WEATHER: Any = {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}
TOOLS: list[Any] = [
    {"type": "function", "function": WEATHER},
    {"type": "function", "function": {**WEATHER, "name": "get_time"}},
]


@pytest.fixture(scope="module")
def gateway(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    config = {"model_list": [ECHO], "providers": _fleet.providers, "deployments": {"p-hello": HELLO}}
    with Local(tmp_path_factory.mktemp("gateway"), config) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture
def client(gateway: Local) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0, timeout=20) as made:
        yield made


@pytest.fixture
def later(gateway: Local) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0, timeout=20)


def test_a_whole_answer(client: openai.OpenAI, gateway: Local) -> None:
    sent = {"x-trace-id": "openai-whole", "x-session-id": "s1"}
    raw = client.chat.completions.with_raw_response.create(
        model="echo", messages=USER, user="ada", metadata={"team": "a"}, extra_headers=sent
    )
    answer = raw.parse()
    assert answer.choices[0].message.content == "You said: one two"
    assert answer.choices[0].finish_reason == "stop"
    assert (answer.id, answer.object, answer.model) == ("chatcmpl-openai-whole", "chat.completion", "echo")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert (raw.headers["x-trace-id"], raw.headers["x-cache"]) == ("openai-whole", "bypass")
    row = gateway.row("openai-whole")
    assert (row["session_id"], row["end_user"], row["metadata"]) == ("s1", "ada", {"team": "a"})
    assert (row["output"], row["status"], row["notes"]["dialect"]) == ("You said: one two", "success", "openai")


def test_a_stream(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(model="echo", messages=USER, stream=True, stream_options={"include_usage": True})
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1]) == "You said: one two"
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert (chunks[-1].choices, chunks[-1].usage and chunks[-1].usage.total_tokens) == ([], 6)
    assert len({chunk.id for chunk in chunks}) == 1


async def test_an_asynchronous_stream(later: openai.AsyncOpenAI) -> None:
    async with later, later.chat.completions.stream(model="echo", messages=USER) as stream:
        kinds = [event.type async for event in stream]
        final = await stream.get_final_completion()
    assert final.choices[0].message.content == "You said: one two"
    assert {"content.delta", "content.done"} <= set(kinds)


async def test_an_asynchronous_answer(later: openai.AsyncOpenAI) -> None:
    async with later:
        answer = await later.chat.completions.create(model="echo", messages=USER)
    assert answer.choices[0].message.content == "You said: one two"


def test_a_deployment_with_its_inputs(client: openai.OpenAI) -> None:
    # the client wants messages; a null is as good as none
    answer = client.chat.completions.create(
        model="deployment/p-hello", messages=[], extra_body={"messages": None, "inputs": {"name": "Ada"}}
    )
    assert answer.choices[0].message.content == "You said: Hello Ada"
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="deployment/p-hello", messages=[], extra_body={"messages": None})
    assert (caught.value.param, caught.value.code) == ("inputs", "missing_inputs")


@pytest.mark.parametrize("model", [MODEL, "openai:gpt-4o-mini", "gpt-4o-mini"])
def test_a_model_is_named_in_many_ways(client: openai.OpenAI, model: str) -> None:
    answer = client.chat.completions.create(model=model, messages=USER)
    assert answer.choices[0].message.content == "Hello from openai"


@pytest.mark.parametrize("vendor", MODELS)
def test_parallel_calls_of_every_vendor(client: openai.OpenAI, fleet: Fleet, vendor: str) -> None:
    """Whole, and streamed through the client's helper, which fails where indices have gaps."""
    fleet[vendor].script = SCENARIOS["tool2"]
    model = f"{vendor}/{MODELS[vendor]}"
    answer = client.chat.completions.create(model=model, messages=USER, tools=TOOLS)
    with client.chat.completions.stream(model=model, messages=USER, tools=TOOLS) as stream:
        told = stream.get_final_completion()
    for choice in (answer.choices[0], told.choices[0]):
        assert choice.finish_reason == "tool_calls"
        assert choice.message.tool_calls is not None
        called = [call.function for call in choice.message.tool_calls if call.type == "function"]
        assert [(function.name, json.loads(function.arguments)) for function in called] == [
            ("get_weather", {"city": "Paris"}),
            ("get_time", {"zone": "Europe/Paris"}),
        ]
        assert len({call.id for call in choice.message.tool_calls}) == 2


def test_functions_are_answered_in_their_own_words(client: openai.OpenAI) -> None:
    asked: Any = {"model": f"{MODEL}~tool", "messages": USER, "functions": [WEATHER]}
    (choice,) = client.chat.completions.create(**asked).choices
    assert choice.finish_reason == "function_call"
    assert choice.message.function_call is not None
    assert choice.message.tool_calls is None
    assert json.loads(choice.message.function_call.arguments) == {"city": "Paris"}
    chunks = list(client.chat.completions.create(**asked, stream=True))
    calls = [chunk.choices[0].delta.function_call for chunk in chunks]
    assert "".join(call.name or "" for call in calls if call) == "get_weather"
    assert json.loads("".join(call.arguments or "" for call in calls if call)) == {"city": "Paris"}
    assert chunks[-1].choices[0].finish_reason == "function_call"


def test_a_call_that_the_provider_does_not_stream(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(model="echo", messages=USER, tools=TOOLS, tool_choice="required") as stream:
        (choice,) = stream.get_final_completion().choices
    assert choice.message.tool_calls is not None
    assert choice.message.tool_calls[0].function.name == "get_weather"


def test_several_answers(client: openai.OpenAI) -> None:
    asked: Any = {"model": "echo", "messages": USER, "n": 3}
    answer = client.chat.completions.create(**asked)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    with client.chat.completions.stream(**asked) as stream:
        told = stream.get_final_completion()
    assert [choice.message.content for choice in told.choices] == ["You said: one two"] * 3


class City(BaseModel):
    name: str


def test_a_schema_goes_to_the_provider(client: openai.OpenAI, fleet: Fleet) -> None:
    with pytest.raises(ValueError, match="JSON"):  # the loopback vendor greets, whatever it is asked
        client.chat.completions.parse(model=MODEL, messages=USER, response_format=City)
    (request,) = fleet["openai"].requests
    assert request.json["response_format"]["json_schema"]["name"] == "City"


def test_reasoning(client: openai.OpenAI) -> None:
    model = f"groq/{MODELS['groq']}~think"
    message = client.chat.completions.create(model=model, messages=USER).choices[0].message
    chunks = list(client.chat.completions.create(model=model, messages=USER, stream=True))
    told = "".join(chunk.choices[0].delta.to_dict().get("reasoning_content", "") for chunk in chunks)  # type: ignore[misc]
    assert (message.to_dict()["reasoning_content"], message.content) == ("Two and two.", "Four")
    assert told == "Two and two."


def test_a_text(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="echo", prompt=["one two"], echo=True)
    assert (answer.choices[0].text, answer.object) == ("one twoYou said: one two", "text_completion")
    stream = client.completions.create(model="echo", prompt="one two", echo=True, stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == "one twoYou said: one two"


@pytest.mark.usefixtures("fleet")
@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("echo", ["You said: one", "You said: two three"]),
        (f"anthropic/{MODELS['anthropic']}", ["Hello from anthropic"] * 2),
        ("gpt-3.5-turbo-instruct", None),
    ],
)
@pytest.mark.parametrize("n", [1, 2])
def test_several_texts(client: openai.OpenAI, gateway: Local, model: str, said: list[str] | None, n: int) -> None:
    """Of a completion model what it says of each prompt alone is what it says of it in the list."""
    prompts = ["one", "two three"]
    asked: Any = {"model": model, "echo": True, "n": n}
    if said is None:
        alone = [client.completions.create(**{**asked, "n": 1}, prompt=prompt).choices[0].text for prompt in prompts]
        assert [text.startswith(prompt) for text, prompt in zip(alone, prompts, strict=True)] == [True, True]
    else:
        alone = [prompt + text for prompt, text in zip(prompts, said, strict=True)]
    expected = [text for text in alone for _ in range(n)]
    trace_id = f"prompts-{model.rpartition('/')[2]}-{n}"
    answer = client.completions.create(**asked, prompt=prompts, extra_headers={"x-trace-id": trace_id})
    assert [(choice.index, choice.text) for choice in answer.choices] == list(enumerate(expected))
    row = gateway.row(trace_id)
    # the row has what the provider said, which of a chat model is without the prompt
    bare = [text for text in said or alone for _ in range(n)]
    assert row["output"] == bare
    assert answer.usage is not None
    assert (row["total_tokens"], row["notes"]["kind"]) == (answer.usage.total_tokens, "text")
    told, ended = [""] * (2 * n), list[int]()
    for chunk in client.completions.create(**asked, prompt=prompts, stream=True):
        for choice in chunk.choices:
            told[choice.index] += choice.text
            ended += [choice.index] if choice.finish_reason else []
    assert (told, sorted(ended)) == (expected, list(range(2 * n)))


def test_a_completion_model_is_asked_for_each_text(client: openai.OpenAI, fleet: Fleet) -> None:
    client.completions.create(model="gpt-3.5-turbo-instruct", prompt=["one", "two"], n=2)
    sent = [(request.target, request.json["prompt"], request.json["n"]) for request in fleet["openai"].requests]
    assert sorted(sent) == [("/v1/completions", "one", 2), ("/v1/completions", "two", 2)]


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("prompt", [["a"] * 65, [[1, 2], [3]]])
def test_too_many_texts_and_tokens_are_refused(client: openai.OpenAI, prompt: Any, stream: bool) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.completions.create(model="echo", prompt=prompt, n=2, stream=stream)
    assert caught.value.param == "prompt"


def test_a_list_of_texts_is_cached_apart_from_a_conversation(client: openai.OpenAI) -> None:
    texts, cached = ["red", "blue"], {"cache": True}
    messages: Any = [{"role": "user", "content": text} for text in texts]
    seen: list[Any] = [
        client.completions.with_raw_response.create(model="echo", prompt=texts, extra_body=cached),
        client.chat.completions.with_raw_response.create(model="echo", messages=messages, extra_body=cached),
        client.completions.with_raw_response.create(model="echo", prompt=texts, extra_body=cached),
        client.completions.with_raw_response.create(model="echo", prompt="red", extra_body=cached),
        client.chat.completions.with_raw_response.create(model="echo", messages=messages[:1], extra_body=cached),
    ]
    assert [raw.headers["x-cache"] for raw in seen] == ["miss", "miss", "hit", "miss", "hit"]
    answer = seen[2].parse()
    assert isinstance(answer, openai.types.Completion)
    assert [choice.text for choice in answer.choices] == ["You said: red", "You said: blue"]


@pytest.mark.parametrize("encoding", ["float", "base64", openai.omit])
def test_embeddings(client: openai.OpenAI, encoding: Any) -> None:
    answer = client.embeddings.create(model="text-embedding-3-small", input=["one", "two"], encoding_format=encoding)
    assert [one.index for one in answer.data] == [0, 1]
    assert answer.usage.total_tokens > 0
    if encoding != "base64":
        assert all(isinstance(number, float) for one in answer.data for number in one.embedding)
    else:
        assert all(isinstance(one.embedding, str) for one in answer.data)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "kind", "code"),
    [
        ("nope", openai.NotFoundError, "model_not_found"),
        ("deployment/nope", openai.NotFoundError, "model_not_found"),
        ("", openai.BadRequestError, "invalid_value"),
        (f"{MODEL}~e401", openai.AuthenticationError, "invalid_api_key"),
        (f"{MODEL}~e403", openai.PermissionDeniedError, "permission"),
        (f"{MODEL}~e429", openai.RateLimitError, "rate_limit_exceeded"),
        (f"{MODEL}~context", openai.BadRequestError, "context_length_exceeded"),
        (f"{MODEL}~e500", openai.InternalServerError, "upstream_failed"),
    ],
)
def test_errors_are_the_clients_own(
    client: openai.OpenAI, model: str, kind: type[openai.APIStatusError], code: str, stream: bool
) -> None:
    with pytest.raises(kind) as caught:
        client.chat.completions.create(model=model, messages=USER, stream=stream)
    assert caught.value.code == code
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["message"]


def test_an_unknown_path_is_repeated(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.post("/foo", body={}, cast_to=object)
    assert "Invalid URL (POST /v1/foo)" in str(caught.value)


def test_a_failure_in_mid_stream_is_an_error(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(model=f"{MODEL}~serr", messages=USER, stream=True)
    first = [next(stream).choices[0].delta.content for _ in range(2)]
    assert first == ["", "Hello"]
    with pytest.raises(openai.APIError) as caught:
        list(stream)
    assert "openai" in caught.value.message
    assert caught.value.code == "upstream_failed"


def test_the_cache_answers_when_it_is_asked(client: openai.OpenAI) -> None:
    asked: Any = {"model": MODEL, "messages": [{"role": "user", "content": "cached"}], "extra_body": {"cache": True}}
    seen = [client.chat.completions.with_raw_response.create(**asked).headers["x-cache"] for _ in range(2)]
    assert seen == ["miss", "hit"]
    told = client.chat.completions.create(**asked, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in told) == "Hello from openai"
