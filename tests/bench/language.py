"""Words that were never said, as often as those of a language: by Zipf's law, the short ones oftener."""

from __future__ import annotations

import random
from functools import cache
from itertools import accumulate

SIZE = 40_000
BEGINS = (*"bdfgklmnprstvz", "br", "st", "tr")
SYLLABLES = [begin + end for begin in BEGINS for end in (*"aeiou", "an", "er", "in", "or", "us")]


@cache
def vocabulary() -> tuple[list[str], list[float]]:
    """Words, the commonest first, and how often they and those before them are said."""
    dice = random.Random(7)
    words = dict.fromkeys("".join(dice.choices(SYLLABLES, k=dice.choice((1, 2, 2, 3, 3, 4)))) for _ in range(3 * SIZE))
    by_length = sorted(list(words)[:SIZE], key=len)
    return by_length, list(accumulate(1 / (place + 3) for place in range(len(by_length))))


def said(dice: random.Random, words: int) -> str:
    """A text of so many words."""
    known, weights = vocabulary()
    return " ".join(dice.choices(known, cum_weights=weights, k=words))
