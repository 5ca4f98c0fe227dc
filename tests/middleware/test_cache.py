"""What is answered from the store, what is kept in it, and what must not be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from proxy.draft import Draft
from proxy.middleware.cache import cache
from proxy.models import Call, Chunk, Completion, Event, LogPolicy, ToolCall
from proxy.protocols import CacheStore, Handler
from proxy.stores.cache.diskcache import DiskCache
from proxy.stores.cache.memory import MemoryCache
from proxy.target import Target
from tests.middleware.calls import Upstream, make_call, make_completion, settle

pytestmark = pytest.mark.fault("U7")

PIECES: list[Event] = [Chunk("a"), Chunk(" b"), Chunk(" c")]
CALLED = make_completion("", "tool_calls")
CALLED.choices[0].tool_calls = [ToolCall("1", "look_up", '{"city": "Bonn"}')]


@pytest.fixture(params=["memory", "diskcache"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CacheStore]:
    store: CacheStore
    if request.param == "memory":
        store = MemoryCache(2**24, 60)
    else:
        store = DiskCache(tmp_path / "cache", tmp_path / "cache.key", ttl=60, max_size=2**24)
    yield store
    await store.close()


def cached(upstream: Upstream, store: CacheStore, secret: bytes = b"secret", **options: Any) -> Handler:
    return cache(store, secret, **options)(upstream.handler)


async def ask(handler: Handler, call: Call) -> tuple[list[Event], Completion]:
    async with aclosing(handler(call)) as events:
        *before, last = [event async for event in events]
    assert isinstance(last, Completion)
    return before, last


async def kept(store: CacheStore, entries: int) -> None:
    """See that the store has `entries` when all is written that was on its way, one more included."""
    await settle()
    await store.set(b"one more", b"")
    assert (await store.stats())["entries"] == entries + 1


async def test_the_second_call_is_a_hit(store: CacheStore) -> None:
    upstream = Upstream()
    handler = cached(upstream, store)
    first, second = make_call(), make_call()
    _, paid = await ask(handler, first)
    before, hit = await ask(handler, second)
    assert len(upstream.calls) == 1
    assert (first.cache_status, second.cache_status) == ("miss", "hit")
    assert paid == make_completion()
    assert hit == replace(make_completion(), cache_hit=True)
    assert before == []
    assert second.dropped == first.dropped == {"logit_bias": "openai has no such parameter"}


async def test_a_hit_outlives_the_process(tmp_path: Path) -> None:
    for calls in (1, 0):
        store = DiskCache(tmp_path / "cache", tmp_path / "cache.key", ttl=60, max_size=2**24)
        upstream = Upstream()
        await ask(cached(upstream, store), make_call())
        assert len(upstream.calls) == calls
        await store.close()


@pytest.mark.parametrize("first_streams", [False, True])
@pytest.mark.parametrize("second_streams", [False, True])
async def test_one_entry_serves_streams_and_whole_answers(
    store: CacheStore, first_streams: bool, second_streams: bool
) -> None:
    upstream = Upstream()
    handler = cached(upstream, store)
    await ask(handler, make_call(stream=first_streams))
    before, hit = await ask(handler, make_call(stream=second_streams))
    assert len(upstream.calls) == 1
    assert hit.text == "a b c"
    replayed = PIECES if first_streams else [Chunk("a b c")]
    assert before == (replayed if second_streams else [])


async def test_a_stream_is_replayed_as_it_was_streamed(store: CacheStore) -> None:
    streamed: list[Event] = [
        Chunk("Hö"),
        Chunk("", reasoning="because"),
        Chunk("", [ToolCall("1", "look_up", "", 0)]),
        Chunk("", [ToolCall("", "", '{"a":', 0), ToolCall("2", "g", "{}", 1)]),
        Chunk("\U0001f600 data: [DONE]\r\n\r\n", index=1),
        Chunk("x" * 100_000, index=1),
    ]
    draft = Draft()
    for chunk in streamed:
        assert isinstance(chunk, Chunk)
        draft.add(chunk)
    completion = replace(make_completion(), choices=draft.choices({0: "tool_calls", 1: "stop"}))
    handler = cached(Upstream(*streamed, completion), store)
    live = await ask(handler, make_call(stream=True))
    assert live == (streamed, completion)
    assert await ask(handler, make_call(stream=True)) == (streamed, replace(completion, cache_hit=True))


async def test_a_tool_call_is_cached(store: CacheStore) -> None:
    upstream = Upstream(CALLED)
    handler = cached(upstream, store)
    await ask(handler, make_call())
    before, hit = await ask(handler, make_call(stream=True))
    assert before == [Chunk("", CALLED.tool_calls)]
    assert hit.tool_calls == CALLED.tool_calls


async def test_bypassing_neither_reads_nor_writes(store: CacheStore) -> None:
    upstream = Upstream()
    handler = cached(upstream, store)
    for number in range(2):
        call = make_call(cache=False)
        await ask(handler, call)
        assert call.cache_status == "bypass"
        assert len(upstream.calls) == number + 1
    await ask(handler, make_call())
    _, answer = await ask(handler, make_call(cache=False))
    assert not answer.cache_hit
    assert len(upstream.calls) == 4
    await kept(store, 1)


async def test_what_has_no_fingerprint_bypasses(store: CacheStore) -> None:
    upstream = Upstream()
    handler = cached(upstream, store)
    for _ in range(2):
        call = make_call("half \ud83d")
        await ask(handler, call)
        assert call.cache_status == "bypass"
    assert len(upstream.calls) == 2


@pytest.mark.parametrize("reason", ["content_filter", "error", "", "something new"])
async def test_an_answer_without_a_proper_end_is_not_kept(store: CacheStore, reason: str) -> None:
    upstream = Upstream(make_completion(finish_reason=reason))
    handler = cached(upstream, store)
    for _ in range(2):
        assert (await ask(handler, make_call()))[1].cache_hit is False
    assert len(upstream.calls) == 2


@pytest.mark.parametrize("reason", ["stop", "length", "tool_calls", "function_call"])
async def test_an_answer_with_one_is(store: CacheStore, reason: str) -> None:
    upstream = Upstream(make_completion(finish_reason=reason))
    handler = cached(upstream, store)
    for _ in range(2):
        await ask(handler, make_call())
    assert len(upstream.calls) == 1


async def test_an_answer_that_does_not_last_is_not_kept_though_it_is_shared(store: CacheStore) -> None:
    upstream = Upstream(gated=True)

    def passing(call: Call) -> AsyncGenerator[Event, None]:
        call.lasting = False
        return upstream.handler(call)

    handler = cache(store, b"secret")(passing)
    both = [asyncio.create_task(ask(handler, make_call())) for _ in range(2)]
    await settle()
    upstream.gate.set()
    assert {last.text for _, last in await asyncio.gather(*both)} == {make_completion().text}
    assert len(upstream.calls) == 1
    await kept(store, 0)


async def test_a_hit_is_of_the_target_that_gave_the_answer(store: CacheStore) -> None:
    first, second = Target("azure", "other", id="first"), Target("openai", make_completion().model, id="second")
    handler = cached(Upstream(), store)
    for _ in range(2):
        again = make_call(targets=(first, second))
        await ask(handler, again)
    assert (again.cache_status, again.target) == ("hit", second)


async def test_an_empty_answer_is_not_kept(store: CacheStore) -> None:
    upstream = Upstream(make_completion(""))
    handler = cached(upstream, store)
    for _ in range(2):
        await ask(handler, make_call())
    assert len(upstream.calls) == 2


async def test_a_cancelled_answer_is_not_kept(store: CacheStore) -> None:
    upstream = Upstream()
    handler = cached(upstream, store)
    async with aclosing(handler(make_call(stream=True))) as events:
        assert await anext(events) == Chunk("a")
    await ask(handler, make_call())
    assert len(upstream.calls) == 2


async def test_a_whole_answer_is_kept_though_nobody_waited_for_its_end() -> None:
    store = MemoryCache(2**20, 60)
    upstream = Upstream(*PIECES, make_completion())
    handler = cached(upstream, store)
    async with aclosing(handler(make_call(stream=True))) as events:
        for _ in PIECES:
            await anext(events)
        await settle()
        assert upstream.finished == 1
    await settle()
    _, hit = await ask(handler, make_call())
    assert hit.cache_hit
    assert len(upstream.calls) == 1


def contents(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


OMITTING = [LogPolicy(inputs=False), LogPolicy(outputs=False), LogPolicy(inputs=False, outputs=False)]


@pytest.mark.parametrize("policy", OMITTING)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_call_that_omits_leaves_nothing_in_the_folder(tmp_path: Path, policy: LogPolicy, stream: bool) -> None:
    store = DiskCache(tmp_path / "cache", tmp_path / "cache.key", ttl=60, max_size=2**24)
    canary = "canary-7c1f"
    upstream = Upstream(Chunk(canary), make_completion(f"{canary}-whole"))
    handler = cached(upstream, store)
    for number in range(2):
        call = make_call(f"{canary}-question", policy=policy, stream=stream)
        await ask(handler, call)
        assert len(upstream.calls) == number + 1
    await settle()
    await store.close()
    files = contents(tmp_path)
    assert len(files) >= 2
    assert not any(canary.encode() in content for content in files)


async def test_sampling_alone_does_not_keep_an_answer_out(store: CacheStore) -> None:
    upstream = Upstream()
    handler = cached(upstream, store)
    for _ in range(2):
        await ask(handler, make_call(policy=LogPolicy(rate=0.0)))
    assert len(upstream.calls) == 1


async def test_a_call_that_omits_may_be_answered_from_anothers_entry(store: CacheStore) -> None:
    upstream = Upstream()
    handler = cached(upstream, store)
    await ask(handler, make_call())
    _, hit = await ask(handler, make_call(policy=LogPolicy(False, False)))
    assert hit.cache_hit


async def test_an_answer_bought_with_a_key_is_for_that_key_only(store: CacheStore) -> None:
    upstream = Upstream()
    handler = cached(upstream, store)
    mine = {"openai": SecretStr("sk-mine")}
    outcomes = []
    for keys in (mine, {"openai": SecretStr("sk-theirs")}, {}, mine, {}):
        _, answer = await ask(handler, make_call(api_keys=keys))
        outcomes.append(answer.cache_hit)
    assert outcomes == [False, False, False, True, True]


async def test_no_key_is_in_the_folder(tmp_path: Path) -> None:
    store = DiskCache(tmp_path / "cache", tmp_path / "cache.key", ttl=60, max_size=2**24)
    upstream = Upstream()
    await ask(cached(upstream, store), make_call(api_keys={"openai": SecretStr("sk-canary-51d0")}))
    await kept(store, 1)
    await store.close()
    files = contents(tmp_path)
    assert any(b"a b c" in content for content in files)
    assert not any(word in content for content in files for word in (b"canary", b"sk-configured", b"hello"))


class Stalled(MemoryCache):
    """A store whose writes wait until they are let through."""

    def __init__(self) -> None:
        super().__init__(2**20, 60)
        self.gate = asyncio.Event()
        self.written = asyncio.Event()

    async def set(self, key: bytes, value: bytes) -> None:
        await self.gate.wait()
        await super().set(key, value)
        self.written.set()


async def test_an_answer_does_not_wait_for_the_store_and_is_found_meanwhile() -> None:
    store = Stalled()
    upstream = Upstream()
    handler = cached(upstream, store, patience=60)
    async with asyncio.timeout(2):
        _, answer = await ask(handler, make_call())
        _, hit = await ask(handler, make_call())
    assert (answer.text, answer.cache_hit, hit.text, hit.cache_hit) == ("a b c", False, "a b c", True)
    assert (await store.stats())["entries"] == 0
    store.gate.set()
    await store.written.wait()
    await settle()
    await store.clear()
    _, anew = await ask(handler, make_call())
    assert not anew.cache_hit, "what is in the store is not kept here as well"


async def test_answers_wait_for_a_store_that_is_far_behind_but_not_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.middleware.cache.BEHIND", 1)
    store = Stalled()
    handler = cached(Upstream(), store, patience=0.05)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with asyncio.timeout(2):
        await ask(handler, make_call())
    assert loop.time() - begun >= 0.04
    store.gate.set()
    await store.written.wait()


async def test_an_answer_is_found_that_nobody_waited_for_and_that_is_not_written_yet() -> None:
    store = Stalled()
    upstream = Upstream()
    handler = cached(upstream, store)
    async with aclosing(handler(make_call(stream=True))) as events:
        for _ in PIECES:
            await anext(events)
        await settle()
    _, answer = await ask(handler, make_call())
    assert len(upstream.calls) == 1
    assert answer.cache_hit


class Broken(MemoryCache):
    """A store that breaks its promise never to raise."""

    async def set(self, key: bytes, value: bytes) -> None:
        raise OSError("no space left on device")


async def test_a_store_that_fails_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    handler = cached(Upstream(), Broken(2**20, 60))
    _, answer = await ask(handler, make_call())
    assert answer.text == "a b c"
    assert [record.getMessage() for record in caplog.records] == ["an answer could not be cached: OSError"]


@pytest.mark.parametrize("value", [b"", b"[]", b"not json", b'[99, {"completion": {}}]'])
async def test_an_entry_that_cannot_be_read_is_a_miss_and_replaced(value: bytes) -> None:
    store = MemoryCache(2**20, 60)
    upstream = Upstream()
    handler = cached(upstream, store)
    await ask(handler, make_call())
    (key,) = store._entries
    await store.set(key, value)
    outcomes = [(await ask(handler, make_call()))[1].cache_hit for _ in range(2)]
    assert outcomes == [False, True]
