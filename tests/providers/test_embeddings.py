"""Texts to embed, against the loopback vendors: the body of each, one vector for each text, and what has none."""

from __future__ import annotations

import base64
import json
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from proxy.errors import UpstreamError
from proxy.models import Call, Completion, CompletionRequest, Json, TraceContext
from proxy.providers.litellm import LiteLLM
from proxy.providers.translation.embeddings import packed
from proxy.target import Target
from tests.providers.golden import same
from tests.providers.test_matrix import Heard, check_wording, hear
from tests.upstreams.embeddings import vector
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import SCENARIOS, Reply, Scenario

EMBEDDERS = {
    "openai": "text-embedding-3-small",
    "azure": "embedding-deployment",
    "anyscale": "thenlper/gte-large",
    "openrouter": "openai/text-embedding-3-small",
    "mistral": "mistral-embed",
    "litellm": "text-embedding-3-small",
    "fireworks": "nomic-ai/nomic-embed-text-v1.5",
    "cohere": "embed-v4.0",
    "vertexai": "text-embedding-005",
    "aws_bedrock": "amazon.titan-embed-text-v2:0",
}
PRICES = {"openai": 0.02, "litellm": 0.02, "mistral": 0.10, "cohere": 0.12, "aws_bedrock": 0.02}
"""US dollars for a million tokens, where a price is published."""

TEXTS = ["ab", "c"]
vendors = pytest.mark.parametrize("name", EMBEDDERS)


def a_call(params: dict[str, Json] | None = None, *texts: Json, stream: bool = False) -> Call:
    messages = [{"role": "user", "content": text} for text in texts or TEXTS]
    request = CompletionRequest("openai", TraceContext("t", "t"), kind="embedding", messages=messages, stream=stream)
    request.params = params or {}
    return Call(request)


async def ask(provider: LiteLLM, target: Target, call: Call | None = None) -> Completion:
    heard = Heard(call or a_call())
    await hear(provider, target, heard)
    assert heard.chunks == []
    return heard.whole


async def refused(provider: LiteLLM, target: Target, call: Call | None = None) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await ask(provider, target, call)
    return caught.value


def target(fleet: Fleet, name: str, model: str | None = None) -> Target:
    return fleet.target(name, model or EMBEDDERS[name])


BODIES: dict[str, Json] = {
    "mistral": {"model": "mistral-embed", "input": TEXTS},
    "cohere": {
        "model": "embed-v4.0",
        "texts": TEXTS,
        "input_type": "search_document",
        "embedding_types": ["float"],
    },
    "vertexai": {"instances": [{"content": "ab"}, {"content": "c"}], "parameters": {}},
    "aws_bedrock": [{"inputText": "ab"}, {"inputText": "c"}],
}
PATHS = {
    "azure": "/openai/deployments/embedding-deployment/embeddings",
    "cohere": "/v2/embed",
    "openrouter": "/api/v1/embeddings",
    "fireworks": "/inference/v1/embeddings",
    "vertexai": "/v1/projects/test-project/locations/us-central1/publishers/google/models/text-embedding-005:predict",
    "aws_bedrock": "/model/amazon.titan-embed-text-v2:0/invoke",
}


@vendors
async def test_request(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    completion = await ask(provider, target(fleet, name))
    bodies = [request.json for request in fleet[name].requests]
    expected = BODIES.get(name, {"model": EMBEDDERS[name], "input": TEXTS})
    assert bodies == (expected if isinstance(expected, list) else [expected])
    assert {request.path for request in fleet[name].requests} == {PATHS.get(name, "/v1/embeddings")}
    assert completion.embeddings == [vector("ab"), vector("c")], "in the order of the texts"
    assert (completion.choices, completion.model, completion.provider) == ([], EMBEDDERS[name], name)
    tokens = 12 if name == "aws_bedrock" else 6  # of two requests
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (tokens, 0)
    assert not completion.usage.estimated
    if name in PRICES:
        assert completion.cost == pytest.approx(tokens * PRICES[name] / 1e6)


SIZED = same("openai azure anyscale openrouter litellm fireworks", {"dimensions": 256}) | {
    "mistral": {"output_dimension": 256},
    "cohere": {"output_dimension": 256},
    "vertexai": {"parameters": {"outputDimensionality": 256}},
    "aws_bedrock": {"dimensions": 256},
}


@vendors
async def test_dimensions_and_user(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    call = a_call({"dimensions": 256, "user": "u"}, "ab")
    completion = await ask(provider, target(fleet, name), call)
    (request,) = fleet[name].requests
    assert SIZED[name].items() <= request.json.items()
    told = name in ("openai", "azure", "anyscale", "openrouter", "litellm")
    assert request.json.get("user") == ("u" if told else None)
    assert set(call.dropped) == (set() if told else {"user"})
    assert completion.embeddings == [vector("ab", 256)]


@vendors
async def test_base64(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    """Whoever cannot be asked for it: its numbers are packed here."""
    completion = await ask(provider, target(fleet, name), a_call({"encoding_format": "base64"}))
    for text, told in zip(TEXTS, completion.embeddings, strict=True):
        numbers = struct.unpack(f"<{len(vector(text))}f", base64.b64decode(told))
        assert list(numbers) == vector(text)
    asked = fleet[name].requests[0].json.get("encoding_format")
    packs = name in ("openai", "azure", "anyscale", "openrouter", "litellm", "mistral")
    assert asked == ("base64" if packs else None)


@pytest.mark.parametrize("name", ["openai", "azure", "anyscale", "openrouter", "litellm"])
async def test_tokens(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    completion = await ask(provider, target(fleet, name), a_call({}, [5, 6], [7]))
    assert fleet[name].requests[0].json["input"] == [[5, 6], [7]]
    assert completion.embeddings == [vector([5, 6]), vector([7])]


@pytest.mark.parametrize("name", ["mistral", "fireworks", "cohere", "vertexai", "aws_bedrock"])
async def test_tokens_are_not_for_everybody(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    error = await refused(provider, target(fleet, name), a_call({}, [5, 6]))
    assert (error.code, error.message) == ("invalid_request", f"input: {name} takes texts, not tokens")
    assert fleet[name].requests == []


@pytest.mark.parametrize("name", ["anthropic", "groq"])
async def test_vendors_without_embeddings(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    error = await refused(provider, fleet.target(name))
    assert (error.code, error.message) == ("invalid_request", f"model: {name} has no models that embed texts")
    assert fleet[name].requests == []


@pytest.mark.parametrize(
    ("params", "text", "said"),
    [
        ({"encoding_format": "hex"}, "a", "encoding_format: must be float or base64"),
        ({}, "", "input: a text to embed is empty"),
        ({}, {"x": 1}, "input: must be texts, or lists of tokens"),
        ({}, [1, "a"], "input: must be texts, or lists of tokens"),
    ],
)
async def test_bad_input(fleet: Fleet, provider: LiteLLM, params: dict[str, Json], text: Json, said: str) -> None:
    error = await refused(provider, target(fleet, "openai"), a_call(params, text))
    assert (error.code, error.message) == ("invalid_request", said)
    assert fleet["openai"].requests == []


async def test_what_no_embedding_takes_is_noted(fleet: Fleet, provider: LiteLLM) -> None:
    call = a_call({"temperature": 0.5, "input_type": "x", "stream": None}, stream=True)
    await ask(provider, target(fleet, "openai"), call)
    assert set(call.dropped) == {"temperature", "input_type"}
    assert fleet["openai"].requests[0].json == {"model": EMBEDDERS["openai"], "input": TEXTS}


async def test_fields_of_the_vendors_own(fleet: Fleet, provider: LiteLLM) -> None:
    added = {"extra_body": {"input_type": "search_query", "api_base": "http://evil.invalid"}}
    call = a_call({**added, "extra_headers": {"x-own": "1", "authorization": "Bearer other"}})
    await ask(provider, target(fleet, "cohere"), call)
    (request,) = fleet["cohere"].requests
    assert (request.json["input_type"], request.headers["x-own"]) == ("search_query", "1")
    assert set(call.dropped) == {"extra_body.api_base", "extra_headers.authorization"}
    await ask(provider, target(fleet, "vertexai"), a_call({"extra_body": {"task_type": "RETRIEVAL_QUERY"}}))
    assert fleet["vertexai"].requests[0].json["instances"][0]["task_type"] == "RETRIEVAL_QUERY"
    await ask(provider, target(fleet, "mistral"), a_call({"dimensions": 256, "extra_body": {"output_dtype": "float"}}))
    body = fleet["mistral"].requests[0].json
    assert (body["output_dimension"], body["output_dtype"]) == (256, "float")


async def test_a_model_that_makes_one_vector_of_all_is_asked_for_each(fleet: Fleet, provider: LiteLLM) -> None:
    completion = await ask(provider, target(fleet, "vertexai", "gemini-embedding-2-preview"))
    assert [request.path.rpartition(":")[2] for request in fleet["vertexai"].requests] == ["embedContent"] * 2
    assert completion.embeddings == [vector("ab"), vector("c")]
    assert completion.usage.prompt_tokens == 12


async def test_a_model_that_counts_nothing_is_estimated(fleet: Fleet, provider: LiteLLM) -> None:
    completion = await ask(provider, target(fleet, "aws_bedrock", "cohere.embed-english-v3"))
    assert fleet["aws_bedrock"].requests[0].json == {"texts": TEXTS, "input_type": "search_document"}
    assert completion.embeddings == [vector("ab"), vector("c")]
    assert completion.usage.estimated


@pytest.mark.parametrize(
    ("base", "path"),
    [("", "/v2/embed"), ("/v2/chat", "/v2/embed"), ("/v2/embed", "/v2/embed"), ("/v1", "/v2/embed")],
)
async def test_coheres_address(fleet: Fleet, provider: LiteLLM, base: str, path: str) -> None:
    await ask(provider, replace(target(fleet, "cohere"), api_base=fleet["cohere"].url + base))
    assert fleet["cohere"].requests[0].path == path


# failures

FAILURES = [
    ("e400", "invalid_request"),
    ("e401", "authentication"),
    ("e404", "model_not_found"),
    ("e429after", "rate_limited"),
    ("e500", "upstream_failed"),
    ("badjson", "bad_answer"),
    ("redirect", "redirected"),
    ("gzip", "bad_answer"),
    ("reset", "unreachable"),
    ("hang", "timeout"),
    ("cutbody", "truncated"),
]


@pytest.mark.parametrize(("script", "code"), FAILURES)
@vendors
async def test_failure(fleet: Fleet, provider: LiteLLM, name: str, script: str, code: str) -> None:
    fleet[name].script = SCENARIOS[script]
    limited = replace(target(fleet, name), timeout=0.3 if script == "hang" else None)
    error = await refused(provider, limited)
    assert (error.code, error.provider) == (code, name)
    assert error.retry_after == (7.0 if script == "e429after" else None)
    check_wording(fleet, name, error)
    assert len(fleet[name].requests) == 1


@vendors
async def test_guards(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    asked = target(fleet, name)
    error = await refused(provider, replace(asked, api_key=None, settings={}))
    assert (error.code, fleet[name].requests) == ("authentication", [])
    if name not in ("vertexai", "aws_bedrock"):
        error = await refused(provider, asked.with_key(SecretStr("a-wrong-key-0123456789")))
        assert error.code == "authentication"
        assert "a-wrong" not in error.message
    fleet[name].script = Scenario(raw=b"x" * 2**21)
    error = await refused(provider, asked)
    assert error.code == "bad_answer"
    assert "larger than allowed" in error.message
    assert fleet[name].requests[-1].headers["accept-encoding"] == "identity"


ODD: list[Json] = [
    [],
    [{"index": 0, "embedding": [1.0]}],
    [{"index": 0, "embedding": [1.0]}] * 3,
    [{"index": 0, "embedding": [1.0]}] * 2,
    [{"index": 0, "embedding": [1.0]}, {"index": 5, "embedding": [1.0]}],
    [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": []}],
    [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": ["x"]}],
    [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": "no base64"}],
    [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": "AAAA"}],
    None,
]


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
@pytest.mark.parametrize("data", ODD)
async def test_odd_answers(fleet: Fleet, provider: LiteLLM, data: Json) -> None:
    body = {"object": "list", "data": data, "model": "m", "usage": {"prompt_tokens": 1, "total_tokens": 1}}
    fleet["openai"].script = Scenario(raw=json.dumps(body).encode())
    assert (await refused(provider, target(fleet, "openai"))).code == "bad_answer"


@pytest.mark.parametrize("wanted", ["float", "base64"])
async def test_a_server_that_answers_in_the_other_form(fleet: Fleet, provider: LiteLLM, wanted: str) -> None:
    numbers = vector("ab")
    data = [{"index": 0, "embedding": packed(numbers) if wanted == "float" else numbers}]
    fleet["anyscale"].script = Scenario(raw=json.dumps({"object": "list", "data": data, "model": "m"}).encode())
    completion = await ask(provider, target(fleet, "anyscale"), a_call({"encoding_format": wanted}, "ab"))
    assert completion.embeddings == [numbers if wanted == "float" else packed(numbers)]
    assert completion.usage.estimated


async def test_scenarios_by_name(fleet: Fleet, provider: LiteLLM) -> None:
    fleet["openai"].script = Scenario(Reply(usage=None))
    assert (await ask(provider, target(fleet, "openai"), a_call({}, [1] * 40))).usage.prompt_tokens == 44


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=20))
def test_packing(numbers: list[float]) -> None:
    assert list(struct.unpack(f"<{len(numbers)}f", base64.b64decode(packed(numbers)))) == numbers
