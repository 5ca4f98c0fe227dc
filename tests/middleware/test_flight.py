"""Callers that ask for the same thing at the same time."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from proxy.draft import Draft
from proxy.errors import UpstreamError
from proxy.middleware.cache import cache
from proxy.middleware.flight import pieces
from proxy.models import Call, Choice, Chunk, Completion, Event, LogPolicy, ToolCall, Usage
from proxy.protocols import CacheStore, Handler
from proxy.stores.cache.memory import MemoryCache
from tests.middleware.calls import Upstream, make_call, make_completion, settle

pytestmark = pytest.mark.fault("U6", "U7")

PIECES = [Chunk("a"), Chunk(" b"), Chunk(" c")]


def shared(upstream: Upstream, store: CacheStore | None = None) -> Handler:
    return cache(store or MemoryCache(2**20, 60), b"secret")(upstream.handler)


async def ask(handler: Handler, call: Call) -> list[Event]:
    async with aclosing(handler(call)) as events:
        return [event async for event in events]


def last(events: list[Event]) -> Completion:
    assert isinstance(events[-1], Completion)
    return events[-1]


@pytest.mark.parametrize("stream", [False, True])
async def test_fifty_equal_calls_are_one(stream: bool) -> None:
    upstream = Upstream()
    handler = shared(upstream)
    calls = [make_call(stream=stream) for _ in range(50)]
    answers = await asyncio.gather(*(ask(handler, call) for call in calls))
    assert len(upstream.calls) == 1
    assert all(events[:-1] == (PIECES if stream else []) for events in answers)
    assert {last(events).text for events in answers} == {"a b c"}
    assert [call.cache_status for call in calls] == ["miss"] + ["shared"] * 49
    assert sum(last(events).cost or 0 for events in answers if not last(events).cache_hit) == 0.25


async def test_different_calls_are_not_shared() -> None:
    upstream = Upstream()
    handler = shared(upstream)
    await asyncio.gather(*(ask(handler, make_call(text)) for text in "abca"))
    assert len(upstream.calls) == 3


async def test_calls_that_bypass_the_cache_are_not_shared() -> None:
    upstream = Upstream()
    handler = shared(upstream)
    calls = [make_call(cache=False) for _ in range(3)]
    answers = await asyncio.gather(*(ask(handler, call) for call in calls))
    assert len(upstream.calls) == 3
    assert [call.cache_status for call in calls] == ["bypass"] * 3
    assert not any(last(events).cache_hit for events in answers)


@pytest.mark.parametrize("leader_streams", [False, True])
async def test_streaming_and_not_share_a_call(leader_streams: bool) -> None:
    upstream = Upstream(gated=True)
    handler = shared(upstream)
    calls = [make_call(stream=leader_streams), make_call(stream=not leader_streams)]
    tasks = [asyncio.create_task(ask(handler, call)) for call in calls]
    await settle()
    upstream.gate.set()
    answers = await asyncio.gather(*tasks)
    assert len(upstream.calls) == 1
    streamed, whole = answers if leader_streams else reversed(answers)
    assert streamed[:-1] == (PIECES if leader_streams else [Chunk("a b c")])
    assert whole == [last(whole)]
    assert last(streamed).text == last(whole).text == "a b c"


async def test_a_late_caller_gets_the_beginning_at_once() -> None:
    upstream = Upstream()
    handler = shared(upstream)
    async with aclosing(handler(make_call(stream=True))) as leader:
        assert await anext(leader) == Chunk("a")
        async with aclosing(handler(make_call(stream=True))) as late:
            assert await anext(late) == Chunk("a")
            assert [event async for event in late][:-1] == PIECES[1:]
        assert [event async for event in leader][:-1] == PIECES[1:]
    assert len(upstream.calls) == 1


@pytest.mark.parametrize("way", ["cancelled", "closed"])
async def test_the_first_caller_may_leave(way: str) -> None:
    upstream = Upstream(gated=True)
    handler = shared(upstream)
    leader, follower = make_call(stream=True), make_call(stream=True)
    if way == "cancelled":
        task = asyncio.create_task(ask(handler, leader))
        await settle()
        following = asyncio.create_task(ask(handler, follower))
        await settle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        upstream.gate.set()
    else:
        upstream.gate.set()
        async with aclosing(handler(leader)) as events:
            await anext(events)
            following = asyncio.create_task(ask(handler, follower))
            await asyncio.sleep(0)
    answer = await following
    assert (upstream.finished, upstream.cancelled) == (1, 0)
    assert answer[:-1] == PIECES
    assert not last(answer).cache_hit, "somebody has to be billed, and the first caller is gone"
    assert follower.cache_status == "miss"


async def test_a_follower_may_leave() -> None:
    upstream = Upstream(gated=True)
    handler = shared(upstream)
    leading = asyncio.create_task(ask(handler, make_call()))
    following = [asyncio.create_task(ask(handler, make_call())) for _ in range(3)]
    await settle()
    following[1].cancel()
    await settle()
    upstream.gate.set()
    assert last(await leading).cache_hit is False
    assert [last(await task).cache_hit for task in (following[0], following[2])] == [True, True]
    assert len(upstream.calls) == 1


async def test_the_last_to_leave_stops_the_upstream() -> None:
    upstream = Upstream(gated=True)
    handler = shared(upstream)
    tasks = [asyncio.create_task(ask(handler, make_call())) for _ in range(3)]
    await settle()
    for task in tasks[:2]:
        task.cancel()
    await settle()
    assert (upstream.running, upstream.cancelled) == (1, 0)
    tasks[2].cancel()
    await settle()
    assert (upstream.running, upstream.cancelled) == (0, 1)


async def test_a_stream_that_is_closed_stops_the_upstream() -> None:
    upstream = Upstream(Chunk("a"), *[Chunk("b")] * 1000, make_completion())
    handler = shared(upstream)
    async with aclosing(handler(make_call(stream=True))) as events:
        await anext(events)
    await settle()
    assert (upstream.running, upstream.finished) == (0, 0)


async def test_nobody_joins_a_call_that_is_being_stopped() -> None:
    upstream = Upstream(gated=True)
    handler = shared(upstream)
    first = asyncio.create_task(ask(handler, make_call()))
    await settle()
    first.cancel()
    second = asyncio.create_task(ask(handler, make_call()))
    await settle()
    upstream.gate.set()
    assert last(await second).text == "a b c"
    assert (len(upstream.calls), upstream.cancelled, upstream.finished) == (2, 1, 1)


FAILURE = UpstreamError("openai is overloaded", code="overloaded", provider="openai")


@pytest.mark.parametrize(
    "events",
    [(FAILURE,), (Chunk("a"), FAILURE), (Chunk("a"), Chunk(" b"), Chunk(" c"), FAILURE)],
    ids=["at once", "in the middle", "at the end"],
)
async def test_a_failure_is_told_to_all_and_not_kept(events: tuple[Event | BaseException, ...]) -> None:
    upstream = Upstream(*events, gated=True)
    store = MemoryCache(2**20, 60)
    handler = shared(upstream, store)
    tasks = [asyncio.create_task(ask(handler, make_call(stream=number % 2 == 0))) for number in range(6)]
    await settle()
    upstream.gate.set()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert outcomes == [FAILURE] * 6
    assert len(upstream.calls) == 1
    assert (await store.stats())["entries"] == 0
    upstream.events = (make_completion(),)
    assert last(await ask(handler, make_call())).cache_hit is False
    assert len(upstream.calls) == 2


async def test_the_chunks_before_a_failure_are_told() -> None:
    handler = shared(Upstream(Chunk("a"), FAILURE))
    async with aclosing(handler(make_call(stream=True))) as events:
        assert await anext(events) == Chunk("a")
        with pytest.raises(UpstreamError, match="overloaded"):
            await anext(events)


async def test_nobody_hangs_when_the_upstream_ends_by_cancellation() -> None:
    upstream = Upstream(asyncio.CancelledError(), gated=True)
    handler = shared(upstream)
    tasks = [asyncio.create_task(ask(handler, make_call())) for _ in range(4)]
    await settle()
    upstream.gate.set()
    async with asyncio.timeout(2):
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [UpstreamError] * 4


async def test_a_failure_does_not_grow_with_its_listeners() -> None:
    upstream = Upstream(UpstreamError("no", code="overloaded", provider="openai"), gated=True)
    handler = shared(upstream)
    tasks = [asyncio.create_task(ask(handler, make_call())) for _ in range(30)]
    await settle()
    upstream.gate.set()
    (error, *_) = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(error, UpstreamError)
    frames, trace = 0, error.__traceback__
    while trace is not None:
        frames, trace = frames + 1, trace.tb_next
    assert frames < 10


async def test_everybody_learns_what_was_dropped() -> None:
    upstream = Upstream()
    handler = shared(upstream)
    calls = [make_call() for _ in range(3)]
    await asyncio.gather(*(ask(handler, call) for call in calls))
    assert [list(call.dropped) for call in calls] == [["logit_bias"]] * 3
    assert len({id(call.dropped) for call in [*calls, *upstream.calls]}) == 4, "notes are each call's own"


async def test_one_caller_that_omits_keeps_all_from_the_store() -> None:
    upstream = Upstream(gated=True)
    store = MemoryCache(2**20, 60)
    handler = shared(upstream, store)
    policies = [LogPolicy(), LogPolicy(inputs=False), LogPolicy()]
    tasks = [asyncio.create_task(ask(handler, make_call(policy=policy))) for policy in policies]
    await settle()
    upstream.gate.set()
    await asyncio.gather(*tasks)
    assert len(upstream.calls) == 1
    assert (await store.stats())["entries"] == 0


async def test_a_slow_reader_stops_nobody() -> None:
    upstream = Upstream()
    handler = shared(upstream)
    async with aclosing(handler(make_call(stream=True))) as slow:
        await anext(slow)
        assert len(await ask(handler, make_call(stream=True))) == 4
        assert [event async for event in slow][:-1] == PIECES[1:]


async def test_no_task_is_left_behind() -> None:
    before = asyncio.all_tasks()
    handler = shared(Upstream())
    await asyncio.gather(*(ask(handler, make_call(str(number % 3))) for number in range(30)))
    await settle()
    assert asyncio.all_tasks() == before


def test_pieces_of_a_completion_draw_it_again() -> None:
    choices = [
        Choice(0, "text", [ToolCall("1", "f", "{}", 0), ToolCall("2", "g", '{"a": 1}', 1)], "tool_calls", "because"),
        Choice(1, "", [], "stop"),
        Choice(2, "other", [], "length"),
    ]
    draft = Draft()
    for chunk in pieces(Completion(choices, Usage(), "m", "p")):
        draft.add(chunk)
    assert draft.choices({choice.index: choice.finish_reason for choice in choices}) == choices
