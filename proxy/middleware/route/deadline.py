"""A deadline for all that one call waits for: one timer, however many events come and however often it is moved.

`asyncio.timeout_at` around each event would do the same, and cost as much as reading the event. What must stay true: a
cancellation of the deadline's own ends here, anybody else's goes on; whoever does not wait is not disturbed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, TypeVar

T = TypeVar("T")


class Deadline:
    """Ends every `next` that lasts longer than `when`, in seconds of the loop's clock. `close` it at the end."""

    __slots__ = ("_loop", "_rang", "_rings", "_task", "_timer", "over", "when")

    def __init__(self, when: float) -> None:
        self.when = when
        self.over = False
        """Whether the time is up."""
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[Any] | None = None
        """Who waits. Each time anew: a generator may be resumed by another task."""
        self._rang = False
        self._rings = when
        self._timer = self._loop.call_at(when, self._ring)

    def move(self, when: float) -> None:
        """From now on it is `when`. Later costs nothing: the timer rings as it would have, and then is set again."""
        self.when = when
        if self.over or when < self._rings:
            self.over = False
            self._timer.cancel()
            self._set()

    async def next(self, events: AsyncGenerator[T, None]) -> T | None:
        """The next event, None after the last. Raises `TimeoutError`; what is there already comes late as well."""
        task = self._task = asyncio.current_task(self._loop)
        assert task is not None
        before = task.cancelling()
        if self.over:
            self._loop.call_soon(self._ring)
        try:
            return await events.__anext__()
        except StopAsyncIteration:
            return None
        except asyncio.CancelledError:
            if self._rang and task.cancelling() <= before + 1:
                raise TimeoutError from None
            raise
        finally:
            self._task = None
            if self._rang:
                self._rang = False
                task.uncancel()

    def close(self) -> None:
        """Let go of the timer."""
        self._timer.cancel()

    def _set(self) -> None:
        self._rings = self.when
        self._timer = self._loop.call_at(self.when, self._ring)

    def _ring(self) -> None:
        if self._rings < self.when:
            self._set()
            return
        self.over = True
        if self._task is not None and not self._rang:
            self._rang = True
            self._task.cancel()
