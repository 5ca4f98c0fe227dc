"""The targets of the gateway's speed, each judged by the weakest of its figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from tests.bench.instructions import TOLERANCE
from tests.bench.measure import Figure
from tests.bench.report import ECHO, GATEWAY, NGINX, OURS, WORKERS, Report
from tests.bench.retention import LIMIT

OPEN = 0.35
"""Seconds from exec within which the port is open and a cached answer has come."""

UNLOADED = 0.35
"""Seconds after the first cached answer within which no LiteLLM can have been imported: that takes 1.8 s at least."""

STALL = 50.0
"""Milliseconds that no cached answer waits while LiteLLM loads."""

FLAT = 1.10
ANSWERED = 50.0
"""Milliseconds within which a question to a million rows is answered."""

WHOLE = frozenset({"stats by model", "spend_daily"})
"""Those that read every row, whatever it has."""

BUSY = 0.9
"""The share of the machine in use at which other processes than the gateway leave it no more."""

Of = Callable[[Figure], float]


@dataclass(frozen=True, slots=True)
class Target:
    """One target, what was measured, and whether it is met; None when it could not be measured."""

    group: str
    name: str
    measured: str
    met: bool | None

    @property
    def verdict(self) -> str:
        return "not measured" if self.met is None else "met" if self.met else "NOT MET"


def targets(report: Report) -> list[Target]:
    return [
        *_hits(report),
        *_misses(report),
        *_streams(report),
        *_workers(report),
        *_starts(report),
        *_scales(report),
        *_log(report),
    ] + (_instructions(report))


def _hits(report: Report) -> list[Target]:
    cpu = attrgetter("cpu")
    return [
        _against(report, "hit", "CPU at most 1/150 of LiteLLM's", "hit", "LiteLLM", cpu, 1 / 150),
        _against(report, "hit", "CPU at most 2 times bare uvicorn's echo", "hit", ECHO, cpu, 2.0),
        _against(
            report, "hit", "p50 at 16 clients at most 1.5 times that echo's", "hit", ECHO, attrgetter("p50"), 1.5, (16,)
        ),
    ]


def _misses(report: Report) -> list[Target]:
    cpu, added = attrgetter("cpu"), attrgetter("added_p50")
    return [
        _against(report, "miss", "CPU at most 1/50 of LiteLLM's", "miss", "LiteLLM", cpu, 1 / 50),
        _against(report, "miss", "CPU at most 1/5 of Portkey's", "miss", "Portkey", cpu, 1 / 5),
        _against(report, "miss", "CPU at most TensorZero's", "miss", "TensorZero", cpu, 1.0),
        _faster(report, "miss", "throughput at least TensorZero's", "miss", "TensorZero"),
        _against(
            report, "miss", "added p50 at one client at most TensorZero's", "miss", "TensorZero", added, 1.0, (1,)
        ),
        _against(report, "miss", "added p50 at 50 req/s at most TensorZero's", "steady", "TensorZero", added, 1.0),
    ]


def _streams(report: Report) -> list[Target]:
    cpu = attrgetter("chunk_cpu")
    ours = [figure for subject in OURS for figure in report.of("paced", subject)]
    limit = report.of("paced", NGINX)
    first = [figure.first_p50 - limit[0].first_p50 for figure in ours] if limit else []
    return [
        _against(report, "stream", "paced: CPU per piece at most 1/2 of TensorZero's", "paced", "TensorZero", cpu, 0.5),
        _against(
            report, "stream", "unpaced: CPU per piece at most 1/2 of TensorZero's", "unpaced", "TensorZero", cpu, 0.5
        ),
        _most("stream", "first byte within 2 ms of nginx's", first, 2.0, "ms more"),
        _most("stream", "one-way p99 of a piece at most 2 ms", [figure.chunk_p99 for figure in ours], 2.0, "ms"),
    ]


def _workers(report: Report) -> list[Target]:
    judged = []
    for case in ("hit", "miss"):
        pairs = list(_pairs(report, case, (WORKERS,), GATEWAY, (16, 64)))
        name = f"CPU of a {case} at most 1.15 times one worker's"
        judged.append(_most("two workers", name, [two.cpu / one.cpu for two, one in pairs], 1.15, "x"))
        more = [(two.rate / one.rate, two.busy) for two, one in pairs]
        name = f"throughput of a {case} up to what the other processes leave"
        if not more:
            judged.append(Target("two workers", name, "not measured", None))
            continue
        said = ", ".join(f"{ratio:.2f}x at {busy:.0%} of the machine" for ratio, busy in more)
        judged.append(
            Target(
                "two workers", name, said, all(ratio >= 1.8 or (ratio >= 1 and busy >= BUSY) for ratio, busy in more)
            )
        )
    return judged


def _starts(report: Report) -> list[Target]:
    start, theirs, growth = report.starts.get(GATEWAY), report.memory.get("LiteLLM"), report.growth
    port, cached, longest = ([start.port], [start.cached or 0], [start.longest or 0]) if start else ([], [], [])
    waited = [start.answered - (start.cached or 0)] if start else []
    settled = growth.settled if growth else None
    share = [settled / theirs.loaded] if settled and theirs else []
    grown = [growth.per_step] if growth and growth.per_step is not None else []
    return [
        _most("start", f"port open within {OPEN} s of exec", port, OPEN, "s"),
        _most("start", f"first cached answer within {OPEN} s of exec", cached, OPEN, "s"),
        _most(
            "start",
            "a first miss of a known model does not wait for LiteLLM",
            waited,
            UNLOADED,
            "s after the first hit",
        ),
        _most("start", f"no request stalled over {STALL:.0f} ms while LiteLLM loads", longest, STALL, "ms"),
        _most("start", "resident after 20,000 requests at most 1/2 of LiteLLM's", share, 0.5, "x"),
        _most("start", "growth under 1 MB per 10,000 requests", grown, 1.0, "MB"),
    ]


def _scales(report: Report) -> list[Target]:
    found: dict[str, list[float]] = {}
    for one in report.scale:
        found.setdefault(f"{one.little if one.little != 'few' else '10'} to {one.much} {one.what}", []).append(
            one.ratio
        )
    if not found:
        return [Target("scale", "cost flat within 10 %", "not measured", None)]
    return [_most("scale", f"cost flat within 10 % from {what}", ratios, FLAT, "x") for what, ratios in found.items()]


def _log(report: Report) -> list[Target]:
    """Nothing, until it is measured."""
    if (found := report.log) is None:
        return []
    accepted = found.accepted * 60
    least, answered = "100,000 rows a minute accepted", f"listing, filter and one tree within {ANSWERED:.0f} ms, p99"
    slowest = max((one for one in found.questions if one.what not in WHOLE), key=lambda one: one.p99)
    targets = [
        Target("log", least, f"{accepted:,.0f}", accepted >= 100_000),
        Target("log", answered, f"{slowest.p99:.1f} ms: {slowest.what}", slowest.p99 <= ANSWERED),
    ]
    if found.retention is not None:
        longest = found.retention.waited[-1].longest
        name = f"no row waits over {LIMIT:.0f} ms while old ones are removed"
        targets.append(Target("log", name, f"{longest:.1f} ms", longest <= LIMIT))
    return targets


def _instructions(report: Report) -> list[Target]:
    name = f"instructions of a hit at most {TOLERANCE:.0%} above those kept"
    counted, kept = report.counted, report.kept
    growth = counted.growth(kept) if counted and kept else None
    if counted is None:
        return [Target("instructions", name, "not counted", None)]
    if growth is None:
        return [Target("instructions", name, f"{counted.hit:,}, none kept for these versions", None)]
    return [Target("instructions", name, f"{counted.hit:,} ({growth:+.1%})", growth <= TOLERANCE)]


def _pairs(
    report: Report, case: str, ours: Sequence[str], theirs: str, connections: Sequence[int] | None = None
) -> Iterable[tuple[Figure, Figure]]:
    for subject in ours:
        for figure in report.of(case, subject):
            if connections is None or figure.connections in connections:
                other = report.figure(case, figure.connections, theirs)
                if other is not None:
                    yield figure, other


def _against(
    report: Report, group: str, name: str, case: str, theirs: str, of: Of, limit: float,
    connections: Sequence[int] | None = None,
) -> Target:  # fmt: skip
    """At most `limit` times theirs, in every case and dialect."""
    ratios = [of(one) / of(other) for one, other in _pairs(report, case, OURS, theirs, connections) if of(other) > 0]
    if not ratios:
        return Target(group, name, "not measured", None)
    worst = max(ratios)
    return Target(group, name, share(worst), worst <= limit)


def _faster(report: Report, group: str, name: str, case: str, theirs: str) -> Target:
    """As many requests a second as theirs, at every concurrency and in every dialect."""
    ratios = [one.rate / other.rate for one, other in _pairs(report, case, OURS, theirs)]
    if not ratios:
        return Target(group, name, "not measured", None)
    return Target(group, name, share(min(ratios)), min(ratios) >= 1.0)


def _most(group: str, name: str, values: Sequence[float], limit: float, unit: str) -> Target:
    if not values:
        return Target(group, name, "not measured", None)
    space = "" if unit == "x" else " "
    return Target(group, name, f"{max(values):.2f}{space}{unit}", max(values) <= limit)


def share(ratio: float) -> str:
    """A ratio as it is read best: 1/3.0, or 1.5x."""
    return f"1/{1 / ratio:.1f}" if 0 < ratio < 0.9 else f"{ratio:.2f}x"
