"""Bytes in, bytes out: the one completion handler of every dialect.

    body -> dialect.decode -> Call -> handler -> first event -> headers -> ... -> last event

The first event is awaited before any header leaves, so an early failure has a true HTTP status. After that a failure
is told the way the dialect's clients notice, and the connection is cut: the body ends without its last chunk. A
client that leaves cancels its call, and with it the upstream request.

This is a plain ASGI application: streamed pieces go out one by one, exactly as the dialect made them.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType

from proxy.asgi import Receive, Scope, Send, answer, read
from proxy.errors import GatewayError, shown
from proxy.models import Call, Completion, Event
from proxy.pace import Pace, merged
from proxy.protocols import Dialect, Handler
from proxy.target import PASSED_OVER

WATCH_AFTER = 0.05
"""Seconds after which a call begins to watch for its client leaving, or up to twice as many; a cached answer is out by
then.
"""


class Endpoint:
    """One completion route.

    `stream` makes every answer of the route a stream. `pace` is the least time in seconds between two streamed
    pieces, for clients that lose what they read together; deltas that arrive within it are merged.
    """

    def __init__(self, dialect: Dialect, handler: Handler, *, stream: bool = False, paced: bool = False) -> None:
        self.dialect = dialect
        self.handler = handler
        self.stream = stream
        self.paced = paced
        self._watches = Watches()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            body = await read(receive)
            if body is None:
                return
            call = self.dialect.decode(body, dict(scope["headers"]))
        except Exception as error:
            known = shown(error)
            await answer(send, self.dialect.encode_error(None, known, stream=self.stream), advice(known))
            return
        call.request.stream = call.request.stream or self.stream
        call.caller = scope.get("caller")
        with Watch(self._watches, receive):
            if not call.request.stream:
                await self._whole(call, send)
                return
            async with aclosing(self.handler(call)) as events:
                await self._streamed(call, events, send)

    async def _whole(self, call: Call, send: Send) -> None:
        try:
            completion: Completion | None = None
            events = self.handler(call)
            try:
                async for event in events:
                    if isinstance(event, Completion):
                        completion = event
            finally:
                # What `aclosing` does, without its two coroutines for each call; there is nothing behind it.
                await events.aclose()
            if completion is None:
                raise RuntimeError("a handler ended without a Completion")
            whole, advised = self.dialect.encode(call, completion), []
        except Exception as error:
            known = shown(error)
            whole, advised = self.dialect.encode_error(call, known, stream=False), advice(known)
        await answer(send, whole, [*_remarks(call), *advised])

    async def _streamed(self, call: Call, events: AsyncGenerator[Event, None], send: Send) -> None:
        try:
            first = await anext(events)
        except Exception as error:
            known = shown(error)
            whole = self.dialect.encode_error(call, known, stream=True)
            await answer(send, whole, [*_remarks(call), *advice(known)])
            return
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [
                    (b"content-type", b"text/event-stream; charset=utf-8"),
                    (b"cache-control", b"no-store"),
                    (b"x-accel-buffering", b"no"),
                    *_remarks(call),
                ],
            }
        )
        try:
            pace = Pace() if self.paced else None
            await self._send_event(call, first, send, pace)
            async with aclosing(merged(events) if self.paced else events) as rest:
                async for event in rest:
                    await self._send_event(call, event, send, pace)
        except Exception as error:
            for piece in self.dialect.encode_failure(call, shown(error)):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            return  # without a last chunk: the server closes the connection, and the client sees that it broke off
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _send_event(self, call: Call, event: Event, send: Send, pace: Pace | None) -> None:
        pieces = self.dialect.encode_event(call, event)
        if pace is None:
            if pieces:
                await send({"type": "http.response.body", "body": b"".join(pieces), "more_body": True})
            return
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await pace.spend(len(piece))


class Watches:
    """The calls of one event loop that are under way: each is watched once it has lasted from one look to the next but
    one. One timer serves all, and none runs while there are no calls.
    """

    def __init__(self) -> None:
        self._young: set[Watch] = set()
        self._older: set[Watch] = set()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, watch: Watch) -> None:
        self._young.add(watch)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER, self._look)

    def discard(self, watch: Watch) -> None:
        self._young.discard(watch)
        self._older.discard(watch)

    def _look(self) -> None:
        for watch in self._older:
            watch.start()
        self._older, self._young = self._young, set()
        self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER, self._look) if self._older else None


class Watch:
    """While it is held, a client that leaves cancels the task that holds it; that cancellation ends here."""

    __slots__ = ("_left", "_owner", "_receive", "_task", "_watches")

    def __init__(self, watches: Watches, receive: Receive) -> None:
        self._watches = watches
        self._receive = receive
        self._left = False
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        owner = asyncio.current_task()
        assert owner is not None
        self._owner = owner
        self._watches.add(self)

    def start(self) -> None:
        """Begin to watch."""
        self._task = asyncio.create_task(self._watch())

    async def _watch(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            continue
        self._left = True
        self._owner.cancel()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> bool:
        self._watches.discard(self)
        if self._task is not None:
            self._task.cancel()
        if self._left and kind is asyncio.CancelledError:
            self._owner.uncancel()
            return True
        return False


def advice(error: GatewayError) -> list[tuple[bytes, bytes]]:
    """Whether and when to repeat a failed request, as the clients that repeat by themselves read it."""
    headers = [(b"x-should-retry", b"true" if error.retryable else b"false")]
    if error.retry_after is not None:
        headers.append((b"retry-after", str(math.ceil(error.retry_after)).encode()))
    return headers


def _remarks(call: Call) -> list[tuple[bytes, bytes]]:
    status = call.cache_status
    remarks = [
        (b"x-trace-id", _header(call.request.trace.trace_id)),
        (b"x-cache", b"hit" if status == "shared" else status.encode()),
        (b"x-cache-reason", call.cache_reason.encode()),
        (b"server-timing", _timing(call)),
    ]
    if attempts := call.attempts:
        if call.current is not None:
            tried = len(attempts) if len(attempts) == 1 else sum(each.ended not in PASSED_OVER for each in attempts)
            remarks += (b"x-target", _header(call.current.label)), (b"x-attempts", b"%d" % tried)
        if len(attempts) > 1 or call.current is None:
            ended = ", ".join(f"{each.target}={each.ended or 'answering'}" for each in attempts)
            remarks.append((b"x-attempted", _header(ended, longest=1000)))
    if call.allowance:
        remarks += call.allowance
    if call.logged is False:
        remarks.append((b"x-logged", b"false"))
    return remarks


def _timing(call: Call) -> bytes:
    """Milliseconds until these headers leave: the gateway's own, and those since a provider was first asked."""
    now = time.perf_counter()
    asked = now if call.asked is None else call.asked
    return b"gateway;dur=%.3f, upstream;dur=%.3f" % ((asked - call.started) * 1e3, (now - asked) * 1e3)


def _header(value: str, longest: int = 200) -> bytes:
    """An id of the client's, fit for a header: what is not printable ASCII is left out."""
    if value.isascii() and value.isprintable() and len(value) <= longest:
        return value.encode()
    return "".join(char for char in value[:longest] if " " <= char <= "~").encode("ascii")
