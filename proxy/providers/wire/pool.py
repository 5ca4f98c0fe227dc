"""The HTTP client of the lean way: keep-alive connections to providers, and one POST at a time on each.

What must stay true: no request is written twice, whatever happens to it; nothing is followed, unpacked or read past
its limit; a connection is used again only after an answer that ended as HTTP says, on a server that has not closed it;
no method that a cancelled call runs awaits anything.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Mapping
from functools import lru_cache

from proxy.providers.wire import trust
from proxy.providers.wire.connection import Connection
from proxy.providers.wire.dialing import dial
from proxy.providers.wire.exchange import Exchange, Unreachable, refusal
from proxy.providers.wire.reply import Reply
from proxy.providers.wire.request import Origin, Request, lines, request

HEADS = 256
"""Heads of requests that are kept ready; each holds the key that its target is called with."""


class Pool:
    """A client for one event loop. `idle` is for how many seconds an unused connection is kept, `spare` how many of
    them for one origin; nothing limits how many are used at a time.
    """

    def __init__(self, *, idle: float = 15.0, spare: int = 64) -> None:
        self._idle = idle
        self._spare = spare
        self._kept: dict[Origin, list[Connection]] = {}
        self._open: dict[Connection, list[Connection]] = {}
        """Every connection, with the list that it is kept in while nobody uses it."""
        self._prepared = lru_cache(maxsize=HEADS)(self._prepare)
        self._context: ssl.SSLContext | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Future[None] | None = None

    async def post(
        self,
        url: str,
        headers: Mapping[str, str],
        body: bytes,
        *,
        exchange: Exchange,
        timeout: float,  # noqa: ASYNC109
        once: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one POST; there is a reply when its head is. `timeout` is in seconds, for the connection and for each
        wait for a piece of the answer. `once` are headers of this request alone: the others are kept ready.

        Raises a `TransportError`. The environment's proxies are looked up once for each URL.
        """
        asked, kept = self._prepared(url, tuple(headers.items()), exchange.organization)
        end = b"%d\r\n%s\r\n" % (len(body), lines(once) if once else b"")
        exchange.send()
        while kept and not kept[-1].usable:
            kept.pop()
        connection = kept.pop() if kept else await self._connect(asked.origin, kept, timeout)
        reply = connection.send(asked.head + end, body, exchange, timeout)
        await reply.begin()
        exchange.status = reply.status
        exchange.headers = reply.headers
        why = refusal(reply.status, reply.headers, exchange.limit)
        if why is not None:
            reply.close()
            raise exchange.refuse(why)
        return reply

    async def close(self) -> None:
        """Abort every connection, those in use included, and wait until they are gone. The pool is not used again."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        self._prepared.cache_clear()
        self._emptied = asyncio.get_running_loop().create_future()
        if self._open:
            for connection in list(self._open):
                connection.close()
            await self._emptied

    def _prepare(
        self, url: str, headers: tuple[tuple[str, str], ...], organization: str | None
    ) -> tuple[Request, list[Connection]]:
        made = request(url, headers, organization)
        return made, self._kept.setdefault(made.origin, [])

    async def _connect(self, origin: Origin, kept: list[Connection], seconds: float) -> Connection:
        connection = await dial(origin, lambda: Connection(self._free, self._lost), self._trust, seconds)
        if not connection.usable or self._emptied is not None:
            connection.abort()
            raise Unreachable(f"no connection to {origin.authority}: it was closed at once")
        self._open[connection] = kept
        return connection

    async def _trust(self) -> ssl.SSLContext:
        """The list of certificates is read for 30 ms, in a thread: others are served meanwhile."""
        if self._context is None:
            self._context = await asyncio.to_thread(trust.context)
        return self._context

    def _free(self, connection: Connection) -> None:
        """Keep a connection that has done its work, the latest last."""
        kept = self._open[connection]
        if len(kept) >= self._spare or self._emptied is not None:
            connection.abort()
            return
        loop = asyncio.get_running_loop()
        connection.since = loop.time()
        kept.append(connection)
        if self._sweeping is None:
            self._sweeping = loop.call_later(self._idle, self._sweep)

    def _sweep(self) -> None:
        """Close what has been unused for too long, and come back when the next one will have been."""
        loop = asyncio.get_running_loop()
        now, oldest = loop.time(), math.inf
        for kept in self._kept.values():
            while kept and kept[0].since + self._idle <= now + 0.001:
                kept.pop(0).abort()
            if kept:
                oldest = min(oldest, kept[0].since)
        self._sweeping = None if oldest == math.inf else loop.call_at(oldest + self._idle, self._sweep)

    def _lost(self, connection: Connection) -> None:
        kept = self._open.pop(connection, None)
        if kept and connection in kept:
            kept.remove(connection)
        if self._emptied is not None and not self._open and not self._emptied.done():
            self._emptied.set_result(None)
