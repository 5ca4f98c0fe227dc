"""Do rows wait while old ones are removed? A large log is written at a steady rate, before the first pass and in it.

A row's answer leaves when it is committed, so what is timed is from handing a row over until then. The log is a copy of
the one that is asked; half of its rows are too old.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import uvloop

from proxy import timestamps
from proxy.config.settings import Keep
from proxy.record import Record
from proxy.stores.log.sqlite import SQLiteLog
from proxy.stores.retention import keeping
from tests.bench.load import quantile
from tests.bench.measure import say

CLIENTS = 4
REST = 0.03
"""Seconds between a client's rows: some 120 rows a second together."""

SECONDS = 60.0
"""In which rows go; before that it is as long as the gateway lets pass until it begins."""

LIMIT = 50.0
"""Milliseconds that no row may wait."""


@dataclass(frozen=True, slots=True)
class Waited:
    """How long so many rows took until they were committed, in milliseconds; `slow` is how many took over 50."""

    when: str
    rows: int
    p50: float
    p99: float
    longest: float
    slow: int


@dataclass(frozen=True, slots=True)
class Retention:
    """How long rows waited, before `removed` others went and meanwhile."""

    removed: int
    waited: Sequence[Waited]


def measure(data: Path, stock: Path, days: float, end: float) -> Retention:
    """Rows come from `end` on; of a copy of the log `stock`, those go that are `days` older."""
    data.mkdir(parents=True)
    path = Path(shutil.copyfile(stock, data / "traces.db"))
    with path.open("rb") as copied:
        os.fsync(copied.fileno())
    before = _count(path)
    took = uvloop.run(_written(path, days, end))
    removed = before + len(took) - _count(path)
    shutil.rmtree(data)
    say(f"{removed:,} rows removed")
    first = [ms for at, ms in took if at < keeping.INTERVAL]
    rest = [ms for at, ms in took if at >= keeping.INTERVAL]
    return Retention(removed, [_waited("before", first), _waited("while old rows go", rest)])


async def _written(path: Path, days: float, end: float) -> list[tuple[float, float]]:
    """When each row was handed over, in seconds, and the milliseconds until it was committed."""
    now, took = datetime.fromtimestamp(end, UTC), list[tuple[float, float]]()
    log = SQLiteLog(path, keep=Keep(age=days * 86400), now=lambda: now)
    began, numbers = time.perf_counter(), count()

    async def client() -> None:
        while (handed := time.perf_counter()) - began < keeping.INTERVAL + SECONDS:
            assert await log.append(_row(next(numbers), end)), "a row was not stored"
            took.append((handed - began, 1000 * (time.perf_counter() - handed)))
            await asyncio.sleep(REST)

    await asyncio.gather(*(client() for _ in range(CLIENTS)))
    await log.close()
    return took


def _row(number: int, end: float) -> Record:
    id, at, said = f"coming-{number}", timestamps.at(end), f"{number} " * 99
    return Record(
        id, id, provider="openai", model="bench", status="success", start_timestamp=at, end_timestamp=at,
        configuration={"model": "bench", "messages": [{"role": "user", "content": said}]}, output=said,
    )  # fmt: skip


def _waited(when: str, took: list[float]) -> Waited:
    took = sorted(took)
    slow = sum(ms > LIMIT for ms in took)
    found = Waited(when, len(took), quantile(took, 0.5), quantile(took, 0.99), took[-1], slow)
    say(f"{when:32}{found.p50:10.1f} ms{found.p99:10.1f} ms, the longest {found.longest:.1f} ms")
    return found


def _count(path: Path) -> int:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM traces").fetchone()[0])
