"""The answer cache in memory: for tests, and for whoever wants nothing on disk. It forgets what was used longest ago.

What must stay true: the keys and values held never exceed `max_size` bytes, and time is monotonic, so setting the
clock neither ends nor prolongs an entry.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

from proxy.config.settings import CacheSettings


class MemoryCache:
    """A `CacheStore` of one process: at most `max_size` bytes, each entry for `ttl` seconds."""

    def __init__(self, max_size: int, ttl: float) -> None:
        self._max_size = max_size
        self._ttl = ttl
        self._entries: OrderedDict[bytes, tuple[float, bytes]] = OrderedDict()
        self._size = 0
        self._hits = 0
        self._misses = 0

    async def get(self, key: bytes) -> bytes | None:
        entry = self._entries.get(key)
        if entry is not None and entry[0] > time.monotonic():
            self._entries.move_to_end(key)
            self._hits += 1
            return entry[1]
        if entry is not None:
            self._drop(key)
        self._misses += 1
        return None

    async def set(self, key: bytes, value: bytes) -> None:
        if key in self._entries:
            self._drop(key)
        size = len(key) + len(value)
        if size > self._max_size:
            return
        self._entries[key] = (time.monotonic() + self._ttl, value)
        self._size += size
        while self._size > self._max_size:
            self._drop(next(iter(self._entries)))

    async def clear(self) -> int:
        count = len(self._entries)
        self._entries.clear()
        self._size = 0
        return count

    async def stats(self) -> dict[str, Any]:
        return {
            "entries": len(self._entries),
            "bytes": self._size,
            "hits": self._hits,
            "misses": self._misses,
            "errors": 0,
        }

    async def close(self) -> None:
        self._entries.clear()
        self._size = 0

    def _drop(self, key: bytes) -> None:
        _, value = self._entries.pop(key)
        self._size -= len(key) + len(value)


def cache_store(folder: Path, settings: CacheSettings) -> MemoryCache:
    """A cache as configured; nothing of it is in the data folder."""
    return MemoryCache(settings.max_size, settings.ttl)
