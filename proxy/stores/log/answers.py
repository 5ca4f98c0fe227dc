"""What people ask the log that a gateway writes: what the command line asks a `Reader`, a few questions at a time.

What must stay true: nothing that is asked holds the loop, a thread that others need, or a transaction for long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from typing import Any

from proxy.errors import BadRequest
from proxy.record import Record
from proxy.selection import Figures, Selection, Slice, Table
from proxy.stores.log.family import family
from proxy.stores.log.questions import Questions
from proxy.stores.log.reader import Reader

LARGEST = 8 * 2**20
"""Bytes, about, of the rows of a table, which is held as a whole."""


class Answers:
    """The `Pages` of a log: what `reader` finds. `ready` is awaited before each question."""

    def __init__(self, reader: Reader, ready: Callable[[], Awaitable[None]]) -> None:
        self._reader = reader
        self._ready = ready
        self._questions = Questions(ready)

    async def page(self, selection: Selection, after: str | None = None, limit: int = 50) -> Slice:
        return await self._questions.answer(lambda: self._reader.page(selection, after, limit))

    async def figures(self, selection: Selection, by: str | None = None, limit: int = 20) -> list[Figures]:
        return await self._questions.answer(lambda: self._reader.figures(selection, by, limit))

    async def ask(self, sql: str, limit: int = 1_000) -> Table:
        return await self._questions.answer(lambda: self._asked(sql, limit))

    async def lately(self, selection: Selection) -> Selection:
        await self._ready()
        return await asyncio.to_thread(self._reader.lately, selection)

    async def family(self, name: str) -> tuple[Record | None, list[Record]]:
        await self._ready()
        return await asyncio.to_thread(family, self._reader, name)

    def _asked(self, sql: str, limit: int) -> Table:
        """At most `limit` rows, and what they are called."""
        with closing(self._reader.ask(sql)) as answer:
            columns, size = list(map(str, next(answer))), 0
            rows: list[Sequence[Any]] = []
            for row in answer:
                if len(rows) == limit:
                    return Table(columns, rows, more=True)
                size += sum(len(cell) if isinstance(cell, str | bytes) else 8 for cell in row)
                if size > LARGEST:
                    raise BadRequest(
                        f"query: the rows have more than {LARGEST // 2**20} MiB: ask for fewer, or for less of each",
                        param="query",
                    )
                rows.append(row)
        return Table(columns, rows, more=False)
