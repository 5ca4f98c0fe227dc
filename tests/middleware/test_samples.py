from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config.router import RouterSettings
from proxy.errors import BadRequest, UpstreamError
from proxy.middleware.balance import Balance
from proxy.middleware.route import route
from proxy.middleware.route.samples import MOST, merged, ranked, rate, sampled, summed
from proxy.models import (
    Call,
    Choice,
    Chunk,
    Completion,
    CompletionRequest,
    Event,
    Json,
    Kind,
    ToolCall,
    TraceContext,
    Usage,
)
from proxy.providers.litellm import LiteLLM
from proxy.providers.translation.parameters import NEVER
from proxy.stores.shared.board import Board
from proxy.target import Group, Target
from proxy.vendors import VENDORS
from tests.middleware.calls import settle
from tests.upstreams.fleet import MODELS, Fleet
from tests.upstreams.scenario import Scenario

Script = Sequence[Event | Exception]


class Fake:
    """A provider that plays one script for each call, in order; with a gate a call waits before each of its events.

    It leaves out the parameters in `without`, and refuses where they are demanded, as a real one does.
    """

    def __init__(self, *scripts: Script, without: str = "") -> None:
        self.scripts = list(scripts)
        self.without = without
        self.params: list[dict[str, Any]] = []
        self.gates: list[asyncio.Queue[None]] | None = None
        self.begun = 0
        self.closed: list[int] = []

    async def complete(self, call: Call, target: Target) -> AsyncGenerator[Event, None]:
        place, self.begun = self.begun, self.begun + 1
        params = {**target.params, **call.request.params}
        if self.without and params.get(self.without):
            call.dropped[self.without] = "no such parameter"
            if self.without in call.demanded:
                raise UpstreamError("no such parameter", code="unsupported_parameter", provider=target.provider)
        self.params.append(params)
        try:
            for event in self.scripts[place - self.begun + len(self.params)]:
                if self.gates is not None:
                    await self.gates[place].get()
                if isinstance(event, Exception):
                    raise event
                if call.request.stream or isinstance(event, Completion):
                    yield event
        finally:
            self.closed.append(place)

    async def explain(self, call: Call, target: Target) -> dict[str, Json]:
        return {}

    async def warm(self, call: Call, target: Target) -> None:
        return None

    def start(self) -> None: ...
    async def ready(self) -> str | None: ...
    async def close(self) -> None: ...


def answer(*texts: str, cost: float | None = 0.5, **usage: Any) -> Completion:
    choices = [Choice(index=index, text=text) for index, text in enumerate(texts)]
    return Completion(choices, Usage(3, 2, **usage), model="m", provider="p", cost=cost)


def said(text: str, *pieces: str) -> list[Event]:
    """What a call says: the whole text, and the pieces that it comes in."""
    return [*(Chunk(piece) for piece in pieces), answer(text)]


def rated(*logprobs: float | None) -> Completion:
    """One choice for each mean; None for one without any."""
    completion = answer(*(f"answer {index}" for index in range(len(logprobs))))
    for choice, value in zip(completion.choices, logprobs, strict=True):
        choice.logprobs = None if value is None else {"content": [{"token": "a", "logprob": value}]}
    return completion


def asking(stream: bool = False, kind: Kind = "chat", **params: Any) -> Call:
    return Call(CompletionRequest("openai", TraceContext("t", "t"), params=params, stream=stream, kind=kind))


ALONE, SEVERAL = Target("anthropic", "claude"), Target("openai", "gpt-4o")
COMPLETING = Target("openai", "gpt-3.5-turbo-instruct")


async def told(provider: Fake, call: Call, target: Target) -> list[Event]:
    async with aclosing(sampled(provider, call, target)) as events:
        return [event async for event in events]


# merging


@settings(deadline=None)
@given(st.data(), st.lists(st.lists(st.text(min_size=1, max_size=3), max_size=6), min_size=2, max_size=5))
def test_any_interleaving_gives_each_index_its_own_text_in_order(data: st.DataObject, streams: list[list[str]]) -> None:
    """The schedule says which call gets its next event; the last of each is its completion."""
    events = [place for place, pieces in enumerate(streams) for _ in range(len(pieces) + 1)]
    schedule = data.draw(st.permutations(events))
    provider = Fake(*(said("".join(pieces), *pieces) for pieces in streams))
    arrived: list[Event] = []

    async def run() -> None:
        provider.gates = [asyncio.Queue() for _ in streams]
        call = asking(stream=True, n=len(streams))
        task = asyncio.create_task(collect(call))
        for place in schedule:
            provider.gates[place].put_nowait(None)
            await settle()
        await task

    async def collect(call: Call) -> None:
        async with aclosing(sampled(provider, call, ALONE)) as found:
            async for event in found:
                arrived.append(event)

    asyncio.run(run())
    *chunks, completion = arrived
    assert isinstance(completion, Completion)
    for index, pieces in enumerate(streams):
        assert [chunk.text for chunk in chunks if isinstance(chunk, Chunk) and chunk.index == index] == pieces
        assert completion.choices[index] == Choice(index=index, text="".join(pieces))
    assert [chunk.index for chunk in chunks if isinstance(chunk, Chunk)] == [
        place for at, place in enumerate(schedule) if schedule[:at].count(place) < len(streams[place])
    ]


async def test_a_chunk_is_told_as_soon_as_it_arrives() -> None:
    provider = Fake(said("a", "a"), said("b", "b"))
    provider.gates = [asyncio.Queue(), asyncio.Queue()]
    events = sampled(provider, asking(stream=True, n=2), ALONE)
    provider.gates[1].put_nowait(None)
    assert await asyncio.wait_for(anext(events), 1) == Chunk("b", index=1)
    await events.aclose()


async def test_several_calls_are_told_as_one() -> None:
    provider = Fake(said("a"), said("b"), said("c"))
    (completion,) = await told(provider, asking(n=3, temperature=1), ALONE)
    assert isinstance(completion, Completion)
    assert [(choice.index, choice.text) for choice in completion.choices] == [(0, "a"), (1, "b"), (2, "c")]
    assert (completion.usage, completion.cost) == (Usage(9, 6), 1.5)
    assert provider.params == [{"temperature": 1}] * 3


def test_a_sum_is_honest_about_what_is_not_known() -> None:
    whole = summed(
        [answer("a", cached_tokens=1), answer("b", reasoning_tokens=2, estimated=True), answer("c", cost=None)]
    )
    assert whole.usage == Usage(9, 6, estimated=True, cached_tokens=1, reasoning_tokens=2)
    assert whole.cost is None


async def test_the_first_failure_ends_all_and_closes_the_others() -> None:
    failure = UpstreamError("no", code="overloaded", provider="p")
    provider = Fake(said("a", "1", "2"), [Chunk("x"), failure], said("c", "1", "2"))
    provider.gates = [asyncio.Queue() for _ in range(3)]
    events = sampled(provider, asking(stream=True, n=3), ALONE)
    for place in (0, 1, 1):
        provider.gates[place].put_nowait(None)
    assert [await anext(events), await anext(events)] == [Chunk("1", index=0), Chunk("x", index=1)]
    with pytest.raises(UpstreamError) as caught:
        await anext(events)
    assert caught.value is failure
    await settle()
    assert sorted(provider.closed) == [0, 1, 2]


async def test_whoever_closes_the_stream_closes_every_call_at_once() -> None:
    provider = Fake(*[said("a", "1", "2")] * 5)
    provider.gates = [asyncio.Queue() for _ in range(5)]
    events = sampled(provider, asking(stream=True, n=5), ALONE)
    provider.gates[2].put_nowait(None)
    await anext(events)
    await events.aclose()
    await settle()
    assert sorted(provider.closed) == [0, 1, 2, 3, 4]


async def test_a_reader_that_is_cancelled_closes_every_call_at_once() -> None:
    provider = Fake(*[said("a")] * 3)
    provider.gates = [asyncio.Queue() for _ in range(3)]
    task = asyncio.create_task(told(provider, asking(n=3), ALONE))
    await settle()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await settle()
    assert sorted(provider.closed) == [0, 1, 2]


async def test_a_call_that_is_cancelled_from_within_is_a_failure_and_not_waited_for() -> None:
    async def broken() -> AsyncGenerator[Event, None]:
        yield Chunk("a")
        raise asyncio.CancelledError

    async with aclosing(merged({0: broken()}, "p")) as events:
        assert await anext(events) == (0, Chunk("a"))
        with pytest.raises(UpstreamError, match="broken off"):
            await asyncio.wait_for(anext(events), 1)


async def test_what_a_single_call_says_beyond_its_one_answer_is_left_out() -> None:
    odd: Script = [Chunk("a"), Chunk("more", index=1), answer("a", "more")]
    events = await told(Fake(odd, odd), asking(stream=True, n=2), ALONE)
    assert events[:-1] == [Chunk("a", index=0), Chunk("a", index=1)]
    assert isinstance(events[-1], Completion)
    assert [choice.text for choice in events[-1].choices] == ["a", "a"]


async def test_a_call_without_an_answer_is_a_failure() -> None:
    with pytest.raises(UpstreamError, match="no answer"):
        await told(Fake([answer()], said("a")), asking(n=2), ALONE)


# who is asked for several


@pytest.mark.parametrize(
    "call", [asking(), asking(n=1), asking(best_of=1), asking(n=None), asking(kind="embedding", n=3)]
)
@pytest.mark.parametrize("target", [ALONE, SEVERAL])
async def test_one_answer_is_one_call(call: Call, target: Target) -> None:
    provider = Fake(said("a"))
    assert await told(provider, call, target) == [answer("a")]
    assert provider.begun == 1


async def test_a_provider_that_takes_n_is_asked_once_and_not_meddled_with() -> None:
    script: Script = [Chunk("a", index=1), Chunk("b"), answer("b", "a")]
    provider = Fake(script)
    assert await told(provider, asking(stream=True, n=2), SEVERAL) == script
    assert provider.params == [{"n": 2}]


async def test_a_default_of_the_target_counts_as_well() -> None:
    provider = Fake(said("a"), said("b"))
    (completion,) = await told(provider, asking(), replace(ALONE, params={"n": 2, "top_k": 3}))
    assert isinstance(completion, Completion)
    assert len(completion.choices) == 2
    assert provider.params == [{"top_k": 3}] * 2


async def test_a_model_that_does_not_take_n_is_called_several_times_at_once() -> None:
    provider, call = Fake(said("a"), said("b"), without="n"), asking(n=2)
    (completion,) = await told(provider, call, SEVERAL)
    assert isinstance(completion, Completion)
    assert [choice.text for choice in completion.choices] == ["a", "b"]
    assert (provider.params, call.dropped) == ([{}, {}], {})


async def test_answers_that_a_provider_leaves_out_are_asked_for() -> None:
    short = answer("a", "c")
    short.choices[1].index = 2
    provider = Fake([Chunk("a"), Chunk("c", index=2), short], said("b", "b"), said("d", "d"))
    *chunks, completion = await told(provider, asking(stream=True, n=4), SEVERAL)
    assert isinstance(completion, Completion)
    assert [choice.text for choice in completion.choices] == ["a", "b", "c", "d"]
    assert {(chunk.index, chunk.text) for chunk in chunks if isinstance(chunk, Chunk)} == set(enumerate("abcd"))
    assert completion.usage == Usage(9, 6)
    assert provider.params == [{"n": 4}, {}, {}]


async def test_a_failure_that_has_nothing_to_do_with_n_is_told() -> None:
    failure = UpstreamError("seed: no", code="unsupported_parameter", provider="openai")
    with pytest.raises(UpstreamError) as caught:
        await told(Fake([failure]), asking(n=2), SEVERAL)
    assert caught.value is failure


@pytest.mark.parametrize("name", ["n", "best_of"])
@pytest.mark.parametrize("value", [0, -1, MOST + 1, True, "2", 2.5, [2]])
async def test_a_number_that_is_none_is_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(BadRequest, match=f"^{name}: should be a whole number from 1 to 128$") as caught:
        sampled(Fake(), asking(**{name: value}), SEVERAL)
    assert caught.value.param == name


def test_the_table_agrees_with_what_is_sent() -> None:
    for name, vendor in VENDORS.items():
        if name != "echo":
            assert vendor.samples is ("n" not in NEVER[name]), name
            assert vendor.logprobs is ("logprobs" not in NEVER[name]), name


# the best of several


async def test_the_best_are_those_with_the_highest_mean_the_first_of_equals_first() -> None:
    call = asking(n=2, best_of=4, top_logprobs=5)
    provider = Fake([rated(-2.0, -0.5, -3.0, -0.5)])
    (completion,) = await told(provider, call, SEVERAL)
    assert isinstance(completion, Completion)
    assert [(one.index, one.text, one.logprobs) for one in completion.choices] == [
        (0, "answer 1", None),
        (1, "answer 3", None),
    ]
    assert provider.params == [{"n": 4, "logprobs": True}]
    assert call.remarks == {"best_of": {"of": 4, "chosen": [1, 3], "by": "mean log probability per token"}}
    assert completion.usage == Usage(3, 2)


@pytest.mark.parametrize(("wish", "is_told"), [(True, True), (0, True), (5, True), (False, False), (None, False)])
async def test_probabilities_are_told_to_who_asked_for_them(wish: object, is_told: bool) -> None:
    provider = Fake([rated(-2.0, -0.5)])
    (completion,) = await told(provider, asking(best_of=2, logprobs=wish), SEVERAL)
    assert isinstance(completion, Completion)
    assert (completion.choices[0].logprobs is not None) is is_told
    assert provider.params == [{"n": 2, "logprobs": wish if is_told else True}]


@given(st.lists(st.lists(st.floats(-100, 0), min_size=1, max_size=5), min_size=1, max_size=6))
def test_the_rank_is_that_of_the_means(logprobs: list[list[float]]) -> None:
    choices = [
        Choice(index=index, text="x", logprobs={"content": [{"logprob": value} for value in values]})
        for index, values in enumerate(logprobs)
    ]
    best = ranked(choices)
    assert best is not None
    means = [sum(values) / len(values) for values in logprobs]
    assert [choice.index for choice in best] == sorted(range(len(means)), key=lambda index: (-means[index], index))


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (Choice(text="a", logprobs={"tokens": ["a", "b"], "token_logprobs": [None, -1.0]}), -1.0),
        (Choice(logprobs={"content": None, "refusal": [{"logprob": -2.0}]}), -2.0),
        (Choice(), float("-inf")),
        (Choice(text="a"), None),
        (Choice(text="a", logprobs={"content": []}), None),
        (Choice(text="a", logprobs={"content": ["odd"]}), None),
        (Choice(tool_calls=[ToolCall(name="f")]), None),
    ],
)
def test_the_rate_of_an_answer(choice: Choice, expected: float | None) -> None:
    assert rate(choice) == expected


NO_LOGPROBS = "gives no log probabilities, so the best answer cannot be chosen$"


@pytest.mark.parametrize(
    ("target", "params", "provider", "message"),
    [
        (SEVERAL, {"best_of": 2, "n": 3}, Fake(), "^best_of: should not be less than n$"),
        (COMPLETING, {"best_of": 2, "stream": True}, Fake(), "^best_of: the best answer cannot be streamed"),
        (ALONE, {"best_of": 2}, Fake(), f"^best_of: anthropic {NO_LOGPROBS}"),
        (SEVERAL, {"best_of": 2}, Fake(without="logprobs"), f"^best_of: openai {NO_LOGPROBS}"),
        (SEVERAL, {"best_of": 2}, Fake([rated(-1.0, None)]), f"^best_of: openai {NO_LOGPROBS}"),
    ],
)  # fmt: skip
async def test_what_cannot_be_honest_is_refused(
    target: Target, params: dict[str, Any], provider: Fake, message: str
) -> None:
    call = asking(**params)
    with pytest.raises(BadRequest, match=message) as caught:
        await told(provider, call, target)
    assert caught.value.param == "best_of"
    assert call.dropped == {}
    if not provider.scripts:
        assert provider.params == [], "it was called although the answer would be refused"


@pytest.mark.parametrize("params", [{"best_of": 1, "n": 2}, {"best_of": 2, "n": 2}])
async def test_the_best_of_as_many_is_no_choice(params: dict[str, Any]) -> None:
    provider = Fake(said("a"), said("b"), [answer("a", "b")])
    for target in (ALONE, COMPLETING):
        (completion,) = await told(provider, asking(kind="text", **params), target)
        assert isinstance(completion, Completion)
        assert [choice.text for choice in completion.choices] == ["a", "b"]
    assert provider.params == [{}, {}, {"n": 2}]


async def test_a_completion_model_chooses_itself() -> None:
    provider, call = Fake([answer("b", "a")]), asking(kind="text", n=2, best_of=5)
    assert await told(provider, call, COMPLETING) == [answer("b", "a")]
    assert (provider.params, call.remarks) == ([{"n": 2, "best_of": 5}], {})


async def test_a_completion_model_that_chooses_too_few_has_failed() -> None:
    with pytest.raises(UpstreamError, match="gave 1 answers of the 2"):
        await told(Fake([answer("b")]), asking(kind="text", n=2, best_of=5), COMPLETING)


async def test_a_completion_model_that_has_no_choice_of_its_own_is_chosen_for() -> None:
    provider, call = Fake([rated(-2.0, -1.0)], without="best_of"), asking(kind="text", best_of=2)
    (completion,) = await told(provider, call, replace(SEVERAL, mode="completion"))
    assert isinstance(completion, Completion)
    assert [choice.text for choice in completion.choices] == ["answer 1"]
    assert (provider.params, call.dropped) == ([{"n": 2, "logprobs": True}], {})


# within the route


@pytest.mark.parametrize(("begun", "calls"), [(False, 4), (True, 2)])
async def test_all_is_repeated_before_the_first_event_and_nothing_after_it(begun: bool, calls: int) -> None:
    failure = UpstreamError("no", code="overloaded", provider="p")
    first: Script = [Chunk("a"), failure] if begun else [failure]
    provider = Fake(first, said("x", "x"), said("a", "a"), said("b", "b"))
    call = asking(stream=True, n=2)
    call.groups = (Group(name="m", targets=(ALONE,), num_retries=1),)
    balance = Balance(Board(), RouterSettings(), lambda target: None)
    handler = route({"": provider}, RouterSettings(), lambda name: call.groups[0], balance, backoff=0.001)
    events: list[Event] = []
    try:
        async with aclosing(handler(call)) as running:
            async for event in running:
                events.append(event)
    except UpstreamError:
        assert begun
    else:
        assert isinstance(events[-1], Completion)
        assert [choice.text for choice in events[-1].choices] == ["a", "b"]
    assert provider.begun == calls


# with the real thing


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def lite(anyio_backend: str) -> AsyncIterator[LiteLLM]:
    lite = LiteLLM(timeout=10, max_response=2**20)
    await lite.start()
    yield lite
    await lite.close()


def greeting(**params: Any) -> Call:
    call = asking(**params)
    call.request.messages = [{"role": "user", "content": "Hi"}]
    return call


async def of(lite: LiteLLM, call: Call, target: Target) -> tuple[dict[int, str], Completion]:
    """What each index has said in chunks, and the completion."""
    texts: dict[int, str] = {}
    async with aclosing(sampled(lite, call, target)) as events:
        async for event in events:
            if isinstance(event, Chunk):
                texts[event.index] = texts.get(event.index, "") + event.text
            else:
                return texts, event
    raise AssertionError("no completion")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("vendor", MODELS)
async def test_every_vendor_gives_three_answers(fleet: Fleet, lite: LiteLLM, vendor: str, stream: bool) -> None:
    call = greeting(stream=stream, n=3)
    texts, completion = await of(lite, call, fleet.targets[vendor])
    assert [choice.index for choice in completion.choices] == [0, 1, 2]
    assert len({choice.text for choice in completion.choices}) == 1
    assert completion.choices[0].text
    assert texts == (dict.fromkeys(range(3), completion.choices[0].text) if stream else {})
    assert "n" not in call.dropped
    received = [request for request in fleet[vendor].requests if "token" not in request.path]
    if vendor != "vertexai":  # whose stand-in here gives one candidate, however many are asked for
        assert len(received) == (1 if VENDORS[vendor].samples else 3)
    assert completion.usage.prompt_tokens == 6 * len(received)


async def test_a_model_without_probabilities_is_asked_for_nothing_in_vain(fleet: Fleet, lite: LiteLLM) -> None:
    thinking = replace(fleet.targets["openai"], model="o3-mini")
    with pytest.raises(BadRequest, match="best_of"):
        await of(lite, greeting(best_of=2), thinking)
    assert fleet["openai"].requests == []


async def test_the_best_of_several_real_answers(fleet: Fleet, lite: LiteLLM) -> None:
    def choice(index: int, logprob: float) -> dict[str, Any]:
        token = {"token": "a", "logprob": logprob, "bytes": [97], "top_logprobs": []}
        message = {"role": "assistant", "content": f"answer {index}"}
        return {"index": index, "message": message, "logprobs": {"content": [token]}, "finish_reason": "stop"}

    body = {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-4o-mini",
        "choices": [choice(0, -2.0), choice(1, -0.25), choice(2, -1.0)],
        "usage": {"prompt_tokens": 6, "completion_tokens": 15, "total_tokens": 21},
    }
    fleet["openai"].script = Scenario(raw=json.dumps(body).encode())
    call = greeting(best_of=3)
    _, completion = await of(lite, call, fleet.targets["openai"])
    assert [(one.index, one.text, one.logprobs) for one in completion.choices] == [(0, "answer 1", None)]
    assert fleet["openai"].requests[-1].json["n"] == 3
    assert completion.usage.completion_tokens == 15
