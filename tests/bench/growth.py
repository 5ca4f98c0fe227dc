"""Resident memory of the gateway, fresh, after 20,000 requests, and how it grows from there."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.bench.load import Job, run
from tests.bench.measure import say
from tests.bench.process import resident
from tests.bench.server import Server
from tests.bench.subject import Subject

STEP = 10_000
FIRST = 2 * STEP
"""Requests after which memory is what a served gateway's is."""

CLIENTS = 16
DISTINCT = 10_000


@dataclass(frozen=True, slots=True)
class Growth:
    """Resident MB once ready, and after so many requests: half of them cached, in turns of `STEP`."""

    ready: float
    after: tuple[tuple[int, float], ...]

    @property
    def settled(self) -> float | None:
        """Resident MB after the first `FIRST` requests."""
        return dict(self.after).get(FIRST)

    @property
    def per_step(self) -> float | None:
        """MB for each `STEP` requests, from `FIRST` on; None when there were no more."""
        late = [(count, size) for count, size in self.after if count >= FIRST]
        if len(late) < 2:
            return None
        (begin, least), (end, most) = late[0], late[-1]
        return (most - least) / ((end - begin) / STEP)


def measure(server: Server, subject: Subject, total: int, patience: float) -> Growth:
    """The growth over `total` requests, or as many steps as fit into `patience` seconds."""
    ready, after, count, begin = resident(server.pid) / 1e6, [], 0, time.monotonic()
    while count < total and time.monotonic() < begin + patience:
        case = "miss" if count // STEP % 2 == 0 else "hit"
        ask = subject.asks[case]
        # The misses fill the cache for the hits that follow.
        first = count // STEP // 2 * STEP
        job = Job(
            server.port, ask.path, ask.body, ask.expect, server.pid, CLIENTS, requests=min(STEP, total - count),
            first=first, distinct=DISTINCT if case == "hit" else 0, headers=ask.headers,
        )  # fmt: skip
        result = run(job)
        if result.failure:
            raise server.broken(result.failure)
        count += result.requests
        after.append((count, resident(server.pid) / 1e6))
        say(f"after {count:,} requests {after[-1][1]:.1f} MB")
    return Growth(ready, tuple(after))
