"""The known word that somebody probably meant by an unknown one."""

from __future__ import annotations

from collections.abc import Iterable

OTHER_WORDS = {
    "base_url": "api_base",
    "key": "api_key",
    "max_length": "max_tokens",
    "region": "aws_region_name",
    "temp": "temperature",
    "size": "max_size",
    "size_limit": "max_size",
}
"""Words that other programs have for the same."""


def closest(word: str, known: Iterable[str]) -> str | None:
    """The known word nearest to `word`, if one is near."""
    candidates = list(known)
    other = OTHER_WORDS.get(word)
    if other in candidates:
        return other
    import difflib  # for who made a mistake: every start would pay for it

    return next(iter(difflib.get_close_matches(word, candidates, n=1)), None)


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint at the known word nearest to `word`, or nothing."""
    found = closest(word, known)
    return f'; did you mean "{found}"?' if found else ""
