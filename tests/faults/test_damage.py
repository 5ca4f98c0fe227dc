"""D6: every file of the data folder damaged, while nobody looks and while it is in use.

What must stay true: the gateway starts and serves; no answer is wrong, whatever the cache holds; what cannot be used is
moved aside, so that a new row is logged and found.
"""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.faults.evidence import missing, verdict
from tests.faults.load import ECHO, Load
from tests.faults.plugin import Figure
from tests.gateway import Process

pytestmark = pytest.mark.fault("D6")

QUESTIONS = 40

Damage = Callable[[Path, random.Random], None]


def zero_header(path: Path, noise: random.Random) -> None:
    with path.open("r+b") as file:
        file.write(bytes(100))


def rubbish(path: Path, noise: random.Random) -> None:
    path.write_bytes(noise.randbytes(max(path.stat().st_size, 10)))


def pages(path: Path, noise: random.Random) -> None:
    with path.open("r+b") as file:
        for page in range(1, path.stat().st_size // 4096):
            if noise.random() < 0.5:
                file.seek(page * 4096)
                file.write(noise.randbytes(4096))


def bits(path: Path, noise: random.Random) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(max(1, len(content) // 2000)):
        if content:
            content[noise.randrange(len(content))] ^= 1 << noise.randrange(8)
    path.write_bytes(content)


def half(path: Path, noise: random.Random) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path, noise: random.Random) -> None:
    os.truncate(path, 0)


def gone(path: Path, noise: random.Random) -> None:
    path.unlink()


DAMAGE: list[Damage] = [zero_header, rubbish, pages, bits, half, empty, gone]


def filled(data: Path) -> list[Path]:
    """The files of a data folder."""
    return sorted(path for path in data.rglob("*") if path.is_file() and ".damaged" not in str(path))


def spread(data: Path) -> None:
    """Bring what is in the WALs into the databases, or there would be nothing in them to damage."""
    for path in (data / "traces.db", data / "cache" / "cache.db"):
        with contextlib.suppress(sqlite3.DatabaseError), closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def served(gateway: Process) -> Load:
    """What a gateway answers to questions that it may have kept the answers of; each of them is asked twice."""
    load = Load(("whole", "stream"), repeat=QUESTIONS, size=40)
    load.ask(gateway.port, clients=4, requests=2 * QUESTIONS)
    assert load.statuses == {200: 2 * QUESTIONS}
    assert load.cut == 0
    assert load.wrong == []
    return load


@pytest.mark.parametrize("damage", DAMAGE)
@pytest.mark.parametrize("used", [False, True], ids=["at rest", "in use"])
def test_d6_damaged_files(tmp_path: Path, damage: Damage, used: bool, full: bool, figure: Figure) -> None:
    """All the files at once in the short form, each alone and all of them in the long one."""
    if not full and (damage, used) not in ((bits, False), (rubbish, False), (half, True)):
        pytest.skip("the long form only")
    with Process(tmp_path, ECHO) as gateway:
        served(gateway)
    names = [path.relative_to(gateway.data) for path in filled(gateway.data)]
    for number, hurt in enumerate([names, *([name] for name in names)] if full else [names]):
        noise = random.Random(number)
        with Process(tmp_path, ECHO) as gateway:
            served(gateway)
            if used:
                spread(gateway.data)
                strike(gateway.data, hurt, damage, noise)
                serve_and_log(gateway)
        spread(gateway.data)
        if not used:
            strike(gateway.data, hurt, damage, noise)
        with Process(tmp_path, ECHO) as gateway:
            load = serve_and_log(gateway)
        assert missing(gateway.data, load) == set()
        assert verdict(gateway.data / "traces.db") == "ok"
    figure(f"wrong answers with files damaged {'in use' if used else 'at rest'}", "0")


def test_d6_answers_that_changed_places(tmp_path: Path) -> None:
    """Each is as it was written and belongs to another question."""
    with Process(tmp_path, ECHO) as gateway:
        served(gateway)
    with closing(sqlite3.connect(gateway.data / "cache" / "cache.db")) as connection, connection:
        entries = connection.execute("SELECT rowid, value FROM Cache").fetchall()
        values = [value for _, value in entries]
        moved = [(value, rowid) for (rowid, _), value in zip(entries, values[1:] + values[:1], strict=True)]
        connection.executemany("UPDATE Cache SET value = ? WHERE rowid = ?", moved)
    assert len(set(values)) >= QUESTIONS // 2
    with Process(tmp_path, ECHO) as gateway:
        served(gateway)


def strike(data: Path, names: list[Path], damage: Damage, noise: random.Random) -> None:
    for name in names:
        if (data / name).is_file():
            damage(data / name, noise)


def serve_and_log(gateway: Process) -> Load:
    """Right answers from now on, and rows again after the first that met the damage."""
    served(gateway)
    load = served(gateway)
    assert load.unsaid == set()
    assert httpx.get(f"{gateway.url}/health").json()["log"]["writable"] is True
    return load
