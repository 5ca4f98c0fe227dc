from __future__ import annotations

from proxy.stores.cache.memory import MemoryCache


async def test_what_was_used_longest_ago_goes_first() -> None:
    store = MemoryCache(max_size=3 * 11, ttl=60)
    for key in (b"a", b"b", b"c"):
        await store.set(key, b"0123456789")
    await store.get(b"a")
    await store.set(b"d", b"0123456789")
    assert [await store.get(key) is not None for key in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    assert (await store.stats())["bytes"] == 33
