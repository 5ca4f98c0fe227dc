"""One HTTP/1.1 connection to a provider: an `asyncio.Protocol` around httptools' parser.

It works on uvloop and on plain asyncio, over TCP, TLS or a tunnel.

What must stay true: a request is written once; an answer that ended early, or is not HTTP, fails and never looks
whole; bytes that nobody asked for end the connection; what brings no piece of an answer's body (a head, trailers,
chunk extensions) stays below `HEAD`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from proxy.providers.wire.exchange import Broken, Exchange, Malformed, TimedOut, TransportError, Truncated
from proxy.providers.wire.reply import Reply

HEAD = 64 * 2**10
"""Bytes of an answer's head, or of anything else that is no piece of its body."""

JOINED = 64 * 2**10
"""Bytes of a body up to which it is copied behind its head, to leave as one."""


class Connection(asyncio.Protocol):
    """`send` one request at a time. `free` is called with the connection when it can take the next one, `lost` when
    it is gone. `since` is for whoever keeps it.
    """

    __slots__ = (
        "_complete",
        "_deadline",
        "_free",
        "_headers",
        "_keep",
        "_loop",
        "_lost",
        "_parser",
        "_parts",
        "_reply",
        "_silent",
        "_timer",
        "_transport",
        "on_body",
        "since",
    )

    def __init__(self, free: Callable[[Connection], None], lost: Callable[[Connection], None]) -> None:
        self._free = free
        self._lost = lost
        self._parts: list[bytes] = []
        # httptools calls this for each piece: no frame of Python's between the parser and the list.
        self.on_body = self._parts.append
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._reply: Reply | None = None
        self._headers: dict[str, str] = {}
        self._complete = self._keep = False
        self._silent = 0
        self._deadline = self.since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # for the pool

    @property
    def usable(self) -> bool:
        """Whether a request can be sent: the server has not closed, and nobody else has."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, head: bytes, body: bytes, exchange: Exchange, timeout: float) -> Reply:
        """Write a request whole; the reply is still empty. `timeout` is in seconds, for each wait for a piece."""
        assert self._transport is not None
        reply = self._reply = Reply(self, exchange, timeout)
        self._complete = False
        self._silent = 0
        if len(body) <= JOINED:
            self._transport.write(head + body)
        else:
            self._transport.write(head)
            self._transport.write(body)
        return reply

    def abort(self) -> None:
        """Close at once; a reply that is still arriving is the caller's to inform."""
        self._reply = None
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close at once; a reply that is still arriving fails."""
        self._fail(Broken("the connection was closed by this gateway"))

    # for the reply

    def wait(self, timeout: float) -> asyncio.Future[None]:
        """Resolved with the next piece, the end or a failure. One timer serves many waits: when it rings, it looks
        whether the wait that it was set for is over.
        """
        self._deadline = deadline = self._loop.time() + timeout
        if self._timer is None:
            self._timer = self._loop.call_at(deadline, self._ring)
        elif self._timer.when() > deadline:
            self._timer.cancel()
            self._timer = self._loop.call_at(deadline, self._ring)
        return self._loop.create_future()

    def hold(self, held: bool) -> None:
        """Stop reading from the server, or go on."""
        if self._transport is not None and not self._transport.is_closing():
            if held:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def _ring(self) -> None:
        self._timer = None
        reply = self._reply
        if reply is None or not reply.waiting:
            return
        if self._deadline - self._loop.time() > 0.001:
            self._timer = self._loop.call_at(self._deadline, self._ring)
        else:
            self._fail(TimedOut("the provider sent nothing in time"))

    # from the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        if reply is None or self._parser is None:
            self._parser = None
            self.abort()
            return
        self._silent += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._keep = False
            if not self._complete:
                self._fail(Malformed("the provider's answer is not HTTP"))
                return
        if parts := self._parts:
            self._silent = 0
            piece = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
            if not reply.take(piece):
                self.abort()
                return
        if self._complete:
            self._release(reply)
        elif self._silent > HEAD:
            self._fail(Malformed("the head of the provider's answer is too large"))
            return
        reply.wake()

    def eof_received(self) -> None:
        reply = self._reply
        if reply is not None and reply.status and _lasts(reply.headers):
            self._keep = False
            self._release(reply)
            reply.wake()

    def connection_lost(self, error: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._reply is not None:
            if self._reply.status:
                self._fail(Truncated("the provider broke its answer off"))
            else:
                self._fail(Broken("the provider closed the connection before it answered"))
        self._parser = None  # which refers to this object
        self._lost(self)

    # from the parser

    def on_message_begin(self) -> None:
        if self._complete:
            raise Malformed("more answers than requests")
        self._headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text, headers = name.decode("latin-1").lower(), value.decode("latin-1"), self._headers
        headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def on_headers_complete(self) -> None:
        assert self._reply is not None
        assert self._parser is not None
        headers, status = self._headers, self._parser.get_status_code()
        if self._silent > HEAD and sum(map(len, headers)) + sum(map(len, headers.values())) > HEAD:
            raise Malformed("the head is too large")
        if status >= 200:
            self._reply.status = status
            self._reply.headers = headers
            self._headers = {}  # for trailers, which nobody reads
        elif status == 101:
            raise Malformed("a change of protocol that nobody asked for")

    def on_message_complete(self) -> None:
        if self._reply is not None and self._reply.status and self._parser is not None:
            self._complete = True
            self._keep = self._parser.should_keep_alive()

    # endings

    def _release(self, reply: Reply) -> None:
        """The answer is whole; the reader may still have to read it, but not from here."""
        self._reply = None
        reply.complete()
        if self._keep and self.usable and self._transport is not None and not self._transport.get_write_buffer_size():
            self._free(self)
        else:
            self.abort()

    def _fail(self, error: TransportError) -> None:
        reply = self._reply
        self.abort()
        if reply is not None:
            reply.fail(error)


def _lasts(headers: Mapping[str, str]) -> bool:
    """Whether an answer with these headers lasts until the connection is closed."""
    coded = headers.get("transfer-encoding", "").lower()
    return not coded.endswith("chunked") and (bool(coded) or "content-length" not in headers)
