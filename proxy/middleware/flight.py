"""Single flight: callers that ask for the same thing at the same time share one call to the handler below.

The handler runs in a task of its own, to its end, and whoever watches reads what has arrived from the beginning. So no
caller depends on another one: the first may leave and the rest still get their answer. What must stay true:

* Only when the last watcher leaves is the task cancelled, and that only while the answer is incomplete.
* A watcher never waits for a task that has ended: every ending, cancellation too, is told to all.
* A caller that streams gets `Chunk`s and then the `Completion`, one that does not gets the `Completion` alone,
  whichever of the two began the flight. A flight begun without streaming has no chunks to tell before its end.
* Of all that watch, one pays: its `Completion` is the original, the others' say `cache_hit`, so totals count it once.

A flight runs ahead of slow watchers and holds its chunks until all have read them; the limit on an answer's size is the
limit on that.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from types import TracebackType

from proxy.errors import UpstreamError
from proxy.models import Call, Chunk, Completion, Event
from proxy.protocols import Handler

MISSED = "no equal call was answered before"
SHARED = "an equal call was under way"

Landing = Callable[["Flight", Completion], Awaitable[None]]
"""What is done with a complete answer before its `Completion` is told."""


class Flight:
    """One shared call. `chunks` is what has arrived; `writable` whether every caller's policy lets the answer be kept.

    `call` is a copy of the first caller's, because that caller may leave and be written down while the flight goes on;
    what is noted in it is about the answer, and so for all who get it.
    """

    def __init__(self, call: Call, inner: Handler, landing: Landing, ended: Callable[[], None]) -> None:
        self.call = replace(call, dropped={}, unfilled=list(call.unfilled), remarks={}, calls={}, attempts=[])
        self.chunks: list[Chunk] = []
        self.writable = True
        self._completion: Completion | None = None
        self._error: Exception | None = None
        self._origin: TracebackType | None = None
        self._done = False
        self._landed = False
        self._paid = False
        self._watchers: dict[int, None] = {}
        self._seats = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._ended = ended
        self._task = asyncio.create_task(self._run(inner, landing))

    async def watch(self, call: Call) -> AsyncGenerator[Event, None]:
        """The events of this flight for one caller; closing it leaves the flight. Notes the cache status in `call`."""
        seat = self._seats
        self._seats += 1
        self._watchers[seat] = None
        self.writable = self.writable and call.request.policy.inputs and call.request.policy.outputs
        call.cache_status = "miss" if seat == 0 else "shared"
        call.cache_reason = MISSED if seat == 0 else SHARED
        read, ended = 0, False
        try:
            while True:
                while call.request.stream and read < len(self.chunks):
                    self._note(call)
                    read += 1
                    yield self.chunks[read - 1]
                if self._done:
                    break
                await self._news()
            self._note(call)
            ended = True
            if self._error is not None:
                self._pays(seat, call)
                # One exception, raised in many tasks: each starts from its origin, or the tracebacks would pile up.
                raise self._error.with_traceback(self._origin)
            if self._completion is not None:
                if call.request.stream and not self.chunks:
                    for chunk in pieces(self._completion):
                        yield chunk
                yield self._bill(seat, call, self._completion)
        finally:
            if not ended and len(self._watchers) > 1:
                # Whoever stays pays.
                call.cache_status, call.cache_reason = "shared", SHARED
            elif not ended:
                self._pays(seat, call)
            self._leave(seat, call)

    def _bill(self, seat: int, call: Call, completion: Completion) -> Completion:
        """The original for the one that pays."""
        return completion if self._pays(seat, call) else replace(completion, cache_hit=True)

    def _pays(self, seat: int, call: Call) -> bool:
        """Whether a watcher pays: the first that is still here, once. Its call is the miss, all others share it."""
        pays = not self._paid and seat == next(iter(self._watchers))
        self._paid = self._paid or pays
        call.cache_status, call.cache_reason = ("miss", MISSED) if pays else ("shared", SHARED)
        return pays

    def _note(self, call: Call) -> None:
        call.dropped.update(self.call.dropped)
        call.remarks.update(self.call.remarks)
        call.asked = self.call.asked
        call.calls, call.attempts, call.current = self.call.calls, self.call.attempts, self.call.current

    def _leave(self, seat: int, call: Call) -> None:
        del self._watchers[seat]
        if not self._watchers and not self._landed and not self._done:
            self._note(call)
            self._task.cancel()
            self._end()

    async def _run(self, inner: Handler, landing: Landing) -> None:
        completion: Completion | None = None
        try:
            async with aclosing(inner(self.call)) as events:
                async for event in events:
                    if isinstance(event, Chunk):
                        self.chunks.append(event)
                        self._tell()
                    else:
                        completion = event
            # From here on the answer is whole and paid for: it is kept even if nobody waits for it any more.
            self._landed = True
            if completion is not None:
                await landing(self, completion)
            self._completion = completion
        except Exception as error:
            self._error, self._origin = error, error.__traceback__
        except BaseException:
            # A watcher must not take the end of this task for its own cancellation.
            provider = self.call.target.provider if self.call.target else ""
            self._error = UpstreamError("the call was broken off by the gateway", code="unavailable", provider=provider)
            raise
        finally:
            self._end()

    def _end(self) -> None:
        if not self._done:
            self._done = True
            self._ended()
            self._tell()

    def _news(self) -> asyncio.Future[None]:
        """A future of the watcher's own: cancelling the watcher must not wake or cancel anybody else."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        return future

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)


def pieces(completion: Completion) -> Iterator[Chunk]:
    """The chunks of an answer that was not streamed: a `Draft` of them has the same choices."""
    for choice in completion.choices:
        if choice.text or choice.reasoning or choice.tool_calls or choice.extra:
            yield Chunk(
                choice.text, list(choice.tool_calls), choice.reasoning, choice.index, choice.logprobs, choice.extra
            )
