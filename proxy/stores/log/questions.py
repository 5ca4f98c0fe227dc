"""Questions to the log with SQL of people's own, a few at a time, beside everything else that reads it.

SQLite cannot be stopped within a function, so a question may go on when its time is over. What must stay true: who
asked is answered all the same, and so is who comes next; no more than `AT_ONCE` questions take a processor, whether
somebody still waits for them or not; and the gateway ends without waiting for them.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable
from typing import TypeVar

from proxy.errors import BadRequest, NotReady
from proxy.selection import AT_ONCE, PATIENCE
from proxy.stores.log.guarded import stopped

T = TypeVar("T")

GRACE = 2.0
"""Seconds that a question has to end in once its time is over."""


class Questions:
    """Answers questions that take `seconds` at most, each in a thread that nobody has to wait for. `ready` is awaited
    before each.
    """

    def __init__(self, ready: Callable[[], Awaitable[None]], seconds: float = PATIENCE + GRACE) -> None:
        self._ready = ready
        self._seconds = seconds
        self._places = asyncio.Semaphore(AT_ONCE)

    async def answer(self, read: Callable[[], T]) -> T:
        """What `read` finds. Raises `BadRequest` where it takes too long, `NotReady` where no others end."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._places.acquire()
        except TimeoutError:
            raise NotReady("as many questions as may be are still being answered: ask again later") from None
        try:
            await self._ready()
            answer = self._begin(read)
        except BaseException:
            self._places.release()
            raise
        # A thread that goes on tells nobody: what it finds is not waited for.
        await asyncio.wait([answer], timeout=self._seconds)
        if not answer.done():
            raise BadRequest(stopped(PATIENCE))
        return answer.result()

    def _begin(self, read: Callable[[], T]) -> asyncio.Future[T]:
        """Have `read` in a thread of its own, which keeps its place until it ends."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def tell(found: T | None, error: BaseException | None) -> None:
            self._places.release()
            if answer.cancelled():
                return
            if error is None:
                answer.set_result(found)  # type: ignore[arg-type]
            else:
                answer.set_exception(error)
                answer.exception()  # nobody may be there to be told

        def run() -> None:
            found: T | None = None
            failed: BaseException | None = None
            try:
                found = read()
            except BaseException as error:
                failed = error
            # A loop that has closed meanwhile has nobody waiting.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(tell, found, failed)

        threading.Thread(target=run, name="question", daemon=True).start()
        return answer
