"""What every command's output has in common: tables, JSON, and text that comes from strangers.

What must stay true: no control character of theirs reaches the terminal, but for a tab within a longer text; and in a
pipe a row of a table is one line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
"""What steers a terminal, turns the direction of a text, or says what nobody sees."""

_LONGEST = 400
"""Characters of one text; `--json` has it whole."""

_PIPE = 4096
"""Columns of a pipe: no row of a table is longer, so that none is folded."""

_PADDED = 60
"""Columns that a cell is filled up to in a pipe; beside a longer one, only its own row is moved."""

_SPACES = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}
"""What is no harm to know, and has no room in one line."""

Cell = Text | str


def written(value: Any) -> str:
    """JSON for people and programs: whatever would steer a terminal is escaped, as JSON escapes the first of it."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    return "\n".join(_CONTROL.sub(_escaped, line) for line in text.split("\n"))


def line(value: Any) -> str:
    """The same in one line."""
    return _CONTROL.sub(_escaped, json.dumps(value, ensure_ascii=False, default=str))


def _escaped(one: re.Match[str]) -> str:
    """A character as JSON escapes it; of those beyond 16 bits that takes two."""
    return f"\\u{ord(one[0]):04x}" if ord(one[0]) < 0x10000 else json.dumps(one[0])[1:-1]


def listed(values: Iterable[Any]) -> Iterator[str]:
    """The lines of a JSON list as `written` has it, with no more than one value in memory."""
    opened = False
    for value in values:
        text = written(value).replace("\n", "\n  ")
        yield f",\n  {text}" if opened else f"[\n  {text}"
        opened = True
    yield "\n]\n" if opened else "[]\n"


def clean(text: str, longest: int = _LONGEST) -> str:
    """One line of text, harmless and not too long."""
    shown = text if len(text) <= longest else text[: longest - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return _CONTROL.sub(_harmless, shown)


def _harmless(one: re.Match[str]) -> str:
    return _SPACES.get(one[0], "\N{REPLACEMENT CHARACTER}")


def lines(text: str) -> list[str]:
    """The lines of a longer text, each harmless and whole, with its tabs; those of Windows end as all others do."""
    found = text.replace("\r\n", "\n").split("\n")
    return ["\t".join(clean(piece, len(piece)) for piece in line.split("\t")) for line in found]


def seen(text: str, out: TextIO) -> str:
    """Lines of data as they are, and harmless where `out` is a terminal."""
    return "\n".join(lines(text)) if out.isatty() else text


def text(text: str) -> Text:
    """The same as a cell of a table."""
    return Text(clean(text))


def piped(rows: Iterable[Sequence[Cell]], right: Sequence[bool], widths: Sequence[int]) -> Iterator[str]:
    """The rows of a table for a pipe, each a line; in columns that are `right` cells stand at the right."""
    filled = [min(width, _PADDED) for width in widths]
    for row in rows:
        cells = []
        for cell, width, ranged in zip(map(str, row), filled, right, strict=True):
            space = " " * (width - cell_len(cell))
            cells.append(space + cell if ranged else cell + space)
        yield "  ".join(cells).rstrip() + "\n"


class _Table(Table):
    """In a pipe nothing is filled up to the longest text of a column."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if console.is_terminal:
            yield from super().__rich_console__(console, options)
            return
        columns = [[str(cell) for cell in column.cells] for column in self.columns]
        if self.show_header:
            columns = [[str(column.header), *cells] for column, cells in zip(self.columns, columns, strict=True)]
        right = [column.justify == "right" for column in self.columns]
        widths = [max(map(cell_len, cells), default=0) for cells in columns]
        for line in piped(zip(*columns, strict=True), right, widths):
            yield Text(line, end="", no_wrap=True, overflow="ignore")


def table(*columns: str) -> Table:
    """An empty table."""
    made = _Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


class _Console(Console):
    """Leaves it to the command line what to do when nobody reads on."""

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError


def console() -> Console:
    """On a terminal as wide as that is; in a pipe as wide as it takes."""
    made = _Console(highlight=False, soft_wrap=False)
    return made if made.is_terminal else _Console(highlight=False, width=_PIPE)
