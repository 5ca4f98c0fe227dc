"""Tables of as many rows as there are: printed as they are found, aligned, one line a row in a pipe.

What must stay true: no more than `at_once` rows are held, and no column becomes narrower further down.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from proxy.record import Record
from proxy.report import line_of
from proxy.terminal import console, table

AT_ONCE = 200
"""Rows of a table that are held."""

COLUMNS = ("trace", "started", "name", "model", "latency", "cost", "tokens", "status")

Cells = Sequence[Text | str]


def show_rows(records: Iterable[Record]) -> None:
    """Rows of the log as `traces` shows them."""
    show(COLUMNS, (line_of(record) for record in records))


def show(columns: Sequence[str], rows: Iterable[Cells], numbers: Iterable[str] = (), at_once: int = AT_ONCE) -> None:
    """Rows under their columns; those called `numbers` stand at the right. `at_once` of them are held."""
    out, widths = console(), [cell_len(name) for name in columns]
    right, head = frozenset(numbers), [list(columns)]
    for some in _several(rows, at_once):
        for place in range(len(columns)):
            widths[place] = max(widths[place], *(cell_len(str(row[place])) for row in some))
        if out.is_terminal:
            out.print(_framed(columns, some, right, headed=bool(head)))
        else:
            sys.stdout.writelines(_lines(columns, head + some, right, widths))
        head = []
    if head:
        out.print(table(*columns))


def _framed(columns: Sequence[str], rows: list[Cells], right: frozenset[str], *, headed: bool) -> Table:
    """What makes use of the width that a terminal has, and of its colours."""
    made = table(*columns)
    made.show_header = headed
    for column, name in zip(made.columns, columns, strict=True):
        column.justify = "right" if name in right else "left"
    for row in rows:
        made.add_row(*row)
    return made


def _lines(columns: Sequence[str], rows: list[Cells], right: frozenset[str], widths: list[int]) -> Iterator[str]:
    """The same for a pipe, a row a line; it is what a listing of many rows spends its time with."""
    for row in rows:
        cells = []
        for name, cell, width in zip(columns, map(str, row), widths, strict=True):
            space = " " * (width - cell_len(cell))
            cells.append(space + cell if name in right else cell + space)
        yield "  ".join(cells) + "\n"


def _several(rows: Iterable[Cells], at_once: int) -> Iterator[list[Cells]]:
    left = iter(rows)
    while some := list(islice(left, at_once)):
        yield some
