"""What `make bench` prints: the figures with their ratios, the targets, and what is missing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench.failover import CASES
from tests.bench.measure import Figure
from tests.bench.report import ECHO, GATEWAY, UPSTREAM, WORKERS, Report
from tests.bench.target import share, targets

Rows = list[list[str]]


@dataclass(frozen=True, slots=True)
class Column:
    title: str
    cell: Callable[[Figure], str]


def _number(of: Callable[[Figure], float], digits: int) -> Callable[[Figure], str]:
    return lambda figure: f"{of(figure):,.{digits}f}"


WHOLE = (
    Column("req/s", _number(lambda figure: figure.rate, 0)),
    Column("p50 ms", _number(lambda figure: figure.p50, 2)),
    Column("p99 ms", _number(lambda figure: figure.p99, 2)),
    Column("CPU us", _number(lambda figure: 1000 * figure.cpu, 0)),
)
STREAMED = (
    Column("pieces/s", _number(lambda figure: figure.chunk_rate, 0)),
    Column("first byte p50 ms", _number(lambda figure: figure.first_p50, 2)),
    Column("one-way p99 ms", _number(lambda figure: figure.chunk_p99, 2)),
    Column("CPU us/piece", _number(lambda figure: figure.chunk_cpu, 1)),
)
STEADY = (Column("added p50 ms", _number(lambda figure: figure.added_p50, 2)), *WHOLE[1:])

TITLES = {
    "hit": "Cached answers",
    "miss": "Misses",
    "steady": "Misses at a steady 50 requests a second",
    "paced": "Streams, 100 pieces a second each",
    "unpaced": "Streams, as fast as the upstream sends",
}
COLUMNS = {"hit": WHOLE, "miss": WHOLE, "steady": STEADY, "paced": STREAMED, "unpaced": STREAMED}


def cost(figure: Figure) -> float:
    """CPU per piece of a stream, per request otherwise."""
    return figure.chunk_cpu or figure.cpu


def figures(report: Report, case: str, connections: int) -> Rows:
    """A row for each subject, with its CPU as a multiple of the gateway's; the upstream's own is left out."""
    columns = COLUMNS[case]
    ours = report.figure(case, connections, GATEWAY)
    rows = [["", *(column.title for column in columns), "CPU of the gateway's"]]
    for name in report.subjects(case):
        figure = report.figure(case, connections, name)
        if figure is None or name == UPSTREAM:
            continue
        ratio = share(cost(figure) / cost(ours)) if ours and cost(ours) and figure is not ours else ""
        rows.append([name, *(column.cell(figure) for column in columns), ratio])
    return rows


def starts(report: Report) -> Rows:
    if not (report.starts or report.memory):
        return []
    head = [
        "",
        "port open s",
        "first 200 s",
        "first hit s",
        "first miss s",
        "resident MB",
        "after the load",
        "requests",
    ]
    rows = [head]
    known = report.starts.keys() | report.memory.keys()
    for name in [one for one in (ECHO, GATEWAY, WORKERS, *report.about) if one in known]:
        start, memory = report.starts.get(name), report.memory.get(name)
        seconds = [start.port, start.ready, start.cached, start.answered] if start else [None] * 4
        cells = ["-" if value is None else f"{value:.2f}" for value in seconds]
        cells += [f"{memory.ready:,.0f}", f"{memory.loaded:,.0f}", f"{memory.completions:,}"] if memory else ["-"] * 3
        rows.append([name, *cells])
    return rows


def growth(report: Report) -> Rows:
    if report.growth is None:
        return []
    after = [("ready", report.growth.ready), *((f"{count:,}", size) for count, size in _sampled(report.growth.after))]
    return [["requests", *(count for count, _ in after)], ["resident MB", *(f"{size:.1f}" for _, size in after)]]


def _sampled(after: Sequence[tuple[int, float]]) -> Sequence[tuple[int, float]]:
    """Each, or about six of many, the last in any case."""
    step = max(1, len(after) // 6)
    return [*after[step - 1 :: step], *([after[-1]] if after and len(after) % step else [])]


def scales(report: Report) -> Rows:
    if not report.scale:
        return []
    rows = [["", "", "from", "CPU us", "to", "CPU us", "ratio"]]
    for one in report.scale:
        few, many = f"{one.little_cpu:.1f}", f"{one.much_cpu:.1f}"
        rows.append([one.what, one.case, one.little, few, one.much, many, f"{one.ratio:.2f}x"])
    return rows


def log(report: Report) -> Rows:
    """What questions to a large log take."""
    if report.log is None:
        return []
    rows = [["of a log of " + f"{report.log.rows:,} rows", "p50 ms", "p99 ms"]]
    return rows + [[one.what, f"{one.p50:,.1f}", f"{one.p99:,.1f}"] for one in report.log.questions]


def log_sizes(report: Report) -> Rows:
    """How fast rows go in, and how large they are."""
    if report.log is None:
        return []
    found, one = [f"{size:,.0f}" for _, size in report.log.sizes], report.log
    turns = [f"a turn of {count}" for count, _ in one.sizes]
    return [
        ["rows/s", "rows/CPU s", *(f"bytes of {turn}" for turn in turns), "bytes a row, realistic"],
        [f"{one.accepted:,.0f}", f"{one.accepted_cpu:,.0f}", *found, f"{one.row_bytes:,.0f}"],
    ]


def retention(report: Report) -> Rows:
    """How long rows waited until they were committed, before old ones were removed and meanwhile."""
    if report.log is None or (found := report.log.retention) is None:
        return []
    rows = [[f"{found.removed:,} rows removed", "rows written", "p50 ms", "p99 ms", "longest ms", "over 50 ms"]]
    for one in found.waited:
        times = [f"{value:,.1f}" for value in (one.p50, one.p99, one.longest)]
        rows.append([one.when, f"{one.rows:,}", *times, f"{one.slow:,}"])
    return rows


def failovers(report: Report) -> Rows:
    if not report.failover:
        return []
    rows = [["the primary", "", "calls", "answered", "p50 ms", "p99 ms", "calls of the primary per answer"]]
    for one in report.failover:
        answered = f"{one.answered / one.asked:.1%}"
        times = [f"{value:,.0f}" for value in (one.p50, one.p99)]
        rows.append([CASES[one.case], one.subject, f"{one.asked:,}", answered, *times, f"{one.calls:.2f}"])
    return rows


def judged(report: Report) -> Rows:
    return [["", "target", "measured", ""]] + [
        [one.group, one.name, one.measured, one.verdict] for one in targets(report)
    ]


def missing(report: Report) -> list[str]:
    return [f"Without {name}: {reason}" for name, reason in report.skipped.items()]


def text(report: Report) -> str:
    parts = []
    for case in TITLES:
        for connections in sorted({figure.connections for figure in report.figures if figure.case == case}):
            parts.append(f"{TITLES[case]}, {connections} clients\n{aligned(figures(report, case, connections))}")
    parts += [
        aligned(rows)
        for rows in (
            starts(report),
            growth(report),
            scales(report),
            log_sizes(report),
            log(report),
            retention(report),
            failovers(report),
            judged(report),
        )
        if rows
    ]
    return "\n\n".join([*parts, "\n".join([*missing(report), *report.remarks, report.machine])])


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
