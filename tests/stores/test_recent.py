from __future__ import annotations

import errno
import os
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from proxy.config.settings import CacheSettings
from proxy.stores.cache.diskcache import DiskCache, cache_store
from proxy.stores.cache.recent import LARGEST, OVERHEAD, Recent

KEY, OTHER = b"k" * 32, b"o" * 32
LATER = time.time() + 1e6


@pytest.fixture
def recent(tmp_path: Path) -> Iterator[Recent]:
    recent = Recent(tmp_path / "clearings", limit=3 * (OVERHEAD + 10))
    yield recent
    recent.close()


def put(recent: Recent, key: bytes, value: bytes = b"0123456789", expires: float = LATER) -> None:
    recent.put(key, value, expires, recent.look())


def test_a_value_is_found_until_it_is_dropped(recent: Recent) -> None:
    put(recent, KEY)
    assert recent.get(KEY) == b"0123456789"
    assert recent.get(OTHER) is None
    recent.drop(KEY)
    recent.drop(KEY)
    assert recent.get(KEY) is None


def test_an_expired_value_is_gone(recent: Recent) -> None:
    put(recent, KEY, expires=time.time() - 0.001)
    assert recent.get(KEY) is None


def test_what_came_first_goes_first_and_the_same_key_counts_once(recent: Recent) -> None:
    for key in (b"1", b"1", b"2", b"3", b"4"):
        put(recent, key)
    assert [recent.get(key) is None for key in (b"1", b"2", b"3", b"4")] == [True, False, False, False]


def test_a_large_value_is_not_kept(recent: Recent) -> None:
    put(recent, KEY, bytes(LARGEST + 1))
    assert recent.get(KEY) is None


def test_a_clearing_empties_it_in_every_process(recent: Recent, tmp_path: Path) -> None:
    other = Recent(tmp_path / "clearings")
    put(recent, KEY)
    other.clear()
    assert recent.get(KEY) is None
    put(recent, KEY)
    assert recent.get(KEY) is not None
    other.close()


def test_what_was_read_before_a_clearing_is_not_kept_after_it(recent: Recent) -> None:
    before = recent.look()
    recent.clear()
    recent.put(KEY, b"x", LATER, before)
    assert recent.get(KEY) is None


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[list[DiskCache]]:
    """Two processes' caches of one folder."""
    stores = [cache_store(tmp_path, CacheSettings(ttl=1000.0)) for _ in range(2)]
    yield stores
    for store in stores:
        await store.close()


async def test_the_second_read_does_not_need_the_disk(stores: list[DiskCache], tmp_path: Path) -> None:
    await stores[0].set(KEY, b"value")
    assert await stores[0].get(KEY) == b"value"
    (tmp_path / "cache" / "cache.db").write_bytes(b"")
    assert await stores[0].get(KEY) == b"value"
    assert (await stores[0].stats())["hits"] == 2


async def test_a_cleared_cache_is_cleared_for_all(stores: list[DiskCache]) -> None:
    await stores[0].set(KEY, b"value")
    assert [await store.get(KEY) for store in stores] == [b"value", b"value"]
    assert await stores[1].clear() == 1
    assert [await store.get(KEY) for store in stores] == [None, None]


async def test_a_new_value_replaces_the_old_one(stores: list[DiskCache]) -> None:
    for value in (b"old", b"new"):
        await stores[0].set(KEY, value)
        assert await stores[0].get(KEY) == value


async def test_a_value_lasts_no_longer_than_its_entry(tmp_path: Path) -> None:
    store = cache_store(tmp_path, CacheSettings(ttl=0.2))
    await store.set(KEY, b"value")
    assert await store.get(KEY) == b"value"
    end = time.monotonic() + 5
    while await store.get(KEY) is not None:
        assert time.monotonic() < end
    await store.close()
    assert await store.get(KEY) is None


@pytest.mark.fault("D3")
def test_without_its_file_nothing_is_kept_until_it_can_be_made(tmp_path: Path) -> None:
    recent = Recent(tmp_path / "data" / "cache.clearings")
    put(recent, KEY)
    assert recent.get(KEY) is None
    recent.clear()
    (tmp_path / "data").mkdir()
    put(recent, KEY)
    assert recent.get(KEY) == b"0123456789"
    recent.close()


@pytest.mark.fault("D3")
def test_a_full_disk_has_room_for_a_clearing(recent: Recent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(file: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    other = Recent(tmp_path / "clearings")
    put(other, KEY)
    monkeypatch.setattr(os, "write", full)
    recent.clear()
    assert other.get(KEY) is None
    other.close()
