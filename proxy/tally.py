"""The joint between those who count what happens and the tally where the workers of one machine keep it
(`stores/shared/tally.py`), with the words for it.

A series is a kind and its labels, all of them words of a bounded set, with `WIDTH` numbers. The kinds:

    call      model, provider, dialect, status, cache   `SPENT` and the two histograms
    project   name, status                              `SPENT`
    key       name, status                              `SPENT`
    attempt   target, how it ended                      the first number counts them
    failure   code                                      the first number counts them
    event     what                                      the first number counts them
    now       what                                      the first number is how it stands
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

WIDTH: Final = 64
"""Numbers of a series."""

OTHER: Final = "other"
"""The label for everything that the configuration does not name."""

COUNT, PROMPT, COMPLETION, CACHED, COST = range(5)
"""`SPENT`: calls; tokens that providers read and wrote, and had in their own caches; USD."""

SAVED: Final = 4
"""So much further on stand the tokens and the cost that answers of the gateway's cache would have taken."""

SECONDS: Final = SAVED + COST + 1
BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0)
"""The upper bounds of both histograms: after its sum each has a number for every bucket alone, and one for the rest."""

LATENCY: Final = SECONDS + 1
FIRST_SECONDS: Final = LATENCY + len(BOUNDS) + 1
FIRST: Final = FIRST_SECONDS + 1


@dataclass(slots=True, frozen=True)
class Series:
    """What one process has counted in one series; `live` says whether that process still runs."""

    kind: str
    labels: tuple[str, ...]
    values: tuple[float, ...]
    live: bool


class Tally(Protocol):
    """What the workers of one machine count, each for itself. Nothing raises, nothing is awaited."""

    cells: memoryview[float]
    """All numbers of this process, as long as it is open."""

    def place(self, kind: str, *labels: str) -> int:
        """Where in `cells` the numbers of a series begin, which is made if need be. It stays there."""
        ...

    def read(self) -> Iterable[Series]:
        """The series of all processes, this one's as they are now."""
        ...

    def close(self) -> None: ...


@runtime_checkable
class Queue(Protocol):
    """What a `TraceLog` also is that can say how full its queue is: rows that wait, and rows dropped so far."""

    def queue(self) -> tuple[int, int]: ...


def queue(log: object) -> tuple[int, int]:
    """Rows that wait, and rows dropped so far, as far as a log can tell."""
    return log.queue() if isinstance(log, Queue) else (0, 0)
