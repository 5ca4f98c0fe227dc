"""Rows that follow each other, read for their texts: what the index is made of, and what is searched without it.

A message that many of them were asked with is read once, so a loop of N turns is N messages here as well. What several
of them say alike, such as answers from the cache, is one text of all of them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from proxy.stores.index.words import said, told

SPAN = 1024
"""Numbers of rows that are gathered at most."""

ENOUGH = 4 * 2**20
"""Characters from which on no further row is taken."""

AT_ONCE = 32
"""Rows that are read in one go, so that no reading transaction lasts."""

_ROWS = """SELECT rowid, start_timestamp, inputs, configuration, output, extra, conversation FROM traces
WHERE rowid BETWEEN ? AND ? ORDER BY rowid LIMIT ?"""
_BODY = (
    "SELECT c.previous, c.body, b.body FROM conversations AS c LEFT JOIN bodies AS b ON b.id = c.body WHERE c.id = ?"
)


@dataclass(slots=True)
class Gathered:
    """Rows from the number `first` to `last`; bit n of an integer stands for the row `first + n`."""

    first: int
    last: int = 0
    rows: int = 0
    """A bit for each row that is there."""
    count: int = 0
    size: int = 0
    """Characters of all texts."""
    earliest: str | None = None
    latest: str | None = None
    texts: list[tuple[int, list[str]]] = field(default_factory=list)
    """Each text once, together with the others of the same rows. Those of one row come first, in their
    order, then those of few."""


def gather(
    connection: sqlite3.Connection, first: int, last: int, breathe: Callable[[], None] = lambda: None
) -> Gathered | None:
    """The rows from the first that there is from the number `first` on, up to `last` or until it is enough; None where
    there is none. `breathe` is called between two of them.
    """
    found: Gathered | None = None
    talks = _Talks(connection)
    having: dict[str, int] = {}
    upto = first
    while True:
        end = last if found is None else min(last, found.first + SPAN - 1)
        rows = connection.execute(_ROWS, (upto, end, AT_ONCE)).fetchall()
        for number, start, inputs, configuration, output, extra, conversation in rows:
            if found is None:
                found = Gathered(number)
            if number - found.first >= SPAN or found.size + talks.size >= ENOUGH:
                rows = []
                break
            bit = 1 << (number - found.first)
            texts = said(inputs, configuration, output, extra)
            found.size += sum(map(len, texts))
            for text in texts:
                having[text] = having.get(text, 0) | bit
            if conversation is not None:
                talks.add(conversation, bit)
            found.last, found.count = number, found.count + 1
            found.rows |= bit
            if start is not None:
                found.earliest = min(start, found.earliest or start)
                found.latest = max(start, found.latest or start)
            breathe()
        if len(rows) < AT_ONCE:
            break
        upto = rows[-1][0] + 1
    if found is not None:
        found.size += talks.size
        found.texts = _together(found, having, talks, breathe)
    return found


def _together(
    found: Gathered, having: dict[str, int], talks: _Talks, breathe: Callable[[], None]
) -> list[tuple[int, list[str]]]:
    for bits, texts in talks.texts():
        for text in texts:
            having[text] = having.get(text, 0) | bits
        breathe()
    single = found.last - found.first + 1
    together: dict[int, list[str]] = {1 << place: [] for place in range(single)}
    for text, bits in having.items():
        together.setdefault(bits, []).append(text)
        breathe()
    kinds = list(together.items())
    kinds[single:] = sorted(kinds[single:], key=lambda kind: kind[0].bit_count())
    breathe()
    return [(bits, texts) for bits, texts in kinds if texts]


class _Talks:
    """The conversations of rows: each message once, with the rows that were asked with it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows: dict[int, int] = {}
        self._above: dict[int, tuple[int | None, int]] = {}
        self._bodies: dict[int, list[str]] = {}
        self.size = 0

    def add(self, conversation: int, bit: int) -> None:
        self._rows[conversation] = self._rows.get(conversation, 0) | bit
        last: int | None = conversation
        while last is not None and last not in self._above:
            link = self._connection.execute(_BODY, (last,)).fetchone()
            if link is None:
                break  # removed meanwhile, with its row
            above, body, text = link
            self._above[last] = above, body
            last = above
            if body not in self._bodies:
                self._bodies[body] = told(text) if text else []
                self.size += sum(map(len, self._bodies[body]))

    def texts(self) -> Iterator[tuple[int, list[str]]]:
        """Each message's, with the rows that were asked with it."""
        rows: dict[int, int] = {}
        # What goes on from a conversation was stored after it.
        for conversation in sorted(self._above, reverse=True):
            above, body = self._above[conversation]
            bits = self._rows.get(conversation, 0)
            rows[body] = rows.get(body, 0) | bits
            if above is not None:
                self._rows[above] = self._rows.get(above, 0) | bits
        for body, bits in rows.items():
            yield bits, self._bodies[body]
