"""What every command's output has in common: tables, JSON, and text that comes from strangers.

What must stay true: no control character of theirs reaches the terminal, and in a pipe a row of a table is one line.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\U000e0000-\U000e007f]")
"""What steers a terminal, turns the direction of a text, or says what nobody sees."""

_LONGEST = 400
"""Characters of one text; `--json` has it whole."""

_PIPE = 4096
"""Columns of a pipe: no row of a table is longer, so that none is folded."""


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
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", shown)


def seen(text: str, out: TextIO) -> str:
    """Lines of data as they are, and harmless where `out` is a terminal."""
    return "\n".join(clean(line, len(line)) for line in text.split("\n")) if out.isatty() else text


def text(text: str) -> Text:
    """The same as a cell of a table."""
    return Text(clean(text))


def table(*columns: str) -> Table:
    """An empty table."""
    made = Table(box=None, pad_edge=False, header_style="bold")
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
