"""Tables of as many rows as there are: printed as they are found, aligned, one line a row.

A terminal may be narrower than a row. Then cells say the same in fewer letters where they can, columns that matter less
are left out, which is told, and texts end in an ellipsis; numbers are whole, or not there.

What must stay true: no more than `at_once` rows are held, and no column becomes narrower further down.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from proxy.terminal import Cell, console, piped, table

AT_ONCE = 200
"""Rows of a table that are held."""

GAP = 2
"""Columns between two cells."""

ENOUGH = 32
"""Columns of a text for whose sake no other cell is made brief."""

LEAST = 4
"""Columns of a text where nothing can be left out any more."""

Cells = Sequence[Cell]


@dataclass(slots=True, frozen=True)
class Column:
    """A column, and how it becomes narrower: `brief` says the same of its cells in fewer letters; a text is shortened
    to `least` columns, where there is no such number it is whole; of those that `leave` the lowest is left out first.
    """

    name: str
    least: int | None = None
    leaves: int = 0
    right: bool = False
    brief: Callable[[list[str]], list[str]] | None = None


def show(columns: Sequence[Column], rows: Iterable[Cells], at_once: int = AT_ONCE) -> None:
    """Rows under their columns; `at_once` of them are held."""
    out = console()
    if out.is_terminal:
        screen = Screen(out, columns)
        for some in _several(rows, at_once):
            screen.show(some)
        screen.end()
        return
    widths, right = [0] * len(columns), [column.right for column in columns]
    head: list[Cells] = [[column.name for column in columns]]
    for some in _several(rows, at_once):
        widths = _widened(widths, head + some)
        sys.stdout.writelines(piped(head + some, right, widths))
        head = []
    if head:
        sys.stdout.writelines(piped(head, right, _widened(widths, head)))


class Screen:
    """A table on a terminal. `widths` are those that the cells of its columns are known to come to."""

    def __init__(self, out: Console, columns: Sequence[Column], widths: Sequence[int] = ()) -> None:
        self._out = out
        self._columns = columns
        heads = [cell_len(column.name) for column in columns]
        self._widths = [max(pair) for pair in zip(heads, [*widths, *[0] * (len(heads) - len(widths))], strict=True)]
        self._least = [column.least or 0 for column in columns]
        self._brief: set[int] = set()
        self._there: list[int] = []

    def show(self, rows: list[Cells]) -> None:
        """Further rows; the heads are told again where other columns are left."""
        cells = [list(column) for column in zip(*rows, strict=True)]
        for place in self._brief:
            cells[place] = _said(cells[place], self._columns[place])
        self._measure(cells)
        self._shorten(cells)
        there, widths = self._fitted()
        made = table(*(self._columns[place].name for place in there))
        made.show_header = there != self._there
        for column, place in zip(made.columns, there, strict=True):
            column.justify = "right" if self._columns[place].right else "left"
            column.width, column.no_wrap, column.overflow = widths[place], True, "ellipsis"
        for row in zip(*(cells[place] for place in there), strict=True):
            made.add_row(*row)
        self._there = there
        self._out.print(made)

    def end(self) -> None:
        """Tell what was left out."""
        if not self._there:
            self._out.print(table(*(column.name for column in self._columns)))
            return
        gone = [column.name for place, column in enumerate(self._columns) if place not in self._there]
        if gone:
            self._out.print(Text(f"no room for: {', '.join(gone)} (--json has all)", style="dim"))

    def _measure(self, cells: list[list[Cell]]) -> None:
        for place, (column, found) in enumerate(zip(self._columns, cells, strict=True)):
            texts = [str(cell) for cell in found]
            self._widths[place] = max(self._widths[place], *map(cell_len, texts))
            if column.least is not None:
                numbers = [len(text) for text in texts if _is_number(text)]
                self._least[place] = max(self._least[place], *numbers, 0)

    def _shorten(self, cells: list[list[Cell]]) -> None:
        """Say the same in fewer letters, column by column, until there is room."""
        for place, column in enumerate(self._columns):
            wide = [
                width if column.least is None else min(width, max(ENOUGH, least))
                for column, width, least in zip(self._columns, self._widths, self._least, strict=True)
            ]
            if _whole(wide) <= self._out.width:
                return
            if column.brief is not None and place not in self._brief:
                self._brief.add(place)
                cells[place] = _said(cells[place], column)
                self._widths[place] = max(map(cell_len, [column.name, *map(str, cells[place])]))

    def _fitted(self) -> tuple[list[int], list[int]]:
        """The columns for which there is room, and how wide each is."""
        widths, there = list(self._widths), list(range(len(self._columns)))
        least = [
            width if column.least is None else min(width, at_least)
            for column, width, at_least in zip(self._columns, widths, self._least, strict=True)
        ]
        for place in sorted((one for one in there if self._columns[one].leaves), key=self._leaves):
            if _whole([least[one] for one in there]) <= self._out.width:
                break
            there.remove(place)
        texts = [one for one in there if self._columns[one].least is not None]
        for shortest in (least, [LEAST] * len(widths)):
            while _whole([widths[one] for one in there]) > self._out.width:
                longer = [one for one in texts if widths[one] > shortest[one]]
                if not longer:
                    break
                widths[max(longer, key=lambda one: widths[one])] -= 1
        return there, widths

    def _leaves(self, place: int) -> int:
        return self._columns[place].leaves


def _said(cells: list[Cell], column: Column) -> list[Cell]:
    """The same in fewer letters, in the same colours."""
    assert column.brief is not None
    brief = column.brief([str(cell) for cell in cells])
    return [Text(said, getattr(cell, "style", "")) for said, cell in zip(brief, cells, strict=True)]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _whole(widths: Sequence[int]) -> int:
    return sum(widths) + GAP * (len(widths) - 1)


def _widened(widths: list[int], rows: list[Cells]) -> list[int]:
    return [max(width, *(cell_len(str(row[place])) for row in rows)) for place, width in enumerate(widths)]


def _several(rows: Iterable[Cells], at_once: int) -> Iterator[list[Cells]]:
    left = iter(rows)
    while some := list(islice(left, at_once)):
        yield some
