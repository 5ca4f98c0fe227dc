"""The search for a word in bytes, in whatever form it may have come there.

What must stay true: a word that stands anywhere in a file is found, also over the border of two pieces that were read.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

PIECE = 8 * 2**20


def forms(text: str) -> list[bytes]:
    """The bytes of `text`: as they stand, in small letters (as an index has them), in capitals, in hex, in base64
    wherever in a longer text they begin, in URLs, in JSON that escapes all letters, and in UTF-16; what is the same in
    two of them is there once.
    """
    raw = text.encode()
    found = [raw, text.lower().encode(), text.upper().encode(), raw.hex().encode(), raw.hex().upper().encode()]
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw)
        # the characters at either end depend on the neighbours as well
        inner = coded[(8 * shift + 5) // 6 : 8 * (shift + len(raw)) // 6]
        found += [inner, inner.translate(bytes.maketrans(b"+/", b"-_"))]
    escaped = "".join(f"\\u{ord(one):04x}" for one in text)
    found += [quote(text, safe="").encode(), "".join(f"%{byte:02X}" for byte in raw).encode()]
    found += [escaped.encode(), escaped.upper().replace("\\U", "\\u").encode()]
    found += [text.encode("utf-16-le"), text.encode("utf-16-be")]
    return list(dict.fromkeys(found))


@dataclass(slots=True, frozen=True)
class Find:
    """Where a word was found: the file or channel, the byte, and its form with a little of what follows."""

    place: str
    offset: int
    seen: bytes


class Needles:
    """Finds any of `words` in any form. `searched` counts bytes."""

    def __init__(self, words: Iterable[str]) -> None:
        self._forms = [form for word in words for form in forms(word)]
        self._pattern = re.compile(b"|".join(map(re.escape, self._forms)))
        self._longest = max(map(len, self._forms))
        self.searched = 0

    def within(self, place: str, data: bytes) -> Iterator[Find]:
        """Every find in some bytes."""
        self.searched += len(data)
        yield from self._finds(place, data, 0)

    def _finds(self, place: str, data: bytes, offset: int) -> Iterator[Find]:
        # one after the other they are found in a tenth of the pattern's time
        if any(form in data for form in self._forms):
            for match in self._pattern.finditer(data):
                yield Find(place, offset + match.start(), data[match.start() : match.end() + 24])

    def in_file(self, path: Path, place: str) -> Iterator[Find]:
        """Every find in a file, of which no more than a piece is in memory. Raises `OSError`."""
        last = -1
        with path.open("rb") as file:
            kept, offset = b"", 0
            while piece := file.read(PIECE):
                data = kept + piece
                self.searched += len(piece)
                for find in self._finds(place, data, offset):
                    # what lies in the overlap is seen twice
                    if find.offset > last:
                        last = find.offset
                        yield find
                kept = data[-self._longest :]
                offset += len(data) - len(kept)
