"""Whether texts can still be found in files: many texts at once, in gigabytes, wherever in a page they may be.

From each text some places are taken. Wherever in a file a place lies, one of its first eight words of eight bytes lies
at a multiple of eight; so of the file only the words there are looked up, and where one is known, the place is
compared. A text that was cut in two is found by what is left of it.

What must stay true: what is told as found is there, byte for byte; a text with a place is found wherever all of the
place is.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

WORD = 8
SHORTEST = 2 * WORD - 1
"""Bytes of a text that can be looked for; what is shorter is said by anybody."""

LONGEST = 4 * WORD - 1
"""Bytes of a place, of a text that is long enough."""

PLACES = 3
"""Of a text: its beginning, its middle, its end."""

MOST = 10_000
"""Places that are looked for at a time."""

CHUNK = 4 * 2**20

# What JSON writes in another way than a column of text does is no part of a place.
_PIECE = re.compile(rb"[^\x00-\x1f\"\\]{%d,}" % SHORTEST)


class Needles:
    """Texts to look for. `name` is looked for as it stands, however short."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name.encode("utf-8", "replace") if name else None
        self.texts = 0
        """How many of them there are to look for."""
        self.skipped = 0
        """How many are too short for it, or too many."""
        self._places: dict[bytes, None] = {}
        self._words: dict[int, list[tuple[bytes, int]]] = {}

    def add(self, text: str) -> None:
        """Look for `text`, as long as there are not too many already."""
        body = text.encode("utf-8", "replace")
        found = [match.span() for match in _PIECE.finditer(body)]
        if not found or len(self._places) >= MOST:
            self.skipped += 1
            return
        self.texts += 1
        (first, first_end), (last, last_end) = found[0], found[-1]
        start, end = max(found, key=lambda span: span[1] - span[0])
        middle = (start + end - LONGEST) // 2
        for begin, stop in (
            (first, min(first_end, first + LONGEST)),
            (max(middle, start), min(end, max(middle, start) + LONGEST)),
            (max(last, last_end - LONGEST), last_end),
        ):
            self._add(body[begin:stop])

    def within(self, body: bytes) -> set[bytes]:
        """The places, and the name, that are in `body`."""
        found = {self.name} if self.name is not None and self.name in body else set()
        known = self._words
        words = memoryview(body)[: len(body) // WORD * WORD].cast("Q")
        for number, word in [(number, word) for number, word in enumerate(words) if word in known]:
            for place, offset in known[word]:
                if place not in found and number * WORD >= offset and body.startswith(place, number * WORD - offset):
                    found.add(place)
        return found

    def drop(self, places: Iterable[bytes]) -> None:
        """Do not look for these any more."""
        gone = set(places)
        if self.name in gone:
            self.name = None
        for place in gone & self._places.keys():
            del self._places[place]
        for word, uses in list(self._words.items()):
            left = [use for use in uses if use[0] not in gone]
            if left:
                self._words[word] = left
            else:
                del self._words[word]

    def among(self, places: Iterable[bytes]) -> Needles:
        """Some of them alone."""
        some = Needles()
        for place in places:
            if place == self.name:
                some.name = self.name
            else:
                some._add(place)
        return some

    def search(self, file: Path) -> tuple[set[bytes], int]:
        """What a file has of them, and how many bytes were looked through."""
        found: set[bytes] = set()
        size = 0
        overlap = max(LONGEST, len(self.name or b""))
        with file.open("rb") as data:
            tail = b""
            while chunk := data.read(CHUNK):
                size += len(chunk)
                found |= self.within(tail + chunk)
                tail = chunk[-overlap:]
        return found, size

    def __len__(self) -> int:
        return len(self._places) + (self.name is not None)

    def _add(self, place: bytes) -> None:
        if place in self._places:
            return
        self._places[place] = None
        for offset in range(WORD):
            self._words.setdefault(_word(place, offset), []).append((place, offset))


def _word(place: bytes, offset: int) -> int:
    return int.from_bytes(place[offset : offset + WORD], sys.byteorder)


def files(folder: Path) -> Iterator[Path]:
    """Every regular file in a folder and below, in its order."""
    yield from sorted(file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())
