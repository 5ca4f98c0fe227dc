"""The patterns of redaction: what has a name of its own, and the user's.

They are RE2's. What a pattern alone cannot tell is told by its rule: whether digits are a card's, letters a key.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass

LEAD = r"(?:\b|_|\\[bfnrt]|\\u[0-9A-Fa-f]{4})"
"""Where a word begins. In JSON inside of a text a line's end is a letter, too, and others are four digits."""

# Marks: accents that are characters of their own, and the vowels of many scripts.
EMAIL = r"[\p{L}\p{N}_%+][\p{L}\p{M}\p{N}._%+'-]*(?:@|%40)(?:[\p{L}\p{M}\p{N}-]+\.)+\p{L}[\p{L}\p{M}\p{N}-]+"
BETWEEN = (r"[\x{a0}\x{2007}\x{2009}\x{202f}]", r"\.", "  ")
"""What stands between a card's groups besides a space or a hyphen, as on pages of the web: one kind within a card."""

# A year is in none of the latter: tables have years in a row, with two spaces between them.
CARD = "|".join(
    (
        r"[2-6][0-9]{12,18}",
        r"[2-6][0-9]{3}[ -][0-9]{4}[ -][0-9]{4}[ -][0-9]{4}(?:[ -][0-9]{3})?",
        r"3[0-9]{3}[ -][0-9]{6}[ -][0-9]{4,5}",
        *(rf"(?:[3-6][0-9]|2[2-7])[0-9]{{2}}(?:{one}[0-9]{{4}}){{3}}(?:{one}[0-9]{{3}})?" for one in BETWEEN),
        *(rf"3[0-9]{{3}}{one}[0-9]{{6}}{one}[0-9]{{4,5}}" for one in BETWEEN),
    )
)
SURE = ("sk-svcacct-", "r8_")
"""Beginnings that no word has, so what follows may be letters of one kind."""

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
    places = [place for place, one in enumerate(found, 1) if one.isdigit()]
    for length in (len(found), *places[15:16]):
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
    if found.startswith(SURE):
        return len(found)
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

RULES = frozenset(rule for rules in NAMED.values() for rule in rules)


def own(name: str, pattern: str, replace: str | None) -> Rule:
    """A rule of the user's own."""
    return Rule(name, pattern, f"[{name}]" if replace is None else replace, led=False)
