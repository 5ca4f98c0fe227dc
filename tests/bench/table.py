"""The one table that `make bench` prints, and the targets beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.measure import CONCURRENCY, Figure
from tests.bench.start import Start

OURS, THEIRS = "gateway", "LiteLLM"

HIT, MISS, START, STALL = 1 / 40, 1 / 2, 0.6, 50.0
"""The targets: CPU per request against LiteLLM's; seconds from exec; milliseconds at p99 while LiteLLM loads."""

STARTS = (
    ("exec to the first 200, s", "start", "health", 2),
    ("exec to the first cached answer, s", "start", "cached", 2),
    ("exec to ready (LiteLLM loaded), s", "start", "ready", 2),
    ("cached answers while LiteLLM loads, p50 ms", "start", "p50", 1),
    ("cached answers while LiteLLM loads, p99 ms", "start", "p99", 1),
    ("cached answers while LiteLLM loads, longest ms", "start", "longest", 1),
    ("resident MB, ready", "memory", "ready", 0),
    ("resident MB, after the load", "memory", "loaded", 0),
    ("completions in that load", "memory", "completions", 0),
)
"""The rows of the second half: label, where it stands in the report, decimals."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident MB once ready and after all the load, and how many completions that was."""

    ready: float
    loaded: float
    completions: int


@dataclass(frozen=True, slots=True)
class Target:
    """One target, what was measured, and whether it is met; None when it could not be measured."""

    name: str
    measured: str
    met: bool | None

    def __str__(self) -> str:
        return f"{_verdict(self.met):12}  {self.name}: {self.measured}"


@dataclass(frozen=True, slots=True)
class Report:
    """Everything one run has measured; `start` and `memory` are by subject, `remarks` say what was measured on what."""

    figures: Sequence[Figure]
    start: dict[str, Start]
    memory: dict[str, Memory]
    remarks: Sequence[str]

    def targets(self) -> list[Target]:
        start = self.start.get(OURS)
        health, cached, p99 = (start.health, start.cached, start.p99) if start else (None, None, None)
        return [
            self._cpu("hit", HIT),
            self._cpu("miss", MISS),
            _limit("/health answers within 0.6 s of exec", health, START, "s"),
            _limit("a cached answer comes within 0.6 s of exec", cached, START, "s"),
            _limit("p99 of cached answers while LiteLLM loads at most 50 ms", p99, STALL, "ms"),
        ]

    def _cpu(self, case: str, limit: float) -> Target:
        name = f"CPU of a {case} at most 1/{1 / limit:.0f} of LiteLLM's"
        ratios = [
            theirs.cpu / ours.cpu
            for connections in CONCURRENCY
            if (ours := self.figure(case, connections, OURS)) and (theirs := self.figure(case, connections, THEIRS))
        ]
        if not ratios:
            return Target(name, "not measured", None)
        measured = ", ".join(f"1/{ratio:.1f}" for ratio in ratios)
        return Target(name, measured, min(ratios) >= 1 / limit)

    def figure(self, case: str, connections: int, subject: str) -> Figure | None:
        for figure in self.figures:
            if (figure.case, figure.connections, figure.subject) == (case, connections, subject):
                return figure
        return None

    def __str__(self) -> str:
        parts = [aligned(self._load()), aligned(self._starts()), "\n".join(map(str, self.targets())), *self.remarks]
        return "\n\n".join(part for part in parts if part)

    def _load(self) -> list[list[str]]:
        if not self.figures:
            return []
        head = [
            "",
            "clients",
            "",
            "req/s",
            "added p50 ms",
            "p99 ms",
            "first byte ms",
            "CPU s/1000",
            "req/s ratio",
            "CPU",
        ]
        rows = [head]
        for figure in self.figures:
            theirs = self.figure(figure.case, figure.connections, THEIRS)
            row = [figure.case, str(figure.connections), figure.subject, f"{figure.rate:,.1f}"]
            if figure.subject == "upstream":
                row += [f"({figure.p50:.2f})", f"({figure.p99:.2f})", "", "", "", ""]
            else:
                row += [f"{figure.added_p50:.2f}", f"{figure.added_p99:.2f}"]
                row += [f"{figure.added_first:.2f}" if figure.case == "stream" else "", f"{figure.cpu:.3f}"]
                if figure.subject == OURS and theirs is not None:
                    row += [f"{figure.rate / theirs.rate:.1f}x", f"1/{theirs.cpu / figure.cpu:.1f}"]
            rows.append(row)
        return rows

    def _starts(self) -> list[list[str]]:
        subjects = [name for name in (OURS, THEIRS) if name in self.start or name in self.memory]
        rows = [["", *subjects]]
        for label, kind, field, digits in STARTS:
            found = [getattr(self, kind).get(name) for name in subjects]
            values = [None if one is None else getattr(one, field) for one in found]
            if any(value is not None for value in values):
                rows.append([label, *("-" if value is None else f"{value:,.{digits}f}" for value in values)])
        return rows if subjects else []


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as text: words to the left, numbers to the right."""
    if not rows:
        return ""
    widths = [max(len(row[column]) for row in rows if column < len(row)) for column in range(max(map(len, rows)))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if cell[:1].isalpha() and row is not rows[0] else cell.rjust(width)
            for cell, width in zip(row, widths, strict=False)
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _limit(name: str, value: float | None, limit: float, unit: str) -> Target:
    if value is None:
        return Target(name, "not measured", None)
    return Target(name, f"{value:.2f} {unit}", value <= limit)


def _verdict(met: bool | None) -> str:
    return "not measured" if met is None else "met" if met else "NOT MET"
