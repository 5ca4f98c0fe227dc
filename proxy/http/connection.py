"""HTTP/1.1 for uvicorn's server, with as little as possible between the socket and the application.

uvicorn keeps the sockets, the signals, the workers and the life of the process; this is its `http` class, with what
its own does for every request left out: a task that waits for the body, a timer per answer, a write for the head. What
must stay true:

* The answers of a connection leave in the order of its requests, one at a time.
* An application starts when its request is whole, or when waiting for that could be long: then it decides.
* A connection is read no faster than its requests are answered, and ended when it keeps the gateway waiting: `door`
  has the limits, and asks each connection now and then (`look`).
* What is framed wrongly is refused, and nothing behind it is read. A trailer never becomes a header.
* After `shutdown` what has begun is answered, and then the connection ends.

Nothing is written to an access log.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Any, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from proxy.http.door import LINGER, MOST_WAITING, SLOWEST, Door
from proxy.http.exchange import HIGH_WATER, Exchange
from proxy.http.flow import Flow
from proxy.http.head import BUSY, LARGE, LARGEST, LATE, MOST, VERSION, WRONG, Refused, framing, measure, refusal, target

logger = logging.getLogger("uvicorn.error")

VERSIONS = {"asgi": {"version": "3.0", "spec_version": "2.3"}}
NO_TRAILERS: Any = deque(maxlen=0)
"""What takes them, and keeps none."""


class Connection(Flow):
    """One client's connection. `door` is its server's; the rest is uvicorn's own."""

    def __init__(self, config: Any, server_state: Any, app_state: Any, _loop: Any = None, *, door: Door) -> None:
        if not config.loaded:
            config.load()
        super().__init__(_loop or asyncio.get_running_loop())
        self.since = 0.0
        self._app = config.loaded_app
        self._door = door
        self._server = server_state
        self._parser = HttpRequestParser(self)
        self._scope: dict[str, Any] = {**VERSIONS, "type": "http", "root_path": ""}
        self._state = app_state
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._unread = 0
        """Bytes that arrived and brought neither the end of a head nor a piece of a body."""
        self._arriving: Exchange | None = None
        """The request that is being read, from its head to its last byte."""
        self._serving: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._over = False
        """No further request will be read."""

    # asyncio's protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._server.connections.add(self)
        if not self._door.enter(self):
            self._over = True
            self.transport.write(refusal(*BUSY))
            self.transport.close()
            return
        self._scope["scheme"] = "https" if transport.get_extra_info("sslcontext") else "http"
        for name, where in (("client", "peername"), ("server", "sockname")):
            address = transport.get_extra_info(where)
            self._scope[name] = tuple(address[:2]) if isinstance(address, tuple | list) else None

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._door.leave(self)
        self._over = True
        self._waiting.clear()
        if self._serving is not None:
            self._serving.lose()
        self.resume_writing()

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        if not self._unread and self._arriving is None:
            self.since = self._door.now
        self._unread += len(data)
        rest = None
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
        except HttpParserError as error:
            cause = error.__context__
            if cause is not None and not isinstance(cause, Refused):
                logger.warning("a request could not be read: %s", type(cause).__name__)
            self._refuse(*(cause.args if isinstance(cause, Refused) else WRONG))
        else:
            if self._unread > LARGEST:
                self._refuse(*(LARGE if self._arriving is None else WRONG))
            elif self._arriving is not None:
                self._begin_early(self._arriving)
        if rest is not None:
            self._decline(rest)

    def _decline(self, rest: bytes) -> None:
        """Answer as if no upgrade had been asked for. The parser takes the request for whole and would read no body, so
        another one begins where this one ended.
        """
        exchange = self._waiting[-1] if self._waiting else self._serving
        if exchange is not None and not self._over:
            exchange.ended, self._arriving = False, exchange
            self._parser = HttpRequestParser(self)
            self.data_received(framing(exchange.scope["headers"]) + rest)

    # httptools' parser.

    def on_message_begin(self) -> None:
        if not self._unread:
            self._unread = 1
        self._url = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._arriving is not None:
            return  # of a declined upgrade, for the second time
        parser, headers = self._parser, self._headers
        if self._unread > LARGEST or len(headers) > MOST:
            measure(headers, self._url)
        self._unread = 0
        self._headers = NO_TRAILERS
        version = parser.get_http_version()
        modern = version == "1.1"
        if not modern and version != "1.0":
            raise Refused(*VERSION)
        path, raw_path, query = target(self._url)
        scope = {
            **self._scope,
            "http_version": version,
            "method": parser.get_method().decode("ascii"),
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": headers,
            "state": self._state.copy(),
        }
        self._arriving = Exchange(self, scope, keep_alive=modern and parser.should_keep_alive(), chunked=modern)

    def on_body(self, body: bytes) -> None:
        self._unread = 0
        if self._arriving is not None:
            self._arriving.feed(body)

    def on_message_complete(self) -> None:
        exchange, self._arriving = self._arriving, None
        if exchange is None:
            return
        self._unread = 0
        exchange.end()
        if exchange.done:
            self.since = self._door.now
        elif exchange.task is None and exchange not in self._waiting:
            self._begin(exchange)

    # Requests, one after the other.

    def _begin(self, exchange: Exchange) -> None:
        if self._serving is None:
            self._serve(exchange)
        elif len(self._waiting) < MOST_WAITING:
            self._waiting.append(exchange)
            self.hold()
        else:
            # What is not answered may be asked again.
            self._end_with(self._waiting[-1])

    def _begin_early(self, exchange: Exchange) -> None:
        """Start with half a body where the other half may be long in coming, or never comes unless it is asked for."""
        if exchange.task is not None or exchange in self._waiting:
            return
        headers = dict(exchange.scope["headers"])
        length = headers.get(b"content-length", b"")
        if b"expect" in headers or not length.isdigit() or int(length) > HIGH_WATER:
            self._begin(exchange)

    def _serve(self, exchange: Exchange) -> None:
        self._serving = exchange
        exchange.task = self._loop.create_task(exchange.run(self._app))
        self._server.tasks.add(exchange.task)

    def answered(self, exchange: Exchange) -> None:
        self._server.total_requests += 1
        self._serving = None
        self.since = self._door.now
        if not exchange.keep_alive:
            self._end(sending=self._over or not exchange.ended)
        elif self._waiting:
            self._serve(self._waiting.popleft())
        elif self.held:
            self.release()

    def finished(self, exchange: Exchange) -> None:
        if exchange.task is not None:
            self._server.tasks.discard(exchange.task)
        if not (exchange.done or exchange.lost):
            self._end()

    def shutdown(self) -> None:
        """uvicorn's word that the server ends: nothing new begins here."""
        last = self._waiting[-1] if self._waiting else self._serving or self._arriving
        if last is None:
            self._end()
        else:
            last.keep_alive = False

    def _end_with(self, exchange: Exchange | None, *, sending: bool = False) -> None:
        self._over = True
        if exchange is None:
            self._end(sending=sending)
        else:
            exchange.keep_alive = False

    def _end(self, *, sending: bool = False) -> None:
        """Nothing more is answered. A client that is still `sending` would lose what was answered with the connection,
        so it has a while to read that.
        """
        self._over, self._serving, self._arriving, self._unread = True, None, None, 0
        self._waiting.clear()
        self.since = self._door.now
        if sending and self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
            self.release()
        else:
            self.transport.close()

    def _refuse(self, status: int, text: bytes, *, sending: bool = True) -> None:
        """Answer what is no request, and end the connection; answers that are under way come first, and suffice."""
        broken, self._arriving = self._arriving, None
        if broken is not None and broken.done:
            self._end(sending=sending)
            return
        if broken is not None and broken is self._serving:
            broken.lose()
            self._serving = None
            if broken.begun:
                self._end()
                return
        elif broken is not None and broken in self._waiting:
            self._waiting.remove(broken)
        last = self._waiting[-1] if self._waiting else self._serving
        if last is None:
            self.transport.write(refusal(status, text))
        self._end_with(last, sending=sending)

    def resume(self) -> None:
        """Read on, unless requests wait already."""
        if not self._waiting:
            self.release()

    def defaults(self) -> list[tuple[bytes, bytes]]:
        """uvicorn's own headers: the date, which it makes anew every second."""
        return cast(list[tuple[bytes, bytes]], self._server.default_headers)

    # What the door asks.

    @property
    def idle(self) -> bool:
        return self._serving is None and self._arriving is None and not self._unread

    def drop(self) -> None:
        self._over = True
        self.transport.abort()

    def look(self, now: float) -> None:
        limits, waited = self._door.limits, now - self.since - self._door.step
        if self.full is not None:
            if self.stuck(limits.send, SLOWEST):
                self.drop()
        elif self._over:
            if self._serving is None and waited > (limits.send if self.transport.is_closing() else LINGER):
                self.drop()
        elif self.idle:
            if waited > limits.idle:
                self._end()
        elif self.held or self._serving not in (None, self._arriving):
            self.since = now  # the client waits, not the gateway
        elif waited > limits.receive + (self._arriving.fed if self._arriving is not None else 0) / SLOWEST:
            self._refuse(*LATE, sending=False)
