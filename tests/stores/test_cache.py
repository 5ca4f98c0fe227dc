"""What every cache store promises, over all of them."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from proxy.protocols import CacheStore
from proxy.stores.cache.diskcache import DiskCache
from proxy.stores.cache.memory import MemoryCache

Make = Callable[[float, int], CacheStore]

DAY = 86400.0
MIB = 2**20


def digest(name: object) -> bytes:
    return hashlib.sha256(str(name).encode()).digest()


@pytest.fixture(params=["memory", "diskcache"])
async def make(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Make]:
    made: list[CacheStore] = []

    def make(ttl: float = DAY, max_size: int = 64 * MIB) -> CacheStore:
        store: CacheStore
        if request.param == "memory":
            store = MemoryCache(max_size, ttl)
        else:
            store = DiskCache(tmp_path / "cache", tmp_path / "cache.key", ttl=ttl, max_size=max_size)
        made.append(store)
        return store

    yield make
    for store in made:
        await store.close()


async def test_what_was_never_set_is_a_miss(make: Make) -> None:
    store = make(DAY, MIB)
    assert await store.get(digest("nothing")) is None


@pytest.mark.parametrize(
    "value",
    [b"", b"{}", bytes(range(256)), b"x" * 32735, b"x" * 32736, b"y" * 200_000],
    ids=lambda value: str(len(value)),
)
async def test_a_value_comes_back_byte_for_byte(make: Make, value: bytes) -> None:
    store = make(DAY, 64 * MIB)
    await store.set(digest("key"), value)
    assert await store.get(digest("key")) == value


async def test_keys_are_any_bytes(make: Make) -> None:
    store = make(DAY, MIB)
    keys = [b"", b"\x00", b"\x00\x00", b"key", "schlüssel".encode(), digest("key")]
    for key in keys:
        await store.set(key, b"value of " + key)
    assert [await store.get(key) for key in keys] == [b"value of " + key for key in keys]


async def test_setting_again_replaces(make: Make) -> None:
    store = make(DAY, 64 * MIB)
    for value in (b"small", b"large" * 20_000, b"larger" * 20_000, b"small again"):
        await store.set(digest("key"), value)
        assert await store.get(digest("key")) == value
    assert (await store.stats())["entries"] == 1


async def test_an_entry_ends_with_its_time(make: Make) -> None:
    store = make(0.05, MIB)
    await store.set(digest("key"), b"value")
    await asyncio.sleep(0.1)
    assert await store.get(digest("key")) is None


async def test_the_size_is_kept_and_the_newest_stays(make: Make) -> None:
    store = make(DAY, MIB)
    for number in range(400):
        await store.set(digest(number), bytes(10_000))
    stats = await store.stats()
    assert stats["bytes"] <= 1.1 * MIB
    assert 50 < stats["entries"] < 110
    assert await store.get(digest(399)) == bytes(10_000)
    assert await store.get(digest(0)) is None


async def test_what_is_larger_than_everything_is_not_kept(make: Make) -> None:
    store = make(DAY, MIB)
    await store.set(digest("small"), b"small")
    await store.set(digest("large"), bytes(2 * MIB))
    assert await store.get(digest("large")) is None
    assert await store.get(digest("small")) == b"small"


async def test_clear_drops_all_and_says_how_many(make: Make) -> None:
    store = make(DAY, 64 * MIB)
    for number in range(250):
        await store.set(digest(number), bytes(40_000 if number % 50 == 0 else 10))
    assert await store.clear() == 250
    assert [await store.get(digest(number)) for number in range(250)] == [None] * 250
    assert (await store.stats())["entries"] == 0
    assert await store.clear() == 0


async def test_stats_count(make: Make) -> None:
    store = make(DAY, MIB)
    await store.set(digest("key"), b"value")
    for _ in range(3):
        await store.get(digest("key"))
    await store.get(digest("other"))
    stats = await store.stats()
    assert {name: stats[name] for name in ("entries", "hits", "misses", "errors")} == {
        "entries": 1,
        "hits": 3,
        "misses": 1,
        "errors": 0,
    }
    assert stats["bytes"] >= len(b"value")


async def test_a_closed_store_raises_nothing(make: Make) -> None:
    store = make(DAY, MIB)
    await store.close()
    await store.set(digest("key"), b"value")
    await store.get(digest("key"))
    await store.clear()
    await store.stats()
    await store.close()


async def test_many_at_once(make: Make) -> None:
    store = make(DAY, 64 * MIB)
    await asyncio.gather(*(store.set(digest(number), str(number).encode()) for number in range(100)))
    found = await asyncio.gather(*(store.get(digest(number)) for number in range(100)))
    assert found == [str(number).encode() for number in range(100)]
