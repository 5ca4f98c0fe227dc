"""Whether texts can still be found in files: many texts at once, in gigabytes, wherever in a page they may be.

From each text some places are taken. Wherever in a file a place lies, one of its first eight words of eight bytes lies
at a multiple of eight; so of the file only the words there are looked up, and where one is known, the place is
compared. A text that was cut in two is found by what is left of it.

What must stay true: what is told as found is there, in whatever case; a text with a place is found wherever all of the
place is, as it stands, as JSON escapes it, or in UTF-16. What could not be looked for is told.
"""

from __future__ import annotations

import codecs
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from proxy.stores.erasure.name import MARGIN, Name

WORD = 8
SHORTEST = 2 * WORD - 1
"""Bytes of a text that can be looked for; what is shorter is said by anybody."""

LONGEST = 4 * WORD - 1
"""Bytes of a place, of a text that is long enough."""

PLACES = 3
"""Of a text: its beginning, its middle, its end."""

MOST = 30_000
"""Places that are looked for at a time."""

CHUNK = 4 * 2**20

# What JSON writes in another way than a column of text does is no part of a place.
_PIECE = re.compile(rb"[^\x00-\x1f\"\\]{%d,}" % SHORTEST)
_ESCAPED = re.compile(rb"(?:[^\x00-\x1f\"\\]|\\u[0-9a-f]{4}){%d,}" % SHORTEST)

_DATABASE = (b"SQLite format 3\0", b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")
_WIDE = (b"\xff\xfe", b"\xfe\xff")
_PACKED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"7z\xbc\xaf\x27\x1c")


@dataclass(slots=True)
class Find:
    """What a file has: `places` of texts, the `name` as a word (a short one as a text of JSON), its bytes as a `part`
    of who knows what. `unsaid`: the name is too short to be looked for in it; `packed`: it is compressed, and nothing
    was looked for in what it has.
    """

    places: set[bytes] = field(default_factory=set)
    name: bool = False
    part: bool = False
    unsaid: bool = False
    packed: bool = False
    size: int = 0


class Needles:
    """Texts to look for, and the id `name`."""

    def __init__(self, name: str | None = None) -> None:
        self.name = Name(name) if name else None
        self.texts = 0
        """How many there are to look for."""
        self.short = 0
        """How many are too short for it, or have no piece that is long enough."""
        self.beyond = 0
        """How many are too many."""
        self._known = {hash(name)}
        self._places: dict[bytes, int] = {}
        self._words: dict[int, list[tuple[bytes, int]]] = {}

    def add(self, text: str) -> None:
        """Look for `text`, as long as there are not too many already."""
        if (known := hash(text)) in self._known:
            return  # or it is the name, which is looked for by itself
        self._known.add(known)
        places = [place for body, piece in _spellings(text) for place in _cut(body, piece)]
        if not places:
            self.short += 1
        elif len(self._places) >= MOST:
            self.beyond += 1
        else:
            self.texts += 1
            for place in places:
                self._add(place, self.texts)

    def within(self, body: bytes) -> set[bytes]:
        """The places that are in `body`."""
        found: set[bytes] = set()
        body = body.lower()
        known = self._words
        words = memoryview(body)[: len(body) // WORD * WORD].cast("Q")
        for number, word in [(number, word) for number, word in enumerate(words) if word in known]:
            for place, offset in known[word]:
                if place not in found and number * WORD >= offset and body.startswith(place, number * WORD - offset):
                    found.add(place)
        return found

    def count(self, places: Iterable[bytes]) -> int:
        """How many texts these are of."""
        return len({self._places[place] for place in places if place in self._places})

    def count_without(self, gone: set[bytes]) -> int:
        """How many texts have a place that is not among these."""
        return self.count(self._places.keys() - gone)

    def drop(self, places: Iterable[bytes]) -> None:
        """Do not look for these any more."""
        gone = set(places)
        for word, uses in list(self._words.items()):
            left = [use for use in uses if use[0] not in gone]
            if left:
                self._words[word] = left
            else:
                del self._words[word]

    def among(self, places: Iterable[bytes]) -> Needles:
        """Some of them alone, and the name."""
        some = Needles()
        some.name = self.name
        for place in places:
            some._add(place, self._places[place])
        return some

    def search(self, file: Path, tell: Callable[[int], None] = lambda _: None) -> Find:
        """What a file has of them; `tell` is told how many bytes were looked through. Raises `OSError`."""
        with file.open("rb") as data:
            chunk = data.read(CHUNK)
            text, wide = _is_text(chunk), chunk.startswith(_WIDE)
            unsaid = self.name is not None and self.name.short and not (text or wide)
            found = Find(packed=chunk.startswith(_PACKED), unsaid=unsaid)
            database = chunk.startswith(_DATABASE)
            overlap = 2 * max(LONGEST, self.name.longest if self.name else 0) + 4 * MARGIN
            before = b""
            while chunk:
                following = data.read(CHUNK)
                found.size += len(chunk)
                body = before + chunk
                edges = (MARGIN if before else 0, MARGIN if following else 0)
                if not wide:
                    self._take(found, body, edges, text=text)
                if wide or (not database and b"\0" in body):
                    for code in ("utf-16-le", "utf-16-be"):
                        self._take(found, body.decode(code, "replace").encode(), edges, text=True)
                before, chunk = body[-overlap:], following
                tell(found.size)
        return found

    def _take(self, found: Find, body: bytes, edges: tuple[int, int], *, text: bool) -> None:
        """Look at a piece of a file, whose neighbours have what is at its edges."""
        found.places |= self.within(body)
        name = self.name
        if name is None or found.unsaid:
            return
        whole = name.whole(body, edges[0], len(body) - edges[1])
        found.name = found.name or (name.quoted(body) if name.short else whole)
        found.part = found.part or (whole or name.coded(body) if text else name.part(body))

    def __len__(self) -> int:
        return len(self._places)

    def _add(self, place: bytes, text: int) -> None:
        if place in self._places:
            return
        self._places[place] = text
        for offset in range(WORD):
            self._words.setdefault(_word(place, offset), []).append((place, offset))


def _spellings(text: str) -> Iterator[tuple[bytes, re.Pattern[bytes]]]:
    """A text as it is looked for, all of it in small letters as far as it is ASCII."""
    yield text.encode("utf-8", "replace").lower(), _PIECE
    if not text.isascii():
        for other in {text.lower(), text.upper()} - {text}:
            yield other.encode("utf-8", "replace").lower(), _PIECE
        yield json.dumps(text)[1:-1].encode().lower(), _ESCAPED


def _cut(body: bytes, piece: re.Pattern[bytes]) -> Iterator[bytes]:
    """The places of a text."""
    found = [match.span() for match in piece.finditer(body)]
    if not found:
        return
    (first, first_end), (last, last_end) = found[0], found[-1]
    start, end = max(found, key=lambda span: span[1] - span[0])
    middle = max((start + end - LONGEST) // 2, start)
    yield body[first : min(first_end, first + LONGEST)]
    yield body[middle : min(end, middle + LONGEST)]
    yield body[max(last, last_end - LONGEST) : last_end]


def _is_text(head: bytes) -> bool:
    try:
        # a letter of several bytes may be cut off at the end
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return b"\0" not in head


def _word(place: bytes, offset: int) -> int:
    return int.from_bytes(place[offset : offset + WORD], sys.byteorder)


def files(folder: Path) -> Iterator[Path]:
    """Every regular file in a folder and below, in its order."""
    yield from sorted(file for file in folder.rglob("*") if file.is_file() and not file.is_symlink())


def links(folder: Path) -> Iterator[Path]:
    """Every link there, which is not followed."""
    yield from sorted(file for file in folder.rglob("*") if file.is_symlink())
