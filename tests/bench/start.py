"""From exec to the first answers, and whether anybody is stalled while LiteLLM is being loaded.

The gateway is started on a data folder whose cache holds one answer. From exec on, `/health` is asked for, and the
cached answer; once that has come it is asked for every `EVERY` seconds until `/ready` says that LiteLLM is loaded.
Each is asked for when it is due, by a client of its own if the others still wait, and counts from that moment.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

import uvloop

from tests.bench.client import Answer, Connection, get, post
from tests.bench.load import NUMBER, quantile
from tests.bench.server import Server
from tests.bench.subject import Subject

T = TypeVar("T")

EVERY = 0.005
RETRY = 0.002
"""Seconds between two attempts while nobody listens yet."""

WITHIN = 60.0
"""Seconds after which a server that has not come up is given up."""


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from exec to the first 200, to the first cached answer and to ready; then the answers given meanwhile.

    The latter in milliseconds; only the first for a server that keeps no cache and loads nothing later.
    """

    health: float
    cached: float | None = None
    ready: float | None = None
    asked: int = 0
    p50: float | None = None
    p99: float | None = None
    longest: float | None = None


def plain(make: Callable[[], Server], times: int) -> Start:
    """A server's starts to the first 200 of its ready path: the median. The first, not counted, compiles bytecode."""

    async def once(server: Server, begin: float) -> float:
        await first(server, get(server.ready), lambda answer: answer.status == 200)
        return time.perf_counter() - begin

    return Start(health=median(_each(make, once, 1 + times)[1:]))


def loading(make: Callable[[], Server], subject: Callable[[Server], Subject], times: int) -> Start:
    """The gateway's starts: medians, the longest of all. The first start, not counted, fills the cache."""
    with make() as server:
        ask = subject(server.wait()).asks["hit"]
        request = post(ask.path, ask.body.replace(NUMBER, "0" * len(NUMBER)).encode())
        expect = ask.expect.encode()
        uvloop.run(_cached(server, request, expect))

    async def once(server: Server, begin: float) -> Start:
        return await _watched(server, begin, request, expect)

    starts = _each(make, once, times)
    return Start(
        health=median(start.health for start in starts),
        cached=median(start.cached or 0 for start in starts),
        ready=median(start.ready or 0 for start in starts),
        asked=sum(start.asked for start in starts),
        p50=median(start.p50 or 0 for start in starts),
        p99=median(start.p99 or 0 for start in starts),
        longest=max(start.longest or 0 for start in starts),
    )


def _each(make: Callable[[], Server], once: Callable[[Server, float], Awaitable[T]], times: int) -> list[T]:
    async def run(server: Server, begin: float) -> T:
        return await asyncio.wait_for(once(server, begin), WITHIN)

    results = []
    for _ in range(times):
        begin = time.perf_counter()
        with make() as server:
            try:
                results.append(uvloop.run(run(server, begin)))
            except TimeoutError:
                raise server.broken(f"did not start within {WITHIN:.0f} s") from None
    return results


async def _watched(server: Server, begin: float, request: bytes, expect: bytes) -> Start:
    async def health() -> float:
        await first(server, get("/health"), lambda answer: answer.status == 200)
        return time.perf_counter() - begin

    async def cached() -> float:
        await _cached(server, request, expect)
        return time.perf_counter() - begin

    first_health, first_cached = await asyncio.gather(health(), cached())
    ready = asyncio.create_task(first(server, get("/ready"), lambda answer: answer.status == 200, pause=0.025))
    waits = await _asked_until(ready, server, request, expect)
    waits.sort()
    return Start(
        health=first_health,
        cached=first_cached,
        ready=await ready - begin,
        asked=len(waits),
        p50=1000 * quantile(waits, 0.5),
        p99=1000 * quantile(waits, 0.99),
        longest=1000 * waits[-1],
    )


async def _asked_until(ready: asyncio.Task[float], server: Server, request: bytes, expect: bytes) -> list[float]:
    """How long each answer took, asked for every `EVERY` seconds, whether or not those before it have come."""
    idle: list[Connection] = []
    waits: list[float] = []

    async def one(due: float) -> None:
        connection = idle.pop() if idle else await Connection.open(server.port)
        answer = await connection.ask(request)
        if answer.status != 200 or expect not in answer.body:
            raise server.broken(f"answered {answer.status} {answer.body[:300]!r} while LiteLLM was being loaded")
        waits.append(answer.ended - due)
        idle.append(connection)

    due = time.perf_counter()
    asked: list[asyncio.Task[None]] = []
    while not ready.done():
        asked.append(asyncio.create_task(one(due)))
        due += EVERY
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    await asyncio.gather(*asked)
    for connection in idle:
        connection.close()
    return waits


async def _cached(server: Server, request: bytes, expect: bytes) -> None:
    """Ask until the answer comes from the cache."""
    await first(server, request, lambda answer: expect in answer.body)


async def first(server: Server, request: bytes, wanted: Callable[[Answer], bool], *, pause: float = RETRY) -> float:
    """Ask until the answer is the wanted one; when it came, by `perf_counter`."""
    connection: Connection | None = None
    while True:
        try:
            connection = connection or await Connection.open(server.port)
        except OSError:
            if not server.alive:
                raise server.broken("ended") from None
        else:
            answer = await connection.ask(request)
            if wanted(answer):
                connection.close()
                return answer.ended
            if answer.status == 500:
                raise server.broken(f"answered 500 {answer.body[:300]!r}")
            if answer.status == 0:
                connection = None
        await asyncio.sleep(pause)
