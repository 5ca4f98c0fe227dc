"""Redaction: what a text must not be kept with, found by patterns and taken out.

The patterns are RE2's, which take time in proportion to a text, whatever the pattern and the text. What must stay true:

* Nothing is changed: what has a match is copied as far down as it has one, and what has none is handed back itself.
* A match is found wherever it stands: in lists, as a key, as a number, and in JSON inside of a text.
* What takes longer than it may ends with `Late`, and never with a match that was left.
"""

from __future__ import annotations

import functools
import ipaddress
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from proxy.models import Json

LEAD = r"(?:\b|_|\\[bfnrt]|\\u[0-9A-Fa-f]{4})"
"""Where a word begins. In JSON inside of a text a line's end is a letter, too, and others are four digits."""

# Marks: accents that are characters of their own, and the vowels of many scripts.
EMAIL = r"[\p{L}\p{N}_%+][\p{L}\p{M}\p{N}._%+'-]*(?:@|%40)(?:[\p{L}\p{M}\p{N}-]+\.)+\p{L}[\p{L}\p{M}\p{N}-]+"
CARD = (
    r"[2-6][0-9]{12,18}"
    r"|[2-6][0-9]{3}[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]{4}(?:[ -][0-9]{3})?"
    r"|3[0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5}"
)
AMAZON = ("AKIA", "ASIA", "AROA", "AIDA")
KEY = "|".join(
    (
        r"sk-[A-Za-z0-9_-]{20,}|hl_sk_[A-Za-z0-9]{20,}|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,}",
        r"(?:gsk_|xai-|pplx-|fw_|pai-|r8_|hf_|npm_|esecret_)[A-Za-z0-9]{24,}",
        rf"(?:{'|'.join(AMAZON)})[A-Z0-9]{{16}}",
        r"gh[opsru]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}",
        r"AIza[A-Za-z0-9_-]{35}|ya29\.[A-Za-z0-9_-]{20,}",
        r"xox[abeoprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{20,}",
        r"SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|whsec_[A-Za-z0-9+/=]{20,}|pypi-[A-Za-z0-9_-]{50,}",
        r"eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*",
        r"(?i:bearer|basic)(?:\s|\\[nrt]|%20|\+)+[A-Za-z0-9._~+/-]{16,}=*",
    )
)
PEM = r"PRIVATE KEY(?: BLOCK)?-----"
PRIVATE = (
    rf"-----BEGIN (?:[A-Z0-9]+ )*{PEM}(?:[^-]|-[^-])*-----END (?:[A-Z0-9]+ )*{PEM}"
    rf"|-----BEGIN (?:[A-Z0-9]+ )*{PEM}[A-Za-z0-9+/=:,.\s\\-]*"
)
PHONE = (
    r"\+[1-9][0-9 ().-]{6,18}[0-9]"
    r"|\([2-9][0-9]{2}\) ?[2-9][0-9]{2}[ .-][0-9]{4}"
    rf"|{LEAD}[2-9][0-9]{{2}}[ .-][2-9][0-9]{{2}}[ .-][0-9]{{4}}"
)
ADDRESS = r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}"


class Late(Exception):
    """There is more to be looked at than may be."""


@dataclass(slots=True, frozen=True)
class Rule:
    """`pattern` is RE2's; what matches it, and `holds` for, becomes `replace`. With `led` the match begins behind what
    `LEAD` has matched.
    """

    name: str
    pattern: str
    replace: str
    holds: Callable[[str, str], int] | None = None
    """How many characters of the match it is, by these and the one behind them; 0 for none."""
    led: bool = True


def _card(found: str, behind: str) -> int:
    """A card has a check digit, and does not go on. What follows one may look as if it were of it."""
    for length in (len(found), 19):
        whole, next_one = found[:length], found[length : length + 1] or behind
        digits = [int(one) for one in whole if one.isdigit()]
        doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
        if (sum(doubled) + sum(digits[-1::-2])) % 10 == 0 and not _goes_on(next_one):
            return len(whole)
    return 0


def _key(found: str, behind: str) -> int:
    """Words with hyphens are no keys: one has a digit, or letters of both kinds. Amazon's may have capitals alone."""
    if found.startswith(AMAZON):
        return len(found) if not _goes_on(behind) or any(map(str.isdigit, found)) else 0
    if found[:6].lower() in ("bearer", "basic ", "basic+", "basic%"):
        return len(found) if any(map(str.isdigit, found[6:])) or found.endswith("=") else 0
    secret = found[3:]
    return len(found) if any(map(str.isdigit, secret)) or not (secret.islower() or secret.isupper()) else 0


def _phone(found: str, behind: str) -> int:
    return len(found) if 7 <= sum(map(str.isdigit, found)) <= 15 and not _goes_on(behind) else 0


def _address(found: str, behind: str) -> int:
    groups = [group for group in found.split(":") if group]
    # `a::b` is a name in many languages, `1::2` a part of a list; an address such as fe80::1 begins as that does
    short = ":" in found and len(groups) < 3
    if _goes_on(behind) or (short and not any(len(one) == 4 and any(map(str.isdigit, one)) for one in groups)):
        return 0
    try:
        ipaddress.ip_address(found)
    except ValueError:
        return 0
    return len(found)


def _goes_on(behind: str) -> bool:
    return behind.isascii() and behind.isalnum()


NAMED: dict[str, tuple[Rule, ...]] = {
    "emails": (Rule("emails", rf"(?:{LEAD})?{EMAIL}", "[email]"),),
    "keys": (
        Rule("keys", PRIVATE, "[key]", led=False),
        Rule("keys", rf"{LEAD}(?:{KEY})", "[key]", _key),
    ),
    "cards": (Rule("cards", rf"{LEAD}(?:{CARD})", "[card]", _card),),
    "phones": (Rule("phones", PHONE, "[phone]", _phone),),
    "ips": (Rule("ips", rf"{LEAD}(?:{ADDRESS})", "[ip]", _address),),
}
"""The patterns that have names of their own. None of them finds a UUID, or hexadecimal digits in a row."""

_NAMED = frozenset(rule for rules in NAMED.values() for rule in rules)


def own(name: str, pattern: str, replace: str | None) -> Rule:
    """A rule of the user's own."""
    return Rule(name, pattern, f"[{name}]" if replace is None else replace, led=False)


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
        pieces, last = [], 0
        for start, end in self.spans(data, until):
            pieces += [data[last:start], self.replace]
            last = end
        return b"".join([*pieces, data[last:]]) if pieces else data


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
        self.steps = sum(one.pattern.programsize for one in self._rules if one.rule not in _NAMED)
        """How many steps a character may take: those for the named patterns have been measured, and count nothing."""
        self._any = _any([one.rule for one in self._rules])

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
        clean = self._any is not None and self._any.search(data) is None
        if clean and "\\" not in text:
            return text
        if text.lstrip()[:1] in ("{", "[", '"') and (said := self._document(text, until)) is not text:
            text, data, clean = said, said.encode("utf-8", "surrogatepass"), False
        if clean:
            return text
        cleaned = data
        for one in self._rules:
            cleaned = one.without(cleaned, until)
        return text if cleaned is data else cleaned.decode("utf-8", "surrogatepass")

    def _document(self, text: str, until: float) -> str:
        """A text that is JSON, in which a match may be written in other letters, and which is still JSON afterwards."""
        try:
            value = orjson.loads(text)
        except ValueError:
            return text
        cleaned = self.clean(value, until)
        return text if cleaned is value else orjson.dumps(cleaned).decode()


def _any(rules: list[Rule]) -> Any:
    """One pattern for all: most texts have no match, and so are read only once. None where it would be too large."""
    import re2

    try:
        return _compiled("|".join(f"(?:{rule.pattern})" for rule in rules).encode())
    except re2.error:
        return None
