"""One request and its answer on a connection, as an ASGI application sees them: `receive` and `send`.

What must stay true:

* The head of an answer whose length is known leaves with its body, in one write.
* A header cannot hold a line break or any other control character, whoever wrote it.
* An answer that the application breaks off is cut: its connection ends without the last chunk.
* Nothing is written while the client does not read, beyond what the transport takes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any, Protocol

from proxy.asgi import App, Scope

logger = logging.getLogger("uvicorn.error")

HIGH_WATER = 64 * 1024
"""Bytes of a body that may wait for the application before the client is made to wait."""

DISCONNECT: MutableMapping[str, Any] = {"type": "http.disconnect"}
CONTROLS = bytes(code for code in range(32) if code not in b"\t") + b"\x7f"
BODILESS = frozenset({204, 304})
STATUS = {status.value: b"HTTP/1.1 %d %b" % (status.value, status.phrase.encode()) for status in HTTPStatus}

Headers = list[tuple[bytes, bytes]]


class Line(Protocol):
    """The connection, as far as an exchange needs it."""

    transport: asyncio.Transport
    full: asyncio.Future[None] | None
    """Set while the client does not read what was written."""

    async def drained(self) -> None:
        """Wait until the client has read what was written, or has left."""
        ...

    def hold(self) -> None:
        """Read no further for now."""
        ...

    def resume(self) -> None:
        """Read on, unless requests wait already."""
        ...

    def defaults(self) -> Headers:
        """The headers that every answer has."""
        ...

    def answered(self, exchange: Exchange) -> None:
        """The answer of `exchange` is complete."""
        ...

    def finished(self, exchange: Exchange) -> None:
        """The application is done with `exchange`; an answer that it did not complete is cut."""
        ...


class Exchange:
    """A request whose head has been read, until its answer is complete or its connection is lost.

    `scope` is ASGI's. `keep_alive` says whether the connection may be used again, `chunked` whether the client knows
    chunks: one that does not learns from the connection's end where an answer ends.
    """

    __slots__ = (
        "_body",
        "_chunking",
        "_connection",
        "_continued",
        "_head",
        "_left",
        "_news",
        "_size",
        "_status",
        "chunked",
        "done",
        "ended",
        "fed",
        "keep_alive",
        "lost",
        "scope",
        "task",
    )

    def __init__(self, connection: Line, scope: Scope, *, keep_alive: bool, chunked: bool) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        self.chunked = chunked
        self.done = False
        """The answer is complete."""
        self.ended = False
        """The request is complete."""
        self.fed = 0
        """Bytes of the body that have arrived while they were wanted."""
        self.lost = False
        """The client has left."""
        self.task: asyncio.Task[None] | None = None
        self._connection = connection
        self._body: list[bytes] | None = []
        """What of the body has arrived and was not received yet; None once its end was."""
        self._size = 0
        self._continued = False
        self._news: asyncio.Future[None] | None = None
        self._status = 0
        self._head: Headers | None = None
        """The answer's headers, until they have left."""
        self._chunking = False
        self._left: int | None = None
        """How many bytes of the announced length are still to come; None where none was announced."""

    # For the connection.

    def feed(self, piece: bytes) -> None:
        """Take a piece of the body."""
        if self.done or self._body is None:
            return
        self.fed += len(piece)
        self._body.append(piece)
        self._size += len(piece)
        if self._size > HIGH_WATER:
            self._connection.hold()
        self._tell()

    def end(self) -> None:
        """The request is complete."""
        self.ended = True
        self._tell()

    def lose(self) -> None:
        """The client has left."""
        self.lost = True
        self._tell()

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    @property
    def begun(self) -> bool:
        """Whether anything of the answer has left."""
        return self._status != 0 and self._head is None

    async def run(self, app: App) -> None:
        """Have `app` answer. If it ends without, whatever the reason, that is a 500."""
        try:
            await app(self.scope, self.receive, self.send)
        except Exception as error:
            logger.error("Exception in ASGI application\n", exc_info=error)
        finally:
            if not (self.begun or self.lost):
                self._fail()
            self._connection.finished(self)

    def _fail(self) -> None:
        text = b"Internal Server Error"
        self.keep_alive, self._status, self._left = False, 500, None
        self._head = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(text))]
        self._connection.transport.write(self._framed(text, more=False))
        self._complete()

    # For the application.

    async def receive(self) -> MutableMapping[str, Any]:
        """ASGI's `receive`: the body as far as it is here, and after its end the news that the client has left."""
        while not (self.done or self.lost):
            if self._body is not None and (self._body or self.ended):
                body, self._size = b"".join(self._body), 0
                self._body = None if self.ended else []
                return {"type": "http.request", "body": body, "more_body": not self.ended}
            if not self.ended:
                self._go_on()
            if self._news is None or self._news.done():
                self._news = asyncio.get_running_loop().create_future()
            # More than one may wait, and one that is cancelled must not cancel the others.
            await asyncio.shield(self._news)
        return DISCONNECT

    def _go_on(self) -> None:
        """Have the client send more of the body."""
        self._connection.resume()
        if not self._continued:
            self._continued = True
            if any(name == b"expect" and value.lower() == b"100-continue" for name, value in self.scope["headers"]):
                self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    async def send(self, message: MutableMapping[str, Any]) -> None:
        """ASGI's `send`. Raises `RuntimeError` for messages that make no answer."""
        connection = self._connection
        if connection.full is not None:
            await connection.drained()
        if self.lost:
            return
        if message["type"] == "http.response.start":
            if self._status:
                raise RuntimeError("an answer begins once")
            self._status, self._head = message["status"], message.get("headers", [])
            if not any(name == b"content-length" for name, _ in self._head):
                # A stream may be long in coming to its first piece.
                connection.transport.write(self._framed(b"", more=True))
            return
        if not self._status or self.done:
            raise RuntimeError(f"{message['type']}: the answer has not begun, or has ended")
        body: bytes = message.get("body", b"")
        more: bool = message.get("more_body", False)
        framed = self._framed(body, more=more)
        if framed:
            connection.transport.write(framed)
        if not more:
            if self._left:
                raise RuntimeError("the answer is shorter than it announced")
            self._complete()

    def _complete(self) -> None:
        self.done = True
        self._tell()
        self._connection.answered(self)

    def _framed(self, body: bytes, *, more: bool) -> bytes:
        """What goes out for a piece of the body: the head before the first one, framed as the head says."""
        head = b""
        if self._head is not None:
            head = self._begun(self._head)
            self._head = None
        if self.scope["method"] == "HEAD" or self._status in BODILESS:
            self._left = None
            return head
        if self._chunking:
            framed = b"%b%x\r\n%b\r\n" % (head, len(body), body) if body else head
            return framed if more else framed + b"0\r\n\r\n"
        if self._left is not None:
            self._left -= len(body)
            if self._left < 0:
                raise RuntimeError("the answer is longer than it announced")
        return head + body

    def _begun(self, headers: Headers) -> bytes:
        """The head. Decides how the body is framed, and whether the connection goes on after it."""
        lines = [STATUS.get(self._status) or b"HTTP/1.1 %d " % self._status]
        lines += [b": ".join(header) for header in self._connection.defaults()]
        closing = False
        for header in headers:
            lines.append(b": ".join(header))
            name, value = header
            if name == b"content-length":
                self._left = int(value)
            elif name == b"connection" and value.lower() == b"close":
                closing = True
                self.keep_alive = False
        if self._left is None and self._status not in BODILESS and self.scope["method"] != "HEAD":
            if self.chunked:
                self._chunking = True
                lines.append(b"transfer-encoding: chunked")
            else:
                self.keep_alive = False
        if not self.keep_alive and not closing:
            lines.append(b"connection: close")
        lines.append(b"\r\n")
        written = b"\r\n".join(lines)
        # Each line that is joined brings two of them.
        if len(written) - len(written.translate(None, CONTROLS)) != 2 * len(lines):
            raise RuntimeError("a header holds a control character")
        return written
