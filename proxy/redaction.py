"""Redaction: what a text must not be kept with, found by patterns and taken out.

The patterns are RE2's, which take time in proportion to a text, whatever the pattern and the text. What must stay true:

* Nothing is changed: what has a match is copied as far down as it has one, and what has none is handed back itself.
* A match is found wherever it stands: in lists, as a key, as a number, and in JSON inside of a text.
* What takes longer than it may ends with `Late`, and never with a match that was left.
"""

from __future__ import annotations

import functools
import math
import re
import time
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from proxy.models import Json
from proxy.patterns import RULES, Rule

_ESCAPED = re.compile(rb"(?<!\\)\\++(?:u((?!d[89a-f])[0-9a-f]{4})|/)", re.IGNORECASE)
"""A character as JSON may write it, also in JSON that is a text in JSON; not those of more than 16 bits."""

PIECE = 16 * 2**10
"""Bytes that are looked at between two looks at the time."""

SLOW = 100_000_000
"""Steps that a text may take before it is looked at in pieces: about a tenth of a second."""


class Late(Exception):
    """There is more to be looked at than may be."""


def fault(pattern: str) -> str | None:
    """What is wrong with a pattern, and where; none of its own words, since it may come from the environment."""
    import re2

    try:
        found = _compiled(pattern)
    except re2.error as error:
        said = error.args[0]
        reason, _, quoted = (said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)).partition(": ")
        place = pattern.find(quoted) + 1 if quoted else len(pattern)
        where = f" at character {place}" if place else ""
        return f"is no pattern of RE2's: {reason.strip()}{where}; it has neither look-around nor back-references"
    return "matches the empty text, and so would be everywhere" if found.search(b"") is not None else None


@functools.lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    # Only who redacts pays for it.
    import re2

    options = re2.Options()
    options.log_errors = False
    # A whole match is all that is asked for, and the groups would cost twice its time.
    options.never_capture = True
    return re2.compile(pattern, options=options)


class _Found:
    """One rule at work on the UTF-8 bytes of texts."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.pattern = _compiled(rule.pattern.encode())
        self.replace = rule.replace.encode("utf-8", "surrogatepass")

    def spans(self, data: bytes, until: float) -> Iterator[tuple[int, int]]:
        """Where it matches, from left to right. Raises `Late`."""
        at, rule = 0, self.rule
        while (found := self.pattern.search(data, at)) is not None:
            start, end = found.span()
            if rule.led:
                start += _lead(data, start)
            if rule.holds is not None:
                end = start + self._held(data, start, end)
            if end > start:
                yield start, end
                at = end
            else:
                # another match may begin within what was none
                at = start + 1
            if time.monotonic() > until:
                raise Late

    def _held(self, data: bytes, start: int, end: int) -> int:
        """How many bytes of a match it is; the rules that ask are about ASCII."""
        assert self.rule.holds is not None
        behind = data[end : end + 1].decode("ascii", "ignore")
        return self.rule.holds(data[start:end].decode("latin-1"), behind)

    def without(self, data: bytes, until: float) -> bytes:
        return self._replaced(data, self.spans(data, until))

    def behind_escapes(self, data: bytes, until: float) -> bytes:
        """The same for matches of which a part is written in JSON's escapes."""
        plain = _Plain(data, until)
        return self._replaced(
            data, ((plain.place(start), plain.place(end)) for start, end in self.spans(plain.data, until))
        )

    def _replaced(self, data: bytes, spans: Iterable[tuple[int, int]]) -> bytes:
        pieces, last = [], 0
        for start, end in spans:
            pieces += [data[last:start], self.replace]
            last = end
        return b"".join([*pieces, data[last:]]) if pieces else data


class _Plain:
    """A text without JSON's escapes, which a match may have in a piece of JSON within prose."""

    def __init__(self, data: bytes, until: float) -> None:
        """Raises `Late`."""
        pieces: list[bytes] = []
        self._plain, self._written = [0], [0]
        size = end = 0
        for number, escape in enumerate(_ESCAPED.finditer(data)):
            if number % 256 == 0 and time.monotonic() > until:
                raise Late
            said = chr(int(escape[1], 16)).encode() if escape[1] else b"/"
            pieces += [data[end : escape.start()], said]
            size += escape.start() - end
            self._plain += [size, size + len(said)]
            self._written += [escape.start(), escape.end()]
            size, end = size + len(said), escape.end()
        self.data = b"".join([*pieces, data[end:]])

    def place(self, at: int) -> int:
        """Where in the text what is here at `at` was written."""
        last = bisect_right(self._plain, at) - 1
        return self._written[last] + at - self._plain[last]


def _lead(data: bytes, start: int) -> int:
    """How many of the bytes from `start` on are the lead of a match, and not of it."""
    first = data[start : start + 1]
    if first == b"\\":
        return 6 if data[start + 1 : start + 2] == b"u" else 2
    return 1 if first == b"_" else 0


class Redaction:
    """Takes out what `rules` find, one after the other."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._rules = [_Found(rule) for rule in rules]
        self.steps = sum(one.pattern.programsize for one in self._rules if one.rule not in RULES)
        """How many steps a character may take: those for the named patterns have been measured, and count nothing."""
        self._any = _any([one.rule for one in self._rules])
        self._own = [one.pattern for one in self._rules if one.rule not in RULES]

    def clean(self, value: Json, until: float = math.inf, *, numbers: bool = True) -> Json:
        """`value` without any match, or itself where it has none; with `numbers` also of what is a number in JSON.

        Raises `Late` when it is not done at the time `until`, of `time.monotonic`.
        """
        kind = type(value)
        if kind is str:
            return self._text(value, until)
        if kind is dict:
            return self._mapping(value, until, numbers)
        if kind is list or kind is tuple:
            cleaned = []
            for one in value:
                cleaned.append(self.clean(one, until, numbers=numbers))
            return cleaned if any(new is not old for new, old in zip(cleaned, value, strict=True)) else value
        if numbers and (kind is int or kind is float):
            written = str(value)
            cleaned_number = self._text(written, until)
            return value if cleaned_number == written else cleaned_number
        return value

    def kinds(self, text: str, until: float = math.inf) -> set[str]:
        """The names of the rules that find something in `text`."""
        data = text.encode("utf-8", "surrogatepass")
        if self._any is not None and self._any.search(data) is None:
            return set()
        return {one.rule.name for one in self._rules if next(one.spans(data, until), None) is not None}

    def _mapping(self, value: dict[str, Json], until: float, numbers: bool) -> dict[str, Json]:
        cleaned: dict[str, Json] = {}
        changed = False
        for name, inner in value.items():
            new_name = self._text(name, until) if type(name) is str else name
            new = self.clean(inner, until, numbers=numbers)
            changed = changed or new is not inner or new_name is not name
            count, free = 1, new_name
            # two names may become one, and none of their values is to be lost
            while free in cleaned or (free != name and free in value):
                count += 1
                free = f"{new_name} ({count})"
            cleaned[free] = new
        return cleaned if changed else value

    def _text(self, text: str, until: float) -> str:
        data = text.encode("utf-8", "surrogatepass")
        if len(data) * self.steps > SLOW and until < math.inf:
            self._try(data, until)
        clean = self._any is not None and self._any.search(data) is None
        if clean and "\\" not in text:
            return text
        said = self._document(text, until) if text.lstrip()[:1] in ("{", "[", '"') else None
        if said is not None and said is not text:
            text, data, clean = said, said.encode("utf-8", "surrogatepass"), False
        # Escapes first, or of a match that begins with one only the rest would be taken out.
        cleaned = data if said is not None else self._behind_escapes(data, until)
        if not (clean and cleaned is data):
            for one in self._rules:
                cleaned = one.without(cleaned, until)
        return text if cleaned is data else cleaned.decode("utf-8", "surrogatepass")

    def _try(self, data: bytes, until: float) -> None:
        """Raises `Late` where searching would take longer than there is time, which nothing could end.

        A pattern that counts far and overlaps itself, such as `a[^b]{900}c`, has a state for every set of places where
        a match may have begun. RE2 has no memory for all of them, and takes as many steps for a character as the
        pattern has instructions. In pieces a text takes as long as whole, wherever the matches are.
        """
        half = time.monotonic() + (until - time.monotonic()) / 2
        for pattern in self._own:
            at = 0
            while at < len(data):
                found = pattern.search(data, at, min(at + PIECE, len(data)))
                at = max(found.end(), at + 1) if found is not None else at + PIECE
                if time.monotonic() > half:
                    raise Late

    def _behind_escapes(self, data: bytes, until: float) -> bytes:
        """A text in which JSON may stand, without the matches of which a part is written in its escapes."""
        if _ESCAPED.search(data) is None:
            return data
        if self._any is None or self._any.search(_Plain(data, until).data) is not None:
            for one in self._rules:
                data = one.behind_escapes(data, until)
        return data

    def _document(self, text: str, until: float) -> str | None:
        """A text that is JSON, in which a match may be in other letters, and which is still JSON afterwards; None
        for any other.
        """
        try:
            value = orjson.loads(text)
        except ValueError:
            return None
        cleaned = self.clean(value, until)
        return text if cleaned is value else orjson.dumps(cleaned).decode()


def _any(rules: list[Rule]) -> Any:
    """One pattern for all: most texts have no match, and so are read only once. None where it would be too large."""
    import re2

    try:
        return _compiled("|".join(f"(?:{rule.pattern})" for rule in rules).encode())
    except re2.error:
        return None
