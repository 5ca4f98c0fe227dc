"""Every vendor's calls over both ways: what the lean way sends and makes of it is what LiteLLM's wrapper does.

Each cell (`openai-tools_named-stream`) is asked of the same upstream three times: by the wrapper, by the lean way that
learns how such calls are written, and by the lean way that has learnt it. Where LiteLLM is wrong, `CORRECTED` says what
the lean way does instead, and why; `UNCOVERED` names what it leaves to the wrapper. Nothing else may differ.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from typing import Any

import pytest
from pydantic import SecretStr

from proxy.draft import Draft
from proxy.errors import UpstreamError
from proxy.models import Chunk, Completion
from proxy.providers import credentials, wires
from proxy.providers.engine.capture import capture
from proxy.providers.litellm import LiteLLM
from proxy.target import Target
from tests.providers.features import ADDED, FEATURES
from tests.providers.golden import CITY, HELLO, PICTURE, ROWS, SCHEMED, SYSTEM, TOOL, same
from tests.providers.test_matrix import ANSWERS, FAILURES, SOUND, a_call
from tests.upstreams.connection import Request
from tests.upstreams.fleet import MODELS, Fleet
from tests.upstreams.scenario import SCENARIOS, UNICODE, Scenario
from tests.upstreams.vertex import Vertex

Json = Any
Correction = tuple[str, dict[str, Json]]

pytestmark = [
    # LiteLLM's own types, and how it reads them
    pytest.mark.filterwarnings("ignore:Items? .* using the `ReadOnly` qualifier:UserWarning"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_(computed_)?fields' attribute:DeprecationWarning"),
]


@dataclass(frozen=True)
class Case:
    """One request and what the upstream does with it. `added` puts the vendor's own field of `ADDED` into the body."""

    id: str
    messages: list[Json] = field(default_factory=lambda: HELLO)
    params: dict[str, Json] = field(default_factory=dict)
    script: Scenario = field(default_factory=Scenario)
    added: bool = False
    ways: tuple[str, ...] = ("whole", "stream")

    def given(self, name: str) -> dict[str, Json]:
        return {**self.params, "extra_body": ADDED[name]} if self.added else self.params


TALK: list[Json] = [
    *HELLO,
    {"role": "assistant", "content": "Hi, what is your name?"},
    {"role": "user", "content": [{"type": "text", "text": "".join(UNICODE)}, {"type": "text", "text": "It is mine."}]},
]
ODD: list[Json] = [{"role": "user", "content": "".join(UNICODE) + ' "quoted" \\ \x7f </s>\r\n\t{{name}}'}]
BLANK: list[Json] = [*HELLO, {"role": "assistant", "content": ""}, {"role": "user", "content": " "}]
REMOTE: list[Json] = [
    {"role": "user", "content": [PICTURE[0], {"type": "image_url", "image_url": {"url": "https://127.0.0.1:9/a.png"}}]}
]
EXACT = {**SCHEMED, "json_schema": {"name": "city", "schema": {**CITY, "additionalProperties": False}, "strict": True}}

REQUESTS = (
    *(Case(row.id, row.messages, dict(row.params), SCENARIOS[row.script]) for row in (*ROWS, *FEATURES)),
    Case("several", params={"n": 2}),
    Case("several_logprobs", params={"n": 2, "logprobs": True, "top_logprobs": 1}),
    Case("effort", params={"reasoning_effort": "low"}, script=SCENARIOS["think"]),
    Case("developer", [{"role": "developer", "content": "Be brief."}, *HELLO]),
    Case("late_system", [*HELLO, {"role": "assistant", "content": "Hi."}, SYSTEM, *HELLO]),
    Case("named", [{"role": "user", "name": "Ada", "content": "Hello"}]),
    Case("talk", TALK),
    Case("odd", ODD),
    Case("blank", BLANK),
    Case("long", [{"role": "user", "content": "word " * 20_000}]),
    Case("sound", SOUND),
    Case("limit", params={"max_completion_tokens": 40, "stop": "END", "user": "me"}),
    Case("exact_schema", params={"response_format": EXACT}, script=SCENARIOS["json"]),
    Case("called", params={"tools": [TOOL], "parallel_tool_calls": False}, script=SCENARIOS["tool2"]),
    Case("added", added=True),
    Case("remote", REMOTE),
)
SAID = ("think", "details", "refusal", "cited", "spoken", "empty", "nousage", "json", "comment")
REPLIES = (
    *(Case(f"answer_{name}", script=SCENARIOS[name]) for name in SAID),
    *(Case(f"answer_{name}", script=script) for name, script in ANSWERS.items() if name not in SAID),
)
ELSEWHERE = ("hang", "stall", "stall0", "e401", "e402", "e403", "e408", "e422", "e429", "e502", "e529", "deep", "array")
"""Failures that take their time, or differ from others in a word; the matrix has them."""
FAILED = tuple(
    Case(f"failure_{each.script}", script=SCENARIOS[each.script], ways=(each.way,) if each.way else ("whole", "stream"))
    for each in FAILURES
    if each.script not in ELSEWHERE
)
CASES = (*REQUESTS, *REPLIES, *FAILED, Case("failure_corrupt", script=SCENARIOS["corrupt"], ways=("stream",)))
CELLS = [
    pytest.param(name, case, way, id=f"{name}-{case.id}-{way}")
    for name in MODELS
    for case in CASES
    for way in case.ways
]

UNCOVERED: dict[str, set[str]] = {
    # LiteLLM fetches images, and unwraps JSON that Claude gives as the call of a tool
    "anthropic": {"remote", "json_schema", "exact_schema"},
    **same("vertexai aws_bedrock", {"remote"}),
}
"""What takes the wrapper, by vendor."""


def corrected(names: str, case: str, way: str, why: str, **says: Json) -> dict[tuple[str, str, str], Correction]:
    return {(name, case, way): (why, says) for name in names.split()}


BYTES = (
    "bytes that are no text are an answer that cannot be read; LiteLLM takes what is left for one that was cut short"
)
CHANCE = {"failure_corrupt": "joined"}
"""What LiteLLM's wrapper tells or not, by case: text that came before bytes that are none, if it came by itself."""

CORRECTED: dict[tuple[str, str, str], Correction] = {
    **corrected("aws_bedrock", "failure_corrupt", "stream", BYTES, code="bad_answer"),
    **corrected(
        "mistral",
        "failure_serr",
        "stream",
        "an event that tells a failure is one; LiteLLM overlooks it, and tells of a stream without an end",
        code="upstream_failed",
    ),
    **{
        key: correction
        for case in ("effort", "answer_think")
        for key, correction in corrected(
            "mistral",
            case,
            "stream",
            "thoughts have no signature here; LiteLLM makes one up, `mistral`, for what it puts together itself",
            choices=[
                {
                    "index": 0,
                    "text": "Four",
                    "calls": [],
                    "reason": "stop",
                    "reasoning": "Two and two.",
                    "logprobs": None,
                    "extra": {},
                }
            ],
        ).items()
    },
}
"""What the lean way does better: by vendor, case and way, the reason and what it says instead."""


# what is compared

CONNECTION = frozenset({"host", "connection", "content-length", "accept-encoding", "user-agent"})
SIGNED = re.compile(r"(?<=Signature=)[0-9a-f]{64}")


@dataclass
class Account:
    """What one call sent, and what came of it."""

    sent: list[Json] = field(default_factory=list)
    said: dict[str, Json] = field(default_factory=dict)

    @property
    def all(self) -> dict[str, Json]:
        return {"sent": self.sent, **self.said}

    def moved(self, other: Account) -> dict[str, Json]:
        """What differs in the other one."""
        names = self.all.keys() | other.all.keys()
        return {name: other.all.get(name) for name in names if self.all.get(name) != other.all.get(name)}


def request(found: Request) -> Json:
    """Where a request went, its head but for what belongs to the connection, and its body."""
    head = {
        name.lower(): SIGNED.sub("...", value)
        for name, value in found.headers.items()
        if name.lower() not in CONNECTION and not name.lower().startswith("x-stainless-")
    }
    if "x-amz-date" in head:
        head["x-amz-date"] = "now"
    return {"to": found.target, "head": head, "body": found.json}


def completion(found: Completion) -> dict[str, Json]:
    choices = [
        {
            "index": choice.index,
            "text": choice.text,
            "calls": [(call.id, call.name, call.arguments, call.index) for call in choice.tool_calls],
            "reason": choice.finish_reason,
            "reasoning": choice.reasoning,
            "logprobs": choice.logprobs,
            "extra": choice.extra,
        }
        for choice in found.choices
    ]
    told = ("usage", "model", "provider", "system_fingerprint")
    # the same sums in another order: the last digit of a float is nobody's
    cost = found.cost and float(f"{found.cost:.12g}")
    return {"choices": choices, "cost": cost, **{name: getattr(found, name) for name in told}}


def joined(chunks: list[Chunk]) -> Json:
    draft = Draft()
    for chunk in chunks:
        draft.add(chunk)
    return [
        (choice.index, choice.text, choice.reasoning, [(call.name, call.arguments) for call in choice.tool_calls])
        for choice in draft.choices()
    ]


async def account(fleet: Fleet, provider: LiteLLM, target: Target, case: Case, way: str) -> Account:
    """One call, told."""
    upstream = fleet[target.provider]
    upstream.reset()
    upstream.script = case.script
    call = a_call(case.messages, case.given(target.provider), way)
    chunks: list[Chunk] = []
    told = Account()
    try:
        async with aclosing(provider.complete(call, target)) as events:
            async for event in events:
                if isinstance(event, Chunk):
                    chunks.append(event)
                else:
                    told.said |= completion(event)
    except UpstreamError as error:
        told.said |= {
            name: getattr(error, name) for name in ("code", "status", "upstream_status", "retry_after", "provider")
        }
    told.sent = [request(each) for each in upstream.requests]
    told.said |= {"joined": joined(chunks), "dropped": call.dropped}
    return told


def same_names(told: Account) -> Account:
    """With one name for all calls of tools to Gemini, which gives them none, so that the gateway makes them up."""
    text = json.dumps(told.said.get("choices"))
    said = {**told.said, "choices": json.loads(re.sub(r'"call_[0-9a-f-]+"', '"call"', text))}
    return replace(told, said=said)


# the two ways

OPENAI = "OpenAIGPTConfig.transform_request"
TRANSLATES = {
    "azure": "AzureOpenAIConfig.transform_request",
    "anthropic": "AnthropicConfig.transform_request",
    "vertexai": "vertex_ai.gemini.transformation.transform_request_body",
    "aws_bedrock": "AmazonConverseConfig._async_transform_request",
    "openrouter": "OpenrouterConfig.transform_request",
    "mistral": "MistralConfig.transform_request",
    "groq": "GroqChatConfig.transform_request",
    "fireworks": "FireworksAIConfig.transform_request",
    "cohere": "CohereV2ChatConfig.transform_request",
}
"""What makes the bodies in LiteLLM, where they are not what the wrapper was given."""


@dataclass
class Wrapper:
    """LiteLLM's wrapper: what it was last called with, and how often."""

    ask: Callable[..., Any]
    calls: int = 0
    named: dict[str, Json] = field(default_factory=dict)

    async def __call__(self, **named: Json) -> Any:
        self.calls += 1
        self.named = named
        return await self.ask(**named)

    async def why(self, target: Target) -> str:
        """What moved in LiteLLM, so that such a call cannot be repeated."""
        stream = bool(self.named.get("stream"))
        found = await capture(partial(self.ask, **self.named), stream=stream)
        name, release = target.provider, f"LiteLLM {version('litellm')}"
        if found.transform is None:
            return f"{release} no longer calls {TRANSLATES.get(name, OPENAI)} for {name}"
        made, _ = found.transform(wires.bare(self.named["messages"]))
        body = json.loads(found.body)
        odd = sorted(key for key in made if json.loads(json.dumps(made[key])) != body.get(key))
        method = getattr(found.transform.function, "__qualname__", found.transform.function)
        return f"{release} sends a body to {name} that {method} does not make again: {odd or 'all but its answers'}"


@pytest.fixture
async def wrapper(provider: LiteLLM, monkeypatch: pytest.MonkeyPatch) -> Wrapper:
    litellm = await provider.start()
    found = Wrapper(litellm.acompletion)
    monkeypatch.setattr(litellm, "acompletion", found)
    return found


async def compare(fleet: Fleet, provider: LiteLLM, wrapper: Wrapper, target: Target, case: Case, way: str) -> bool:
    """Whether the lean way took the call, after all that may not differ was compared."""
    theirs = same_names(await account(fleet, provider, replace(target, transport="litellm"), case, way))
    first = same_names(await account(fleet, provider, target, case, way))
    wrapper.calls = 0
    again = same_names(await account(fleet, provider, target, case, way))
    reason, instead = CORRECTED.get((target.provider, case.id, way), ("", {}))
    for ours in (first, again):
        moved = {part: said for part, said in theirs.moved(ours).items() if part != CHANCE.get(case.id)}
        assert moved == instead, "\n".join(
            [reason or "the lean way differs from LiteLLM's wrapper"]
            + [f"{part}: {theirs.all.get(part)}\n  is now {moved.get(part)}" for part in moved | instead]
        )
    return not wrapper.calls


@pytest.mark.parametrize(("name", "case", "way"), CELLS)
async def test_both_ways(fleet: Fleet, provider: LiteLLM, wrapper: Wrapper, name: str, case: Case, way: str) -> None:
    covered = await compare(fleet, provider, wrapper, fleet.target(name), case, way)
    if covered and case.id in UNCOVERED.get(name, ()):
        pytest.fail(f"{name} covers {case.id} now")
    if not covered and case.id not in UNCOVERED.get(name, ()):
        pytest.fail(f"{await wrapper.why(fleet.target(name))}; calls take the wrapper")


ACCESS: dict[str, tuple[str, dict[str, Json]]] = {
    "a session's token": ("aws_bedrock", {"aws_session_token": "a-session-0123456789"}),
    "another region": ("aws_bedrock", {"aws_region_name": "eu-central-1"}),
    "a bearer's key": ("aws_bedrock", {"api_key": "a-bearer-0123456789"}),
    "the account's own project": ("vertexai", {"vertex_project": None}),
    "another location": ("vertexai", {"vertex_location": "europe-west1"}),
    "a token of Entra": ("azure", {"azure_ad_token": "a-token-0123456789", "api_key": None}),
    "an organization": ("openai", {"organization": "org-1"}),
}
"""Further ways to be let in, by what is set; the upstream need not let them in."""


@pytest.mark.parametrize("way", ["whole", "stream"])
@pytest.mark.parametrize("access", ACCESS)
async def test_both_ways_are_let_in_alike(
    fleet: Fleet, provider: LiteLLM, wrapper: Wrapper, access: str, way: str
) -> None:
    name, settings = ACCESS[access]
    target = fleet.target(name)
    if "api_key" in settings:
        key = settings["api_key"]
        target = replace(target, api_key=SecretStr(key) if key else None)
    target = replace(target, settings={**target.settings, **settings})
    assert await compare(fleet, provider, wrapper, target, Case("hello"), way)


OTHERS = (
    ("vertexai", "claude-haiku-4-5"),
    ("vertexai", "meta/llama-3.1-405b-instruct-maas"),
    ("aws_bedrock", "invoke/anthropic.claude-3-haiku-20240307-v1:0"),
)
"""Models that are spoken to in other words than their vendor's."""


@pytest.mark.parametrize("way", ["whole", "stream"])
@pytest.mark.parametrize(("name", "model"), OTHERS)
async def test_other_words_of_a_vendor_take_the_wrapper(
    fleet: Fleet, provider: LiteLLM, wrapper: Wrapper, name: str, model: str, way: str
) -> None:
    assert not await compare(fleet, provider, wrapper, fleet.target(name, model), Case("hello"), way)


@pytest.mark.parametrize("name", MODELS)
async def test_no_wire_holds_a_secret(fleet: Fleet, provider: LiteLLM, wrapper: Wrapper, name: str) -> None:
    target = fleet.target(name)
    await account(fleet, provider, replace(target, transport="litellm"), Case("hello"), "whole")
    found = await capture(partial(wrapper.ask, **wrapper.named), stream=False)
    key = {"vertexai": getattr(fleet[name], "token", ""), "aws_bedrock": ""}.get(name, fleet[name].key)
    wire = wires.wire(found, wrapper.named["messages"], {}, key, stream=False)
    assert wire is not None
    named = wire.transform.named if wire.transform is not None else {}
    kept = str([wire.url, wire.headers, wire.fields, wire.settings, named])
    assert not [secret for secret in (*credentials.secrets(target), key or "no key") if secret in kept]


async def test_a_token_of_googles_is_taken_anew(fleet: Fleet, provider: LiteLLM) -> None:
    """The wire outlives the token that it was captured with."""
    upstream = fleet["vertexai"]
    assert isinstance(upstream, Vertex)
    litellm, hello = await provider.start(), Case("hello")
    first = await account(fleet, provider, fleet.target("vertexai"), hello, "whole")
    given = upstream.token
    try:
        upstream.token = "ya29.a-later-token-0123456789"
        litellm.main.vertex_chat_completion._credentials_project_mapping.clear()
        later = await account(fleet, provider, fleet.target("vertexai"), hello, "whole")
    finally:
        upstream.token = given
        litellm.main.vertex_chat_completion._credentials_project_mapping.clear()
    heads = [each.sent[0]["head"]["authorization"] for each in (first, later)]
    assert heads == [f"Bearer {given}", "Bearer ya29.a-later-token-0123456789"]
    assert later.said == first.said


def cells() -> Iterator[tuple[str, str, str]]:
    for parameters in CELLS:
        name, case, way = parameters.values
        yield str(name), case.id, str(way)  # type: ignore[union-attr]


def test_what_is_excepted_is_asked() -> None:
    """A table that names what is no cell excepts nothing, and hides that."""
    known = set(cells())
    assert CORRECTED.keys() <= known
    asked = {(name, case) for name, case, _ in known}
    assert {(name, case) for name, cases in UNCOVERED.items() for case in cases} <= asked
