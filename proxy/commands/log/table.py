"""Tables of as many rows as there are: printed as they are found, aligned, one line a row in a pipe.

What must stay true: no more than `AT_ONCE` rows are held, and no column becomes narrower further down.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from rich.cells import cell_len
from rich.text import Text

from proxy.record import Record
from proxy.report import line_of
from proxy.terminal import console, table

AT_ONCE = 200
COLUMNS = ("trace", "started", "name", "model", "latency", "cost", "tokens", "status")


def show_rows(records: Iterable[Record]) -> None:
    """Rows of the log as `traces` shows them."""
    show(COLUMNS, (line_of(record) for record in records))


def show(columns: Sequence[str], rows: Iterable[Sequence[Text | str]], numbers: Iterable[str] = ()) -> None:
    """Rows under their columns; those called `numbers` stand at the right."""
    out, widths = console(), [cell_len(name) for name in columns]
    right, first = frozenset(numbers), True
    for some in _several(rows):
        made = table(*columns)
        made.show_header = first
        for place, column in enumerate(made.columns):
            widths[place] = max(widths[place], *(cell_len(str(row[place])) for row in some))
            column.justify = "right" if columns[place] in right else "left"
            if not out.is_terminal:
                column.min_width = widths[place]
        for row in some:
            made.add_row(*row)
        out.print(made)
        first = False
    if first:
        out.print(table(*columns))


def _several(rows: Iterable[Sequence[Text | str]]) -> Iterator[list[Sequence[Text | str]]]:
    left = iter(rows)
    while some := list(islice(left, AT_ONCE)):
        yield some
