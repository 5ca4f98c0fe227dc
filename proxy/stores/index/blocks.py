"""The index of full-text search: the words of some thousand rows that follow each other are a block.

A block is exact or not there: triggers take it away, in the transaction that changes or removes one of its rows, and it
is made anew by and by. So nothing is left of what is removed. (FTS5 keeps the words of removed rows until it merges its
segments; these are ordinary tables, of which SQLite overwrites what is deleted.) The words of a block stand in their
order on some hundred pages, one row of `words` a page, of which the first says where each of the others begins.

What must stay true: a row of `words` fills more than half of its page, so that none is ever moved to another and leaves
a copy where it was.
"""

from __future__ import annotations

import struct
import sys
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import reduce
from itertools import accumulate, repeat
from operator import gt, itemgetter, or_, sub

from proxy.stores.index.gathered import SPAN

PAGE = 3900
"""Bytes of a row of `words`, of which a page of SQLite holds 4,061."""

LEAST = 2900
"""Bytes of one that is filled up with nothing."""

BITS = 16
"""Of the number of a row within its block."""

WIDTH = SPAN // 8
"""Bytes of a set of a block's rows, one bit a row."""

MANY = WIDTH // 2
"""Rows of such a set; of fewer the places are told."""

AT_ONCE = 128
"""Words that are packed in one go."""

_WRITTEN = [struct.Struct(f"<{count}H").pack for count in range(MANY)]
_BIT = [1 << place for place in range(SPAN)]


class Postings(defaultdict[str, bytearray]):
    """For each term the places of the sets of rows that have it, in their order, four bytes each. As many lists would
    be twenty thousand objects that Python's collector looks through, for milliseconds.
    """

    def __init__(self) -> None:
        super().__init__(bytearray)

    def add(self, terms: Iterable[str], place: int) -> None:
        more = place.to_bytes(4, sys.byteorder)
        deque(map(bytearray.extend, map(self.__getitem__, terms), repeat(more)), 0)


def packed(
    sets: Sequence[int], postings: Postings, breathe: Callable[[], None] = lambda: None
) -> list[tuple[int, str, bytes]]:
    """The rows of `words` for a block: place, words, rows. The smallest of `sets` come first, those of one row in the
    order of these; `postings` are used up.
    """
    made: list[tuple[int, str, bytes]] = []
    heads: list[str] = []
    for words, page in _pages(sets, postings, breathe):
        heads.append(words[0])
        made.append((len(heads), "\n".join(words), page))
        breathe()
    guide = "\n".join(heads)
    made.append((0, guide, bytes(max(0, LEAST - len(guide.encode())))))
    return made


def held(words: str, rows: bytes, term: str, begins: bool) -> int:
    """The rows that a page says to have a term, as bits. Raises `ValueError` where it is not as it was made."""
    text = f"\n{words}\n"
    sought = f"\n{term}" if begins else f"\n{term}\n"
    if (at := text.find(sought)) < 0:
        return 0
    # Words that begin alike stand together.
    until = text.rfind(sought) if begins else at
    first = text.count("\n", 0, at)
    last = first + (text.count("\n", at, until) if begins else 0)
    begin = 2 * (last + text.count("\n", until) - 1)
    ends = _numbers(rows[max(0, 2 * first - 2) : 2 * last + 2])
    if first == 0:
        ends = (begin, *ends)
    if len(ends) != last - first + 2 or ends[0] < begin or ends[-1] > len(rows) or any(map(gt, ends, ends[1:])):
        raise ValueError("a page of words does not hold what it says")
    return _bits(rows[ends[0] : ends[1]]) if first == last else _united(rows, ends)


def pages(heads: list[str], term: str, begins: bool) -> range:
    """The places of the pages that may have a term, by the words that each begins with."""
    first = bisect_right(heads, term)
    if not begins:
        return range(first, first + 1) if first else range(0)
    last = bisect_right(heads, term + "\U0010ffff")
    return range(max(1, first), last + 1)


def places(bits: int) -> list[int]:
    """Which bits are set."""
    found = []
    while bits:
        low = bits & -bits
        found.append(low.bit_length() - 1)
        bits ^= low
    return found


def _pages(sets: Sequence[int], postings: Postings, breathe: Callable[[], None]) -> Iterator[tuple[list[str], bytes]]:
    united = _Sets(sets, breathe)
    words: list[str] = []
    rows: list[bytes] = []
    size = 0
    for some in _ordered(list(postings), breathe):
        # Popped, since to free all of them in one go takes the interpreter for milliseconds, too.
        found = list(map(united.written, map(postings.pop, some)))
        start = 0
        for place, more in enumerate(map(_size, some, found)):
            if size + more > PAGE:
                yield words + some[start:place], _page(rows + found[start:place], size)
                words, rows, size, start = [], [], 0, place
            size += more
        words += some[start:]
        rows += found[start:]
        breathe()
    if words:
        yield words, _page(rows, size)


def _ordered(words: list[str], breathe: Callable[[], None]) -> Iterator[list[str]]:
    """Words in their order, some at a time. To sort all of them in one go takes the interpreter for milliseconds."""
    letters: defaultdict[str, list[str]] = defaultdict(list)
    for start in range(0, len(words), 1024):
        some = words[start : start + 1024]
        deque(map(list.append, map(letters.__getitem__, map(itemgetter(0), some)), some), 0)
        breathe()
    for letter in sorted(letters):
        alike = sorted(letters.pop(letter))
        breathe()
        for start in range(0, len(alike), AT_ONCE):
            yield alike[start : start + AT_ONCE]


class _Sets:
    """Sets of rows, the smallest first, and what is written of several of them together."""

    def __init__(self, sets: Sequence[int], breathe: Callable[[], None]) -> None:
        self._sets = sets
        self._alone: list[bytes] = []
        self._places: list[list[int]] = []
        for bits in sets:
            self._alone.append(_set(bits))
            if bits.bit_count() < MANY:
                self._places.append(places(bits))
            breathe()
        self._single = next((place for place, rows in enumerate(self._places) if len(rows) > 1), len(self._places))
        """How many are sets of one row."""

    def written(self, posted: bytearray) -> bytes:
        """The rows of the sets of these places."""
        if len(posted) == 4:
            return self._alone[int.from_bytes(posted, sys.byteorder)]
        having = memoryview(posted).cast("I")
        last = having[-1]
        if len(having) < MANY and last < len(self._places):
            if last < self._single:
                return b"".join(map(self._alone.__getitem__, having))
            rows: set[int] = set().union(*map(self._places.__getitem__, having))
            if len(rows) < MANY:
                return _WRITTEN[len(rows)](*sorted(rows))
        return _set(reduce(or_, map(self._sets.__getitem__, having)))


def _size(word: str, rows: bytes) -> int:
    return len(word.encode()) + 3 + len(rows)


def _page(sets: list[bytes], size: int) -> bytes:
    _, *ends = accumulate(map(len, sets), initial=2 * len(sets))
    return _written(ends) + b"".join(sets) + bytes(max(0, LEAST - size))


def _set(bits: int) -> bytes:
    if bits.bit_count() >= MANY:
        return bits.to_bytes(WIDTH, "little")
    return _written(places(bits))


def _bits(rows: bytes) -> int:
    if len(rows) == WIDTH:
        return int.from_bytes(rows, "little")
    return sum(map(_BIT.__getitem__, _numbers(rows)))


def _united(rows: bytes, ends: Sequence[int]) -> int:
    """The rows of sets that stand one after the other. Of those between two that have a bit a row, the places are one
    list.
    """
    sizes = list(map(sub, ends[1:], ends))
    found, at = 0, 0
    places = set[int]()
    for large in (*(place for place, size in enumerate(sizes) if size == WIDTH), len(sizes)):
        places.update(_numbers(rows[ends[at] : ends[large]]))
        if large < len(sizes):
            found |= _bits(rows[ends[large] : ends[large + 1]])
        at = large + 1
    return found | sum(map(_BIT.__getitem__, places))


def _written(numbers: list[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}H", *numbers)


def _numbers(written: bytes) -> tuple[int, ...]:
    return struct.unpack_from(f"<{len(written) // 2}H", written)
