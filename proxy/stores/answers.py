"""What people ask the log that a gateway writes: what the command line asks a `Reader`, a few questions at a time.

What must stay true: nothing that is asked holds the loop, a thread that others need, or a transaction for long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from proxy.record import Record
from proxy.selection import Figures, Selection, Slice
from proxy.stores.family import family
from proxy.stores.questions import Questions
from proxy.stores.reader import Reader


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

    async def lately(self, selection: Selection) -> Selection:
        await self._ready()
        return await asyncio.to_thread(self._reader.lately, selection)

    async def family(self, name: str) -> tuple[Record | None, list[Record]]:
        await self._ready()
        return await asyncio.to_thread(family, self._reader, name)
