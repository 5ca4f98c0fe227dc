"""Full-text search as a condition on rows: by the index where there is one, and by reading where there is none (yet).

What must stay true: what is found is the same whether or not the index has come to a row. A question costs what it
finds, and not what there is: of a rare word the rows are named, for a common one the newest are walked.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from proxy.stores.blocks import BITS, held, pages, places
from proxy.stores.database import DAMAGE, code
from proxy.stores.gathered import ENOUGH, Gathered, gather
from proxy.stores.words import Asked, asked, fold

logger = logging.getLogger(__name__)

FEW = 4096
"""Rows that are named; more of them are walked, by their time."""

READ = 4096
"""Rows that are read beforehand, since the index has not come to them. Where they are more, they are read one by one,
as they are come to.
"""

_BLOCKS = f"""SELECT b.first, b.last, b.earliest, b.latest, w.words FROM blocks AS b
JOIN words AS w ON w.id = b.first << {BITS} WHERE b.made ORDER BY b.first"""
_PAGES = "SELECT w.id, w.words, w.rows FROM json_each(?) AS j JOIN words AS w ON w.id = j.value"
_EXTENT = "SELECT coalesce((SELECT min(rowid) FROM traces), 0), coalesce((SELECT max(rowid) FROM traces), 0)"

Span = tuple[str, str]
"""Times between which the rows of a block began."""


class Found(NamedTuple):
    """What a search asks of a row `t` of `traces`. Rows that have a time have one within `spans`, the latest first;
    None where that is not known.
    """

    sql: str
    values: list[str]
    spans: list[Span] | None


@dataclass(slots=True)
class _Block:
    """Rows by the number of the first: those that may have what is asked for, as bits."""

    first: int
    last: int
    rows: int
    earliest: str | None
    latest: str | None
    heads: list[str] = field(default_factory=list, repr=False)
    sure: bool = True
    """Whether they have it, or only its words."""


def find(connection: sqlite3.Connection, text: str, damaged: Callable[[], None]) -> Found:
    """The rows that have all of `text`. Raises `BadRequest`. It holds for the transaction that is open. `damaged` is
    told of an index that cannot be read; what is found is the same.
    """
    wanted = asked(text)
    blocks = _indexed(connection, wanted, damaged)
    unread = _unread(connection, blocks)
    if unread is None:
        connection.create_function("said", 1, _Walk(connection, wanted, blocks, reads=True).has)
        return Found("said(t.rowid)", [], None)
    blocks = [one for one in (*blocks, *(_searched(one, wanted) for one in unread)) if one.rows]
    sure = all(one.sure for one in blocks)
    sql, values, spans = "said(t.rowid)", list[str](), None
    if sum(one.rows.bit_count() for one in blocks) <= (FEW if sure else FEW // 4):
        numbers = [one.first + place for one in blocks for place in places(one.rows)]
        values = [json.dumps(numbers)]
        sql = f"t.rowid IN (SELECT value FROM json_each(?)){'' if sure else ' AND said(t.rowid)'}"
    else:
        spans = _spans(blocks)
    connection.create_function("said", 1, _Walk(connection, wanted, blocks).has)
    return Found(sql, values, spans)


def _indexed(connection: sqlite3.Connection, wanted: list[Asked], damaged: Callable[[], None]) -> list[_Block]:
    """The blocks of the index. Where it is damaged, or not there yet, there are none."""
    try:
        blocks = [
            _Block(first, last, (1 << (last - first + 1)) - 1, earliest, latest, guide.split("\n"))
            for first, last, earliest, latest, guide in connection.execute(_BLOCKS)
        ]
        # What is longest is likely to be rarest, and what has none of it is not asked any more.
        terms = {term: None for one in wanted for term in one.terms}
        for term, begins in sorted(terms, key=lambda term: (term[1], -len(term[0]))):
            _narrow(connection, [block for block in blocks if block.rows], term, begins)
    except (sqlite3.DatabaseError, ValueError, TypeError, IndexError) as error:
        if isinstance(error, sqlite3.Error) and code(error) not in (*DAMAGE, sqlite3.SQLITE_ERROR):
            raise
        logger.warning("the search index of the trace log cannot be read, so the rows are: %s", error)
        damaged()
        return []
    exact = all(one.exact for one in wanted)
    for block in blocks:
        block.sure = exact
    return blocks


def _narrow(connection: sqlite3.Connection, blocks: list[_Block], term: str, begins: bool) -> None:
    """Leave of the rows of `blocks` those that have a term."""
    asked_for = [(block.first << BITS) + place for block in blocks for place in pages(block.heads, term, begins)]
    found: dict[int, int] = {}
    for page, words, rows in connection.execute(_PAGES, (json.dumps(asked_for),)):
        first = page >> BITS
        found[first] = found.get(first, 0) | held(words, rows, term, begins)
    for block in blocks:
        block.rows &= found.get(block.first, 0)


def _unread(connection: sqlite3.Connection, blocks: list[_Block]) -> list[Gathered] | None:
    """The rows that are in no block; None where they are too many to be read beforehand."""
    found: list[Gathered] = []
    upto, end = connection.execute(_EXTENT).fetchone()
    count = size = 0
    for first, last in (*((block.first, block.last) for block in blocks), (end + 1, end + 1)):
        while upto < first:
            if (gathered := gather(connection, upto, first - 1)) is None:
                break
            found.append(gathered)
            count, size, upto = count + gathered.count, size + gathered.size, gathered.last + 1
            if count > READ or size > 2 * ENOUGH:
                return None
        upto = max(upto, last + 1)
    return found


def _searched(gathered: Gathered, wanted: list[Asked]) -> _Block:
    rows = gathered.rows
    texts = [(bits, [fold(text) for text in texts]) for bits, texts in gathered.texts]
    for one in wanted:
        having = 0
        for bits, folded in texts:
            if bits & rows & ~having and any(map(one.within, folded)):
                having |= bits
        rows &= having
    return _Block(gathered.first, gathered.last, rows, gathered.earliest, gathered.latest)


def _spans(blocks: list[_Block]) -> list[Span]:
    """The times of blocks, those that overlap made one."""
    spans: list[Span] = []
    times = [(one.latest, one.earliest) for one in blocks if one.latest is not None and one.earliest is not None]
    for latest, earliest in sorted(times, reverse=True):
        if spans and latest >= spans[-1][0]:
            spans[-1] = (min(earliest, spans[-1][0]), spans[-1][1])
        else:
            spans.append((earliest, latest))
    return spans


class _Walk:
    """Rows one by one, as SQLite comes to them."""

    def __init__(
        self, connection: sqlite3.Connection, wanted: list[Asked], blocks: list[_Block], *, reads: bool = False
    ) -> None:
        self._connection = connection
        self._wanted = wanted
        self._blocks = sorted(blocks, key=lambda block: block.first)
        self._firsts = [block.first for block in self._blocks]
        self._block = _Block(0, -1, 0, None, None)
        self._reads = reads
        """Whether rows that are in no block are to be read; if not, they have nothing."""

    def has(self, number: int) -> bool:
        """Whether the row of this number has what is asked for."""
        block = self._block
        if not block.first <= number <= block.last:
            place = bisect_right(self._firsts, number) - 1
            if place < 0 or number > self._blocks[place].last:
                return self._reads and self._read(number)
            block = self._block = self._blocks[place]
        return bool(block.rows >> (number - block.first) & 1) and (block.sure or self._read(number))

    def _read(self, number: int) -> bool:
        gathered = gather(self._connection, number, number)
        return gathered is not None and bool(_searched(gathered, self._wanted).rows)
