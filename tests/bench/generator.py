"""The load generator in Python, for a machine without a C compiler: what generator.c does, as fast as Python goes.

    python -m tests.bench.generator < job > result

The job is as `Job.written` has it; "ready" goes out once the connections are open, and the load begins with the next
line that comes in.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from dataclasses import asdict
from functools import partial
from typing import BinaryIO

import uvloop

from tests.bench.client import Answer, Connection
from tests.bench.load import MODEL, NUMBER, Job, Result, quantile

STAMP = re.compile(rb"@(\d{19})")


class Load:
    """One job under way."""

    def __init__(self, job: Job, request: bytes) -> None:
        self.job = job
        self._request = request
        self._expect = job.expect.encode()
        self._sent = self._due_next = 0
        self._begin = self._deadline = 0.0
        self._whole: list[float] = []
        self._first: list[float] = []
        self._one_way: list[float] = []
        self._failure = ""
        self._under_way = 0
        self._idle: list[Connection] = []
        self._finished = asyncio.Event()

    async def run(self) -> Result:
        job = self.job
        self._idle = [await Connection.open(job.port) for _ in range(job.connections)]
        connections = list(self._idle)
        print("ready", flush=True)
        sys.stdin.buffer.readline()
        own, self._begin = time.process_time(), time.perf_counter()
        self._deadline = self._begin + job.seconds if job.seconds else float("inf")
        if job.rate:
            self._keep_pace()
        else:
            for _ in connections:
                self._next(self._idle.pop())
        await self._finished.wait()
        seconds, own = time.perf_counter() - self._begin, time.process_time() - own
        for connection in connections:
            connection.close()
        whole, first, one_way = (sorted(times) or [0.0] for times in (self._whole, self._first, self._one_way))
        return Result(
            requests=len(self._whole),
            seconds=seconds,
            p50=quantile(whole, 0.5),
            p99=quantile(whole, 0.99),
            first_p50=quantile(first, 0.5),
            chunks=len(self._one_way),
            chunk_p50=quantile(one_way, 0.5),
            chunk_p99=quantile(one_way, 0.99),
            generator=own / seconds,
            failure=self._failure,
        )

    def _may_ask(self) -> bool:
        done = self._sent == self.job.requests > 0
        return not (self._failure or done or time.perf_counter() >= self._deadline)

    def _keep_pace(self) -> None:
        """Send what is due, as far as there are connections for it, and come back for the next."""
        while self._may_ask() and self._idle and (due := self._due()) <= time.perf_counter():
            self._due_next += 1
            self._ask(self._idle.pop(), due)
        if self._may_ask():
            pause = max(0.0005, self._due() - time.perf_counter())
            asyncio.get_running_loop().call_later(pause, self._keep_pace)
        elif not self._under_way:
            self._finished.set()

    def _due(self) -> float:
        return self._begin + self._due_next / self.job.rate

    def _next(self, connection: Connection) -> None:
        if not self.job.rate and self._may_ask():
            self._ask(connection, 0.0)
            return
        self._idle.append(connection)
        if not self._under_way and not self._may_ask():
            self._finished.set()

    def _ask(self, connection: Connection, due: float) -> None:
        job = self.job
        number = job.first + (self._sent % job.distinct if job.distinct else self._sent)
        self._sent += 1
        self._under_way += 1
        request = self._request.replace(NUMBER.encode(), b"%020d" % number)
        request = request.replace(MODEL.encode(), b"%04d" % (number % job.models))
        connection.send(request, partial(self._answered, connection, due))

    def _answered(self, connection: Connection, due: float, answer: Answer) -> None:
        self._under_way -= 1
        started = due or answer.started
        self._whole.append(answer.ended - started)
        self._first.append(answer.first - started)
        times = [arrived - int(stamp) / 1e9 for arrived, piece in answer.pieces for stamp in STAMP.findall(piece)]
        self._one_way += times
        if answer.status != 200 or self._expect not in answer.body:
            self._failure = self._failure or f"answered {answer.status} {answer.body[:500]!r}"
        elif not 0.9 * self.job.chunks <= len(times) <= self.job.chunks:
            self._failure = self._failure or f"answered {len(times)} pieces of {self.job.chunks} {answer.body[:500]!r}"
        self._next(connection)


def read(source: BinaryIO) -> tuple[Job, bytes]:
    """A job as `Job.written` has it, and its request."""
    numbers = [int(number) for number in source.readline().split()]
    port, connections, nanoseconds, requests, first, distinct, rate, models, chunks, size, expected = numbers
    request = source.read(size)
    expect = source.read(expected + 1)[:-1].decode()
    job = Job(
        port, "", "", expect, 0, connections, nanoseconds / 1e9, requests, first, distinct, rate, models, chunks
    )  # fmt: skip
    return job, request


if __name__ == "__main__":
    result = asdict(uvloop.run(Load(*read(sys.stdin.buffer)).run()))
    print(json.dumps({name: value for name, value in result.items() if name not in ("cpu", "busy")}), flush=True)
