"""The load generator: a process of its own that asks over several connections, each again as soon as it is answered.

    python -m tests.bench.load < job.json > result.json

The result counts every request that was sent, each of which was answered as expected: the first other answer ends the
job as a failure, so no figure is ever made of errors. CPU seconds are the server's between the first request and a
moment after the last answer, since work that is put off until after the answer belongs to the request.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from functools import partial

import uvloop

from tests.bench.client import Answer, Connection, post
from tests.bench.process import cpu_seconds
from tests.bench.server import ROOT

NUMBER = "#" * 20
"""Stands in a job's body for the number of the request."""

SETTLE = 0.25
"""Seconds after the last answer that still count as the requests' CPU time."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to ask, how, and for how long.

    It ends after `seconds`, or after `requests`, whichever is given. Requests are numbered from `first`, anew after
    `distinct` of them if that is not 0; `expect` must stand in every answer. `session` is the server's, whose CPU
    time is counted.
    """

    port: int
    path: str
    body: str
    expect: str
    session: int
    connections: int = 1
    seconds: float = 0.0
    requests: int = 0
    first: int = 0
    distinct: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """Latencies are in seconds, `first_p50` to the first byte of the body; `generator` is this process's CPU share."""

    requests: int
    seconds: float
    cpu: float
    p50: float
    p99: float
    first_p50: float
    generator: float
    failure: str = ""


class Load:
    """One job under way."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._head, self._tail = post(job.path, job.body.encode()).split(NUMBER.encode())
        self._expect = job.expect.encode()
        self._sent = 0
        self._deadline = 0.0
        self._answers: list[tuple[float, float]] = []
        self._failure = ""
        self._waiting = job.connections
        self._finished = asyncio.Event()

    async def run(self) -> Result:
        job = self.job
        connections = [await Connection.open(job.port) for _ in range(job.connections)]
        cpu, own, begin = cpu_seconds(job.session), time.process_time(), time.perf_counter()
        self._deadline = begin + job.seconds if job.seconds else float("inf")
        for connection in connections:
            self._next(connection)
        await self._finished.wait()
        seconds, own = time.perf_counter() - begin, time.process_time() - own
        await asyncio.sleep(SETTLE)
        cpu = cpu_seconds(job.session) - cpu
        for connection in connections:
            connection.close()
        whole = sorted(whole for whole, _ in self._answers) or [0.0]
        first = sorted(first for _, first in self._answers) or [0.0]
        return Result(
            requests=len(self._answers),
            seconds=seconds,
            cpu=cpu,
            p50=quantile(whole, 0.5),
            p99=quantile(whole, 0.99),
            first_p50=quantile(first, 0.5),
            generator=own / seconds,
            failure=self._failure,
        )

    def _next(self, connection: Connection) -> None:
        job = self.job
        if self._failure or time.perf_counter() >= self._deadline or self._sent == job.requests > 0:
            self._waiting -= 1
            if self._waiting == 0:
                self._finished.set()
            return
        number = job.first + (self._sent % job.distinct if job.distinct else self._sent)
        self._sent += 1
        connection.send(b"%b%020d%b" % (self._head, number, self._tail), partial(self._answered, connection))

    def _answered(self, connection: Connection, answer: Answer) -> None:
        if answer.status != 200 or self._expect not in answer.body:
            self._failure = self._failure or f"answered {answer.status} {answer.body[:500]!r}"
        self._answers.append((answer.ended - answer.started, answer.first - answer.started))
        self._next(connection)


def quantile(ordered: list[float], share: float) -> float:
    """The value below which `share` of `ordered` lies: its nearest rank."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def run(job: Job) -> Result:
    """The job's result, from a generator process of its own."""
    assert job.seconds or job.requests
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.load"],
        input=json.dumps(asdict(job)), stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    return Result(**json.loads(done.stdout))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(uvloop.run(Load(Job(**json.load(sys.stdin))).run()))))
