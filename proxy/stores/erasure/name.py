"""A person's id in bytes: where it stands as a word of its own, and where the same bytes are part of something else.

What must stay true: the id of somebody else whose id begins or ends with this one is not taken for it. Where nobody can
tell, since records of a database have no blanks between their texts, it is told as a part and not as the id.
"""

from __future__ import annotations

import json
import re
from urllib.parse import quote

from proxy.needles import forms

LEAST = 6
"""Bytes of an id from which on the same bytes are no chance: numbers and hashes look like what is shorter."""

MARGIN = 8
"""Bytes beside it that tell whether it goes on there."""

_BEFORE = re.compile(rb"(?:\\u([0-9a-fA-F]{4})|%([0-9a-fA-F]{2})|\\[bfnrt])\Z")
_AFTER = re.compile(rb"(?:\\u([0-9a-fA-F]{4})|%([0-9a-fA-F]{2}))")


class Name:
    """An id to look for: as it stands, in capitals and small letters, as JSON and URLs have it, in hex and base64."""

    def __init__(self, text: str) -> None:
        text = text.encode("utf-8", "replace").decode()
        self.size = len(text.encode())
        self.short = self.size < LEAST
        """Whether it cannot be looked for in bytes that are no text."""
        self._plain = _plain(text, cases=not self.short)
        wide = (text.encode("utf-16-le"), text.encode("utf-16-be"))
        coded = [] if self.short else [form for form in forms(text) if form not in wide]
        self._coded = [form for form in coded if form not in self._plain]
        self._edges = (_letter(text[:1]), _letter(text[-1:]))
        self._values = [quoted for form in _plain(text, cases=False) for quoted in (b'"%s"' % form, b'\\"%s\\"' % form)]
        self.longest = max(map(len, [*self._plain, *self._coded]))
        """Bytes of its longest form."""

    def whole(self, body: bytes, begin: int = 0, end: int | None = None) -> bool:
        """Whether it stands in `body`, between those two, as a word of its own."""
        for form in self._plain:
            place = body.find(form, begin, end)
            while place >= 0:
                if not self._goes_on(body, place, place + len(form)):
                    return True
                place = body.find(form, place + 1, end)
        return False

    def part(self, body: bytes) -> bool:
        """Whether its bytes stand anywhere in `body`, be it in a longer word."""
        return any(form in body for form in self._plain) or self.coded(body)

    def coded(self, body: bytes) -> bool:
        """Whether it stands in `body` in a code in which nobody can tell where a word ends."""
        return any(form in body for form in self._coded)

    def quoted(self, body: bytes) -> bool:
        """Whether it stands anywhere in `body` as all of a text in JSON."""
        return any(value in body for value in self._values)

    def said(self, cell: bytes) -> bool:
        """Whether a row's value has it: as a word or, a short one, as all of a text or of a text in JSON."""
        return cell in self._plain or self.quoted(cell) if self.short else self.whole(cell)

    def _goes_on(self, body: bytes, begin: int, end: int) -> bool:
        first, last = self._edges
        return (first and _letter_before(body, begin)) or (last and _letter_after(body, end))


def _plain(text: str, *, cases: bool) -> list[bytes]:
    found: list[bytes] = []
    for one in (text, text.lower(), text.upper()) if cases else (text,):
        escaped = json.dumps(one)[1:-1]
        capitals = re.sub(r"\\u[0-9a-f]{4}", lambda code: "\\u" + code[0][2:].upper(), escaped)
        found += [one.encode(), json.dumps(one, ensure_ascii=False)[1:-1].encode(), quote(one, safe="").encode()]
        found += [escaped.encode(), capitals.encode(), json.dumps(escaped)[1:-1].encode()]
    return list(dict.fromkeys(found))


def _letter(one: str) -> bool:
    return one.isalnum() or one == "_"


def _letter_before(body: bytes, place: int) -> bool:
    beside = body[max(0, place - MARGIN) : place]
    if code := _BEFORE.search(beside):
        return _escaped(code)
    for size in range(1, min(4, len(beside)) + 1):
        try:
            return _letter(beside[-size:].decode())
        except UnicodeDecodeError:
            continue
    return False


def _letter_after(body: bytes, place: int) -> bool:
    beside = body[place : place + MARGIN]
    if code := _AFTER.match(beside):
        return _escaped(code)
    for size in range(1, min(4, len(beside)) + 1):
        try:
            return _letter(beside[:size].decode())
        except UnicodeDecodeError:
            continue
    return False


def _escaped(code: re.Match[bytes]) -> bool:
    """Whether what is written as a code is a letter; a line's end is none."""
    if code[0][:1] == b"%":
        byte = int(code[2], 16)
        return byte >= 0x80 or _letter(chr(byte))
    return code[1] is not None and _letter(chr(int(code[1], 16)))
