"""HTTP/1.1 for uvicorn's server, with as little as possible between the socket and the application.

uvicorn keeps the sockets, the signals, the workers and the life of the process; this is its `http` class, with what
its own does for every request left out: a task that waits for the body, a timer per answer, a write for the head. What
must stay true:

* The answers of a connection leave in the order of its requests, one at a time.
* An application starts when its request is whole, or when waiting for that could be long: then it decides.
* A connection is read no faster than its requests are answered, and closed when it was idle for too long.
* After `shutdown` what has begun is answered, and then the connection ends.

Nothing is written to an access log.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from functools import lru_cache
from typing import Any, cast
from urllib.parse import unquote

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, parse_url

from proxy.exchange import HIGH_WATER, STATUS, Exchange

logger = logging.getLogger("uvicorn.error")

LARGEST_HEAD = 64 * 1024
"""Bytes of a request's head; llhttp itself takes any number."""

VERSIONS = {"asgi": {"version": "3.0", "spec_version": "2.3"}}


class Connection(asyncio.Protocol):
    """One client's connection. `config` and `server_state` are uvicorn's own."""

    def __init__(
        self, config: Any, server_state: Any, app_state: dict[str, Any], _loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        if not config.loaded:
            config.load()
        self.full: asyncio.Future[None] | None = None
        self._app = config.loaded_app
        self._idle_limit: float = config.timeout_keep_alive
        self._server = server_state
        self._loop = _loop or asyncio.get_running_loop()
        self._parser = HttpRequestParser(self)
        self._scope: dict[str, Any] = {**VERSIONS, "type": "http", "root_path": ""}
        self._state = app_state
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._unread = 0
        """Bytes that have arrived of a head that is not complete."""
        self._arriving: Exchange | None = None
        """The request that is being read, from its head to its last byte."""
        self._serving: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._held = False
        self._over = False
        """No further request will be read."""
        self._quiet = True
        self._quiet_since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # asyncio's protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._server.connections.add(self)
        self._scope["scheme"] = "https" if transport.get_extra_info("sslcontext") else "http"
        for name, where in (("client", "peername"), ("server", "sockname")):
            address = transport.get_extra_info(where)
            self._scope[name] = tuple(address[:2]) if isinstance(address, tuple | list) else None

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._over = True
        if self._timer is not None:
            self._timer.cancel()
        self._waiting.clear()
        if self._serving is not None:
            self._serving.lose()
        self.resume_writing()

    def pause_writing(self) -> None:
        if self.full is None:
            self.full = self._loop.create_future()

    def resume_writing(self) -> None:
        if self.full is not None:
            self.full.set_result(None)
            self.full = None

    def data_received(self, data: bytes) -> None:
        if self._over:
            return
        self._quiet = False
        if self._arriving is None:
            self._unread += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            # Declined by answering as if it had not been asked for. The parser would read no further.
            self._end_with(self._waiting[-1] if self._waiting else self._serving)
        except HttpParserError as error:
            if error.__context__ is not None:
                logger.warning("a request could not be read: %s", type(error.__context__).__name__)
            self._refuse(400, b"Invalid HTTP request received.")
        else:
            if self._arriving is not None:
                self._begin_early(self._arriving)
            elif self._unread > LARGEST_HEAD:
                self._refuse(431, b"The head of the request is too large.")

    # httptools' parser.

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        parser = self._parser
        self._unread = 0
        version = parser.get_http_version()
        path, raw_path, query = _target(self._url)
        scope = {
            **self._scope,
            "http_version": version,
            "method": parser.get_method().decode("ascii"),
            "path": path,
            "raw_path": raw_path,
            "query_string": query,
            "headers": self._headers,
            "state": self._state.copy(),
        }
        modern = version == "1.1"
        self._arriving = Exchange(self, scope, keep_alive=modern and parser.should_keep_alive(), chunked=modern)

    def on_body(self, body: bytes) -> None:
        if self._arriving is not None:
            self._arriving.feed(body)

    def on_message_complete(self) -> None:
        exchange, self._arriving = self._arriving, None
        if exchange is None:
            return
        exchange.end()
        if exchange.done:
            self._rest()
        elif exchange.task is None and exchange not in self._waiting:
            self._begin(exchange)

    # Requests, one after the other.

    def _begin(self, exchange: Exchange) -> None:
        if self._serving is None:
            self._serve(exchange)
        else:
            self._waiting.append(exchange)
            self.hold()

    def _begin_early(self, exchange: Exchange) -> None:
        """Start with half a body where the other half may be long in coming, or never comes unless it is asked for."""
        if exchange.task is not None or exchange in self._waiting:
            return
        headers = dict(self._headers)
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
        if not exchange.keep_alive:
            self._over = True
            self.transport.close()
        elif self._waiting:
            self._serve(self._waiting.popleft())
        else:
            self.resume()
            if self._arriving is None:
                self._rest()

    def finished(self, exchange: Exchange) -> None:
        if exchange.task is not None:
            self._server.tasks.discard(exchange.task)
        if not (exchange.done or exchange.lost):
            self._over = True
            self.transport.close()

    def shutdown(self) -> None:
        """uvicorn's word that the server ends: nothing new begins here."""
        last = self._waiting[-1] if self._waiting else self._serving or self._arriving
        if last is None:
            self._over = True
            self.transport.close()
        else:
            last.keep_alive = False

    def _end_with(self, exchange: Exchange | None) -> None:
        self._over = True
        if exchange is None:
            self.transport.close()
        else:
            exchange.keep_alive = False

    def _refuse(self, status: int, text: bytes) -> None:
        """Answer what is no request, and end the connection; answers that are under way come first, and suffice."""
        broken, self._arriving = self._arriving, None
        if broken is not None and broken is self._serving:
            broken.lose()
            self._serving = None
            if broken.begun:
                self._end_with(None)
                return
        elif broken is not None and broken in self._waiting:
            self._waiting.remove(broken)
        last = self._waiting[-1] if self._waiting else self._serving
        if last is None:
            head = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            self.transport.write(STATUS[status] + b"\r\n" + head % len(text) + text)
        self._end_with(last)

    # Reading and writing no faster than the other side.

    def hold(self) -> None:
        if not self._held:
            self._held = True
            self.transport.pause_reading()

    def resume(self) -> None:
        if self._held and not self._waiting and not self.transport.is_closing():
            self._held = False
            self.transport.resume_reading()

    async def drained(self) -> None:
        while self.full is not None:
            await asyncio.shield(self.full)

    def defaults(self) -> list[tuple[bytes, bytes]]:
        """uvicorn's own headers: the date, which it makes anew every second."""
        return cast(list[tuple[bytes, bytes]], self._server.default_headers)

    # Idle connections. One timer each, which looks when it is due what has become of the connection.

    def _rest(self) -> None:
        self._quiet, self._quiet_since = True, self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._idle_limit, self._look)

    def _look(self) -> None:
        self._timer = None
        if not self._quiet:
            return
        left = self._quiet_since + self._idle_limit - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._over = True
            self.transport.close()


@lru_cache(maxsize=256)
def _target(url: bytes) -> tuple[str, bytes, bytes]:
    """Path, raw path and query of a request's target."""
    parsed = parse_url(url)
    path = parsed.path.decode("ascii")
    return unquote(path) if "%" in path else path, parsed.path, parsed.query or b""
