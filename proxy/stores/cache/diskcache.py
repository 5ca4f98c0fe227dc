"""The answer cache on disk: diskcache, with every door shut through which its folder could speak for us.

diskcache believes its own folder: it unpickles what a row calls a pickle, opens and deletes whatever file a row names,
and takes a shortened value file for the value (CVE-2025-69872; its JSONDisk does not help). What must stay true:

* Keys and values are bytes. Nothing in the folder is unpickled, whatever its row says, and keys are never iterated.
* A row leads only to a regular file of the shape diskcache makes, inside the folder. No other file is read or deleted.
* A value counts only with the seal, HMAC-SHA256 over key and value, of a secret that is kept outside the folder.
* The event loop reads and never waits for a lock; one thread of our own writes, opens and clears.
* Trouble is a miss and a number in `stats`, never an exception. A database that cannot be used is moved aside.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import diskcache

from proxy.config.settings import CacheSettings
from proxy.stores.cache.damage import identity, passes, probe, refuted
from proxy.stores.cache.gathering import Entry, Gathering
from proxy.stores.cache.patience import WRITE_PATIENCE, patiently
from proxy.stores.cache.purge import Meant, purge
from proxy.stores.cache.recent import LIMIT, Recent
from proxy.stores.cache.safedisk import SafeDisk
from proxy.stores.cache.seal import SIZE, Seal
from proxy.stores.keyfile import load_key

log = logging.getLogger(__name__)

T = TypeVar("T")

LARGEST_ENTRY = 64 * 2**20

READ_PATIENCE = 0.02
"""Seconds the event loop may wait for SQLite. In WAL mode a reader waits only while a crashed log is recovered."""

REOPEN_PAUSE = 30.0

CULLED = 10
"""Entries that may go for one that comes."""


class Moved(Exception):
    """The database at our path is no longer the one we opened."""


class DiskCache:
    """A `CacheStore` in `folder`: about `max_size` bytes, each entry for `ttl` seconds, oldest out first.

    Several processes may share a folder. `key_file` lies outside of it and is made on first use. At most `remembered`
    bytes of what was read are kept in memory. `reopen_pause` is the least time between two attempts to open a folder
    that could not be opened.
    """

    def __init__(
        self,
        folder: Path,
        key_file: Path,
        *,
        ttl: float,
        max_size: int,
        remembered: int = LIMIT,
        reopen_pause: float = REOPEN_PAUSE,
    ) -> None:
        self._folder = folder.resolve()
        self._key_file = key_file.resolve()
        if self._key_file.is_relative_to(self._folder):
            raise ValueError(f"the cache's key file {key_file} must lie outside of the cache folder {folder}")
        self._ttl = ttl
        self._max_size = max_size
        self._recent = Recent(self._key_file.with_suffix(".clearings"), remembered)
        self._reopen_pause = reopen_pause
        self._largest = min(LARGEST_ENTRY, max_size)
        self._seal = Seal(b"")
        self._identity: tuple[int, int] | None = None
        self._hits = self._misses = self._errors = 0
        self._closed = False
        self._opened_at = 0.0
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="cache")
        self._cache: Any = None
        self._gathering = Gathering(self._write_batch)
        self._start()

    async def get(self, key: bytes) -> bytes | None:
        """Read on the event loop: a few microseconds, where a thread would cost ten times as many."""
        value, cache = None if self._closed else self._recent.get(key), self._cache
        if value is None and cache is not None:
            cleared = self._recent.cleared
            try:
                sealed, expires = cache.get(key, expire_time=True)
                value = None if sealed is None else self._seal.opened(key, sealed)
            except Exception as error:
                await self._recover(cache, error)
            # A row of somebody else's may say anything about its end.
            if value is not None and isinstance(expires, float):
                self._recent.put(key, value, expires, cleared)
        self._misses += value is None
        self._hits += value is not None
        return value

    async def set(self, key: bytes, value: bytes) -> None:
        """Returns when the entry is on disk, together with all that came within a moment."""
        if not self._closed and len(value) + SIZE <= self._largest:
            await self._gathering.add(key, value, self._recent.cleared)

    async def clear(self) -> int:
        """Drop every entry of every process, and whatever was moved aside or left behind by a crash."""
        return await self._remove(self._clear)

    async def forget(self, meant: Meant) -> int:
        return await self._remove(lambda cache: purge(cache, meant))

    async def _remove(self, remove: Callable[[Any], int]) -> int:
        await self._gathering.settle()
        if self._closed or (cache := self._cache) is None:
            return 0
        try:
            return await self._run(lambda: remove(cache))
        except Exception as error:
            await self._recover(cache, error)
            return 0
        finally:
            self._recent.clear()

    async def stats(self) -> dict[str, Any]:
        """`hits`, `misses` and `errors` are this process's own; `entries` may include expired ones."""
        cache, entries, size = self._cache, 0, 0
        if cache is not None and not self._closed:
            try:
                entries, size = await self._run(lambda: (len(cache), cache.volume()))
            except Exception as error:
                await self._recover(cache, error)
        own = {"hits": self._hits, "misses": self._misses, "errors": self._errors}
        return {"entries": entries, "bytes": size, **own}

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._gathering.settle()
        cache, self._cache = self._cache, None
        self._recent.close()
        if cache is not None:
            _hang_up(cache)
            await self._run(lambda: _hang_up(cache))
        self._worker.shutdown()

    # On the event loop.

    async def _write_batch(self, batch: list[Entry]) -> None:
        if self._cache is None:
            await self._run(self._restart)
        cache, cleared = self._cache, self._recent.look()
        # What is older than a clearing, another process's as well, is not brought back.
        entries = [(entry.key, entry.value) for entry in batch if entry.cleared == cleared]
        if cache is None or not entries:
            return
        try:
            await self._run(lambda: self._write(cache, entries))
        except Exception as error:
            await self._recover(cache, error)
        for key, _ in entries:
            self._recent.drop(key)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, work)

    async def _recover(self, cache: Any, error: Exception) -> None:
        """Count `error`, and open the folder anew if `cache` can no longer be used.

        Each thread closes the connection of its own, since SQLite's belong to the thread that made them.
        """
        self._errors += 1
        if self._closed or self._cache is not cache or passes(error):
            return
        self._cache = None
        self._recent.forget()
        _hang_up(cache)
        await self._run(lambda: self._replace(cache, error))

    # In the writing thread (and in the constructor, before it exists).

    def _write(self, cache: Any, batch: list[tuple[bytes, bytes]]) -> None:
        if identity(self._folder) != self._identity:
            raise Moved
        sealed = [(key, self._seal.sealed(key, value)) for key, value in batch]

        def write() -> None:
            with cache.transact():
                for left, (key, value) in enumerate(sealed, 1 - len(sealed)):
                    # Room is made once for all: to look for what can go costs as much as to write.
                    cache.cull_limit = 0 if left else CULLED * len(sealed)
                    cache.set(key, value, expire=self._ttl)

        try:
            patiently(write)
        except sqlite3.OperationalError:
            # What SQLite could not open for writing in one bad moment it has opened read-only, and for good.
            _hang_up(cache)
            raise

    def _clear(self, cache: Any) -> int:
        count: int = patiently(cache.clear)
        for stray in self._folder.glob("[0-9a-f][0-9a-f]/[0-9a-f][0-9a-f]/*.val"):
            cache.disk.remove(str(stray.relative_to(self._folder)))
        shutil.rmtree(self._aside, ignore_errors=True)
        return count

    def _replace(self, cache: Any, error: Exception) -> None:
        _hang_up(cache)
        if not isinstance(error, Moved) and identity(self._folder) == self._identity:
            self._set_aside(error)
        self._start()

    def _restart(self) -> None:
        if self._cache is None and time.monotonic() - self._opened_at >= self._reopen_pause:
            self._start()

    def _start(self) -> None:
        """Open the folder, moved aside first if it cannot be used. Until that succeeds every `get` is a miss."""
        self._opened_at = time.monotonic()
        for damage_expected in (True, False):
            try:
                self._cache = self._open()
                return
            except Exception as error:
                self._errors += 1
                if damage_expected and not passes(error):
                    self._set_aside(error)
                    continue
                log.warning("The cache in %s cannot be opened and is off for now: %s", self._folder, error)
                return

    def _open(self) -> Any:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        self._seal = Seal(load_key(self._key_file))
        database = self._folder / diskcache.core.DBNAME
        # SQLite gives its companion files the mode of the database, so it must exist with ours before SQLite makes it.
        os.close(os.open(database, os.O_RDWR | os.O_CREAT, 0o600))
        database.chmod(0o600)
        probe(database, patience=WRITE_PATIENCE)
        cache = diskcache.Cache(
            str(self._folder),
            timeout=READ_PATIENCE,
            disk=SafeDisk,
            size_limit=self._max_size,
            # A mapped file that another process truncates kills us with SIGBUS; read, it is an error like any other.
            sqlite_mmap_size=0,
            # In pages, for each thread: what was read is in the system's memory too, and answers are in `Recent`.
            sqlite_cache_size=512,
            # Named although they are the defaults: a database may say otherwise, and others make each read a write.
            statistics=0,
            eviction_policy="least-recently-stored",
            cull_limit=CULLED,
            tag_index=0,
            sqlite_journal_mode="wal",
            sqlite_synchronous=1,
            disk_min_file_size=2**15,
        )
        self._identity = identity(self._folder)
        return cache

    @property
    def _aside(self) -> Path:
        return self._folder.with_name(self._folder.name + ".damaged")

    def _set_aside(self, error: Exception) -> None:
        """Keep the damaged folder for whoever wants to look; one at most, since it may be large."""
        if refuted(error, self._folder / diskcache.core.DBNAME):
            return
        shutil.rmtree(self._aside, ignore_errors=True)
        try:
            self._folder.rename(self._aside)
        except OSError as failure:
            log.warning("The damaged cache in %s cannot be moved aside: %s", self._folder, failure)
        else:
            log.warning("The cache was damaged (%r) and moved to %s; it starts empty", error, self._aside)


def _hang_up(cache: Any) -> None:
    """Close the calling thread's connection."""
    with contextlib.suppress(sqlite3.Error):
        cache.close()


def cache_store(folder: Path, settings: CacheSettings) -> DiskCache:
    """The cache of the data folder `folder`, as configured."""
    return DiskCache(folder / "cache", folder / "cache.key", ttl=settings.ttl, max_size=settings.max_size)
