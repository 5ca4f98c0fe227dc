"""CSV of what strangers wrote, for programs that calculate: no cell of it is a formula.

A spreadsheet takes a text that begins with one of `SIGNS` for a formula, and runs it when the file is opened. What must
stay true: no cell that is text begins so, and every text is quoted; numbers stay numbers.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

SIGNS = (*"=+-@\t\r\n", *"\uff1d\uff0b\uff0d\uff20")
"""Those of a spreadsheet, and the same in full width, which some take for them."""


def line(cells: Sequence[Any]) -> str:
    """A row of cells, with its line end. A text may have line breaks of its own."""
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerow([cell(one) for one in cells])
    return written.getvalue()


def cell(value: Any) -> str | int | float:
    """A value as a cell: a number as it is, what has parts as JSON, and text after an apostrophe where it must be."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float):
        return value
    if isinstance(value, bytes):
        return value.hex()
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return f"'{text}" if text.startswith(SIGNS) else text
