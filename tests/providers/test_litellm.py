"""The provider itself, against the loopback vendors: keys, addresses, costs, strictness, and the life of LiteLLM."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from proxy import plugins
from proxy.config.targets import UNCHANGED
from proxy.errors import NotReady, UpstreamError
from proxy.models import Call, Chunk, Completion, CompletionRequest, Event, Json, TraceContext
from proxy.providers import credentials
from proxy.providers.engine import modules
from proxy.providers.lean import BREATH
from proxy.providers.litellm import LiteLLM
from proxy.providers.translation.names import route
from proxy.target import Target
from proxy.vendors import VENDORS
from tests.upstreams.fleet import MODELS, Fleet
from tests.upstreams.scenario import SCENARIOS, Reply, Scenario

vendors = pytest.mark.parametrize("name", MODELS)


def a_call(stream: bool = False, **params: Json) -> Call:
    messages = [{"role": "user", "content": "Hello there"}]
    return Call(CompletionRequest("parea", TraceContext("t", "t"), messages=messages, params=params, stream=stream))


async def ask(provider: LiteLLM, target: Target, call: Call | None = None) -> Completion:
    events: list[Event] = []
    async with aclosing(provider.complete(call or a_call(), target)) as answer:
        events += [event async for event in answer]
    assert isinstance(events[-1], Completion)
    assert all(isinstance(event, Chunk) for event in events[:-1])
    return events[-1]


async def refused(provider: LiteLLM, target: Target, call: Call | None = None) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await ask(provider, target, call)
    return caught.value


def test_it_is_found_by_its_name() -> None:
    assert plugins.load("providers", "litellm", "provider") is LiteLLM


# what would be sent


@vendors
async def test_it_tells_what_it_would_send(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    asked: dict[str, Json] = {
        "temperature": 0.3,
        "seed": 7,
        "max_tokens": 50,
        "logit_bias": {"5": 1},
        "stop": ["x"],
        "min_p": 0.5,
    }
    told = a_call(**asked)
    parameters = await provider.explain(told, fleet.target(name))
    assert fleet[name].requests == []
    sent = a_call(**asked)
    await ask(provider, fleet.target(name), sent)
    assert told.dropped == sent.dropped
    assert "min_p" in told.dropped, "nobody's parameter here"
    body = json.loads(fleet[name].requests[-1].body)
    assert parameters["temperature"] == 0.3
    assert "0.3" in json.dumps(body)
    assert asked.keys() & body.keys() <= parameters.keys()
    if name == "openai":
        assert asked.keys() & body.keys() == parameters.keys() & asked.keys()


# keys


@vendors
async def test_without_a_key_nothing_is_sent(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    error = await refused(provider, replace(fleet.target(name), api_key=None, settings={}))
    assert (error.code, error.status, error.upstream_status) == ("authentication", 401, None)
    assert f"providers.{name}." in error.message
    variables = [*VENDORS[name].key, *(each for names in VENDORS[name].settings.values() for each in names)]
    assert any(variable in error.message for variable in variables)
    assert fleet[name].requests == []


async def test_azure_needs_its_address(fleet: Fleet, provider: LiteLLM) -> None:
    error = await refused(provider, replace(fleet.target("azure"), api_base=None))
    assert "AZURE_API_BASE" in error.message


CANARIES = """
import asyncio, dataclasses, json, os, sys
from proxy.config.targets import UNCHANGED
from proxy.vendors import VENDORS
for vendor in VENDORS.values():
    for variables in (vendor.key, *vendor.settings.values()):
        for variable in variables:
            if variable not in ("AWS_REGION", "AWS_REGION_NAME", "AWS_DEFAULT_REGION"):
                os.environ[variable] = "canary-of-the-environment"
os.environ["AZURE_OPENAI_API_KEY"] = os.environ["OPENAI_PROJECT_ID"] = "canary-of-the-environment"

from proxy.errors import GatewayError
from proxy.models import Call, CompletionRequest, TraceContext
from proxy.providers.lean import BREATH
from proxy.providers.litellm import LiteLLM
from tests.providers.test_embeddings import EMBEDDERS
from tests.upstreams.fleet import Fleet

KINDS = (("chat", False), ("chat", True), ("text", False), ("text", True), ("embedding", False))

async def main():
    provider, answered = LiteLLM(timeout=10), 0
    await provider.start()
    loaded = set(sys.modules)
    with Fleet() as fleet:
        for name, target in fleet.targets.items():
            for kind, stream in KINDS:
                messages = [{"role": "user", "content": "hi"}]
                request = CompletionRequest("parea", TraceContext("t", "t"), kind, messages=messages, stream=stream)
                if kind == "text":
                    target = dataclasses.replace(target, mode="completion")
                if kind == "embedding" and name in EMBEDDERS:
                    target = dataclasses.replace(target, model=EMBEDDERS[name])
                if kind != "embedding" or name in EMBEDDERS:
                    async for event in provider.complete(Call(request), target):
                        pass
                    answered += 1
        seen = [(name, key) for name, upstream in fleet.upstreams.items() for request in upstream.requests
                for key, value in request.headers.items() if "canary" in value]
        bodies = [name for name, upstream in fleet.upstreams.items() for request in upstream.requests
                  if b"canary" in request.body]
    late = [name for name in sys.modules if name not in loaded]
    await provider.close()
    print(json.dumps({"answered": answered, "headers": seen, "bodies": bodies, "late": late}))

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def first_calls() -> Any:
    """What was seen of the first calls of every kind to every vendor, in a process of their own."""
    done = subprocess.run([sys.executable, "-c", CANARIES], capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


def test_no_credential_of_the_environment_is_ever_sent(first_calls: Any) -> None:
    assert (first_calls["answered"], first_calls["headers"], first_calls["bodies"]) == (58, [], [])


def test_first_calls_import_nothing(first_calls: Any) -> None:
    """It would stall requests: what is imported late belongs to `modules.LATER`."""
    assert first_calls["late"] == []


def account(**changes: str) -> dict[str, str]:
    return {"type": "service_account", "project_id": "own", "token_uri": credentials.GOOGLE_TOKEN_URI, **changes}


def keyed(provider: str, key: Any, **settings: Json) -> Target:
    text = key if isinstance(key, str) else json.dumps(key)
    return Target(provider, "m", SecretStr(text), settings=settings)


@pytest.mark.parametrize(
    "key",
    [
        "/etc/passwd",
        "plain-text",
        account(type="external_account"),
        account(type="authorized_user"),
        account(token_uri="http://169.254.169.254/token"),
        account(token_uri="https://oauth2.googleapis.com/token/../x"),
        {"type": "service_account"},
    ],
)
def test_a_vertex_key_of_a_request_is_a_service_account_of_googles(key: Any) -> None:
    with pytest.raises(UpstreamError) as caught:
        credentials.arguments(keyed("vertexai", key))
    assert caught.value.code == "authentication"
    assert "passwd" not in caught.value.message


def test_a_vertex_key_brings_its_own_project() -> None:
    found = credentials.arguments(
        keyed("vertexai", account(), vertex_project="configured", vertex_location="europe-west1")
    )
    assert json.loads(found["vertex_credentials"]) == account()
    assert (found["vertex_project"], found["vertex_location"]) == ("own", "europe-west1")


def test_the_configured_token_address_is_allowed_too(tmp_path: Any) -> None:
    inside = account(token_uri="http://127.0.0.1:1/token")
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps(inside))
    for configured in (inside, json.dumps(inside), str(path)):
        assert credentials.arguments(keyed("vertexai", inside, vertex_credentials=configured))


def test_azures_key_counts_before_its_token() -> None:
    """A request's key, above all: it must not be sent as a token, nor the token beside it."""
    configured = {"api_version": "2024-10-21", "azure_ad_token": "a-token"}
    target = replace(keyed("azure", "a-key", **configured), api_base="https://x.example")
    found = credentials.arguments(target)
    assert (found["api_key"], "azure_ad_token" in found) == ("a-key", False)
    found = credentials.arguments(replace(target, api_key=None))
    assert ("api_key" in found, found["azure_ad_token"]) == (False, "a-token")


def test_bedrock_keys_of_a_request() -> None:
    pair = {"aws_access_key_id": "id", "aws_secret_access_key": "secret"}
    configured = {"aws_access_key_id": "other", "aws_session_token": "other", "aws_region_name": "eu-west-1"}
    found = credentials.arguments(keyed("aws_bedrock", pair, **configured))
    assert found == {**pair, "aws_region_name": "eu-west-1", "aws_session_token": "", "api_key": ""}
    found = credentials.arguments(keyed("aws_bedrock", "bearer-key", **configured))
    assert found == {"aws_region_name": "eu-west-1", "api_key": "bearer-key"}
    for wrong in ({**pair, "aws_bedrock_runtime_endpoint": "http://x"}, {"aws_access_key_id": "id"}, "{"):
        with pytest.raises(UpstreamError):
            credentials.arguments(keyed("aws_bedrock", wrong))


@pytest.mark.parametrize("region", ["127.0.0.1:9/#", "evil.example", "us-east-1/../x"])
async def test_a_region_names_no_host(provider: LiteLLM, region: str) -> None:
    key = json.dumps({"aws_access_key_id": "id", "aws_secret_access_key": "secret", "aws_region_name": region})
    error = await refused(provider, Target("aws_bedrock", "amazon.nova-lite-v1:0", SecretStr(key)))
    assert (error.code, error.message) == (
        "invalid_request",
        "aws_bedrock cannot be asked: aws_region_name is no region's name",
    )


@vendors
async def test_a_refusal_does_not_show_the_key(fleet: Fleet, provider: LiteLLM, name: str) -> None:
    target = fleet.target(name)
    secrets = credentials.secrets(target)
    assert secrets
    leak = json.dumps({"error": {"message": f"wrong: {secrets[0]}"}, "message": f"wrong: {secrets[0]}"}).encode()
    fleet[name].script = Scenario(status=401, raw=leak)
    error = await refused(provider, target)
    assert error.code == "authentication"
    assert not any(secret in error.message for secret in secrets)


UNSENDABLE = (
    "key\r\nx-evil: canary",
    "key\ncanary",
    "key\x00canary",
    "key-canar\u00fd",
    "key \u201ccanary\u201d",
    "canary\ud800",
)


@pytest.mark.parametrize("stream", [False, True])
@vendors
async def test_a_key_that_no_header_can_hold_is_refused(
    fleet: Fleet, provider: LiteLLM, name: str, stream: bool
) -> None:
    for key in UNSENDABLE:
        brought = [key]
        if name == "vertexai":
            brought = []  # whose key is a document that is only read
        if name == "aws_bedrock":
            pair = {"aws_access_key_id": "AKIATESTTESTTESTTEST", "aws_secret_access_key": "s", "aws_session_token": "t"}
            brought += [json.dumps(pair | {part: key}) for part in pair]
        for one in brought:
            error = await refused(provider, fleet.target(name).with_key(SecretStr(one)), a_call(stream))
            assert (error.code, error.status, error.upstream_status) == ("authentication", 401, None)
            assert "holds characters that cannot be sent" in error.message
            assert "canar" not in error.message
    assert fleet[name].requests == []


async def test_white_space_around_a_key_is_no_part_of_it(fleet: Fleet, provider: LiteLLM) -> None:
    target = fleet.target("openai").with_key(SecretStr(f" {fleet['openai'].key}\r\n"))
    assert (await ask(provider, target)).text


# addresses


@pytest.mark.parametrize(
    ("name", "endings"),
    [
        ("cohere", ["", "/", "/v1", "/v2", "/v2/chat"]),
        ("anthropic", ["", "/", "/v1", "/v1/", "/v1/messages"]),
    ],
)
async def test_bases_in_every_usual_form(fleet: Fleet, provider: LiteLLM, name: str, endings: list[str]) -> None:
    target = fleet.target(name)
    for ending in endings:
        assert target.api_base is not None
        assert (await ask(provider, replace(target, api_base=target.api_base + ending))).text


async def test_litellm_without_a_base_is_the_provider_of_its_prefix(fleet: Fleet, provider: LiteLLM) -> None:
    target = Target("litellm", "groq/llama-3.1-8b-instant", SecretStr("k"))
    assert (route(target).provider, route(target).model) == ("groq", "llama-3.1-8b-instant")
    assert route(replace(target, api_base="http://h")).provider == "litellm"
    for model in ("gpt-4o", "nobody/gpt-4o", "litellm/x", "echo/x", "groq/"):
        error = await refused(provider, replace(target, model=model))
        assert (error.code, error.provider) == ("invalid_request", "litellm")


async def test_defaults_of_a_target_give_way_to_the_request(fleet: Fleet, provider: LiteLLM) -> None:
    target = replace(fleet.target("openai"), params={"temperature": 0.1, "seed": 7})
    await ask(provider, target, a_call(temperature=0.9))
    (request,) = fleet["openai"].requests
    assert (request.json["temperature"], request.json["seed"]) == (0.9, 7)


async def test_history_goes_before_the_messages(fleet: Fleet, provider: LiteLLM) -> None:
    call = a_call()
    call.request.history = [{"role": "user", "content": "before"}]
    await ask(provider, fleet.target("openai"), call)
    assert [message["content"] for message in fleet["openai"].requests[0].json["messages"]] == ["before", "Hello there"]


# what is dropped, and what it costs


async def test_what_a_model_does_not_take_is_noted(fleet: Fleet, provider: LiteLLM) -> None:
    call = a_call(temperature=0.5, top_p=0.5, presence_penalty=0.5)
    await ask(provider, replace(fleet.target("openai"), model="o3-mini"), call)
    assert set(call.dropped) == {"temperature", "top_p", "presence_penalty"}
    assert not {"temperature", "top_p", "presence_penalty"} & fleet["openai"].requests[0].json.keys()


async def test_strict_params(fleet: Fleet, provider: LiteLLM) -> None:
    strict = LiteLLM(strict_params=True)
    error = await refused(strict, fleet.target("anthropic"), a_call(presence_penalty=0.5))
    assert (error.code, error.status) == ("unsupported_parameter", 400)
    assert "presence_penalty" in error.message
    assert fleet["anthropic"].requests == []
    await strict.close()


async def test_prices_of_the_target_come_first(fleet: Fleet, provider: LiteLLM) -> None:
    target = replace(fleet.target("openai"), input_cost_per_token=0.5, output_cost_per_token=0.25)
    fleet["openai"].script = Scenario(Reply(("Hi",), usage=(6, 4)))
    assert (await ask(provider, target)).cost == 4.0


async def test_an_unpriced_model_has_no_cost(fleet: Fleet, provider: LiteLLM) -> None:
    assert (await ask(provider, fleet.target("anyscale"))).cost is None


async def test_azure_is_priced_by_its_base_model(fleet: Fleet, provider: LiteLLM) -> None:
    target = fleet.target("azure")
    dear = replace(target, settings={**target.settings, "base_model": "azure/gpt-4o"})
    assert (await ask(provider, dear)).cost > (await ask(provider, target)).cost  # type: ignore[operator]


async def test_several_choices(fleet: Fleet, provider: LiteLLM) -> None:
    choices = [
        {"index": n, "finish_reason": "stop", "message": {"role": "assistant", "content": f"{n}"}} for n in (0, 1)
    ]
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini", "choices": choices}
    body["usage"] = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    fleet["openai"].script = Scenario(raw=json.dumps(body).encode())
    assert [choice.text for choice in (await ask(provider, fleet.target("openai"), a_call(n=2))).choices] == ["0", "1"]
    parts = [(0, "a", None), (1, "b", None), (0, "c", None), (0, None, "stop"), (1, None, "length")]
    events = [
        {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        | {"choices": [{"index": n, "delta": {"content": text} if text else {}, "finish_reason": end}]}
        for n, text, end in parts
    ]
    raw = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    fleet["openai"].script = Scenario(raw=raw.encode(), raw_type="text/event-stream")
    completion = await ask(provider, fleet.target("openai"), a_call(True, n=2))
    assert [choice.text for choice in completion.choices] == ["ac", "b"]
    assert completion.usage.estimated


PARTS = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]},
    {"type": "text", "text": "Hello"},
]


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning")
@pytest.mark.parametrize(
    "name", ["openai", "azure", "anyscale", "openrouter", "mistral", "litellm", "groq", "fireworks"]
)
@pytest.mark.parametrize("stream", [False, True])
async def test_content_in_parts(fleet: Fleet, provider: LiteLLM, name: str, stream: bool) -> None:
    """As models that reason answer through compatible servers."""
    body = {
        "id": "x",
        "created": 1,
        "model": "m",
        "service_tier": "on_demand",
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }
    if not stream:
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": PARTS}}
        fleet[name].script = Scenario(
            raw=json.dumps({**body, "object": "chat.completion", "choices": [choice]}).encode()
        )
    else:
        deltas: list[Json] = [
            {"role": "assistant", "content": PARTS[:1]},
            {"content": PARTS[1:]},
            {"content": " there"},
            {},
        ]
        events = [
            {**body, "object": "chat.completion.chunk"}
            | {"choices": [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}]}
            for delta in deltas
        ]
        raw = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
        fleet[name].script = Scenario(raw=raw.encode(), raw_type="text/event-stream")
    completion = await ask(provider, fleet.target(name), a_call(stream))
    assert completion.text == ("Hello there" if stream else "Hello")
    assert completion.choices[0].reasoning == "Hm."


@pytest.mark.parametrize("first", [{"x": "y"}, "Hello"])
@pytest.mark.parametrize("name", ["openai", "mistral", "fireworks"])
async def test_a_delta_that_is_no_text_is_not_passed_over(
    fleet: Fleet, provider: LiteLLM, name: str, first: Json
) -> None:
    body = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas = [{"role": "assistant", "content": first}, {"content": {"x": "y"}}, {"content": "!"}, {}]
    events = [
        body | {"choices": [{"index": 0, "delta": delta, "finish_reason": None if delta else "stop"}]}
        for delta in deltas
    ]
    raw = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
    fleet[name].script = Scenario(raw=raw.encode(), raw_type="text/event-stream")
    error = await refused(provider, fleet.target(name), a_call(True))
    assert (error.code, error.status) == ("bad_answer", 502)


async def test_half_of_a_surrogate_pair_is_replaced(fleet: Fleet, provider: LiteLLM) -> None:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a\ud83db"}}
    body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "service_tier": "default"}
    for name in ("openai", "mistral", "groq", "fireworks", "openrouter"):
        fleet[name].script = Scenario(raw=json.dumps(body | {"choices": [choice]}).encode())
        assert (await ask(provider, fleet.target(name))).text == "a\ufffdb"


# refusals of LiteLLM's own


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("vertexai", "gemma-3-27b-it"),
        ("vertexai", "chat-bison"),
        ("vertexai", "text-bison@002"),
        ("vertexai", "gemma/1234"),
        ("vertexai", "openai/1234"),
        ("aws_bedrock", "invoke/nobody.model-v1:0"),
    ],
)
async def test_a_model_that_cannot_be_called(fleet: Fleet, provider: LiteLLM, name: str, model: str) -> None:
    error = await refused(provider, fleet.target(name, model))
    assert (error.code, error.status) == ("model_not_found", 404)
    assert error.message == f"{name} has no such model, or it is one that this gateway cannot call"
    assert fleet[name].requests == []


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://169.254.169.254/x.png", "private or does not exist"),
        ("http://127.0.0.1:1/x.png", "private or does not exist"),
        ("http://nobody.invalid/x.png", "private or does not exist"),
        ("file:///etc/passwd", "neither an https address nor a data: URL"),
        ("nothing", "neither an https address nor a data: URL"),
    ],
)
@pytest.mark.parametrize("name", ["anthropic", "vertexai", "aws_bedrock"])
async def test_an_image_that_is_not_fetched(fleet: Fleet, provider: LiteLLM, name: str, url: str, said: str) -> None:
    call = a_call()
    image = {"type": "image_url", "image_url": {"url": url}}
    call.request.messages = [{"role": "user", "content": [{"type": "text", "text": "pip install"}, image]}]
    error = await refused(provider, fleet.target(name), call)
    assert (error.code, error.status) == ("invalid_request", 400)
    assert said in error.message
    assert url not in error.message
    assert not any(word in error.message for word in ("settings", "allowed_hosts", "admin", "pip"))
    assert fleet[name].requests == []


# life


async def test_leaving_closes_the_upstream_without_awaiting(fleet: Fleet, provider: LiteLLM) -> None:
    fleet["openai"].script = SCENARIOS["stall"]
    received = asyncio.Event()

    async def consume() -> None:
        async with aclosing(provider.complete(a_call(True), fleet.target("openai"))) as events:
            async for _ in events:
                received.set()

    task = asyncio.create_task(consume())
    await asyncio.wait_for(received.wait(), 5)
    started = time.perf_counter()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(fleet["openai"].requests[0].abandoned.wait, 1.5)
    assert time.perf_counter() - started < 1.5


async def test_a_burst_of_events_leaves_others_their_turns(fleet: Fleet, provider: LiteLLM) -> None:
    choice = {"index": 0, "delta": {"content": "a"}, "finish_reason": None}
    event = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    end = {**event, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
    told = [f"data: {json.dumps(each)}\n\n" for each in [*[event] * 1000, end]]
    raw = ("".join(told) + "data: [DONE]\n\n").encode()
    fleet["openai"].script = Scenario(raw=raw, raw_type="text/event-stream")
    loop = asyncio.get_running_loop()
    turn = longest = since = seen = 0

    def tick() -> None:
        nonlocal turn
        turn += 1
        loop.call_soon(tick)

    tick()
    async with aclosing(provider.complete(a_call(True), fleet.target("openai"))) as events:
        async for each in events:
            if not isinstance(each, Completion):
                since = since + 1 if turn == seen else 1
                seen, longest = turn, max(longest, since)
    assert longest <= BREATH


async def test_calls_wait_for_the_load_and_one_that_leaves_does_not_end_it(fleet: Fleet) -> None:
    provider = LiteLLM()
    assert "nobody has started it" in (await provider.ready() or "")
    first = asyncio.create_task(ask(provider, fleet.target("openai")))
    second = asyncio.create_task(ask(provider, fleet.target("openai")))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).text
    assert await provider.ready() is None
    await provider.close()


BROKEN = """
import asyncio, sys
from proxy.errors import NotReady
from proxy.models import Call, CompletionRequest, TraceContext
from proxy.target import Target
from proxy.providers.lean import BREATH
from proxy.providers.litellm import LiteLLM

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "litellm":
            raise ModuleNotFoundError("No module named 'litellm'", name=name)

sys.meta_path.insert(0, Absent())

async def main():
    provider = LiteLLM()
    said = [{"role": "user", "content": "hi"}]
    call = Call(CompletionRequest("parea", TraceContext("t", "t"), messages=said))
    for _ in range(2):
        try:
            await anext(provider.complete(call, Target("openai", "m")))
        except NotReady as error:
            print(error.status, error.message)
    print(await provider.ready())
    await provider.close()

asyncio.run(main())
"""


def test_an_import_that_fails_is_told_to_every_caller() -> None:
    done = subprocess.run([sys.executable, "-c", BROKEN], capture_output=True, text=True, timeout=30, check=False)
    reason = "LiteLLM cannot be imported: ModuleNotFoundError: No module named 'litellm'"
    assert done.stdout.splitlines() == [f"503 {reason}", f"503 {reason}", reason], done.stderr[-2000:]


async def test_a_provider_that_is_closed_while_loading_says_so(fleet: Fleet) -> None:
    provider = LiteLLM()
    provider.start()
    await provider.close()
    assert "shutting down" in (await provider.ready() or "") or await provider.ready() is None
    if await provider.ready():
        with pytest.raises(NotReady):
            await ask(provider, fleet.target("openai"))


AGAIN = """
import asyncio, sys
from proxy.providers.engine import Engine

async def interrupted(name):
    engine = Engine()
    engine.start()
    while name not in sys.modules:
        await asyncio.sleep(0)
    await engine.close()

async def loaded():
    engine = Engine()
    litellm = await engine.loaded()
    from litellm.llms.custom_httpx.aiohttp_transport import LiteLLMAiohttpTransport
    guarded = hasattr(LiteLLMAiohttpTransport.handle_async_request, "__wrapped__")
    print(litellm.__name__, engine.reason(), guarded)
    await engine.close()

for name in sys.argv[1:]:
    asyncio.run(interrupted(name))
asyncio.run(loaded())
"""


@pytest.mark.parametrize(
    "name",
    [
        "aiohttp.client_exceptions",
        "litellm.types.utils",
        "litellm.utils",
        modules.LATER[0],
        "proxy.providers.engine.corrections",  # the first that LiteLLM is set up with
    ],
)
def test_a_load_that_was_given_up_does_not_spoil_the_next(name: str) -> None:
    """One gateway after the other in one process: the first ends while a package is half there."""
    command = [sys.executable, "-c", AGAIN, name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert done.stdout == "litellm None True\n", done.stderr[-2000:]


def test_importing_the_module_does_not_import_litellm() -> None:
    code = "import sys, proxy.providers.litellm; print('litellm' in sys.modules)"
    environment: Mapping[str, str] = dict(os.environ)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_that_only_litellm_knows_is_called_by_its_own_prefix(
    fleet: Fleet, provider: LiteLLM, stream: bool
) -> None:
    upstream = fleet["openai"]
    target = Target(
        "litellm",
        "deepseek/gpt-4o-mini",
        SecretStr(upstream.key),
        upstream.url + "/v1",
        settings={UNCHANGED: True},
        input_cost_per_token=1.0,
    )
    assert (await ask(provider, target, a_call(stream))).text == "Hello from openai"
    assert upstream.requests[-1].json["model"] == "gpt-4o-mini"
    refusal = await refused(provider, replace(target, api_key=None))
    assert refusal.code == "authentication"
