"""The soak: mixed load and random faults for as long as one has patience, and what the process takes all the while.

What must stay true: memory, file descriptors, threads, tasks and the WAL are the same after half an hour as after the
first minutes; no answer is wrong, and every row that was said to be logged is there. SOAK_MINUTES says how long.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import socket
import sqlite3
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.stores.schema.database import WAL_LIMIT
from tests.faults.evidence import missing, size, verdict
from tests.faults.load import ECHO, Load
from tests.faults.plugin import Figure
from tests.gateway import Process
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import SCENARIOS

pytestmark = pytest.mark.fault("soak")

MINUTES = float(os.environ.get("SOAK_MINUTES", "30"))
SHORT = 5
"""Seconds of the short form."""

TURN = 2.0
"""Seconds of a turn: a fault with load beside it, then calls of an upstream that misbehaves, then quiet."""

WARM = 1 / 3
"""The share of the turns that is not measured: modules are imported, pools and caches fill."""

TELLING = 20
"""Minutes from which on the slope of the memory tells something."""

MISBEHAVIOUR = [
    "ok",
    "tool",
    "unicode",
    "e429",
    "e500",
    "html502",
    "badjson",
    "reset",
    "garbage",
    "cutbody",
    "cut",
    "half",
    "hang",
    "stall",
    "redirect",
]

Config = dict[str, Any]


def config(fleet: Fleet) -> Config:
    upstream = {"model_name": "upstream", "litellm_params": {"model": "openai/gpt-4o-mini"}}
    dialects = ["parea", "openai", "anthropic", "humanloop", "scale", "tests.faults.tally:surface"]
    models = {"model_list": [*ECHO["model_list"], upstream], "providers": fleet.providers}
    return models | {"server": {"dialects": dialects}, "router_settings": {"num_retries": 0, "cooldown_time": 0}}


@dataclass
class Sample:
    """What the gateway takes when nobody asks it for anything."""

    at: float
    resident: int
    descriptors: int
    threads: int
    tasks: int
    wal: int


@dataclass
class Soak:
    """One gateway and all that happens to it."""

    gateway: Process
    fleet: Fleet
    noise: random.Random
    loads: list[Load] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def turn(self) -> None:
        end = time.monotonic() + TURN
        fault = self.noise.choice(FAULTS)
        self.faults[fault.__name__] = self.faults.get(fault.__name__, 0) + 1
        load = Load(repeat=self.noise.choice([0, 20]), size=self.noise.choice([0, 1000, 20_000]))
        if fault in (no_space, too_few_descriptors):
            # A stream's head has left before it is known that its row is lost.
            load.kinds = ("whole", "posted", "edited")
        self.loads.append(load)
        asking = threading.Thread(target=lambda: load.ask(self.gateway.port, clients=6, requests=120))
        with fault(self):
            asking.start()
            asking.join()
        assert set(load.statuses) <= {200}, (fault.__name__, load.statuses)
        assert load.cut == 0 or fault is too_few_descriptors, fault.__name__
        assert load.wrong == []
        self.misbehave()
        time.sleep(max(0.0, end - time.monotonic()))
        self.samples.append(self.sample())

    def misbehave(self) -> None:
        """Ask an upstream that does as it likes, by clients that do not wait for long."""
        for name in self.noise.sample(MISBEHAVIOUR, 3):
            self.fleet.reset()
            self.fleet["openai"].script = SCENARIOS[name]
            for stream in (False, True):
                chat = {"model": "upstream", "stream": stream, "messages": [{"role": "user", "content": name}]}
                with contextlib.suppress(httpx.TransportError):
                    httpx.post(f"{self.gateway.url}/v1/chat/completions", json=chat, timeout=0.4)

    def sample(self) -> Sample:
        process = Path(f"/proc/{self.gateway.process.pid}")
        tasks = httpx.post(f"{self.gateway.url}/tally", json={"say": "", "to": "echo"}).json()["tasks"]
        return Sample(
            at=time.monotonic() - self.began,
            resident=int((process / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"),
            descriptors=len(list((process / "fd").iterdir())),
            threads=len(list((process / "task").iterdir())),
            tasks=tasks,
            wal=size(self.gateway.data),
        )


@contextlib.contextmanager
def nothing(soak: Soak) -> Iterator[None]:
    yield


@contextlib.contextmanager
def lock(soak: Soak) -> Iterator[None]:
    """Others hold the locks of both databases for a moment."""
    release = threading.Event()

    def hold() -> None:
        paths = (soak.gateway.data / "traces.db", soak.gateway.data / "cache" / "cache.db")
        with contextlib.ExitStack() as held:
            for path in paths:
                connection = held.enter_context(closing(sqlite3.connect(path, isolation_level=None, timeout=10)))
                # the cache may have been damaged just before
                with contextlib.suppress(sqlite3.DatabaseError):
                    connection.execute("BEGIN EXCLUSIVE")
            release.wait(0.3)

    holder = threading.Thread(target=hold)
    holder.start()
    yield
    release.set()
    holder.join()


@contextlib.contextmanager
def limited(soak: Soak, what: int, limit: int) -> Iterator[None]:
    before = resource.prlimit(soak.gateway.process.pid, what)
    resource.prlimit(soak.gateway.process.pid, what, (limit, before[1]))
    yield
    resource.prlimit(soak.gateway.process.pid, what, before)


@contextlib.contextmanager
def no_space(soak: Soak) -> Iterator[None]:
    with limited(soak, resource.RLIMIT_FSIZE, soak.noise.randrange(200) * 4096):
        yield


@contextlib.contextmanager
def too_few_descriptors(soak: Soak) -> Iterator[None]:
    used = len(list(Path(f"/proc/{soak.gateway.process.pid}/fd").iterdir()))
    with limited(soak, resource.RLIMIT_NOFILE, used + 4):
        yield


@contextlib.contextmanager
def reader(soak: Soak) -> Iterator[None]:
    with closing(sqlite3.connect(soak.gateway.data / "traces.db", isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM traces").fetchone()
        yield


@contextlib.contextmanager
def damage(soak: Soak) -> Iterator[None]:
    """A few bytes of the cache's database are others."""
    path = soak.gateway.data / "cache" / "cache.db"
    with path.open("r+b") as file:
        file.seek(soak.noise.randrange(max(1, path.stat().st_size)))
        file.write(soak.noise.randbytes(64))
    yield


@contextlib.contextmanager
def rubbish(soak: Soak) -> Iterator[None]:
    """Clients that say what is no request, or half of one, and those that say nothing."""
    sockets = [socket.create_connection(("127.0.0.1", soak.gateway.port)) for _ in range(20)]
    for number, one in enumerate(sockets):
        said = [b"", soak.noise.randbytes(300), b"POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 900\r\n\r\n{"]
        one.sendall(said[number % 3])
    yield
    for one in sockets:
        one.close()


FAULTS: list[Callable[[Soak], contextlib.AbstractContextManager[None]]] = [
    nothing,
    lock,
    no_space,
    too_few_descriptors,
    reader,
    damage,
    rubbish,
]


def slope(samples: list[Sample]) -> float:
    """MB in ten minutes by which the resident memory grows."""
    line = statistics.linear_regression([one.at for one in samples], [one.resident for one in samples])
    return line.slope * 600 / 1e6


def flat(values: list[int], slack: int) -> bool:
    """Whether the last third is no higher than the first."""
    third = max(1, len(values) // 3)
    return statistics.median(values[-third:]) <= statistics.median(values[:third]) + slack


@pytest.mark.timeout(MINUTES * 60 + 300)
def test_soak(tmp_path: Path, fleet: Fleet, full: bool, figure: Figure) -> None:
    seconds = MINUTES * 60 if full else SHORT
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    with Process(tmp_path, config(fleet)) as gateway:
        gateway.wait_for("/ready")
        soak = Soak(gateway, fleet, random.Random(seed))
        while time.monotonic() < soak.began + seconds:
            soak.turn()
        last = Load().ask(gateway.port, requests=20)
    assert last.statuses == {200: 20}
    assert last.unsaid == set()
    lost = missing(gateway.data, *soak.loads, last)
    assert lost == set()
    assert verdict(gateway.data / "traces.db") == "ok"
    measured = soak.samples[int(len(soak.samples) * WARM) :]
    tell(soak, measured, figure, len(lost), seconds)
    assert max(one.wal for one in soak.samples) <= WAL_LIMIT
    if full:
        assert slope(measured) < 1 or MINUTES < TELLING
        assert flat([one.descriptors for one in measured], slack=2)
        assert flat([one.threads for one in measured], slack=2)
        assert flat([one.tasks for one in measured], slack=1)


def tell(soak: Soak, measured: list[Sample], figure: Figure, lost: int, seconds: float) -> None:
    answers = sum(load.answers for load in soak.loads)
    said = sum(len(load.said) for load in soak.loads)
    figure("soak", f"{seconds / 60:.0f} minutes, {answers:,} answers, {sum(soak.faults.values())} faults, 0 wrong")
    figure("said to be logged but missing in the soak", f"{lost} of {said:,}")
    megabytes = [one.resident / 1e6 for one in measured]
    figure(
        "resident memory in the soak",
        f"{megabytes[0]:.0f} MB after the warm-up, {megabytes[-1]:.0f} MB at the end, "
        f"{slope(measured):+.2f} MB in 10 minutes",
    )
    for name in ("descriptors", "threads", "tasks"):
        values = [getattr(one, name) for one in measured]
        figure(f"{name} in the soak", f"{min(values)} to {max(values)}, {values[-1]} at the end")
    figure("largest WAL in the soak", f"{max(one.wal for one in soak.samples) / 1e6:.0f} MB")
