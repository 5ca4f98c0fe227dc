"""Which rows of the log are meant, by the words of `parea-proxy log` and of `/admin/log`, and who can tell them.

Beside `TraceQuery`, which has the words of Parea's API: here pages follow each other by where the last one ended, so
that a page costs the same wherever it is, and what is read meanwhile is neither told twice nor passed over.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Protocol, runtime_checkable

from proxy import timestamps
from proxy.errors import BadRequest
from proxy.record import Record

SLOTS = 24
"""Into how many equal times a group's calls are counted, for a line that shows their course."""

PATIENCE = 10.0
"""Seconds that one question may take."""

AT_ONCE = 2
"""Questions that are answered at a time; further ones wait, and hold no thread that others need."""

MANY = 200_000
"""Rows that are added up in a moment."""

LAST = timedelta(days=7)
"""What is added up of more, before the newest row, where nobody says since when."""

ALL = "all"
"""Said for `since`: every row."""

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_SPAN = re.compile(r"(\d{1,6})\s*([smhdw])")


@dataclass(slots=True, frozen=True)
class Selection:
    """Rows of the log. All that is said must hold.

    `since` is a time as the log keeps it. A `%` in `model` stands for anything. `search` is words, "phrases" and
    begin*, all of which are in inputs, messages or output. `where` is a condition of SQL on the columns of a row.
    `rows` says which kind: every row, all but the sessions' own, or the tops of trees.
    """

    project: str | None = None
    model: str | None = None
    status: str | None = None
    since: str | None = None
    search: str | None = None
    where: str | None = None
    rows: Literal["all", "calls", "tops"] = "calls"


@dataclass(slots=True, frozen=True)
class Slice:
    """Rows, newest first, and where the next ones begin; `after` is None where there are no more."""

    records: list[Record]
    after: str | None


@dataclass(slots=True, frozen=True)
class Table:
    """What a question of SQL finds: rows of cells, numbers, texts, bytes or None; `more` says that there are more."""

    columns: list[str]
    rows: list[Sequence[Any]]
    more: bool


@dataclass(slots=True)
class Figures:
    """What the rows of one group come to. `hits` were answered by the cache, which saved `saved`; the percentiles are
    those of the latency of all others, in seconds. `course` counts the calls of each of `SLOTS` times.
    """

    group: str | float | None
    calls: int
    errors: int
    hits: int
    cost: float
    saved: float
    input_tokens: int
    output_tokens: int
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    course: list[int] = field(default_factory=lambda: [0] * SLOTS)


class Several(BadRequest):
    """What should mean one row is the beginning of several ids, `ids` among them."""

    def __init__(self, ids: list[str]) -> None:
        super().__init__(f"id: several ids begin so: {', '.join(ids)} ...", param="id")
        self.ids = ids


class Pages(Protocol):
    """A log that is read page by page."""

    async def page(self, selection: Selection, after: str | None = None, limit: int = 50) -> Slice:
        """The rows that come after where a page ended. Raises `BadRequest` for a condition that is none, for an `after`
        that no page told, and where it takes too long.
        """
        ...

    async def figures(self, selection: Selection, by: str | None = None, limit: int = 20) -> list[Figures]:
        """What the rows come to, by groups, the largest first; of times the latest, in their order. Raises as `page`
        does, and for a `by` that nothing can be grouped by.
        """
        ...

    async def lately(self, selection: Selection) -> Selection:
        """What of a selection is added up where nobody says since when: of more than `MANY` rows those of `LAST`."""
        ...

    async def ask(self, sql: str, limit: int = 1_000) -> Table:
        """What a question of SQL finds. Raises as `page` does, and where the rows together are too large."""
        ...

    async def family(self, name: str) -> tuple[Record | None, list[Record]]:
        """The row that an id, or its beginning, means, and those below it, oldest first; of a tree or session without
        a row of its own those that are in it. Raises `NotFound`, and `Several` where several ids begin so.
        """
        ...


@runtime_checkable
class Asked(Protocol):
    """A `TraceLog` that people may ask besides."""

    @property
    def answers(self) -> Pages: ...


def beginning(written: str | None, *, local: bool = False) -> str | None:
    """The `since` of a selection as somebody wrote it, or did not. Raises `BadRequest`."""
    return moment(written, local=local) if written and written != ALL else None


def moment(written: str, now: datetime | None = None, *, local: bool = False) -> str:
    """The time that `2h`, `30m`, `7d` (ago), a day or a time mean, as the log keeps it; one that tells no zone is in
    this machine's, where that is `local`, else in UTC. Raises `BadRequest`.
    """
    if span := _SPAN.fullmatch(written.strip()):
        try:
            return timestamps.text((now or datetime.now(UTC)) - timedelta(**{_UNITS[span[2]]: int(span[1])}))
        except OverflowError:
            return timestamps.text(datetime.min)
    if (found := timestamps.normalized(_placed(written) if local else written)) is None:
        raise BadRequest(
            "since: should be a time ago, such as 2h or 7d, or a day or time, such as 2026-11-20", param="since"
        )
    return found


def _placed(written: str) -> str:
    """A time with the zone of this machine, as it was then, where it tells none."""
    try:
        return datetime.fromisoformat(written.strip()).astimezone().isoformat()
    except (ValueError, OverflowError):
        return written
