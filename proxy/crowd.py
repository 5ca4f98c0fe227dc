"""How many objects and lists a JSON text holds, before it is parsed.

Each of them takes up to 100 times its text in memory, and time wherever it is looked at; so a text within the limit for
its bytes may still be one that nobody could hold. What must stay true: a text without so many is never refused,
whatever its strings hold; to look costs far less than to parse.
"""

from __future__ import annotations

MOST = 2**18
"""Objects and lists of a request."""

OF_AN_ANSWER = 2**20
"""Those of an answer: one of 25,000 tokens has as many, if it tells 20 others for each."""

BLOCK = 2**18
"""Bytes that are looked through at a time."""

_LEFT = bytes(set(range(256)) - set(b'"[{'))


def crowded(text: bytes | str, most: int = MOST) -> bool:
    """Whether there are more than `most`."""
    # none has fewer than two characters: nearly every text ends here, and most others at a glance
    if len(text) <= 2 * most:
        return False
    found = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if found.count(b"[") + found.count(b"{") <= most:
        return False
    crowd = Crowd(most)
    return any(crowd.feed(found[start : start + BLOCK]) for start in range(0, len(found), BLOCK))


class Crowd:
    """Counts them in a text that comes in pieces. `lines`: each line is a text, as in a stream of events."""

    def __init__(self, most: int, *, lines: bool = False) -> None:
        self._most = most
        self._lines = lines
        self.found = self._inside = 0
        self._escaped = False

    def feed(self, piece: bytes) -> bool:
        """Whether there were more than `most` up to the end of this piece."""
        if self._lines:
            ended, newline, piece = piece.rpartition(b"\n")
            if newline:
                if self._count(ended):
                    return True
                self.found = self._inside = 0
                self._escaped = False
        return self._count(piece)

    def _count(self, piece: bytes) -> bool:
        if self._escaped:
            piece = piece[1:] if piece else b"\\"
            self._escaped = False
        if b"\\" in piece:
            piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
            self._escaped = piece.endswith(b"\\")
        parts = piece.translate(None, _LEFT).split(b'"')
        self.found += sum(map(len, parts[self._inside :: 2]))
        self._inside ^= (len(parts) - 1) % 2
        return self.found > self._most
