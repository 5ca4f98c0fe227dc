"""`log stats`: what the calls cost, how fast they were and how many failed, by anything that a row has."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from proxy.commands import json_option, print_json
from proxy.commands.log.choice import PATIENCE, Choice, choosing, limit_option

if TYPE_CHECKING:
    from proxy.selection import Figures, Selection
    from proxy.stores.log.reader import Reader

BARS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"
FIGURES = {
    "calls": 0,
    "errors": 9,
    "cached": 6,
    "cost": 10,
    "saved": 1,
    "tokens in": 3,
    "out": 2,
    "p50": 8,
    "p95": 7,
    "p99": 4,
}
"""The columns, and which is left out first where there is no room for all."""


@click.command()
@choosing
@click.option(
    "--by", metavar="COLUMN", help="model, project, deployment, version, day, hour, status, key, metadata.team"
)
@limit_option(20)
@json_option
def stats(choice: Choice, by: str | None, limit: int, as_json: bool) -> None:
    """Add up calls, errors, cache hits, cost, tokens and latency, by any column.

    Percentiles are those of the calls that the cache did not answer. The line shows the calls over the time from the
    first to the last of all. Traces that lost the draw of log_sample_rate have no rows: the view `totals` counts them.
    Of a log with more than 200,000 rows the last 7 days are added up, unless --since says otherwise: `--since all`.

    \b
    Examples:
      parea-proxy log stats --since 7d --by day
      parea-proxy log stats --by metadata.team --status error --json
    """
    log = choice.reader()
    found = log.figures(_selection(choice, log), by, limit, seconds=PATIENCE)
    if as_json:
        print_json([summary(one, by) for one in found])
        return
    from proxy.commands.log.table import Column, show
    from proxy.terminal import clean, text

    course = [] if by in ("day", "hour") else [Column("course", leaves=5, brief=halved)]
    rows = [[_name(one, by), *_figures(one), *([sparkline(one.course)] if course else [])] for one in found]
    figures = [Column(name, leaves=leaves, right=True) for name, leaves in FIGURES.items()]
    group = Column(clean(by or "") if course else f"{by} (UTC)", least=12)
    show([group, *figures, *course], ([text(cell) for cell in row] for row in rows))


def _selection(choice: Choice, log: Reader) -> Selection:
    """The rows to add up: of many only the last, which is told, since nobody waits for seconds unasked."""
    chosen = choice.selection()
    if choice.said["since"] is None and (since := (chosen := log.lately(chosen)).since) is not None:
        told = f"since {datetime.fromisoformat(since).astimezone():%Y-%m-%d %H:%M %Z}, of {log.rows():,} rows"
        click.echo(f"{told}; --since all adds up all of them", err=True)
    return chosen


def summary(one: Figures, by: str | None) -> dict[str, Any]:
    """A group as JSON."""
    return {
        **({by: one.group} if by else {}),
        "calls": one.calls,
        "errors": one.errors,
        "hits": one.hits,
        "hit_rate": one.hits / one.calls if one.calls else 0.0,
        "cost": one.cost,
        "saved": one.saved,
        "input_tokens": one.input_tokens,
        "output_tokens": one.output_tokens,
        "latency": {"p50": one.p50, "p95": one.p95, "p99": one.p99},
        "course": one.course,
    }


def halved(lines: list[str]) -> list[str]:
    """Lines of bars half as long, of which each is the higher one of two."""
    return ["".join(max(line[place : place + 2]) for place in range(0, len(line), 2)) for line in lines]


def sparkline(counts: list[int]) -> str:
    """A line of bars; what there was at all is seen."""
    most = max(counts) or 1
    return "".join(BARS[-(-count * 8 // most)] for count in counts)


def _name(one: Figures, by: str | None) -> str:
    return "all" if by is None else "-" if one.group is None else str(one.group)


def _figures(one: Figures) -> list[str]:
    rate = f"{one.hits / one.calls:.0%}" if one.calls else "-"
    percentiles = ["-" if value is None else f"{value:.3f} s" for value in (one.p50, one.p95, one.p99)]
    counts = [f"{one.calls}", f"{one.errors}", rate, f"${one.cost:.6f}", f"${one.saved:.6f}"]
    return [*counts, f"{one.input_tokens}", f"{one.output_tokens}", *percentiles]
