"""HTTP/1.1 over a real socket with a hand on every byte that leaves, and a thread for its loop.

Whatever a server can do wrong on a connection is one method here: reset it, close it, promise more than it sends, hang.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar, cast
from urllib.parse import parse_qsl, unquote, urlsplit

import httptools

Json = Any
T = TypeVar("T")


@dataclass
class Request:
    """A request as it came. `kind` is what the vendor found that it asks for, as the gateway calls it. `abandoned` is
    set when the client hung up before it had the whole answer.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    stream: bool = False
    kind: str = "chat"
    abandoned: threading.Event = field(default_factory=threading.Event, repr=False)

    @cached_property
    def path(self) -> str:
        return unquote(self.raw_path)

    @cached_property
    def raw_path(self) -> str:
        return urlsplit(self.target).path

    @cached_property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @cached_property
    def json(self) -> Json:
        try:
            return json.loads(self.body)
        except ValueError:
            return None


Answer = Callable[[Request, "Connection"], Awaitable[None]]


class Connection(asyncio.Protocol):
    """One client's connection: parses requests and has each answered by `answer`, in turn."""

    def __init__(self, answer: Answer, connections: set[Connection]) -> None:
        self._answer = answer
        self._connections = connections
        self._parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._request: Request | None = None
        self._lost = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()
        self.task: asyncio.Task[None] | None = None

    # what arrives

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        if self._request is not None:
            self._request.abandoned.set()
        self._writable.set()
        self._lost.set()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.transport.abort()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def on_message_begin(self) -> None:
        self._target, self._headers, self._body = b"", {}, []

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode()
        self._request = Request(method, self._target.decode("latin-1"), self._headers, b"".join(self._body))
        self.task = asyncio.get_running_loop().create_task(self._serve(self._request))

    async def _serve(self, request: Request) -> None:
        try:
            await self._answer(request, self)
        except ConnectionResetError:
            request.abandoned.set()
        except BaseException:
            self.transport.abort()
            raise
        finally:
            self._request = None

    # what leaves

    async def send(self, data: bytes) -> None:
        """Write `data` as one piece, waiting for a slow reader; `ConnectionResetError` when it has left."""
        self.transport.write(data)
        await asyncio.sleep(0)
        await self._writable.wait()
        if self._lost.is_set():
            raise ConnectionResetError

    async def head(self, status: int, headers: Mapping[str, str]) -> None:
        phrase = http.client.responses.get(status, "Overloaded")
        lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        await self.send("\r\n".join([*lines, "", ""]).encode("latin-1"))

    async def whole(
        self, status: int, body: bytes, headers: Mapping[str, str], split: int = 0, pause: float = 0.0
    ) -> None:
        await self.head(status, {"content-type": "application/json", **headers, "content-length": str(len(body))})
        for start in range(0, len(body), split or len(body) or 1):
            await self.send(body[start : start + (split or len(body))])
            await self.pause(pause)

    async def chunk(self, data: bytes) -> None:
        if data:
            await self.send(b"%x\r\n%b\r\n" % (len(data), data))

    async def end(self) -> None:
        await self.send(b"0\r\n\r\n")

    async def pause(self, seconds: float) -> None:
        """Be slow, or be left."""
        if seconds:
            try:
                await asyncio.wait_for(self._lost.wait(), seconds)
            except TimeoutError:
                return
            raise ConnectionResetError

    async def hang(self) -> None:
        """Say nothing more until the client leaves."""
        await self._lost.wait()
        raise ConnectionResetError

    def close(self) -> None:
        self._request = None
        self.transport.close()

    def reset(self) -> None:
        """Close with a TCP RST, after what was written has gone out."""
        self._request = None
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


class Thread:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="upstreams", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
