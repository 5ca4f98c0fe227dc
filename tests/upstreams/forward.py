"""An HTTP proxy on loopback that remembers what it was asked: tunnels for https, absolute addresses for http."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Forward:
    """The proxy; `user` is the name and password that it asks for, `answer` what it says to a tunnel instead."""

    user: str = ""
    answer: bytes = b""
    scheme: str = "http"
    port: int = 0
    heads: list[bytes] = field(default_factory=list)
    open: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.user}{'@' if self.user else ''}127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            self.asked.set()
            if self.answer:
                writer.write(self.answer)
                await reader.read()
            elif self.user and b64encode(self.user.encode()) not in head:
                writer.write(b"HTTP/1.1 407 Who are you?\r\ncontent-length: 0\r\n\r\n")
                await reader.read()
            else:
                await self._carry(head, reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            self.left.set()
            writer.transport.abort()

    async def _carry(self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, target, _ = head.decode().split(" ", 2)
        host, _, port = (target if method == "CONNECT" else urlsplit(target).netloc).rpartition(":")
        onward = await asyncio.open_connection(host.strip("[]"), int(port))
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Go ahead\r\n\r\n")
        else:
            onward[1].write(head)
        one = asyncio.create_task(_copy(reader, onward[1]))
        other = asyncio.create_task(_copy(onward[0], writer))
        try:
            await asyncio.wait([one, other], return_when=asyncio.FIRST_COMPLETED)
        finally:
            one.cancel()
            other.cancel()
            onward[1].transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while piece := await reader.read(2**16):
            writer.write(piece)
            await writer.drain()


@contextlib.asynccontextmanager
async def forward(
    *, user: str = "", answer: bytes = b"", context: ssl.SSLContext | None = None
) -> AsyncIterator[Forward]:
    proxy = Forward(user, answer, "http" if context is None else "https")
    listening = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, ssl=context)
    proxy.port = listening.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listening.close()
