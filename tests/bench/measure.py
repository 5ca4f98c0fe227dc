"""Interleaved rounds: every case, at every concurrency, against each subject in turn; then the medians.

Nothing is measured that is not what it says: a hit must not reach the upstream, everything else must reach it exactly
once, and every answer must be complete.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from statistics import median

from tests.bench.load import Job, Result, run
from tests.bench.server import Server
from tests.bench.subject import Subject

CONCURRENCY = (1, 32)


@dataclass(frozen=True, slots=True)
class Figure:
    """Medians over the rounds; times in milliseconds. `added` is what the upstream, asked directly, does not need.

    `cpu` is CPU seconds per 1000 requests, `generator` the load generator's share of a CPU: near 1 it was the limit.
    """

    case: str
    connections: int
    subject: str
    requests: int
    rate: float
    p50: float
    p99: float
    added_p50: float
    added_p99: float
    added_first: float
    cpu: float
    generator: float


class Measurement:
    """The rounds of one run. The first of `subjects` is the upstream itself, which the others are measured against."""

    def __init__(self, upstream: Server, subjects: Sequence[Subject], *, seconds: float) -> None:
        self._upstream = upstream
        self._subjects = subjects
        self._seconds = seconds
        self._results: dict[tuple[str, int, str], list[Result]] = defaultdict(list)
        self.answered: dict[str, int] = defaultdict(int)
        """Completions that each subject answered, those included that filled its cache."""

    def round(self, cases: Sequence[str]) -> None:
        for case in cases:
            for connections in CONCURRENCY:
                for subject in self._subjects:
                    result = self._measure(subject, case, connections)
                    self._results[case, connections, subject.name].append(result)
                    rate, cpu = result.requests / result.seconds, 1000 * result.cpu / result.requests
                    say(f"{case:6} x{connections:<3}{subject.name:9}{rate:9.1f}/s {cpu:8.3f} CPU s/1000")

    def figures(self) -> list[Figure]:
        return [self._figure(*key) for key in self._results]

    def _measure(self, subject: Subject, case: str, connections: int) -> Result:
        ask = subject.asks[case]
        job = Job(subject.server.port, ask.path, ask.body, ask.expect, subject.server.pid, connections)
        if case == "hit":
            # Filled anew: what was asked since may have driven the answers out.
            fill = replace(job, expect=subject.asks["miss"].expect, connections=8, requests=subject.distinct)
            self._run(subject, fill)
            job = replace(job, distinct=subject.distinct)
        else:
            job = replace(job, first=time.time_ns())  # never the same question twice, in any run
        before = self._asked()
        result = self._run(subject, replace(job, seconds=self._seconds))
        cached = case == "hit" and subject is not self._subjects[0]
        asked, expected = self._asked() - before, 0 if cached else result.requests
        if asked != expected:
            raise subject.server.broken(f"made {asked} calls for {result.requests} requests of the case {case!r}")
        return result

    def _run(self, subject: Subject, job: Job) -> Result:
        result = run(job)
        if result.failure:
            raise subject.server.broken(result.failure)
        self.answered[subject.name] += result.requests
        return result

    def _asked(self) -> int:
        return int(self._upstream.get("/")[1])

    def _figure(self, case: str, connections: int, name: str) -> Figure:
        direct = self._results[case, connections, self._subjects[0].name]
        results = self._results[case, connections, name]

        def middle(of: Callable[[Result], float], results: list[Result] = results) -> float:
            return median(map(of, results))

        def added(of: Callable[[Result], float]) -> float:
            return 1000 * (middle(of) - middle(of, direct))

        return Figure(
            case=case,
            connections=connections,
            subject=name,
            requests=sum(result.requests for result in results),
            rate=middle(lambda result: result.requests / result.seconds),
            p50=1000 * middle(lambda result: result.p50),
            p99=1000 * middle(lambda result: result.p99),
            added_p50=added(lambda result: result.p50),
            added_p99=added(lambda result: result.p99),
            added_first=added(lambda result: result.first_p50),
            cpu=middle(lambda result: 1000 * result.cpu / result.requests),
            generator=middle(lambda result: result.generator),
        )


def say(line: str) -> None:
    """Progress goes to stderr; the table alone to stdout."""
    print(line, file=sys.stderr, flush=True)
