"""What came of a run: each call beside its original in figures, and the totals of all. Texts stay in the log."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from proxy.record import Record

Verdict = Literal["same", "different", "not compared", "failed"]


@dataclass(slots=True, frozen=True)
class Figures:
    """Of one call. What is None nobody knows; an answer of the cache has no latency that says anything."""

    model: str | None = None
    cost: float | None = None
    latency: float | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


def figures(record: Record) -> Figures:
    latency = None if record.cache_hit else record.latency
    return Figures(record.model, record.cost, latency, record.input_tokens, record.output_tokens)


@dataclass(slots=True, frozen=True)
class Outcome:
    """One replay of one row: `error` says why it failed, `number` which of several of that row it is, `stored` whether
    the log has a row of it.
    """

    original: str
    replay: str
    number: int
    verdict: Verdict
    before: Figures
    after: Figures
    error: str | None = None
    stored: bool = True

    @property
    def answered(self) -> bool:
        return self.verdict in ("same", "different", "not compared")


@dataclass(slots=True, frozen=True)
class Pair:
    """What calls came to before and after; None where nobody knows."""

    before: float | None
    after: float | None


@dataclass(slots=True)
class Totals:
    """All of a run. Each sum and each percentile is of the answered calls of which both sides are known, the original
    once for each of its replays, so that both say the same number of calls. `skipped` counts rows by the reason.

    `spent` is what all calls of this run cost, compared or not, as far as it is known: of `unpriced` that were answered
    it is not. `unstored` says that the run ended since a row could not be stored.
    """

    rows: int
    planned: int
    made: int
    verdicts: dict[str, int]
    skipped: dict[str, int]
    sums: dict[str, Pair]
    latency: dict[str, Pair]
    spent: float
    unpriced: int
    interrupted: bool = False
    unstored: bool = False

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(slots=True)
class Run:
    """A run as it goes: what it is called, what it was to do, and what is done of it, in the order of the rows."""

    id: str
    rows: int
    planned: int
    skipped: Counter[str] = field(default_factory=Counter)
    outcomes: list[Outcome] = field(default_factory=list)
    interrupted: bool = False
    unstored: bool = False

    @property
    def succeeded(self) -> bool:
        return all(one.answered for one in self.outcomes)

    def why(self) -> str | None:
        """Why there is nothing to compare, or less than was meant, where nobody has stopped it."""
        if self.unstored:
            return "stopped: the log cannot store what is answered"
        if self.planned:
            return None
        reasons = "; ".join(f"{reason} ({count})" for reason, count in self.skipped.most_common())
        return f"nothing could be called: {reasons or 'no row is chosen'}"

    def totals(self) -> Totals:
        answered = [one for one in self.outcomes if one.answered]
        times = _both(answered, lambda one: one.latency)
        return Totals(
            rows=self.rows,
            planned=self.planned,
            made=len(self.outcomes),
            verdicts=dict(Counter(one.verdict for one in self.outcomes)),
            skipped=dict(self.skipped.most_common()),
            sums={
                "cost": _sum(_both(answered, lambda one: one.cost)),
                "input_tokens": _sum(_both(answered, lambda one: one.input_tokens)),
                "output_tokens": _sum(_both(answered, lambda one: one.output_tokens)),
            },
            latency={
                f"p{share}": Pair(percentile([a for a, _ in times], share), percentile([b for _, b in times], share))
                for share in (50, 95, 99)
            },
            spent=math.fsum(one.after.cost or 0.0 for one in self.outcomes),
            unpriced=sum(one.after.cost is None for one in self.outcomes if one.answered or not one.stored),
            interrupted=self.interrupted,
            unstored=self.unstored,
        )


def _both(outcomes: Sequence[Outcome], value: Callable[[Figures], float | None]) -> list[tuple[float, float]]:
    pairs = ((value(one.before), value(one.after)) for one in outcomes)
    return [(before, after) for before, after in pairs if before is not None and after is not None]


def _sum(pairs: Sequence[tuple[float, float]]) -> Pair:
    if not pairs:
        return Pair(None, None)
    return Pair(math.fsum(before for before, _ in pairs), math.fsum(after for _, after in pairs))


def percentile(values: Sequence[float], share: int) -> float | None:
    """The least value that so many of a hundred do not exceed."""
    return sorted(values)[max(math.ceil(len(values) * share / 100), 1) - 1] if values else None
