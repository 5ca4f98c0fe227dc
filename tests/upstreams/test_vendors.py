"""The loopback upstreams against the vendors' own clients: what these understand is the vendor's format.

Every client does the same things in its own words: a whole answer, a stream, tool calls both ways, a refused key, a
rate limit, a field that the vendor does not know, and a stream that breaks off.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import anthropic
import boto3
import cohere
import groq
import httpx
import httpx2
import openai
import pytest
import urllib3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, EventStreamError
from cohere.core import ApiError as CohereError
from google.oauth2 import service_account
from mistralai.client import Mistral
from mistralai.client.errors import SDKError

with warnings.catch_warnings():
    # google-genai touches names of typing that Python deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    from google import genai
    from google.genai import types as gemini

from tests.upstreams.bedrock import ACCESS_KEY, REGION, Bedrock
from tests.upstreams.fleet import BASES, MODELS, Fleet
from tests.upstreams.scenario import SCENARIOS, TIME, UNICODE, WEATHER, Scenario
from tests.upstreams.vertex import LOCATION, PROJECT, Vertex

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TRANSPORT = (httpx.TransportError, httpx2.TransportError)
HELLO = [{"role": "user", "content": "Hello"}]
OPENAI_TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}]


@dataclass
class Said:
    """An answer as a client understood it."""

    text: str = ""
    calls: list[tuple[str, Any]] | None = None
    usage: tuple[int, int] | None = None
    finish: str | None = None


@dataclass
class Client:
    """A vendor's client: two ways to ask, and how it fails."""

    whole: Callable[..., Said]
    stream: Callable[..., Said]
    failure: tuple[type[Exception], ...]
    status: Callable[[Any], int]
    broken: tuple[type[Exception], ...]
    finish: str = "stop"
    strict: int = 400


def joined(fragments: dict[int, list[str]]) -> list[tuple[str, Any]]:
    return [(name, json.loads("".join(parts))) for name, *parts in fragments.values()]


# the OpenAI family, through the clients of OpenAI and Groq


def chat_client(make: Callable[[Fleet, str], Any], name: str, module: Any) -> Client:
    def ask(client: Any, stream: bool, fields: dict[str, Any]) -> Any:
        options = {"stream_options": {"include_usage": True}} if stream and name != "mistral" else {}
        return client.chat.completions.create(
            model=MODELS[name], messages=HELLO, stream=stream, tools=OPENAI_TOOLS, extra_body={**options, **fields}
        )

    def whole(fleet: Fleet, key: str = "", **fields: Any) -> Said:
        with make(fleet, key or fleet[name].key) as client:
            answer = ask(client, False, fields)
        choice, usage = answer.choices[0], answer.usage
        calls = [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls or ()]
        tokens = (usage.prompt_tokens, usage.completion_tokens)
        return Said(choice.message.content or "", calls, tokens, choice.finish_reason)

    def stream(fleet: Fleet, key: str = "", **fields: Any) -> Said:
        said, calls = Said(), dict[int, list[str]]()
        with make(fleet, key or fleet[name].key) as client, ask(client, True, fields) as chunks:
            for chunk in chunks:
                if chunk.usage:
                    said.usage = (chunk.usage.prompt_tokens, chunk.usage.completion_tokens)
                for choice in chunk.choices:
                    said.text += choice.delta.content or ""
                    said.finish = choice.finish_reason or said.finish
                    for call in choice.delta.tool_calls or ():
                        calls.setdefault(call.index, [call.function.name]).append(call.function.arguments)
        said.calls = joined(calls)
        return said

    broken = (module.APIError, *TRANSPORT)
    strict = {"mistral": 422, "openrouter": 200}.get(name, 400)
    return Client(whole, stream, (module.APIStatusError,), lambda error: int(error.status_code), broken, strict=strict)


def openai_sdk(name: str) -> Callable[[Fleet, str], Any]:
    def make(fleet: Fleet, key: str) -> Any:
        if name == "azure":
            return openai.AzureOpenAI(
                azure_endpoint=fleet[name].url, api_key=key, api_version="2024-10-21", max_retries=0
            )
        return openai.OpenAI(base_url=fleet[name].url + BASES[name], api_key=key, max_retries=0)

    return make


def groq_sdk(fleet: Fleet, key: str) -> Any:
    return groq.Groq(base_url=fleet["groq"].url, api_key=key, max_retries=0)


# Anthropic


def anthropic_arguments(fleet: Fleet, key: str, fields: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    client = anthropic.Anthropic(base_url=fleet["anthropic"].url, api_key=key or fleet["anthropic"].key, max_retries=0)
    tools = [{"name": "get_weather", "input_schema": SCHEMA}]
    return client, {
        "model": MODELS["anthropic"],
        "messages": HELLO,
        "max_tokens": 100,
        "tools": tools,
        "extra_body": fields,
    }


def anthropic_said(message: Any) -> Said:
    return Said(
        "".join(block.text for block in message.content if block.type == "text"),
        [(block.name, block.input) for block in message.content if block.type == "tool_use"],
        (message.usage.input_tokens, message.usage.output_tokens),
        message.stop_reason,
    )


def anthropic_whole(fleet: Fleet, key: str = "", **fields: Any) -> Said:
    client, arguments = anthropic_arguments(fleet, key, fields)
    with client:
        return anthropic_said(client.messages.create(**arguments))


def anthropic_stream(fleet: Fleet, key: str = "", **fields: Any) -> Said:
    client, arguments = anthropic_arguments(fleet, key, fields)
    with client, client.messages.stream(**arguments) as stream:
        return anthropic_said(stream.get_final_message())


# Cohere


def cohere_arguments(fleet: Fleet, key: str, fields: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    client = cohere.ClientV2(key or fleet["cohere"].key, base_url=fleet["cohere"].url)
    options = {"max_retries": 0, "additional_body_parameters": fields}
    arguments = {"model": MODELS["cohere"], "messages": HELLO, "tools": OPENAI_TOOLS, "request_options": options}
    return client, arguments


def cohere_tokens(usage: Any) -> tuple[int, int]:
    return int(usage.tokens.input_tokens), int(usage.tokens.output_tokens)


def cohere_whole(fleet: Fleet, key: str = "", **fields: Any) -> Said:
    client, arguments = cohere_arguments(fleet, key, fields)
    with client:
        answer = client.chat(**arguments)
    text = "".join(part.text for part in answer.message.content or ())
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in answer.message.tool_calls or ()]
    return Said(text, calls, cohere_tokens(answer.usage), answer.finish_reason)


def cohere_stream(fleet: Fleet, key: str = "", **fields: Any) -> Said:
    client, arguments = cohere_arguments(fleet, key, fields)
    with client:
        return cohere_said(client.chat_stream(**arguments))


def cohere_said(events: Iterator[Any]) -> Said:
    said, calls = Said(), dict[int, list[str]]()
    for event in events:
        match event.type:
            case "content-delta":
                said.text += event.delta.message.content.text
            case "tool-call-start":
                function = event.delta.message.tool_calls.function
                calls[event.index] = [function.name, function.arguments]
            case "tool-call-delta":
                calls[event.index].append(event.delta.message.tool_calls.function.arguments)
            case "message-end":
                said.usage, said.finish = cohere_tokens(event.delta.usage), event.delta.finish_reason
    said.calls = joined(calls)
    return said


# Mistral


def mistral_arguments(fleet: Fleet, key: str) -> tuple[Any, dict[str, Any]]:
    client = Mistral(api_key=key or fleet["mistral"].key, server_url=fleet["mistral"].url)
    return client, {"model": MODELS["mistral"], "messages": HELLO, "tools": OPENAI_TOOLS}


def mistral_whole(fleet: Fleet, key: str = "", **fields: Any) -> Said:
    client, arguments = mistral_arguments(fleet, key)
    with client:
        answer = client.chat.complete(**arguments, **fields)
    choice, usage = answer.choices[0], answer.usage
    calls = [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls or ()]
    tokens = (usage.prompt_tokens, usage.completion_tokens)
    return Said(choice.message.content or "", calls, tokens, choice.finish_reason)


def mistral_stream(fleet: Fleet, key: str = "", **fields: Any) -> Said:
    client, arguments = mistral_arguments(fleet, key)
    said = Said(calls=[])
    with client, client.chat.stream(**arguments, **fields) as events:
        for event in events:
            choice, usage = event.data.choices[0], event.data.usage
            said.text += choice.delta.content or ""
            said.finish = choice.finish_reason or said.finish
            calls = choice.delta.tool_calls or ()
            said.calls = [*(said.calls or ()), *((c.function.name, json.loads(c.function.arguments)) for c in calls)]
            if usage:
                said.usage = (usage.prompt_tokens, usage.completion_tokens)
    return said


# Gemini on Vertex AI


def gemini_arguments(fleet: Fleet, key: str, fields: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    upstream = fleet["vertexai"]
    assert isinstance(upstream, Vertex)
    info = json.loads(upstream.credentials)
    if key:
        info["private_key"] = json.loads(Vertex().credentials)["private_key"]
    client = genai.Client(
        vertexai=True,
        project=PROJECT,
        location=LOCATION,
        credentials=service_account.Credentials.from_service_account_info(
            info, scopes=["https://www.googleapis.com/auth/cloud-platform"]
        ),
        http_options=gemini.HttpOptions(base_url=upstream.url, api_version="v1", extra_body=fields or None),
    )
    tools = [
        gemini.Tool(
            function_declarations=[gemini.FunctionDeclaration(name="get_weather", parameters_json_schema=SCHEMA)]
        )
    ]
    automatic = gemini.AutomaticFunctionCallingConfig(disable=True)
    config = gemini.GenerateContentConfig(tools=tools, automatic_function_calling=automatic)
    return client, {"model": MODELS["vertexai"], "contents": "Hello", "config": config}


def gemini_said(answers: Iterator[Any]) -> Said:
    said = Said(calls=[])
    for answer in answers:
        candidate = answer.candidates[0]
        for part in candidate.content.parts:
            said.text += part.text or ""
            if part.function_call:
                said.calls = [*(said.calls or ()), (part.function_call.name, part.function_call.args)]
        said.finish = candidate.finish_reason.value if candidate.finish_reason else said.finish
        if usage := answer.usage_metadata:
            said.usage = (usage.prompt_token_count, usage.candidates_token_count)
    return said


def gemini_whole(fleet: Fleet, key: str = "", **fields: Any) -> Said:
    client, arguments = gemini_arguments(fleet, key, fields)
    with client:
        return gemini_said(iter([client.models.generate_content(**arguments)]))


def gemini_stream(fleet: Fleet, key: str = "", **fields: Any) -> Said:
    client, arguments = gemini_arguments(fleet, key, fields)
    with client:
        return gemini_said(client.models.generate_content_stream(**arguments))


def gemini_errors() -> tuple[type[Exception], ...]:
    from google.auth.exceptions import RefreshError
    from google.genai.errors import APIError

    return (APIError, RefreshError)


# Bedrock


def bedrock_arguments(fleet: Fleet, key: str, fields: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    upstream = fleet["aws_bedrock"]
    assert isinstance(upstream, Bedrock)
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=upstream.url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=key or upstream.secret,
        config=Config(retries={"total_max_attempts": 1}, parameter_validation=not fields),
    )
    tools = [{"toolSpec": {"name": "get_weather", "inputSchema": {"json": SCHEMA}}}]
    messages = [{"role": "user", "content": [{"text": "Hello"}]}]
    return client, {"modelId": MODELS["aws_bedrock"], "messages": messages, "toolConfig": {"tools": tools}}


def bedrock_whole(fleet: Fleet, key: str = "", **fields: Any) -> Said:
    client, arguments = bedrock_arguments(fleet, key, fields)
    with closing(client):
        answer = client.converse(**arguments)
    content = answer["output"]["message"]["content"]
    return Said(
        "".join(block.get("text", "") for block in content),
        [(block["toolUse"]["name"], block["toolUse"]["input"]) for block in content if "toolUse" in block],
        (answer["usage"]["inputTokens"], answer["usage"]["outputTokens"]),
        answer["stopReason"],
    )


def bedrock_stream(fleet: Fleet, key: str = "", **fields: Any) -> Said:
    client, arguments = bedrock_arguments(fleet, key, fields)
    with closing(client), closing(client.converse_stream(**arguments)["stream"]) as events:
        return bedrock_said(events)


def bedrock_said(events: Iterable[Any]) -> Said:
    said, calls = Said(), dict[int, list[str]]()
    for event in events:
        match event:
            case {"contentBlockStart": {"contentBlockIndex": index, "start": {"toolUse": start}}}:
                calls[index] = [start["name"]]
            case {"contentBlockDelta": {"delta": {"text": text}}}:
                said.text += text
            case {"contentBlockDelta": {"contentBlockIndex": index, "delta": {"toolUse": part}}}:
                calls[index].append(part["input"])
            case {"messageStop": stop}:
                said.finish = stop["stopReason"]
            case {"metadata": {"usage": usage}}:
                said.usage = (usage["inputTokens"], usage["outputTokens"])
    said.calls = joined(calls)
    return said


CLIENTS: dict[str, Client] = {
    **{
        name: chat_client(openai_sdk(name), name, openai)
        for name in ("openai", "azure", "anyscale", "litellm", "openrouter", "fireworks")
    },
    "groq": chat_client(groq_sdk, "groq", groq),
    "anthropic": Client(
        anthropic_whole,
        anthropic_stream,
        (anthropic.APIStatusError,),
        lambda error: int(error.status_code),
        (anthropic.APIError, *TRANSPORT),
        finish="end_turn",
    ),
    "cohere": Client(
        cohere_whole,
        cohere_stream,
        (CohereError,),
        lambda error: int(error.status_code),
        TRANSPORT,
        finish="COMPLETE",
        strict=422,
    ),
    "mistral": Client(
        mistral_whole,
        mistral_stream,
        (SDKError,),
        lambda error: int(error.status_code),
        TRANSPORT,
        strict=422,
    ),
    "vertexai": Client(
        gemini_whole,
        gemini_stream,
        gemini_errors(),
        lambda error: int(getattr(error, "code", 401)),
        TRANSPORT,
        finish="STOP",
    ),
    "aws_bedrock": Client(
        bedrock_whole,
        bedrock_stream,
        (ClientError,),
        lambda error: int(error.response["ResponseMetadata"]["HTTPStatusCode"]),
        (BotoCoreError, EventStreamError, urllib3.exceptions.ProtocolError),
        finish="end_turn",
    ),
}

both = pytest.mark.parametrize("way", ["whole", "stream"])
every = pytest.mark.parametrize("name", CLIENTS)


def ask(fleet: Fleet, name: str, way: str, **fields: Any) -> Said:
    method: Callable[..., Said] = getattr(CLIENTS[name], way)
    return method(fleet, **fields)


def test_every_vendor_has_a_client() -> None:
    assert set(CLIENTS) == set(MODELS)


@both
@every
def test_text(fleet: Fleet, name: str, way: str) -> None:
    said = ask(fleet, name, way)
    assert said == Said(f"Hello from {name}", [], (6, 5), CLIENTS[name].finish)
    (request,) = fleet[name].requests
    assert request.stream is (way == "stream")


@both
@every
def test_tool_calls(fleet: Fleet, name: str, way: str) -> None:
    fleet[name].script = SCENARIOS["tool2"]
    said = ask(fleet, name, way)
    assert said.calls == [("get_weather", WEATHER.arguments), ("get_time", TIME.arguments)]
    assert said.usage == (6, 8)


@both
@every
def test_unicode_survives_being_cut_at_every_byte(fleet: Fleet, name: str, way: str) -> None:
    fleet[name].script = SCENARIOS["split"]
    assert ask(fleet, name, way).text == "".join(UNICODE)


@both
@pytest.mark.parametrize("name", [name for name in CLIENTS if name != "aws_bedrock"])
def test_compressed(fleet: Fleet, name: str, way: str) -> None:
    """AWS never compresses, and its client does not expect it."""
    fleet[name].script = SCENARIOS["gzip"]
    assert ask(fleet, name, way).text == f"Hello from {name}"


@both
@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
@every
def test_statuses(fleet: Fleet, name: str, way: str, status: int) -> None:
    fleet[name].script = Scenario(status=status)
    with pytest.raises(CLIENTS[name].failure) as failure:
        ask(fleet, name, way)
    assert CLIENTS[name].status(failure.value) == status


@both
@every
def test_wrong_key(fleet: Fleet, name: str, way: str) -> None:
    with pytest.raises(CLIENTS[name].failure) as failure:
        ask(fleet, name, way, key="wrong")
    assert CLIENTS[name].status(failure.value) == (403 if name == "aws_bedrock" else 401)


@pytest.mark.parametrize("name", [name for name in CLIENTS if name not in ("mistral", "aws_bedrock")])
def test_unknown_field(fleet: Fleet, name: str) -> None:
    """The clients of Mistral and AWS do not let one through; their bodies are tested with the gateway's own calls."""
    if CLIENTS[name].strict == 200:
        assert ask(fleet, name, "whole", made_up=1).finish == "stop"
        return
    with pytest.raises(CLIENTS[name].failure) as failure:
        ask(fleet, name, "whole", made_up=1)
    assert CLIENTS[name].status(failure.value) == CLIENTS[name].strict
    assert "made_up" in str(failure.value)


@pytest.mark.parametrize("fault", ["cut", "fin", "half"])
@every
def test_broken_stream(fleet: Fleet, name: str, fault: str) -> None:
    fleet[name].script = SCENARIOS[fault]
    with pytest.raises(CLIENTS[name].broken):
        ask(fleet, name, "stream")


def test_leaving_is_noticed(fleet: Fleet) -> None:
    fleet["openai"].script = SCENARIOS["stall"]
    with (
        openai_sdk("openai")(fleet, fleet["openai"].key) as client,
        client.chat.completions.create(model="gpt-4o-mini", messages=HELLO, stream=True) as chunks,
    ):
        next(iter(chunks))
        (request,) = fleet["openai"].requests
        assert not request.abandoned.is_set()
    assert request.abandoned.wait(1.5)


def test_script_in_order(fleet: Fleet) -> None:
    fleet["openai"].script = [Scenario(status=500), Scenario()]
    with pytest.raises(openai.InternalServerError):
        ask(fleet, "openai", "whole")
    assert [ask(fleet, "openai", "whole").finish for _ in range(2)] == ["stop", "stop"]


def test_scenario_by_model_name(fleet: Fleet) -> None:
    with openai_sdk("openai")(fleet, fleet["openai"].key) as client, pytest.raises(openai.RateLimitError) as failure:
        client.chat.completions.create(model="gpt-4o-mini~e429after", messages=HELLO)
    assert failure.value.response.headers["retry-after"] == "7"
