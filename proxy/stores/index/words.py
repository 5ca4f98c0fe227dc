"""What full-text search takes for a word, what it reads of a row, and what a person's words ask for.

The rule, which the index and whoever reads rows without it share: a text is words and single characters, without case
and accents; scripts that put no space between words (Chinese, Japanese, Korean, Thai) are characters. What is asked for
is found where it stands within one text, one after the other.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from proxy.errors import BadRequest

LONGEST = 64
"""Characters of a word by which it is known."""

MOST = 20
"""Words and phrases of one search."""

PIECE = 4096
"""Characters that are looked at in one go: a book at once would keep the interpreter from others."""

_ALONE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
    "\uf900-\ufaff\U00020000-\U0003ffff"
)
_MARKS = "\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff"
"""What stands on or beside a letter, which Python takes for none."""

_PLAIN = re.compile(r"[a-z0-9]+")
_UNIT = re.compile(rf"[{_ALONE}]|(?:[^\W_{_ALONE}]+|[{_MARKS}]+)+")
_SINGLE = re.compile(rf"[{_ALONE}]")
_SPACED = bytes(ord(chr(byte).lower()) if byte < 128 and chr(byte).isalnum() else 0x20 for byte in range(256))
"""Letters and digits of ASCII without case, all else a space."""

_GAP = re.compile("[\\s\u3001\u3002\uff0c]")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_CODED = re.compile(r"data:[^\s]*|[A-Za-z0-9+/=_-]{1000,}")
"""Pictures and sounds, which say nothing."""

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|[nrtbf])")
_MUTE = frozenset({"role", "type"})
"""Keys in messages under which stands who speaks, and how."""
_ASKED = re.compile(r'"([^"]*)"(\*?)|([^\s"]+)')
_OPERATORS = frozenset({"AND", "OR", "NOT", "NEAR"})


@dataclass(frozen=True)
class Asked:
    """One word or phrase that a row must have: its units in their order, of which the last may only begin so."""

    units: tuple[str, ...]
    begins: bool

    @cached_property
    def terms(self) -> list[tuple[str, bool]]:
        """Of these the index has all where a row has the whole; (term, whether it only begins so)."""
        found: list[tuple[str, bool]] = []
        for place, unit in enumerate(self.units):
            following = self.units[place + 1] if place + 1 < len(self.units) else None
            if not single(unit):
                found.append((unit, self.begins and following is None))
            elif following is not None and single(following):
                found.append((unit + following, False))
            elif place == 0 or not single(self.units[place - 1]):
                found.append((unit, True))
        return found

    @property
    def exact(self) -> bool:
        """Whether a row that has the terms has the whole."""
        return len(self.units) == 1 or (len(self.units) == 2 and all(map(single, self.units)))

    def within(self, text: str) -> bool:
        """Whether a folded text has it."""
        if not all(unit in text for unit in self.units):
            return False
        there = units(text)
        *before, last = self.units
        size = len(before)
        for place in range(size, len(there)):
            unit = there[place]
            if (unit == last or (self.begins and unit.startswith(last))) and there[place - size : place] == before:
                return True
        return False


def asked(text: str) -> list[Asked]:
    """What a person asks for: words, "phrases" and begin* of words, all of which must be there. Raises `BadRequest`."""
    if text.count('"') % 2:
        raise _refusal('a quote is not closed; leave out the " or put one at the end of the phrase')
    found: dict[Asked, None] = {}
    for match in _ASKED.finditer(text):
        phrase, star, word = match.groups()
        if word in _OPERATORS:
            raise _refusal(f'{word} is no operator: every word must be there; "{word}" in quotes is a word')
        said = units(fold(phrase if word is None else word))
        if not said:
            continue
        begins = (bool(star) or (phrase or word).endswith("*")) and not single(said[-1])
        found[Asked(tuple(said), begins)] = None
    if not found:
        raise _refusal("no word to search for; it takes letters or digits")
    if len(found) > MOST:
        raise _refusal(f"at most {MOST} words and phrases")
    return list(found)


def fold(text: str) -> str:
    """A text without case and accents."""
    if text.isascii():
        return text.lower()
    return unicodedata.normalize("NFC", _ACCENTS.sub("", unicodedata.normalize("NFKD", text)).casefold())


def units(text: str) -> list[str]:
    """The words and single characters of a folded text, in their order."""
    found = _PLAIN.findall(text) if text.isascii() else _UNIT.findall(text)
    return [unit[:LONGEST] for unit in found] if len(text) > LONGEST else found


def single(unit: str) -> bool:
    """Whether it is a character of a script without spaces."""
    return not unit.isascii() and _SINGLE.match(unit) is not None


def terms(texts: Iterable[str], breathe: Callable[[], None] = lambda: None) -> set[str]:
    """What the index has of texts: their words, and the pairs of single characters that follow each other. `breathe` is
    called between two pieces of them.
    """
    made: set[str] = set()
    plain: list[str] = []
    size = 0
    for text in texts:
        pieces = [text] if len(text) <= PIECE else list(_pieces(text))
        for piece in pieces:
            if piece.isascii():
                plain.append(piece)
            else:
                # In most languages little is not ASCII: a dash, a quote.
                parts = piece.split()
                odd = fold(" ".join([part for part in parts if not part.isascii()]))
                if _SINGLE.search(odd) is not None:
                    made.update(_paired(pieces, breathe))
                    break
                made.update(units(odd))
                plain.extend(filter(str.isascii, parts))
            size += len(piece)
            if size > PIECE:
                made.update(_plain(plain))
                plain, size = [], 0
                breathe()
    made.update(_plain(plain))
    return {unit[:LONGEST] for unit in made} if max(map(len, made), default=0) > LONGEST else made


def _plain(texts: list[str]) -> list[str]:
    """The words of texts of ASCII."""
    return " ".join(texts).encode().translate(_SPACED).decode().split()


def _paired(pieces: list[str], breathe: Callable[[], None]) -> Iterator[str]:
    """The terms of a text that has single characters."""
    before, alone = "", False
    for piece in pieces:
        for unit in units(fold(piece)):
            following = single(unit)
            if before:
                yield before + unit if alone and following else before
            before, alone = unit, following
        breathe()
    if before:
        yield before


def _pieces(text: str) -> Iterator[str]:
    """A text in pieces, of which each is folded by itself as it is within the whole."""
    at = 0
    while len(text) - at > PIECE and (gap := _GAP.search(text, at + PIECE)):
        yield text[at : gap.end()]
        at = gap.end()
    yield text[at:]


def said(inputs: str | None, configuration: str | None, output: str | None, extra: str | None) -> list[str]:
    """The texts of a row by its columns: what its template was filled with, its messages, its answers."""
    found = list(_texts(_read(inputs)))
    given = _read(configuration)
    if isinstance(given, dict):
        found.extend(_texts(given.get("messages"), _MUTE))
    found.extend(_texts(output))
    if extra and '"samples"' in extra and isinstance(given := _read(extra), dict):
        for sample in given["samples"] if isinstance(given.get("samples"), list) else ():
            found.extend(_texts(sample.get("output") if isinstance(sample, dict) else None))
    return found


def told(message: str) -> list[str]:
    """The texts of a message, of which this is the JSON."""
    return list(_texts(_read(message), _MUTE))


def _read(text: str | None) -> Any:
    if not text:
        return None
    try:
        return orjson.loads(text)
    except ValueError:
        pass
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None  # no JSON, or too deep to be words of anybody


def _texts(value: Any, mute: frozenset[str] = frozenset()) -> Iterator[str]:
    """All texts within a value, but for what stands under a `mute` key."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if len(value) < 1000 and not value.startswith("data:") or not _CODED.fullmatch(value):
                # JSON within a text, such as a tool's arguments
                yield _ESCAPE.sub(_meant, value) if value[:1] in ("{", "[", '"') and "\\" in value else value
        elif isinstance(value, dict):
            waiting.extend(reversed([one for key, one in value.items() if key not in mute]))
        elif isinstance(value, list):
            waiting.extend(reversed(value))
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield str(value)


def _meant(escape: re.Match[str]) -> str:
    number = int(escape[1], 16) if escape[1] else 0x20
    return " " if 0xD800 <= number < 0xE000 else chr(number)


def _refusal(why: str) -> BadRequest:
    return BadRequest(f"search: {why}", param="search")
