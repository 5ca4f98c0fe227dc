"""A load: what is asked of a server, how often and for how long, and what came of it.

The generator is a process of its own (generator.c, or generator.py), which asks over several connections, each again
as soon as it is answered, or at a steady rate. Its result counts every request that was sent, each of which was
answered as expected: the first other answer ends the load as a failure, so no figure is ever made of errors. CPU
seconds are the server's between the first request and a moment after the last answer, since work that is put off until
after the answer belongs to the request.
"""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass

from tests.bench import native
from tests.bench.client import post
from tests.bench.process import busy_seconds, cpu_seconds
from tests.bench.server import ROOT

NUMBER = "#" * 20
"""Stands in a body for the number of the request."""

MODEL = "$" * 4
"""Stands in a body for the number of the model."""

SETTLE = 0.25
"""Seconds after the last answer that still count as the requests' CPU time."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to ask, how, and for how long.

    It ends after `seconds`, or after `requests`, whichever is given. Requests are numbered from `first`, anew after
    `distinct` of them if that is not 0; `models` are cycled through. With a `rate` so many are sent a second, each
    counted from when it was due. `expect` must stand in every answer, and in a stream `chunks` moments when a piece was
    sent (nine of ten: a server that merges pieces may cut the text elsewhere). `session` is the server's, whose CPU
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
    rate: int = 0
    models: int = 1
    chunks: int = 0
    headers: tuple[tuple[str, str], ...] = ()

    def written(self) -> bytes:
        """What the generator reads."""
        request, expect = post(self.path, self.body.encode(), self.headers), self.expect.encode()
        numbers = (
            self.port, self.connections, int(1e9 * self.seconds), self.requests, self.first, self.distinct,
            self.rate, self.models, self.chunks, len(request), len(expect),
        )  # fmt: skip
        return b"%b\n%b%b\n" % (" ".join(map(str, numbers)).encode(), request, expect)


@dataclass(frozen=True, slots=True)
class Result:
    """Latencies are in seconds: of whole answers, to the first byte of the body, and of each of the `chunks` pieces of
    streams on its way from the upstream. `generator` is the generator's share of a CPU. `cpu` is the server's CPU
    seconds, `busy` the share of the machine that was in use; the generator leaves both to who runs it.
    """

    requests: int
    seconds: float
    p50: float
    p99: float
    first_p50: float
    chunks: int
    chunk_p50: float
    chunk_p99: float
    generator: float
    failure: str = ""
    cpu: float = 0.0
    busy: float = 0.0


def quantile(ordered: list[float], share: float) -> float:
    """The value below which `share` of `ordered` lies: its nearest rank."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def run(job: Job, *, generator_in_c: bool = True) -> Result:
    """The job's result."""
    assert job.seconds or job.requests
    argv = native.program("generator", native=generator_in_c)
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(job.written())
            process.stdin.flush()
            process.stdout.readline()
            cpu, busy, begin = cpu_seconds(job.session), busy_seconds(), time.perf_counter()
            process.stdin.write(b"go\n")
            process.stdin.flush()
            line = process.stdout.readline()
            busy, seconds = busy_seconds() - busy, time.perf_counter() - begin
        except BaseException:
            process.kill()
            raise
    time.sleep(SETTLE)
    cpu = cpu_seconds(job.session) - cpu
    return Result(**json.loads(line), cpu=cpu, busy=min(1.0, busy / seconds))
