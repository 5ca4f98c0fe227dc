"""Points in time as text: ISO 8601 in UTC with microseconds, so that texts sort as the times do."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache


def at(seconds: float) -> str:
    """The text of a time in seconds since 1970, such as `time.time()` tells."""
    whole = int(seconds)
    return f"{_second(whole)}{int((seconds - whole) * 1e6):06d}+00:00"


@lru_cache(maxsize=64)
def _second(whole: int) -> str:
    """A second's text; nearly all times that are written are of the last few."""
    return f"{datetime.fromtimestamp(whole, UTC):%Y-%m-%dT%H:%M:%S.}"


def text(moment: datetime) -> str:
    """`moment` as the log keeps it, such as `2026-11-20T15:10:10.970322+00:00`; a naive one is taken as UTC."""
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).isoformat(timespec="microseconds")


def normalized(written: str) -> str | None:
    """A client's time as the log keeps it, or None when it is no time; `2023-10-18 19:23:32 UTC` is one."""
    try:
        return text(datetime.fromisoformat(written.strip().removesuffix(" UTC")))
    except (ValueError, OverflowError):
        return None
