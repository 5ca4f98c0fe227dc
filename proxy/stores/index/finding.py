"""Full-text search as a condition on rows: by the index where there is one, and by reading where there is none (yet).

What must stay true: what is found is the same whether or not the index has come to a row. A question costs what it
finds, and not what there is: of a rare word the rows are named, for a common one the newest are walked.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import NamedTuple

from proxy.stores.index.blocks import BITS, held, pages, places
from proxy.stores.index.gathered import ENOUGH, Gathered, gather
from proxy.stores.index.words import Asked, asked, fold
from proxy.stores.schema.database import DAMAGE, code

logger = logging.getLogger(__name__)

FEW = 4096
"""Rows that are named; more of them are walked, by their time."""

READ = 4096
"""Rows that are read beforehand, since the index has not come to them. Where they are more, they are read one by one,
as they are come to.
"""

AT_ONCE = 8, 128
"""Blocks that are looked into in one go, at first and at most: what is common is found in a few of them."""

_BLOCKS = "SELECT first, last, earliest, latest FROM blocks WHERE made ORDER BY first"
_PAGES = "SELECT w.id, w.words, w.rows FROM json_each(?) AS j JOIN words AS w ON w.id = j.value"
_GUIDES = "SELECT w.id, w.words FROM json_each(?) AS j JOIN words AS w ON w.id = j.value"
_EXTENT = "SELECT coalesce((SELECT min(rowid) FROM traces), 0), coalesce((SELECT max(rowid) FROM traces), 0)"

Span = tuple[str, str]
"""Times between which the rows of a block began."""

Spans = Callable[[str | None], Iterator[Span]]
"""Those in which rows began that did so no later than a time, the latest first."""


class Found(NamedTuple):
    """What a search asks of a row `t` of `traces`, and when such rows began, but for those without a time; None where
    that is not known.
    """

    sql: str
    values: list[str]
    spans: Spans | None


@dataclass(slots=True)
class _Block:
    """Rows by the number of the first: those that may have what is asked for, as bits."""

    first: int
    last: int
    rows: int
    earliest: str | None
    latest: str | None
    seen: bool = True
    """Whether it was looked into; if not, all of its rows may have it."""
    sure: bool = True
    """Whether they have it, or only its words."""


def find(connection: sqlite3.Connection, text: str, damaged: Callable[[], None]) -> Found:
    """The rows that have all of `text`. Raises `BadRequest`. It holds for the transaction that is open. `damaged` is
    told of an index that cannot be read; what is found is the same.
    """
    wanted = asked(text)
    index = _Index(connection, wanted, damaged)
    blocks = index.blocks()
    unread = _unread(connection, blocks)
    if unread is None:
        connection.create_function("said", 1, _Walk(connection, wanted, blocks, index, reads=True).has)
        return Found("said(t.rowid)", [], None)
    blocks += [one for one in (_searched(gathered, wanted) for gathered in unread) if one.rows]
    blocks.sort(key=lambda one: one.latest or "", reverse=True)
    connection.create_function("said", 1, _Walk(connection, wanted, blocks, index).has)
    having: list[_Block] = []
    count, sure = 0, True
    for one in index.look(blocks):
        having.append(one)
        count += one.rows.bit_count()
        sure &= one.sure
        if count > (FEW if sure else FEW // 4):
            return Found("said(t.rowid)", [], partial(_spans, index, blocks))
    numbers = [one.first + place for one in having for place in places(one.rows)]
    sql = f"t.rowid IN (SELECT value FROM json_each(?)){'' if sure else ' AND said(t.rowid)'}"
    return Found(sql, [json.dumps(numbers)], None)


def unindexed(connection: sqlite3.Connection) -> int:
    """About how many rows the index has not come to."""
    (rows,) = connection.execute("SELECT count(*) FROM traces").fetchone()
    first, last = connection.execute(_EXTENT).fetchone()
    within = "WHERE made AND last >= ? AND first <= ?"
    (covered,) = connection.execute(
        f"SELECT coalesce(sum(last - first + 1), 0) FROM blocks {within}", (first, last)
    ).fetchone()
    return int(max(0, min(rows, last - first + 1 - covered)))


class _Index:
    """The blocks of the index, of which each is looked into when it is come to, and then once."""

    def __init__(self, connection: sqlite3.Connection, wanted: list[Asked], damaged: Callable[[], None]) -> None:
        self._connection = connection
        self._damaged = damaged
        self._lost = False
        self._exact = all(one.exact for one in wanted)
        # What is longest is likely to be rarest, and what has none of it is not asked any more. Soon it is known.
        terms = {term: None for one in wanted for term in one.terms}
        self._terms = sorted(terms, key=lambda term: (term[1], -len(term[0])))
        self._common = dict.fromkeys(terms, (0, 0))
        """Rows that had a term, and of how many blocks."""

    def blocks(self) -> list[_Block]:
        """All of them, by their rows; none where the index is damaged, or not there yet."""
        try:
            return [
                _Block(first, last, (1 << (last - first + 1)) - 1, earliest, latest, seen=False)
                for first, last, earliest, latest in self._connection.execute(_BLOCKS)
            ]
        except (sqlite3.DatabaseError, TypeError, ValueError, OverflowError) as error:
            self._lose(error)
            return []

    def look(self, blocks: Iterable[_Block]) -> Iterator[_Block]:
        """Those of `blocks` that have rows, in their order."""
        waiting = iter(blocks)
        size, most = AT_ONCE
        while some := list(islice(waiting, size)):
            self.narrow([one for one in some if not one.seen])
            yield from (one for one in some if one.rows)
            size = min(2 * size, most)

    def narrow(self, blocks: list[_Block]) -> None:
        """Leave of the rows of `blocks`, which were not looked into, those that have the terms. Where the index is
        damaged, some that have not are left as well.
        """
        try:
            if not self._lost:
                self._narrow(blocks)
        except (sqlite3.DatabaseError, ValueError, TypeError, LookupError) as error:
            self._lose(error)
        for one in blocks:
            one.seen, one.sure = True, self._exact and not self._lost

    def _narrow(self, blocks: list[_Block]) -> None:
        asked_for = [one.first << BITS for one in blocks]
        within: dict[int, list[range]] = {}
        for page, words in self._connection.execute(_GUIDES, (json.dumps(asked_for),)):
            heads = words.split("\n")
            within[page >> BITS] = [pages(heads, *term) for term in self._terms]
        left = blocks
        for turn, term in enumerate(self._terms):
            found: dict[int, int] = {}
            asked_for = [(one.first << BITS) + place for one in left for place in within[one.first][turn]]
            for page, words, rows in self._connection.execute(_PAGES, (json.dumps(asked_for),)):
                first = page >> BITS
                found[first] = found.get(first, 0) | held(words, rows, *term)
            having, of = self._common[term]
            self._common[term] = having + sum(map(int.bit_count, found.values())), of + len(left)
            for one in left:
                one.rows &= found.get(one.first, 0)
            left = [one for one in left if one.rows]
        self._terms.sort(key=lambda term: self._common[term][0] / max(1, self._common[term][1]))

    def _lose(self, error: Exception) -> None:
        if isinstance(error, sqlite3.Error) and code(error) not in (*DAMAGE, sqlite3.SQLITE_ERROR):
            raise error
        logger.warning("the search index of the trace log cannot be read, so the rows are: %s", error)
        self._lost = True
        self._damaged()


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


def _spans(index: _Index, blocks: list[_Block], upto: str | None) -> Iterator[Span]:
    """The times of those `blocks`, the latest first, that have rows, those that overlap made one. Blocks whose rows all
    began later than `upto` are left out.
    """
    span: Span | None = None
    for one in index.look(one for one in blocks if upto is None or (one.earliest or "") <= upto):
        if one.earliest is None or one.latest is None:
            continue
        if span is not None and one.latest < span[0]:
            yield span
            span = None
        span = (one.earliest, one.latest) if span is None else (min(one.earliest, span[0]), span[1])
    if span is not None:
        yield span


class _Walk:
    """Rows one by one, as SQLite comes to them."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        wanted: list[Asked],
        blocks: list[_Block],
        index: _Index,
        *,
        reads: bool = False,
    ) -> None:
        self._connection = connection
        self._wanted = wanted
        self._index = index
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
            if not block.seen:
                self._index.narrow([block])
        return bool(block.rows >> (number - block.first) & 1) and (block.sure or self._read(number))

    def _read(self, number: int) -> bool:
        gathered = gather(self._connection, number, number)
        return gathered is not None and bool(_searched(gathered, self._wanted).rows)
