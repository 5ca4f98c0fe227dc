"""The answer of a provider, for the one who asked: its head, and its body as it arrives.

What must stay true: whoever is cancelled while it waits aborts the connection at once, without awaiting anything; the
pieces that came before a failure are given out before it is raised; what a slow reader has not taken stays little more
than `BEHIND`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from proxy.providers.wire.exchange import Exchange, TransportError, Truncated

if TYPE_CHECKING:
    from proxy.providers.wire.connection import Connection

BEHIND = 256 * 2**10
"""Bytes that wait for the reader before the server is held up."""


class Reply:
    """An answer: its head, and its body as it arrives. For one reader; `close` it whatever happens.

    `status` and `headers` (lower-case names; values of repeated ones joined by commas) are there once `begin` is over.
    """

    __slots__ = (
        "_connection",
        "_error",
        "_exchange",
        "_held",
        "_left",
        "_pieces",
        "_size",
        "_timeout",
        "_waiter",
        "headers",
        "status",
    )

    def __init__(self, connection: Connection, exchange: Exchange, timeout: float) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self._connection: Connection | None = connection
        self._exchange = exchange
        self._timeout = timeout
        self._left = exchange.limit
        self._pieces: list[bytes] = []
        self._size = 0
        self._held = False
        self._error: TransportError | None = None
        self._waiter: asyncio.Future[None] | None = None

    # for the reader

    async def begin(self) -> None:
        """Wait for the head. Raises `Broken`, `Malformed`, `TimedOut`."""
        while not self.status:
            await self._more()

    async def read(self) -> bytes:
        """The whole body. Raises `Truncated`, `Malformed`, `TimedOut`, `Refused`."""
        if self._connection is None and self._error is None and len(self._pieces) == 1:
            return self._pieces.pop()
        body = bytearray()
        async for piece in self:
            body += piece
        return bytes(body)

    def __aiter__(self) -> Reply:
        return self

    async def __anext__(self) -> bytes:
        """What has arrived since the last time, never nothing. Raises as `read` does, when all that came was read."""
        while not self._pieces:
            if self._error is None and self._connection is None:
                raise StopAsyncIteration
            await self._more()
        pieces = self._pieces
        piece = pieces.pop() if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._size = 0
        if self._held:
            self._hold(False)
        return piece

    def close(self) -> None:
        """Give the connection back if the body is complete, else abort it. May be called again, from anywhere."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._error = Truncated("the answer was closed before its end")
            connection.abort()
        self._pieces.clear()

    async def _more(self) -> None:
        if self._error is not None:
            raise self._error
        assert self._connection is not None
        self._waiter = self._connection.wait(self._timeout)
        try:
            await self._waiter
        except BaseException:
            self.close()
            raise
        finally:
            self._waiter = None

    # for the connection

    @property
    def waiting(self) -> bool:
        return self._waiter is not None

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def take(self, piece: bytes) -> bool:
        """A piece of the body; whether it was still allowed."""
        self._left -= len(piece)
        if self._left < 0:
            self.fail(self._exchange.refuse("size"))
            return False
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > BEHIND and not self._held:
            self._hold(True)
        return True

    def complete(self) -> None:
        if self._held:
            self._hold(False)
        self._connection = None

    def fail(self, error: TransportError) -> None:
        self._connection = None
        self._error = error
        self.wake()

    def _hold(self, held: bool) -> None:
        self._held = held
        if self._connection is not None:
            self._connection.hold(held)
