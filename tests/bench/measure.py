"""Interleaved rounds: every case, at every concurrency, against each subject in turn; then the medians.

Nothing is measured that is not what it says: a hit must not reach the upstream, everything else must reach it exactly
once, and every answer must be complete. A peer that fails at a case is left out of it, with its words; what is ours
must not fail.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from tests.bench.load import Job, Result, run
from tests.bench.server import BenchError, Server
from tests.bench.subject import Subject
from tests.bench.upstream import CHUNKS


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked (`ask` of a subject's), over how many connections, how long (`stretch` times the usual)."""

    name: str
    group: str
    ask: str
    connections: tuple[int, ...]
    rate: int = 0
    stretch: float = 1.0


CASES = (
    Case("hit", "hit", "hit", (1, 16, 64)),
    Case("miss", "miss", "miss", (1, 16, 64)),
    Case("steady", "miss", "miss", (8,), rate=50, stretch=2.0),
    Case("paced", "stream", "paced", (16,), stretch=2.0),
    Case("unpaced", "stream", "unpaced", (16,)),
)

FILLING = 16
"""Connections that fill a cache."""


@dataclass(frozen=True, slots=True)
class Figure:
    """Medians over the rounds; times in milliseconds. `added_p50` is what the upstream, asked directly, does not need.

    `cpu` is the server's CPU in milliseconds per request. Of streams, `chunk_p99` is a piece's way from the upstream,
    `chunk_cpu` microseconds of CPU per piece, `chunk_rate` pieces a second. `generator` is the load generator's share
    of a CPU: near 1 it was the limit. `busy` is the share of the whole machine that was in use.
    """

    case: str
    connections: int
    subject: str
    requests: int
    rate: float
    p50: float
    p99: float
    added_p50: float
    first_p50: float
    cpu: float
    chunk_p99: float
    chunk_cpu: float
    chunk_rate: float
    generator: float
    busy: float


class Measurement:
    """The rounds of one run. The first of `subjects` is the upstream itself, which the others are measured against.

    `most` bounds how many distinct answers a cache is filled with; `own` names the subjects that must not fail.
    """

    def __init__(
        self, upstream: Server, subjects: Sequence[Subject], *, seconds: float, most: int, own: Sequence[str]
    ) -> None:
        self._upstream = upstream
        self._subjects = subjects
        self._seconds = seconds
        self._most = most
        self._own = own
        self._results: dict[tuple[str, int, str], list[Result]] = defaultdict(list)
        self._filled: set[str] = set()
        self.answered: dict[str, int] = defaultdict(int)
        """Completions that each subject answered, those included that filled its cache."""
        self.skipped: dict[str, str] = {}
        """Why a subject is not in a case, or not at a concurrency: by `subject, case` and `subject, N clients`."""

    def round(self, cases: Sequence[Case]) -> None:
        for case in cases:
            for connections in case.connections:
                for subject in self._subjects:
                    left_out = {f"{subject.name}, {case.name}", f"{subject.name}, {connections} clients"}
                    if case.ask in subject.asks and not left_out & self.skipped.keys():
                        self._try(subject, case, connections)

    def figures(self) -> list[Figure]:
        return [self._figure(*key) for key in self._results]

    def distinct(self, subject: Subject) -> int:
        """How many answers a subject's hits are spread over; 0 where every request may be a new one."""
        return min(self._most, subject.distinct)

    def _try(self, subject: Subject, case: Case, connections: int) -> None:
        if 0 < subject.most < connections and not case.rate:
            self.skipped[f"{subject.name}, {connections} clients"] = subject.bound
            return
        try:
            if case.rate and self._too_slow(subject, case):
                raise BenchError(f"{subject.name} does not reach {case.rate} requests a second")
            result = self._measure(subject, case, connections)
        except BenchError as error:
            if subject.name in self._own:
                raise
            self.skipped[f"{subject.name}, {case.name}"] = error.short
            say(f"{subject.name} is left out of {case.name}: {error}")
            self._settle()
            return
        self._results[case.name, connections, subject.name].append(result)
        rate, cpu = result.requests / result.seconds, 1000 * result.cpu / result.requests
        say(f"{case.name:8}x{connections:<4}{subject.name:21}{rate:10,.1f}/s {cpu:8.3f} CPU ms")

    def _settle(self) -> None:
        """Wait until what a failed load has left behind no longer reaches the upstream, or for ten seconds."""
        asked, deadline = -1, time.monotonic() + 10
        while asked != (now := self._asked()) and time.monotonic() < deadline:
            asked = now
            time.sleep(1)

    def _too_slow(self, subject: Subject, case: Case) -> bool:
        rates = [
            result.requests / result.seconds
            for (name, _, who), results in self._results.items()
            if name == case.ask and who == subject.name
            for result in results
        ]
        return bool(rates) and max(rates) < 1.2 * case.rate

    def _measure(self, subject: Subject, case: Case, connections: int) -> Result:
        ask = subject.asks[case.ask]
        job = Job(
            subject.server.port, ask.path, ask.body, ask.expect, subject.server.pid, connections,
            seconds=self._seconds * case.stretch, rate=case.rate, chunks=ask.chunks, headers=ask.headers,
            first=time.time_ns(),  # never the same question twice, in any run
        )  # fmt: skip
        expected = 1
        if case.ask == "hit" and subject.distinct:
            self._fill(subject, job)
            job, expected = replace(job, first=0, distinct=self.distinct(subject)), 0
        before = self._asked()
        result = self._run(subject, job)
        asked = self._asked() - before
        if subject.calls_upstream and asked != expected * result.requests:
            raise subject.server.broken(f"made {asked} calls for {result.requests} requests of {case.name!r}")
        return result

    def _fill(self, subject: Subject, job: Job) -> None:
        """Filled once, or each time if what was asked since may have driven the answers out."""
        if subject.name in self._filled and not subject.forgets:
            return
        count = self.distinct(subject)
        fill = replace(
            job, expect=subject.asks["miss"].expect, connections=FILLING, seconds=0.0, requests=count, first=0
        )
        self._run(subject, fill)
        self._filled.add(subject.name)

    def _run(self, subject: Subject, job: Job) -> Result:
        result = run(job)
        if result.failure or not result.requests:
            raise subject.server.broken(result.failure or "answered nothing")
        self.answered[subject.name] += result.requests
        return result

    def _asked(self) -> int:
        return int(self._upstream.get("/")[1])

    def _figure(self, case: str, connections: int, name: str) -> Figure:
        results = self._results[case, connections, name]
        direct = self._results.get((case, connections, self._subjects[0].name), [])

        def middle(of: Callable[[Result], float], results: list[Result] = results) -> float:
            return median(map(of, results)) if results else 0.0

        pieces = CHUNKS if results[0].chunks else 0
        cpu = middle(lambda result: 1000 * result.cpu / result.requests)
        rate = middle(lambda result: result.requests / result.seconds)
        p50 = 1000 * middle(lambda result: result.p50)
        return Figure(
            case=case,
            connections=connections,
            subject=name,
            requests=sum(result.requests for result in results),
            rate=rate,
            p50=p50,
            p99=1000 * middle(lambda result: result.p99),
            added_p50=p50 - 1000 * middle(lambda result: result.p50, direct),
            first_p50=1000 * middle(lambda result: result.first_p50),
            cpu=cpu,
            chunk_p99=1000 * middle(lambda result: result.chunk_p99),
            chunk_cpu=1000 * cpu / pieces if pieces else 0.0,
            chunk_rate=rate * pieces,
            generator=middle(lambda result: result.generator),
            busy=middle(lambda result: result.busy),
        )


def say(line: str) -> None:
    """Progress goes to stderr; the table alone to stdout."""
    print(line, file=sys.stderr, flush=True)
