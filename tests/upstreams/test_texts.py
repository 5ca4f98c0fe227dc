"""The endpoints for texts and for embeddings, against the vendors' own clients, and what they refuse."""

from __future__ import annotations

import json
import warnings
from contextlib import closing
from typing import Any

import boto3
import cohere
import httpx
import openai
import pytest
from google.oauth2 import service_account
from mistralai.client import Mistral

from tests.upstreams.bedrock import ACCESS_KEY, REGION, Bedrock
from tests.upstreams.embeddings import vector
from tests.upstreams.fleet import BASES, Fleet
from tests.upstreams.scenario import SCENARIOS
from tests.upstreams.test_strictness import post
from tests.upstreams.vertex import LOCATION, PROJECT, Vertex

with warnings.catch_warnings():
    # google-genai touches names of typing that Python deprecates
    warnings.simplefilter("ignore", DeprecationWarning)
    from google import genai

Json = Any
FAMILY = ["openai", "anyscale", "openrouter", "litellm", "fireworks"]


def a_client(fleet: Fleet, name: str) -> openai.OpenAI:
    upstream = fleet[name]
    return openai.OpenAI(api_key=upstream.key, base_url=upstream.url + BASES[name], max_retries=0)


@pytest.mark.parametrize("name", FAMILY)
def test_texts_by_openais_client(fleet: Fleet, name: str) -> None:
    with a_client(fleet, name) as client:
        whole = client.completions.create(model="m", prompt="Once", logprobs=1, echo=True, n=2)
        assert [choice.text for choice in whole.choices] == [f"OnceHello from {name}"] * 2
        assert whole.choices[0].logprobs is not None
        assert whole.choices[0].logprobs.text_offset == [0, 4, 9, 14]
        options: Any = {"include_usage": True}
        parts = list(client.completions.create(model="m", prompt="Once", stream=True, stream_options=options))
        assert "".join(choice.text for part in parts for choice in part.choices) == f"Hello from {name}"
        assert parts[-1].usage is not None
        assert [choice.finish_reason for choice in parts[-2].choices] == ["stop"]


def test_azures_texts_and_embeddings(fleet: Fleet) -> None:
    upstream = fleet["azure"]
    with openai.AzureOpenAI(
        api_key=upstream.key, azure_endpoint=upstream.url, api_version="2024-10-21", max_retries=0
    ) as client:
        assert client.completions.create(model="d", prompt="Once").choices[0].text == "Hello from azure"
        assert client.embeddings.create(model="d", input="ab").data[0].embedding == vector("ab")


def test_a_broken_text(fleet: Fleet) -> None:
    """A stream that ends without its last word is whole to OpenAI's client: the gateway has to look."""
    fleet["openai"].script = SCENARIOS["noend"]
    with a_client(fleet, "openai") as client:
        parts = list(client.completions.create(model="m", prompt="Once", stream=True))
    assert {choice.finish_reason for part in parts for choice in part.choices} == {None}


@pytest.mark.parametrize("form", ["float", "base64"])
@pytest.mark.parametrize("name", ["openai", "anyscale", "openrouter", "litellm"])
def test_embeddings_by_openais_client(fleet: Fleet, name: str, form: Any) -> None:
    with a_client(fleet, name) as client:
        whole = client.embeddings.create(model="m", input=["ab", "c"], dimensions=4, encoding_format=form)
    data = sorted(whole.data, key=lambda each: each.index)
    if form == "float":
        assert [each.embedding for each in data] == [vector("ab", 4), vector("c", 4)]
    assert whole.usage.prompt_tokens == 6


def test_mistrals_embeddings(fleet: Fleet) -> None:
    with Mistral(api_key=fleet["mistral"].key, server_url=fleet["mistral"].url) as client:
        found = client.embeddings.create(model="mistral-embed", inputs=["ab"], output_dimension=5)
    assert found.data[0].embedding == vector("ab", 5)


def test_coheres_embeddings(fleet: Fleet) -> None:
    with httpx.Client() as http:
        client = cohere.ClientV2(api_key=fleet["cohere"].key, base_url=fleet["cohere"].url, httpx_client=http)
        asked: Any = {"input_type": "search_query", "embedding_types": ["float"], "output_dimension": 256}
        found = client.embed(model="embed-v4.0", texts=["ab", "c"], **asked)
    assert found.embeddings.float_ == [vector("ab", 256), vector("c", 256)]


def test_bedrocks_embeddings(fleet: Fleet) -> None:
    upstream = fleet["aws_bedrock"]
    assert isinstance(upstream, Bedrock)
    client = boto3.client(
        "bedrock-runtime",
        endpoint_url=upstream.url,
        region_name=REGION,
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=upstream.secret,
    )
    with closing(client):
        model, body = "amazon.titan-embed-text-v2:0", json.dumps({"inputText": "ab"})
        answer = json.loads(client.invoke_model(modelId=model, body=body)["body"].read())
    assert answer["embedding"] == vector("ab")


def test_vertex_embeddings(fleet: Fleet) -> None:
    upstream = fleet["vertexai"]
    assert isinstance(upstream, Vertex)
    scopes = ["https://www.googleapis.com/auth/cloud-platform"]
    credentials = service_account.Credentials.from_service_account_info(json.loads(upstream.credentials), scopes=scopes)
    options: Any = {"base_url": upstream.url, "api_version": "v1"}
    with closing(
        genai.Client(vertexai=True, project=PROJECT, location=LOCATION, credentials=credentials, http_options=options)
    ) as client:
        found = client.models.embed_content(model="text-embedding-005", contents=["ab", "c"])
    assert [each.values for each in found.embeddings or ()] == [vector("ab"), vector("c")]


TEXT = {"model": "m", "prompt": "Once"}
EMBED = {"model": "m", "input": ["ab"]}
COHERE = {"model": "m", "texts": ["ab"], "input_type": "search_query"}
REFUSED: list[tuple[str, str, Json, int]] = [
    ("openai", "/v1/completions", {**TEXT, "messages": []}, 400),
    ("openai", "/v1/completions", {**TEXT, "top_k": 5}, 400),
    ("openai", "/v1/completions", {**TEXT, "logprobs": True}, 400),
    ("openai", "/v1/completions", {**TEXT, "logprobs": 9}, 400),
    ("openai", "/v1/completions", {**TEXT, "max_completion_tokens": 9}, 400),
    ("openai", "/v1/completions", {**TEXT, "best_of": 1, "n": 2}, 400),
    ("openai", "/v1/completions", {**TEXT, "stream_options": {"include_usage": True}}, 400),
    ("openai", "/v1/completions", {"model": "m"}, 400),
    ("openai", "/v1/embeddings", {**EMBED, "encoding_format": "hex"}, 400),
    ("openai", "/v1/embeddings", {**EMBED, "temperature": 1}, 400),
    ("openai", "/v1/embeddings", {**EMBED, "input": []}, 400),
    ("fireworks", "/inference/v1/embeddings", {**EMBED, "user": "u"}, 400),
    ("mistral", "/v1/embeddings", {**EMBED, "dimensions": 5}, 422),
    ("mistral", "/v1/completions", TEXT, 404),
    ("groq", "/openai/v1/completions", TEXT, 404),
    ("groq", "/openai/v1/embeddings", EMBED, 404),
    ("openrouter", "/api/v1/embeddings", {"model": "m"}, 400),
    ("cohere", "/v2/embed", {"model": "m", "texts": ["ab"]}, 400),
    ("cohere", "/v2/embed", {**COHERE, "texts": [""] * 97}, 400),
    ("cohere", "/v2/embed", {**COHERE, "dimensions": 5}, 422),
    ("cohere", "/v2/embed", {**COHERE, "output_dimension": 5}, 400),
    ("aws_bedrock", "/model/amazon.titan-embed-text-v2%3A0/invoke", {"inputText": ""}, 400),
    ("aws_bedrock", "/model/amazon.titan-embed-text-v2%3A0/invoke", {"inputText": "a", "user": "u"}, 400),
    ("aws_bedrock", "/model/anthropic.claude/invoke", {"inputText": "a"}, 400),
    ("openai", "/v1/chat/completions", {**TEXT}, 400),
]


@pytest.mark.parametrize(("name", "path", "body", "status"), REFUSED)
def test_refused(fleet: Fleet, name: str, path: str, body: Json, status: int) -> None:
    assert post(fleet, name, body, url=fleet[name].url + path).status_code == status


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("predict", {"instances": [{"text": "a"}]}),
        ("predict", {"instances": []}),
        ("predict", {"instances": [{"content": "a"}], "parameters": {"dimensions": 5}}),
        ("embedContent", {"content": "a"}),
        ("embedContent", {"contents": []}),
    ],
)
def test_vertex_refuses(fleet: Fleet, verb: str, body: Json) -> None:
    place = f"projects/{PROJECT}/locations/{LOCATION}/publishers/google/models/text-embedding-005"
    assert post(fleet, "vertexai", body, url=f"{fleet['vertexai'].url}/v1/{place}:{verb}").status_code == 400
