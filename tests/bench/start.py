"""From exec to the first answers, and whether anybody is stalled while LiteLLM is being loaded.

The gateway is started on a data folder whose cache holds one answer, and which has seen its model before. From exec on,
the port is tried, and the cached answer asked for; once that has come it is asked for every `EVERY` seconds until
`/ready` says that nothing is loaded any more, and for `WATCHED` seconds at least. Each is asked for when it is due, by
a client of its own if the others still wait, and counts from that moment. In starts of their own the first request is
one that no cache holds.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
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

WATCHED = 4.0
"""Seconds from exec in which LiteLLM is loaded, whatever the gateway says of being ready."""

WITHIN = 60.0
"""Seconds after which a server that has not come up is given up."""


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds from exec: to the open port, the first 200 of the ready path, the first answer that is not cached.

    For the gateway also to the first cached answer, and the cached answers given meanwhile, in milliseconds.
    """

    port: float
    ready: float
    answered: float
    cached: float | None = None
    asked: int = 0
    p50: float | None = None
    p99: float | None = None
    longest: float | None = None


def plain(make: Callable[[], Server], subject: Callable[[Server], Subject], times: int) -> Start:
    """A server's starts: the medians. The first, not counted, compiles bytecode and the like."""

    async def once(server: Server, begin: float) -> Start:
        opened = await _open(server) - begin
        ready = await first(server, get(server.ready), lambda answer: answer.status == server.status) - begin
        request, expect = _request(subject(server), "miss", time.time_ns())
        answered = await first(server, request, lambda answer: expect in answer.body) - begin
        return Start(opened, ready, answered)

    return _middle(_each(make, once, 1 + times)[1:])


def loading(make: Callable[[], Server], subject: Callable[[Server], Subject], times: int) -> Start:
    """The gateway's starts: medians, the longest wait of all. The first start, not counted, fills the cache."""
    with make() as server:
        asked = subject(server.wait())
        request, expect = _request(asked, "hit", 0)
        uvloop.run(_cached(server, request, expect))

    async def watched(server: Server, begin: float) -> Start:
        return await _watched(server, begin, request, expect)

    async def missed(server: Server, begin: float) -> float:
        miss, wanted = _request(asked, "miss", time.time_ns())
        return await first(server, miss, lambda answer: wanted in answer.body) - begin

    starts = _each(make, watched, times)
    return replace(
        _middle(starts),
        answered=median(_each(make, missed, times)),
        cached=median(start.cached or 0 for start in starts),
        asked=sum(start.asked for start in starts),
        p50=median(start.p50 or 0 for start in starts),
        p99=median(start.p99 or 0 for start in starts),
        longest=max(start.longest or 0 for start in starts),
    )


def _middle(starts: Sequence[Start]) -> Start:
    return Start(
        median(start.port for start in starts),
        median(start.ready for start in starts),
        median(start.answered for start in starts),
    )


def _request(subject: Subject, case: str, number: int) -> tuple[bytes, bytes]:
    """The case's request, and what stands in its answer."""
    ask = subject.asks[case]
    return post(ask.path, ask.body.replace(NUMBER, f"{number:020d}").encode(), ask.headers), ask.expect.encode()


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
    opened, cached = await asyncio.gather(_open(server), _cached(server, request, expect))
    ready = asyncio.create_task(first(server, get("/ready"), lambda answer: answer.status == 200, pause=0.025))
    waits = await _asked_until(ready, begin + WATCHED, server, request, expect)
    waits.sort()
    return Start(
        port=opened - begin,
        ready=await ready - begin,
        answered=cached - begin,
        cached=cached - begin,
        asked=len(waits),
        p50=1000 * quantile(waits, 0.5),
        p99=1000 * quantile(waits, 0.99),
        longest=1000 * waits[-1],
    )


async def _asked_until(
    ready: asyncio.Task[float], earliest: float, server: Server, request: bytes, expect: bytes
) -> list[float]:
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
    while not ready.done() or due < earliest:
        asked.append(asyncio.create_task(one(due)))
        due += EVERY
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
    await asyncio.gather(*asked)
    for connection in idle:
        connection.close()
    return waits


async def _open(server: Server) -> float:
    """When the port took a connection, by `perf_counter`."""
    while True:
        try:
            (await Connection.open(server.port)).close()
        except OSError:
            if not server.alive:
                raise server.broken("ended") from None
            await asyncio.sleep(RETRY)
        else:
            return time.perf_counter()


async def _cached(server: Server, request: bytes, expect: bytes) -> float:
    """Ask until the answer comes from the cache."""
    return await first(server, request, lambda answer: expect in answer.body)


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
