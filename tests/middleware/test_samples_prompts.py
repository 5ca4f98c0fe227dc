"""Several texts to complete in one request: every prompt has its own answers, at its own indices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import BadRequest, UpstreamError
from proxy.middleware.route.samples import MOST, sampled
from proxy.models import Call, Choice, Chunk, Completion, CompletionRequest, Event, Json, Kind, TraceContext, Usage
from proxy.target import Target
from tests.middleware.calls import settle

ALONE, SEVERAL = Target("anthropic", "claude"), Target("openai", "gpt-4o")
COMPLETING = Target("openai", "gpt-3.5-turbo-instruct")


class Teller:
    """A provider that says of each prompt which it was and which sample, in two pieces, after some turns of the loop.

    It answers `surplus` more than it was asked for, fails at the prompt `failing`, and never ends if `held`.
    """

    def __init__(self, pauses: list[int] | None = None, *, surplus: int = 0, failing: str = "", held: bool = False):
        self.pauses = pauses or [0]
        self.surplus = surplus
        self.failing = failing
        self.held = held
        self.failure = UpstreamError("no", code="overloaded", provider="p")
        self.asked: list[tuple[list[str], dict[str, Any]]] = []
        self.under_way = 0

    async def complete(self, call: Call, target: Target) -> AsyncGenerator[Event, None]:
        prompts = [message["content"] for message in call.request.messages or ()]
        params = {**target.params, **call.request.params}
        self.asked.append((prompts, params))
        pause = self.pauses[len(self.asked) % len(self.pauses)]
        self.under_way += 1
        try:
            count = params.get("n", 1) + self.surplus
            for index in range(count):
                for piece in (*prompts, f"/{index}"):
                    for _ in range(pause):
                        await asyncio.sleep(0)
                    if call.request.stream:
                        yield Chunk(piece, index=index)
            if self.failing in prompts:
                raise self.failure
            if self.held:
                await asyncio.Event().wait()
            logprob = {"content": [{"token": "a", "logprob": -1.0}]}
            choices = [Choice(index, f"{''.join(prompts)}/{index}", logprobs=logprob) for index in range(count)]
            said = "".join(prompts)
            yield Completion(choices, Usage(3, 2), target.model, target.provider, cost=0.5, system_fingerprint=said)
        finally:
            self.under_way -= 1

    async def explain(self, call: Call, target: Target) -> dict[str, Json]:
        return {}

    async def warm(self, call: Call, target: Target) -> None:
        return None

    def start(self) -> None: ...
    async def ready(self) -> str | None: ...
    async def close(self) -> None: ...


def asking(*prompts: str, stream: bool = False, kind: Kind = "text", **params: Any) -> Call:
    messages = [{"role": "user", "content": prompt} for prompt in prompts]
    request = CompletionRequest("openai", TraceContext("t", "t"), kind=kind, messages=messages, params=params)
    return Call(replace(request, stream=stream))


async def told(provider: Teller, call: Call, target: Target) -> tuple[dict[int, str], Completion]:
    """What each index has said in chunks, and the completion."""
    texts: dict[int, str] = {}
    async with aclosing(sampled(provider, call, target)) as events:
        async for event in events:
            if isinstance(event, Completion):
                return texts, event
            texts[event.index] = texts.get(event.index, "") + event.text
    raise AssertionError("no completion")


@settings(deadline=None)
@given(
    st.lists(st.sampled_from("abcd"), min_size=2, max_size=6),
    st.integers(1, 4) | st.none(),
    st.sampled_from([ALONE, SEVERAL, COMPLETING]),
    st.lists(st.integers(0, 4), min_size=1, max_size=7),
    st.booleans(),
    st.integers(0, 1),
)
def test_each_index_has_the_answer_to_its_prompt(
    prompts: list[str], n: int | None, target: Target, pauses: list[int], stream: bool, surplus: int
) -> None:
    """Whatever arrives when. A provider that is asked for one answer at a time says each as its first."""
    provider = Teller(pauses, surplus=surplus)
    params: dict[str, Any] = {} if n is None else {"n": n}
    texts, completion = asyncio.run(told(provider, asking(*prompts, stream=stream, **params), target))
    native = target is not ALONE
    expected = [f"{prompt}/{sample if native else 0}" for prompt in prompts for sample in range(n or 1)]
    assert [(choice.index, choice.text) for choice in completion.choices] == list(enumerate(expected))
    assert texts == (dict(enumerate(expected)) if stream else {})
    calls = len(prompts) if native else len(expected)
    assert len(provider.asked) == calls
    assert (completion.usage, completion.cost) == (Usage(3 * calls, 2 * calls), 0.5 * calls)
    told_first = (completion.model, completion.provider, completion.system_fingerprint)
    assert told_first == (target.model, target.provider, prompts[0]), "all else is of the first prompt"


async def test_all_prompts_are_under_way_at_once() -> None:
    provider = Teller(held=True)
    task = asyncio.create_task(told(provider, asking("a", "b", "c", n=2), ALONE))
    await settle()
    assert provider.under_way == 6
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await settle()
    assert provider.under_way == 0


async def test_whoever_closes_the_stream_closes_every_call() -> None:
    provider = Teller(held=True)
    events = sampled(provider, asking("a", "b", stream=True, n=2), ALONE)
    await anext(events)
    await settle()
    assert provider.under_way == 4
    await events.aclose()
    await settle()
    assert provider.under_way == 0


async def test_the_first_failure_ends_all() -> None:
    provider = Teller(failing="b", held=True)
    with pytest.raises(UpstreamError) as caught:
        await asyncio.wait_for(told(provider, asking("a", "b", n=2), ALONE), 1)
    assert caught.value is provider.failure
    await settle()
    assert provider.under_way == 0


async def test_a_prompt_without_its_answers_is_a_failure() -> None:
    """One choice too few would give the next prompts' answers to the wrong ones."""
    with pytest.raises(UpstreamError, match="gave 0 answers of the 1") as caught:
        await told(Teller(surplus=-1), asking("a", "b"), SEVERAL)
    assert caught.value.code == "bad_answer"


@pytest.mark.parametrize(
    ("count", "params", "fits"),
    [
        (MOST, {}, True),
        (MOST + 1, {}, False),
        (MOST // 2, {"n": 2}, True),
        (MOST // 2 + 1, {"n": 2}, False),
        (MOST // 4 + 1, {"n": 1, "best_of": 4}, False),
    ],
)
async def test_one_request_has_its_limit_of_answers(count: int, params: dict[str, Any], fits: bool) -> None:
    provider, call = Teller(), asking(*["a"] * count, **params)
    if fits:
        _, completion = await told(provider, call, ALONE)
        assert [choice.index for choice in completion.choices] == list(range(MOST))
        return
    with pytest.raises(BadRequest, match="^prompt: one request may ask for 128 answers") as caught:
        sampled(provider, call, ALONE)
    assert (caught.value.param, provider.asked) == ("prompt", [])


async def test_a_default_of_the_target_counts_for_each_prompt() -> None:
    _, completion = await told(Teller(), asking("a", "b"), replace(SEVERAL, params={"n": 2}))
    assert [choice.text for choice in completion.choices] == ["a/0", "a/1", "b/0", "b/1"]


async def test_the_best_of_each_prompt() -> None:
    call = asking("a", "b", n=1, best_of=2)
    _, completion = await told(Teller(), call, SEVERAL)
    assert [(choice.index, choice.text) for choice in completion.choices] == [(0, "a/0"), (1, "b/0")]
    assert call.remarks == {"best_of": {"of": 2, "chosen": [[0], [0]], "by": "mean log probability per token"}}


@pytest.mark.parametrize("kind", ["chat", "embedding"])
async def test_a_conversation_and_texts_to_embed_stay_one_call(kind: Kind) -> None:
    provider = Teller()
    await told(provider, asking("a", "b", kind=kind), SEVERAL)
    assert [prompts for prompts, _ in provider.asked] == [["a", "b"]]
