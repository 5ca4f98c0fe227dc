"""What the loopback upstreams refuse, since a test against a server that takes everything proves nothing.

Each row is a body that its vendor's documentation forbids, what it answers, and the words by which it can be known.
"""

from __future__ import annotations

import json
from contextlib import closing
from typing import Any

import boto3
import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.upstreams.bedrock import ACCESS_KEY, REGION, Bedrock
from tests.upstreams.fleet import BASES, MODELS, Fleet
from tests.upstreams.vertex import LOCATION, PROJECT, Vertex

Json = Any

HELLO = [{"role": "user", "content": "Hello"}]
CALL = {"id": "call00001", "type": "function", "function": {"name": "f", "arguments": "{}"}}
RESULT = {"role": "tool", "tool_call_id": "call00001", "content": "1"}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
TEXT = [{"text": "Hello"}]
USE = {"toolUse": {"toolUseId": "t1", "name": "f", "input": {}}}
SPEC = {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]}
CLAUDE_USE = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]}
CLAUDE_TOOLS = [{"name": "f", "input_schema": {"type": "object"}}]
GEMINI_CALL = {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]}

REFUSED: list[tuple[str, Json, int, str]] = [
    ("openai", {"safe_prompt": True}, 400, "Unrecognized request argument supplied: safe_prompt"),
    ("openai", {"temperature": "0"}, 400, "temperature"),
    ("openai", {"temperature": 3}, 400, "temperature"),
    ("openai", {"messages": []}, 400, "messages"),
    ("openai", {"messages": [*HELLO, RESULT]}, 400, "preceding message"),
    ("openai", {"messages": [*HELLO, {"role": "assistant", "tool_calls": [CALL]}]}, 400, "tool_call_id"),
    ("openai", {"messages": [{"role": "assistant", "tool_calls": [CALL]}, *HELLO]}, 400, "tool_call_id"),
    ("openai", {"stream_options": {"include_usage": True}}, 400, "stream_options"),
    ("openai", {"tool_choice": "auto"}, 400, "tool_choice"),
    ("openai", {"response_format": {"type": "json_object"}}, 400, "must contain the word 'json'"),
    ("openai", {"model": "o3-mini", "max_tokens": 5}, 400, "max_completion_tokens"),
    ("groq", {"logprobs": True}, 400, "logprobs"),
    ("groq", {"n": 2}, 400, "n"),
    ("groq", {"safe_prompt": True}, 400, "property 'safe_prompt' is unsupported"),
    ("fireworks", {"safe_prompt": True}, 400, "Extra inputs are not permitted"),
    ("fireworks", {"tool_choice": "any", "tools": TOOLS}, 400, "tool_choice"),
    ("mistral", {"stream_options": {"include_usage": True}}, 422, "stream_options"),
    ("mistral", {"seed": 1}, 422, "extra_forbidden"),
    ("mistral", {"messages": [*HELLO, {"role": "assistant", "content": "x"}]}, 400, "Expected last role User or Tool"),
    (
        "mistral",
        {
            "messages": [
                {"role": "assistant", "tool_calls": [{**CALL, "id": "call_1"}]},
                {**RESULT, "tool_call_id": "call_1"},
            ]
        },
        400,
        "length of 9",
    ),
    ("anthropic", {"max_tokens": None}, 400, "max_tokens"),
    ("anthropic", {"frequency_penalty": 0}, 400, "frequency_penalty: Extra inputs are not permitted"),
    ("anthropic", {"temperature": 1.5}, 400, "temperature"),
    ("anthropic", {"temperature": 0.5, "top_p": 0.5}, 400, "cannot both be specified"),
    ("anthropic", {"messages": [{"role": "system", "content": "x"}]}, 400, "role"),
    ("anthropic", {"messages": [{"role": "user", "content": ""}]}, 400, "content"),
    ("anthropic", {"messages": [*HELLO, CLAUDE_USE, *HELLO], "tools": CLAUDE_TOOLS}, 400, "without `tool_result`"),
    (
        "anthropic",
        {"messages": [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1"}]}]},
        400,
        "unexpected `tool_use_id`",
    ),
    ("anthropic", {"tool_choice": {"type": "auto"}}, 400, "tool_choice"),
    ("anthropic", {"output_format": {"type": "json_schema"}}, 400, "output_format"),
    ("vertexai", {"safe_prompt": True}, 400, 'Unknown name \\"safe_prompt\\"'),
    ("vertexai", {"generationConfig": {"max_tokens": 5}}, 400, "generationConfig"),
    ("vertexai", {"contents": [{"role": "assistant", "parts": TEXT}]}, 400, "role"),
    ("vertexai", {"contents": [GEMINI_CALL, {"role": "user", "parts": TEXT}]}, 400, "function response parts"),
    ("aws_bedrock", {"temperature": 1}, 400, "Unknown parameter in input"),
    ("aws_bedrock", {"inferenceConfig": {"maxTokens": "5"}}, 400, "maxTokens"),
    ("aws_bedrock", {"inferenceConfig": {"temperature": 0.5, "topP": 0.5}}, 400, "cannot both be specified"),
    ("aws_bedrock", {"messages": [{"role": "assistant", "content": TEXT}]}, 400, "must start with a user message"),
    ("aws_bedrock", {"messages": [{"role": "user", "content": TEXT}] * 2}, 400, "must alternate"),
    (
        "aws_bedrock",
        {"messages": [{"role": "user", "content": TEXT}, {"role": "assistant", "content": [USE]}]},
        400,
        "toolConfig field must be defined",
    ),
    (
        "aws_bedrock",
        {
            "messages": [
                {"role": "user", "content": TEXT},
                {"role": "assistant", "content": [USE]},
                {"role": "user", "content": TEXT},
            ],
            "toolConfig": SPEC,
        },
        400,
        "Expected toolResult blocks",
    ),
    ("cohere", {"stream_options": {"include_usage": True}}, 422, "unknown field"),
    ("cohere", {"frequency_penalty": 2}, 400, "frequency_penalty"),
    ("cohere", {"tool_choice": "REQUIRED"}, 400, "tool_choice requires tools"),
    ("cohere", {"tool_choice": "auto", "tools": TOOLS}, 400, "tool_choice"),
    ("cohere", {"messages": [*HELLO, RESULT]}, 400, "no matching tool call"),
]


def plain(name: str) -> dict[str, Json]:
    match name:
        case "vertexai":
            return {"contents": [{"role": "user", "parts": TEXT}]}
        case "aws_bedrock":
            return {"messages": [{"role": "user", "content": TEXT}]}
        case "anthropic":
            return {"model": MODELS[name], "messages": HELLO, "max_tokens": 10}
        case _:
            return {"model": MODELS[name], "messages": HELLO}


def address(fleet: Fleet, name: str) -> str:
    model = MODELS[name]
    match name:
        case "vertexai":
            place = f"projects/{PROJECT}/locations/{LOCATION}/publishers/google/models/{model}"
            return f"{fleet[name].url}/v1/{place}:generateContent"
        case "aws_bedrock":
            return f"{fleet[name].url}/model/{model}/converse"
        case "anthropic":
            return f"{fleet[name].url}/v1/messages"
        case "cohere":
            return f"{fleet[name].url}/v2/chat"
        case "azure":
            return f"{fleet[name].url}/openai/deployments/{model}/chat/completions?api-version=2024-10-21"
    return f"{fleet[name].url}{BASES[name]}/chat/completions"


def head(fleet: Fleet, name: str) -> dict[str, str]:
    upstream = fleet[name]
    match upstream:
        case Vertex():
            return {"authorization": f"Bearer {upstream.token}"}
    if name == "anthropic":
        return {"x-api-key": upstream.key, "anthropic-version": "2023-06-01"}
    if name == "azure":
        return {"api-key": upstream.key}
    return {"authorization": f"Bearer {upstream.key}"}


def post(fleet: Fleet, name: str, body: Json, headers: dict[str, str] | None = None, url: str = "") -> httpx.Response:
    url = url or address(fleet, name)
    data = json.dumps({key: value for key, value in body.items() if value is not None}).encode()
    sent = {**head(fleet, name), **(headers or {}), "content-type": "application/json"}
    if name == "aws_bedrock":
        sent = signed(fleet, url, data)
    return httpx.post(url, content=data, headers=sent)


def signed(fleet: Fleet, url: str, data: bytes) -> dict[str, str]:
    upstream = fleet["aws_bedrock"]
    assert isinstance(upstream, Bedrock)
    request = AWSRequest(method="POST", url=url, data=data, headers={"content-type": "application/json"})
    SigV4Auth(Credentials(ACCESS_KEY, upstream.secret), "bedrock", REGION).add_auth(request)
    return dict(request.headers.items())


@pytest.mark.parametrize("name", MODELS)
def test_a_plain_body_is_taken(fleet: Fleet, name: str) -> None:
    assert post(fleet, name, plain(name)).status_code == 200


@pytest.mark.parametrize(("name", "change", "status", "words"), REFUSED)
def test_refused(fleet: Fleet, name: str, change: Json, status: int, words: str) -> None:
    answer = post(fleet, name, plain(name) | change)
    assert answer.status_code == status
    assert words in answer.text


@pytest.mark.parametrize("name", [name for name in MODELS if name != "aws_bedrock"])
def test_wrong_key(fleet: Fleet, name: str) -> None:
    wrong = dict.fromkeys(("authorization", "x-api-key", "api-key"), "Bearer wrong")
    assert post(fleet, name, plain(name), wrong).status_code == 401


@pytest.mark.parametrize("change", ["body", "path", "date", "key", "none"])
def test_signature(fleet: Fleet, change: str) -> None:
    """Whatever was signed cannot be changed."""
    url = address(fleet, "aws_bedrock")
    data = json.dumps(plain("aws_bedrock")).encode()
    headers = signed(fleet, url, data)
    assert httpx.post(url, content=data, headers=headers).status_code == 200
    match change:
        case "body":
            data += b" "
        case "path":
            url += "-stream"
        case "date":
            headers["X-Amz-Date"] = "20200101T000000Z"
        case "key":
            headers["Authorization"] = headers["Authorization"].replace(ACCESS_KEY, "AKIAOTHEROTHEROTHER0")
        case "none":
            del headers["Authorization"]
    answer = httpx.post(url, content=data, headers=headers)
    assert answer.status_code == 403
    assert "x-amzn-errortype" in answer.headers


def test_signature_of_a_path_with_a_colon(fleet: Fleet) -> None:
    """Model ids hold colons, which AWS signs encoded twice; its own client is the judge."""
    upstream = fleet["aws_bedrock"]
    assert isinstance(upstream, Bedrock)
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=upstream.url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=upstream.secret,
    )
    profile = "arn:aws:bedrock:us-east-1:1:inference-profile/a:0"
    with closing(client):
        client.converse(modelId=profile, messages=plain("aws_bedrock")["messages"])
    (request,) = upstream.requests
    assert "%3A" in request.raw_path


@pytest.mark.parametrize("field", ["temperature", "top_p", "top_k"])
def test_anthropic_has_two_versions(fleet: Fleet, field: str) -> None:
    """The newer one has no sampling parameters, not even at their defaults."""
    body = plain("anthropic") | {field: 1}
    assert post(fleet, "anthropic", body).status_code == 200
    newer = post(fleet, "anthropic", body, {"anthropic-version": "2026-10-21"})
    assert newer.status_code == 400
    assert f"{field}: Extra inputs are not permitted" in newer.text
    assert post(fleet, "anthropic", plain("anthropic"), {"anthropic-version": ""}).status_code == 400


def test_azure_wants_a_version_and_its_own_header(fleet: Fleet) -> None:
    url = address(fleet, "azure")
    assert post(fleet, "azure", plain("azure"), url=url.partition("?")[0]).status_code == 404
    bearer = {"authorization": f"Bearer {fleet['azure'].key}"}
    assert httpx.post(url, json=plain("azure"), headers=bearer).status_code == 401


def test_google_sells_tokens_for_signatures_only(fleet: Fleet) -> None:
    form = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "e30.e30.c2ln"}
    answer = httpx.post(f"{fleet['vertexai'].url}/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("name", MODELS)
def test_an_unknown_path_is_not_found(fleet: Fleet, name: str) -> None:
    assert post(fleet, name, plain(name), url=f"{fleet[name].url}/v1/v1/nowhere").status_code == 404


def test_targets_and_providers_agree(fleet: Fleet) -> None:
    """What the provider tests call and what a config says are the same."""
    for name, target in fleet.targets.items():
        entry = dict(fleet.providers[name])
        assert target.api_base == entry.pop("api_base")
        key = entry.pop("api_key", None)
        assert (target.api_key.get_secret_value() if target.api_key else None) == key
        assert target.settings == entry
        assert target.model == MODELS[name]
