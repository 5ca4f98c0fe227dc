"""The disk cache against whoever can write its folder, against damage, locks, full disks and a second process."""

from __future__ import annotations

import asyncio
import hashlib
import os
import pickle
import random
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import diskcache
import pytest

from proxy.stores.cache.diskcache import DiskCache
from proxy.stores.cache.safedisk import Refused, SafeDisk

KEY = hashlib.sha256(b"key").digest()
SMALL = b'{"answer": "42"}'
LARGE = bytes(range(256)) * 800  # its own file


class Bomb:
    """What runs when it is unpickled makes a directory, so that a test can see it."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


def open_cache(home: Path, **options: Any) -> DiskCache:
    return DiskCache(
        home / "cache", home / "cache.key", **{"ttl": 3600.0, "max_size": 2**26, "remembered": 0, **options}
    )


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[DiskCache]:
    store = open_cache(tmp_path)
    yield store
    await store.close()


@contextmanager
def database(home: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(home / "cache" / "cache.db")) as connection:
        yield connection
        connection.commit()


def value_file(home: Path) -> Path:
    (path,) = (home / "cache").glob("*/*/*.val")
    return path


async def errors(store: DiskCache) -> int:
    return int((await store.stats())["errors"])


# Code in the folder


async def test_a_pickled_value_is_not_loaded(store: DiskCache, tmp_path: Path) -> None:
    await store.set(KEY, SMALL)
    marker = tmp_path / "ran"
    with database(tmp_path) as connection:
        connection.execute("UPDATE Cache SET mode = 4, value = ?", (pickle.dumps(Bomb(marker)),))
    assert await store.get(KEY) is None
    assert not marker.exists()
    assert await errors(store) == 1
    with diskcache.Cache(str(tmp_path / "cache")) as unsafe:
        unsafe.get(KEY)
    assert marker.exists(), "the attack must be real for the test to mean anything"


async def test_a_pickled_value_file_is_not_loaded(store: DiskCache, tmp_path: Path) -> None:
    await store.set(KEY, LARGE)
    marker = tmp_path / "ran"
    value_file(tmp_path).write_bytes(pickle.dumps(Bomb(marker)))
    with database(tmp_path) as connection:
        connection.execute("UPDATE Cache SET mode = 4")
    assert await store.get(KEY) is None
    assert not marker.exists()
    assert await errors(store) == 1


async def test_a_pickled_key_is_not_loaded(store: DiskCache, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    await store.set(KEY, SMALL)
    with database(tmp_path) as connection:
        connection.execute("UPDATE Cache SET raw = 0, key = ?", (pickle.dumps(Bomb(marker)),))
    with diskcache.Cache(str(tmp_path / "cache"), disk=SafeDisk) as cache, pytest.raises(Refused):
        list(cache)
    await store.get(KEY)
    await store.set(KEY, SMALL)
    await store.stats()
    await store.clear()
    assert not marker.exists()


@pytest.mark.parametrize("mode", [0, 3, 4, 5, -1, None, "2", b"\x01"])
@pytest.mark.parametrize("value", [SMALL, LARGE], ids=["row", "file"])
async def test_no_other_mode_is_read(store: DiskCache, tmp_path: Path, mode: Any, value: bytes) -> None:
    await store.set(KEY, value)
    with database(tmp_path) as connection:
        connection.execute("UPDATE Cache SET mode = ?", (mode,))
        (stored,) = connection.execute("SELECT mode FROM Cache").fetchone()
    assert await store.get(KEY) == (value if stored == 2 and value is LARGE else None)


@pytest.mark.fault("S11")
async def test_a_setting_cannot_lead_to_another_folder(store: DiskCache, tmp_path: Path) -> None:
    await store.set(KEY, SMALL)
    await store.close()
    elsewhere = tmp_path / "elsewhere"
    with diskcache.Cache(str(elsewhere)) as other:
        other.set("theirs", 1)
    with database(tmp_path) as connection:
        connection.execute("INSERT INTO Settings VALUES ('_directory', ?)", (str(elsewhere),))
    again = open_cache(tmp_path)
    await again.set(KEY, SMALL)
    assert await again.get(KEY) == SMALL
    assert (tmp_path / "cache.damaged").is_dir()
    await again.close()
    with diskcache.Cache(str(elsewhere)) as other:
        assert list(other) == ["theirs"]


# Files outside of it


def absolute(home: Path) -> str:
    return str(home / "outside")


def climbing(home: Path) -> str:
    return "../outside"


def climbing_late(home: Path) -> str:
    (home / "cache" / "ab" / "cd").mkdir(parents=True)
    return "ab/cd/../../../outside"


def linked_file(home: Path) -> str:
    (home / "cache" / "ab" / "cd").mkdir(parents=True)
    name = f"ab/cd/{'0' * 28}.val"
    (home / "cache" / name).symlink_to(home / "outside")
    return name


def linked_directory(home: Path) -> str:
    (home / "cache" / "ab").mkdir()
    (home / "cache" / "ab" / "cd").symlink_to(home)
    (home / f"{'0' * 28}.val").hardlink_to(home / "outside")
    return f"ab/cd/{'0' * 28}.val"


def own_database(home: Path) -> str:
    return "cache.db"


def no_text(home: Path) -> bytes:
    return b"\x00\xff"


@pytest.mark.fault("S11")
@pytest.mark.parametrize(
    "name", [absolute, climbing, climbing_late, linked_file, linked_directory, own_database, no_text]
)
async def test_a_foreign_file_is_neither_read_nor_deleted(
    store: DiskCache, tmp_path: Path, name: Callable[[Path], str]
) -> None:
    outside = tmp_path / "outside"
    await store.set(KEY, LARGE)
    own = value_file(tmp_path)
    # With the right seal, so that only the way to the file is at fault.
    outside.write_bytes(own.read_bytes())
    with database(tmp_path) as connection:
        connection.execute("UPDATE Cache SET filename = ?", (name(tmp_path),))
    assert await store.get(KEY) is None
    assert await errors(store) == 1
    await store.set(KEY, LARGE)
    assert await store.get(KEY) == LARGE
    with database(tmp_path) as connection:
        connection.execute("UPDATE Cache SET filename = ?", (str(outside),))
    assert await store.clear() == 1
    assert outside.exists()
    assert outside.stat().st_size > len(LARGE)
    assert (tmp_path / "cache" / "cache.db").exists()


async def test_the_attack_on_files_works_on_diskcache_itself(store: DiskCache, tmp_path: Path) -> None:
    await store.set(KEY, LARGE)
    outside = tmp_path / "outside"
    outside.write_bytes(b"secret")
    with database(tmp_path) as connection:
        connection.execute("UPDATE Cache SET filename = ?", (str(outside),))
    with diskcache.Cache(str(tmp_path / "cache")) as unsafe:
        assert unsafe.get(KEY) == b"secret"
        unsafe.delete(KEY)
    assert not outside.exists()


async def test_a_pipe_does_not_stop_the_loop(store: DiskCache, tmp_path: Path) -> None:
    await store.set(KEY, LARGE)
    path = value_file(tmp_path)
    path.unlink()
    os.mkfifo(path)
    async with asyncio.timeout(5):
        assert await store.get(KEY) is None
    assert await errors(store) == 1


# Bytes that were changed


@pytest.mark.fault("D6")
async def test_no_flipped_bit_comes_through(store: DiskCache, tmp_path: Path) -> None:
    await store.set(KEY, SMALL)
    with database(tmp_path) as connection:
        (sealed,) = connection.execute("SELECT value FROM Cache").fetchone()
    for position in range(len(sealed)):
        flipped = bytearray(sealed)
        flipped[position] ^= 1 << position % 8
        with database(tmp_path) as connection:
            connection.execute("UPDATE Cache SET value = ?", (bytes(flipped),))
        assert await store.get(KEY) is None
    assert await errors(store) == len(sealed) == 32 + len(SMALL)


@pytest.mark.fault("D6")
@pytest.mark.parametrize("length", [0, 10, 31, 32, 33, len(LARGE), len(LARGE) + 31, len(LARGE) + 33])
async def test_a_value_file_of_another_length_is_a_miss(store: DiskCache, tmp_path: Path, length: int) -> None:
    await store.set(KEY, LARGE)
    os.truncate(value_file(tmp_path), length)
    assert await store.get(KEY) is None
    assert await errors(store) == 1
    await store.set(KEY, LARGE)
    assert await store.get(KEY) == LARGE


@pytest.mark.fault("D6")
async def test_a_missing_value_file_is_a_miss(store: DiskCache, tmp_path: Path) -> None:
    await store.set(KEY, LARGE)
    value_file(tmp_path).unlink()
    assert await store.get(KEY) is None


@pytest.mark.fault("D6")
async def test_a_value_does_not_answer_to_another_key(store: DiskCache, tmp_path: Path) -> None:
    other = hashlib.sha256(b"other").digest()
    await store.set(KEY, SMALL)
    with database(tmp_path) as connection:
        connection.execute("UPDATE Cache SET key = ?", (other,))
    assert await store.get(other) is None
    assert await errors(store) == 1


async def test_a_value_sealed_with_another_secret_is_a_miss(store: DiskCache, tmp_path: Path) -> None:
    await store.set(KEY, SMALL)
    await store.close()
    (tmp_path / "cache.key").unlink()
    again = open_cache(tmp_path)
    assert await again.get(KEY) is None
    await again.close()


def test_the_key_file_must_lie_outside(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="outside"):
        DiskCache(tmp_path / "cache", tmp_path / "cache" / "key", ttl=60, max_size=2**20)


@pytest.mark.fault("S4")
async def test_everything_is_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = open_cache(tmp_path)
        await store.set(KEY, SMALL)
        await store.set(KEY[::-1], LARGE)
    finally:
        os.umask(before)
    for path in [tmp_path / "cache", *(tmp_path / "cache").rglob("*")]:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path
    await store.close()


# Damage


def zero_header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(100))


def garbage_pages(path: Path) -> None:
    noise = random.Random(7)
    with path.open("r+b") as file:
        for page in range(1, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(noise.randbytes(4096))


def one_garbage_page(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 8192 * 4096)
        file.write(random.Random(3).randbytes(4096))


def half(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def text(path: Path) -> None:
    path.write_text("this is no database " * 500)


def foreign(path: Path) -> None:
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("CREATE TABLE Settings (name); CREATE TABLE Cache (something)")


DAMAGE = [zero_header, garbage_pages, one_garbage_page, half, text, foreign]


def entries() -> dict[bytes, bytes]:
    return {hashlib.sha256(bytes([number])).digest(): bytes([number]) * 900 for number in range(100)}


def checkpoint(home: Path) -> None:
    with database(home) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


@pytest.mark.fault("D6")
@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_damaged_database_is_moved_aside_at_start(
    tmp_path: Path, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    store = open_cache(tmp_path)
    for key, value in entries().items():
        await store.set(key, value)
    checkpoint(tmp_path)
    await store.close()
    damage(tmp_path / "cache" / "cache.db")

    again = open_cache(tmp_path)
    found = {key: await again.get(key) for key in entries()}
    assert all(value in (None, entries()[key]) for key, value in found.items())
    for key, value in entries().items():
        await again.set(key, value)
    assert {key: await again.get(key) for key in entries()} == entries()
    assert (tmp_path / "cache.damaged").is_dir()
    assert await errors(again) > 0
    assert sum("moved to" in record.message for record in caplog.records) == 1
    assert await again.clear() == 100
    assert not (tmp_path / "cache.damaged").exists()
    await again.close()


@pytest.mark.fault("D6")
@pytest.mark.parametrize("damage", DAMAGE)
async def test_damage_under_way_never_makes_a_wrong_answer(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    store = open_cache(tmp_path)
    for key, value in entries().items():
        await store.set(key, value)
    checkpoint(tmp_path)
    damage(tmp_path / "cache" / "cache.db")
    for _ in range(2):
        found = {key: await store.get(key) for key in entries()}
        assert all(value in (None, entries()[key]) for key, value in found.items())
        for key, value in entries().items():
            await store.set(key, value)
    assert {key: await store.get(key) for key in entries()} == entries()
    await store.close()
    again = open_cache(tmp_path)
    found = {key: await again.get(key) for key in entries()}
    assert all(value in (None, entries()[key]) for key, value in found.items())
    await again.close()


@pytest.mark.fault("D3")
async def test_a_folder_that_cannot_be_opened_is_an_empty_cache(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "cache").write_text("a file, not a folder")
    store = open_cache(tmp_path)
    await store.set(KEY, SMALL)
    assert await store.get(KEY) is None
    assert await store.clear() == 0
    assert await store.stats() == {"entries": 0, "bytes": 0, "hits": 0, "misses": 1, "errors": 1}
    assert len(caplog.records) == 1
    assert (tmp_path / "cache").read_text() == "a file, not a folder"
    await store.close()


@pytest.mark.fault("D6")
@pytest.mark.parametrize("verb", ["clear", "stats"])
async def test_damage_is_survived_by_every_verb(tmp_path: Path, verb: str) -> None:
    store = open_cache(tmp_path)
    await store.set(KEY, SMALL)
    checkpoint(tmp_path)
    with database(tmp_path) as connection:
        connection.executescript("DROP TABLE Cache; DROP TABLE Settings")
    await getattr(store, verb)()
    assert await errors(store) == 1
    await store.set(KEY, SMALL)
    assert await store.get(KEY) == SMALL
    await store.close()


async def test_a_folder_that_goes_away_is_made_again(store: DiskCache, tmp_path: Path) -> None:
    await store.set(KEY, SMALL)
    (tmp_path / "cache").rename(tmp_path / "gone")
    await store.set(KEY, SMALL)  # notices
    await store.set(KEY, SMALL)
    assert await store.get(KEY) == SMALL
    assert (tmp_path / "cache" / "cache.db").exists()
    assert not (tmp_path / "cache.damaged").exists()


# Locks, full disks, other processes


@contextmanager
def locked(home: Path) -> Iterator[None]:
    with closing(sqlite3.connect(home / "cache" / "cache.db", isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")


@pytest.mark.fault("D4")
async def test_a_lock_stops_neither_reads_nor_the_loop(store: DiskCache, tmp_path: Path) -> None:
    await store.set(KEY, SMALL)
    worst = 0.0
    with locked(tmp_path):
        write = asyncio.create_task(store.set(KEY[::-1], SMALL))
        while not write.done():
            before = time.perf_counter()
            assert await store.get(KEY) == SMALL
            worst = max(worst, time.perf_counter() - before)
            await asyncio.sleep(0.005)
    assert worst < 0.25, "a read that waits for the lock takes a second"
    assert await errors(store) == 1
    await store.set(KEY[::-1], SMALL)
    assert await store.get(KEY[::-1]) == SMALL
    assert not (tmp_path / "cache.damaged").exists()


@pytest.mark.fault("D4")
async def test_a_folder_locked_at_start_is_opened_later(store: DiskCache, tmp_path: Path) -> None:
    await store.set(KEY, SMALL)
    with locked(tmp_path):
        late = open_cache(tmp_path, reopen_pause=0.0)
        assert await late.get(KEY) is None
    await late.set(KEY[::-1], SMALL)
    assert await late.get(KEY) == SMALL
    assert not (tmp_path / "cache.damaged").exists()
    await late.close()


FULL = """
import asyncio, pathlib, resource, sys
from proxy.stores.cache.diskcache import DiskCache

async def main(home):
    store = DiskCache(home / "cache", home / "cache.key", ttl=3600, max_size=2**30)
    key = lambda number: number.to_bytes(32, "big")
    for number in range(50):
        await store.set(key(number), bytes([number]) * 5000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
    for number in range(50, 150):
        await store.set(key(number), bytes([number]) * (5000 if number % 2 else 400_000))
    found = {number: await store.get(key(number)) for number in range(150)}
    assert all(found[number] == bytes([number]) * 5000 for number in range(50)), "what was there is still there"
    assert all(value in (None, bytes([number]) * 5000) for number, value in found.items()), "nothing is wrong"
    assert (await store.stats())["errors"] >= 50
    assert not list((home / "cache").glob("*/*/*.val")), "no half-written file stays behind"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await store.set(key(200), bytes(400_000))
    assert await store.get(key(200)) == bytes(400_000), "it recovers"
    assert not (home / "cache.damaged").exists()
    await store.close()

asyncio.run(main(pathlib.Path(sys.argv[1])))
"""


@pytest.mark.fault("D3")
def test_a_full_disk_loses_nothing_and_passes(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], check=True, timeout=30)


SHRUNK = """
import asyncio, os, pathlib, sqlite3, sys
from proxy.stores.cache.diskcache import DiskCache

async def main(home):
    store = DiskCache(home / "cache", home / "cache.key", ttl=3600, max_size=2**26)
    keys = [number.to_bytes(32, "big") for number in range(2000)]
    for key in keys:
        await store.set(key, bytes(1000))
    path = home / "cache" / "cache.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    for key in keys:
        await store.get(key)
    os.truncate(path, path.stat().st_size // 2)
    assert {await store.get(key) for key in keys} <= {None, bytes(1000)}
    await store.close()

asyncio.run(main(pathlib.Path(sys.argv[1])))
"""


@pytest.mark.fault("D6")
def test_a_database_that_shrinks_does_not_end_the_process(tmp_path: Path) -> None:
    """With diskcache's own memory mapping this is a SIGBUS, which no handler of ours would see."""
    subprocess.run([sys.executable, "-c", SHRUNK, str(tmp_path)], check=True, timeout=30)


OTHER = """
import asyncio, pathlib, sys
from proxy.stores.cache.diskcache import DiskCache

async def main(home):
    store = DiskCache(home / "cache", home / "cache.key", ttl=3600, max_size=2**26)
    value = lambda number: (b"%d " % number) * (20_000 if number % 20 == 0 else 20)
    for number in range(300):
        key = number.to_bytes(32, "big")
        assert await store.get(key) in (None, value(number))
        await store.set(key, value(number))
        assert await store.get(key) in (None, value(number))
    stats = await store.stats()
    print(stats["errors"])
    await store.close()

asyncio.run(main(pathlib.Path(sys.argv[1])))
"""


def run_together(count: int, home: Path) -> list[tuple[int, str]]:
    """Exit status and output of `count` processes that use the folder at the same time, from its making on."""
    processes = [
        subprocess.Popen([sys.executable, "-c", OTHER, str(home)], stdout=subprocess.PIPE, text=True)
        for _ in range(count)
    ]
    printed = [process.communicate(timeout=40)[0] for process in processes]
    return [(process.returncode, text) for process, text in zip(processes, printed, strict=True)]


@pytest.mark.fault("D5")
async def test_processes_share_a_folder(tmp_path: Path) -> None:
    assert run_together(3, tmp_path) == [(0, "0\n")] * 3
    store = open_cache(tmp_path)
    for number in range(300):
        expected = (b"%d " % number) * (20_000 if number % 20 == 0 else 20)
        assert await store.get(number.to_bytes(32, "big")) == expected
    assert (await store.stats())["entries"] == 300
    await store.close()


async def test_an_entry_of_another_process_is_found_at_once(store: DiskCache, tmp_path: Path) -> None:
    other = open_cache(tmp_path)
    await other.set(KEY, SMALL)
    assert await store.get(KEY) == SMALL
    await other.close()


async def test_writes_happen_off_the_loop(store: DiskCache) -> None:
    before = {thread.ident for thread in threading.enumerate()}
    await store.set(KEY, SMALL)
    await asyncio.gather(*(store.set(bytes([number]), LARGE) for number in range(20)))
    assert len({thread.ident for thread in threading.enumerate()} - before) <= 1


async def test_writes_that_come_together_are_all_there_and_one_that_leaves_takes_none_along(store: DiskCache) -> None:
    entries = {b"key %d" % number: b"value %d" % number for number in range(100)}
    tasks = [asyncio.create_task(store.set(key, value)) for key, value in entries.items()]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[50].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await store.set(b"last", b"value")
    assert {key: await store.get(key) for key in entries} == entries


async def test_an_entry_on_its_way_does_not_outlive_a_clearing(tmp_path: Path) -> None:
    one, other = (DiskCache(tmp_path / "cache", tmp_path / "cache.key", ttl=60, max_size=2**24) for _ in range(2))
    for clearing in (one, other):
        writing = asyncio.create_task(one.set(KEY, SMALL))
        await asyncio.sleep(0)
        await clearing.clear()
        await writing
        assert await one.get(KEY) is None
    await one.set(KEY, SMALL)
    assert await other.get(KEY) == SMALL
    await one.close()
    await other.close()


async def test_closing_writes_what_is_on_its_way(tmp_path: Path) -> None:
    store = DiskCache(tmp_path / "cache", tmp_path / "cache.key", ttl=60, max_size=2**24)
    writing = asyncio.create_task(store.set(KEY, SMALL))
    await asyncio.sleep(0)
    await store.close()
    await writing
    again = DiskCache(tmp_path / "cache", tmp_path / "cache.key", ttl=60, max_size=2**24)
    assert await again.get(KEY) == SMALL
    await again.close()
