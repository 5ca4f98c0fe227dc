"""A server that says exactly the bytes it is told to, and remembers what it was asked and how each client left.

    async with raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}") as server: ...

Each request (head and body by its content-length) is answered by the next script, the last one for ever after. A
script is a list of steps: bytes to send, `CLOSE`, `RESET`, `HOLD` (say nothing until the client leaves), or a future or
event to wait for.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

CLOSE: Final = "close"
RESET: Final = "reset"
HOLD: Final = "hold"

Step = bytes | asyncio.Event | Literal["close", "reset", "hold"]
Script = bytes | Sequence[Step]


def whole(body: bytes, *lines: str, status: int = 200) -> bytes:
    """An answer with a length."""
    head = "".join(f"{line}\r\n" for line in (*lines, f"content-length: {len(body)}"))
    return f"HTTP/1.1 {status} Said\r\n{head}\r\n".encode() + body


def chunked(*pieces: bytes, end: bytes = b"0\r\n\r\n") -> bytes:
    """An answer in chunks."""
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + framed + end


@dataclass
class Raw:
    """The server: `heads` and `bodies` of the requests as they came, `open` connections, and `left`, set whenever a
    client has gone.
    """

    scripts: list[Script]
    scheme: str = "http"
    host: str = "127.0.0.1"
    port: int = 0
    heads: list[bytes] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    left: asyncio.Event = field(default_factory=asyncio.Event)
    sent: int = 0

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}/v1/chat"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                body = await reader.readexactly(int(length or 0))
                self.heads.append(head)
                self.bodies.append(body)
                self.asked.set()
                script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                await self._play([script] if isinstance(script, bytes) else script, reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            self.open -= 1
            self.left.set()
            writer.transport.abort()

    async def _play(self, steps: Sequence[Step], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for step in steps:
            if isinstance(step, bytes):
                writer.write(step)
                await writer.drain()
                self.sent += len(step)
            elif isinstance(step, asyncio.Event):
                await step.wait()
            elif step == HOLD:
                await reader.read()
                raise ConnectionResetError
            elif step == RESET:
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                raise ConnectionResetError
            else:
                writer.close()
                await writer.wait_closed()
                raise ConnectionResetError


@contextlib.asynccontextmanager
async def raw(*scripts: Script, context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> AsyncIterator[Raw]:
    server = Raw(list(scripts), "http" if context is None else "https", host)
    listening = await asyncio.start_server(server.serve, host, 0, ssl=context)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
