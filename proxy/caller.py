"""Who calls: a key of the file's, by its name, with what it may do and what it may spend.

Money is counted in nanodollars, whole numbers, so that sums are exact whatever their order. Windows begin and end at
midnight, UTC, and are the same for everybody at one moment: nothing has to be remembered of when one began.
What must stay true: nothing here holds a key or its hash.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Literal

NANO = 10**9
"""Nanodollars of a dollar."""

MOST = 10**15
"""Nanodollars that one call may be said to have cost; with more the sum would not fit."""

DAY = 86400

Window = Literal["1d", "7d", "30d", "month", "total"]


@dataclass(slots=True, frozen=True)
class Budget:
    """What may be spent in each window: `amount` is in nanodollars."""

    amount: int
    window: Window

    def begins(self, now: float) -> str:
        """The first day of the window that `now` is in, as ISO 8601 has it; "" is the first of all."""
        return _window(self.window, int(now // DAY))[0]

    def ends(self, now: float) -> float | None:
        """When the window ends that `now` is in; None is never. Both are in seconds since 1970."""
        return _window(self.window, int(now // DAY))[1]


@dataclass(slots=True, frozen=True, kw_only=True)
class Caller:
    """One key. What is None or empty is not limited.

    `models` are names, or patterns with `*`. `project` is the one that all its calls are of. `expires` is in seconds
    since 1970. Without `inputs` or `outputs` these are never written down, `sample_rate` is the most of its traces that
    are kept, and `log` lets it read and write the log, which is everybody's.
    """

    name: str
    models: tuple[str, ...] = ()
    dialects: tuple[str, ...] = ()
    project: str | None = None
    budget: Budget | None = None
    rpm: int | None = None
    tpm: int | None = None
    max_parallel: int | None = None
    expires: float | None = None
    inputs: bool = True
    outputs: bool = True
    sample_rate: float = 1.0
    log: bool = False

    def may_call(self, *names: str) -> bool:
        """Whether it may call what goes by any of `names`."""
        return not self.models or any(_matches(pattern, name) for pattern in self.models for name in names)

    def expired(self, now: float) -> bool:
        return self.expires is not None and now >= self.expires


def nanodollars(cost: float | None) -> int:
    """What is counted of a cost in dollars: to the nearest, and one at least of what costs anything."""
    return max(1, round(min(cost * NANO, MOST))) if cost else 0


def dollars(amount: int) -> str:
    """An amount as it is written: all its digits, and two behind the point at least."""
    sign, (whole, rest) = "-" if amount < 0 else "", divmod(abs(amount), NANO)
    return f"{sign}{whole}.{f'{rest:09d}'.rstrip('0').ljust(2, '0')}"


def _matches(pattern: str, name: str) -> bool:
    return pattern == name or ("*" in pattern and _pattern(pattern).match(name) is not None)


@lru_cache(maxsize=256)
def _pattern(text: str) -> re.Pattern[str]:
    """Only `*` means something in a pattern."""
    return re.compile(".*".join(map(re.escape, text.split("*"))) + r"\Z", re.DOTALL)


@lru_cache(maxsize=16)
def _window(window: Window, day: int) -> tuple[str, float | None]:
    """The first day of the window that has `day`, in days since 1970, and when it ends."""
    today = date(1970, 1, 1) + timedelta(days=day)
    if window == "total":
        return "", None
    if window == "month":
        first = today.replace(day=1)
        after = (first + timedelta(days=31)).replace(day=1)
    else:
        length = int(window[:-1])
        # A week begins on Monday, and the first of 1970 was a Thursday.
        first = today - timedelta(days=(day + 3) % 7 if length == 7 else day % length)
        after = first + timedelta(days=length)
    return first.isoformat(), datetime(after.year, after.month, after.day, tzinfo=UTC).timestamp()
