"""`log sql`: any question to the log, in SQL. It is read, and nothing else happens, whatever is asked."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import click

from proxy.commands import json_option
from proxy.commands.log.choice import Choice, reading, timeout_option

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@click.command("sql")
@click.argument("query")
@reading
@timeout_option
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV; a text that would be a formula gets an apostrophe.")
def question(choice: Choice, query: str, timeout: float, as_json: bool, as_csv: bool) -> None:
    """Ask the log something in SQL, such as a SELECT from `traces`.

    The tables are told by: parea-proxy log sql "select sql from sqlite_master"

    \b
    Examples:
      parea-proxy log sql "select model, count(*), sum(cost) from traces group by model"
      parea-proxy log sql "select * from totals" --json
    """
    if as_json and as_csv:
        raise click.UsageError("--json or --csv, not both")
    answer = choice.reader().ask(query, seconds=timeout)
    columns = next(answer)
    if as_json:
        _print_json(columns, answer)
    elif as_csv:
        from proxy.dialects.archives.spreadsheet import line
        from proxy.terminal import seen

        click.echo(seen(line(columns), sys.stdout), nl=False)
        for row in answer:
            click.echo(seen(line(row), sys.stdout), nl=False)
    else:
        _print_table(columns, answer)


def _print_json(columns: Sequence[str], rows: Iterator[Sequence[Any]]) -> None:
    from proxy.terminal import listed

    for text in listed(dict(zip(columns, map(_plain, row), strict=True)) for row in rows):
        click.echo(text, nl=False)


def _plain(value: Any) -> Any:
    """A value as JSON has it: bytes are hex digits, and what is no number there is null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.hex() if isinstance(value, bytes) else value


def _print_table(columns: Sequence[str], rows: Iterator[Sequence[Any]]) -> None:
    from proxy.commands.log.table import Column, show
    from proxy.terminal import clean, text

    shown = (
        [text("" if value is None else value.hex() if isinstance(value, bytes) else str(value)) for value in row]
        for row in rows
    )
    first = len(columns)  # it is the last one that goes first
    show([Column(clean(name), least=8, leaves=first - place) for place, name in enumerate(columns)], shown)
