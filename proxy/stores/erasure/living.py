"""What the rows that stay say: a text that others said as well is not one person's alone.

What must stay true: every row of the log is looked at, and what it says is told by its id.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from proxy.stores.erasure.residue import Needles
from proxy.stores.schema.database import code, open_reader

BYTES = 2 * 2**20
"""Of rows, that are looked through at a time."""

TOLD = 3
"""Rows whose ids are told."""

_TABLES = {
    "traces": "trace_id",
    "edits": "trace_id",
    "bodies": "'a message'",
    "projects": "name",
    "spend": "'spend of the key ' || key",
    "sampled_out": "root_trace_id",
    "sqlite_master": "name",
}
"""Where people's words and names are, and how a row is told. What the index of a search has besides is a copy of it."""


@dataclass(slots=True)
class Living:
    """`places` of texts; `rows` that have the id, of which `some` are named; `part`: its bytes stand in some row, be it
    in a longer word.
    """

    places: set[bytes] = field(default_factory=set)
    rows: int = 0
    some: list[str] = field(default_factory=list)
    part: bool = False


def living(connection: sqlite3.Connection, needles: Needles, tell: Callable[[float, int], None]) -> Living:
    """What the rows have. `tell` is told the share that is done, and the number of rows."""
    found, done = Living(), 0
    (total,) = connection.execute("SELECT (SELECT count(*) FROM traces) + (SELECT count(*) FROM bodies) + 1").fetchone()
    for table, told in _TABLES.items():
        part: list[tuple[str, bytes]] = []
        size = 0
        for name, *cells in connection.execute(f"SELECT {told}, * FROM {table}"):
            row = b"\0".join(cell.encode("utf-8", "replace") for cell in cells if isinstance(cell, str))
            part.append((str(name), row))
            size += len(row)
            if size > BYTES:
                _look(found, part, needles)
                done += len(part)
                tell(done / total, done)
                part, size = [], 0
        _look(found, part, needles)
        done += len(part)
    return found


def _look(found: Living, rows: list[tuple[str, bytes]], needles: Needles) -> None:
    body = b"\0".join(row for _, row in rows)
    found.places |= needles.within(body)
    if needles.name is None or not needles.name.part(body):
        return
    found.part = True
    for told, row in rows:
        if needles.name.part(row) and any(needles.name.said(cell) for cell in row.split(b"\0")):
            found.rows += 1
            if len(found.some) < TOLD and told not in found.some:
                found.some.append(told)


def read_only(path: Path) -> sqlite3.Connection:
    """A connection that reads, also in a folder that may not be written. Raises `sqlite3.Error`."""
    try:
        return open_reader(path)
    except sqlite3.OperationalError as error:
        if code(error) not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        return open_reader(path, at_rest=True)
