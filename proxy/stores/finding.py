"""Full-text search: what is indexed of a row, what a person's words ask for, and the part that is not indexed yet.

A row is found by what its call added: what its template was filled with, the messages since the last answer in them,
and its own answer. So a loop of N turns is indexed once, and found at the turn where a thing was said.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

from proxy.errors import BadRequest
from proxy.stores.conversations import whole

TABLE = "CREATE VIRTUAL TABLE texts USING fts5 (input, output, tokenize = 'unicode61 remove_diacritics 2')"
"""Of the step `m007_search`, and never edited once released."""

SAID = f"SELECT t.rowid, t.inputs, {whole('t')}, t.output FROM traces AS t WHERE"
"""What `texts` takes of rows."""

TAIL = f"""{SAID} t.rowid > (SELECT upto FROM indexed)
UNION ALL {SAID} t.rowid IN (SELECT number FROM stale)"""
"""The rows that are not indexed, or not any more."""

_FOUND = "SELECT rowid FROM texts WHERE texts MATCH ? ORDER BY rowid DESC LIMIT ?"
_WORD = re.compile(r'"([^"]+)"|([^\s"]+)')
_MUTE = frozenset({"role", "type"})


def texts(row: tuple[int, str | None, str | None, str | None]) -> tuple[int, str, str]:
    """A row of `texts`: number, input, output."""
    number, inputs, configuration, output = row
    said = list(_strings(_read(inputs)))
    given = _read(configuration)
    messages = given.get("messages") if isinstance(given, dict) else None
    if isinstance(messages, list):
        answers = [
            place for place, one in enumerate(messages) if isinstance(one, dict) and one.get("role") == "assistant"
        ]
        said.extend(_strings(messages[answers[-1] + 1 if answers else 0 :]))
    # half a surrogate pair has an escape in JSON, and no UTF-8
    return number, "\n".join(said).encode("utf-8", "replace").decode(), output or ""


def find(connection: sqlite3.Connection, text: str, limit: int) -> list[int]:
    """The numbers of the last rows that hold all words of `text`. Raises `BadRequest`."""
    asked = _query(text)
    connection.execute("BEGIN")  # the indexer may take from one while the other is read
    try:
        tail = connection.execute(TAIL).fetchall()
        found = [number for (number,) in connection.execute(_FOUND, (asked, limit))]
    finally:
        connection.execute("COMMIT")
    if tail:
        # The same tokens by the same rules.
        with closing(sqlite3.connect(":memory:")) as apart:
            apart.execute(TABLE)
            apart.executemany("INSERT INTO texts (rowid, input, output) VALUES (?, ?, ?)", map(texts, tail))
            found.extend(number for (number,) in apart.execute(_FOUND, (asked, limit)))
    return sorted(set(found), reverse=True)[:limit]


def _query(text: str) -> str:
    """FTS5's query for what a person writes: words, "phrases" and begin* of words, all of which must be there."""
    words = [phrase or word for phrase, word in _WORD.findall(text.replace("\0", " "))]
    asked = [f'"{word.rstrip("*")}"{" *" if word.endswith("*") else ""}' for word in words if re.search(r"\w", word)]
    if not asked:
        raise BadRequest("text: no word to search for", param="text")
    return " AND ".join(asked)


def _read(text: str | None) -> Any:
    try:
        return json.loads(text) if text else None
    except RecursionError:
        return None  # too deep to be words of anybody


def _strings(value: Any) -> Iterator[str]:
    """All texts within a value; of messages what is said, and not what says it."""
    if isinstance(value, str):
        if not value.startswith("data:"):
            yield value
        return
    inner: Iterable[Any] = ()
    if isinstance(value, dict):
        inner = (one for key, one in value.items() if key not in _MUTE)
    elif isinstance(value, list):
        inner = value
    for one in inner:
        yield from _strings(one)
