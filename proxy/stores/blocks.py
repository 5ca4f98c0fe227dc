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
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import accumulate
from operator import gt, or_, sub

from proxy.stores.gathered import SPAN

PAGE = 3900
"""Bytes of a row of `words`, of which a page of SQLite holds 4,061."""

LEAST = 2900
"""Bytes of one that is filled up with nothing."""

BITS = 16
"""Of the number of a row within its block."""

WIDTH = SPAN // 8
"""Bytes of a set of a block's rows, one bit a row; of fewer than half as many rows the places are told."""

_BIT = [1 << place for place in range(SPAN)]


def packed(
    sets: Sequence[int], postings: dict[str, list[int]], breathe: Callable[[], None]
) -> list[tuple[int, str, bytes]]:
    """The rows of `words` for a block: place, words, rows. `postings` has for each term the places in `sets` of those
    sets of rows that have it, in their order; it is used up.
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


def _pages(
    sets: Sequence[int], postings: dict[str, list[int]], breathe: Callable[[], None]
) -> Iterator[tuple[list[str], bytes]]:
    alone = list(map(_set, sets))
    words: list[str] = []
    rows: list[bytes] = []
    size = 0
    for word in _ordered(list(postings), breathe):
        having = postings.pop(word)  # to free all of them in one go takes the interpreter for milliseconds, too
        found = alone[having[0]] if len(having) == 1 else _set(reduce(or_, map(sets.__getitem__, having)))
        more = (len(word) if word.isascii() else len(word.encode())) + 3 + len(found)
        if words and size + more > PAGE:
            yield words, _page(rows, size)
            words, rows, size = [], [], 0
        words.append(word)
        rows.append(found)
        size += more
    if words:
        yield words, _page(rows, size)


def _ordered(words: Sequence[str], breathe: Callable[[], None]) -> Iterator[str]:
    """Words in their order, letter by letter: to sort all of them in one go takes the interpreter for milliseconds."""
    letters: defaultdict[str, list[str]] = defaultdict(list)
    for place, word in enumerate(words):
        letters[word[:1]].append(word)
        if place % 1024 == 0:
            breathe()
    for letter in sorted(letters):
        yield from sorted(letters[letter])


def _page(sets: list[bytes], size: int) -> bytes:
    _, *ends = accumulate(map(len, sets), initial=2 * len(sets))
    return _written(ends) + b"".join(sets) + bytes(max(0, LEAST - size))


def _set(bits: int) -> bytes:
    if bits.bit_count() >= WIDTH // 2:
        return bits.to_bytes(WIDTH, "little")
    return _written(places(bits))


def _bits(rows: bytes) -> int:
    if len(rows) == WIDTH:
        return int.from_bytes(rows, "little")
    return reduce(or_, map(_BIT.__getitem__, _numbers(rows)), 0)


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
    return reduce(or_, map(_BIT.__getitem__, places), found)


def _written(numbers: list[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}H", *numbers)


def _numbers(written: bytes) -> tuple[int, ...]:
    return struct.unpack_from(f"<{len(written) // 2}H", written)
