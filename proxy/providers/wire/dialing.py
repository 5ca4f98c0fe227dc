"""A new connection to a provider: the name, the address that answers first, the proxy's tunnel, TLS.

What must stay true: whoever is cancelled, and whatever fails, leaves no socket open; certificates are checked for the
provider's own name, through a proxy too; no message holds a credential.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import cast

from aiohappyeyeballs import AddrInfoType, start_connection
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from proxy.providers.wire.connection import HEAD, Connection
from proxy.providers.wire.exchange import TimedOut, TransportError, Unreachable
from proxy.providers.wire.request import Origin, Proxy

HEADSTART = 0.25
"""Seconds that an address has before the next one of the name is tried beside it."""


async def dial(
    origin: Origin, make: Callable[[], Connection], trust: Callable[[], Awaitable[ssl.SSLContext]], seconds: float
) -> Connection:
    """A connection on which requests can be sent, within `seconds`. Raises `Unreachable`, `TimedOut`."""
    where = f"the proxy {origin.proxy.host}:{origin.proxy.port}" if origin.proxy is not None else origin.authority
    try:
        async with asyncio.timeout(seconds):
            return await _dial(origin, make(), trust, seconds)
    except TransportError:
        raise
    except TimeoutError:
        raise TimedOut(f"no connection to {where} in time") from None
    except (OSError, RuntimeError, ValueError) as error:
        raise Unreachable(f"no connection to {where}: {_words(error)}") from None


async def _dial(
    origin: Origin, connection: Connection, trust: Callable[[], Awaitable[ssl.SSLContext]], seconds: float
) -> Connection:
    """TCP, then each layer over the one below; what is aborted on failure is the lowest, which both loops close."""
    loop, proxy = asyncio.get_running_loop(), origin.proxy
    first = proxy or origin
    context = await trust() if origin.secure or first.secure else None
    sock = await _socket(first.host, first.port)
    try:
        lowest, silence = await loop.create_connection(Silence, sock=sock)
    except BaseException:
        sock.close()
        raise
    try:
        if silence.broken:
            raise Unreachable(f"no connection to {first.host}:{first.port}: it spoke before it was asked")
        transport: asyncio.Transport = lowest
        if first.secure:
            transport = await _secured(transport, context, first.host, seconds)
        if proxy is not None and origin.secure:
            await _tunnelled(transport, origin, proxy)
            transport = await _secured(transport, context, origin.host, seconds)
        transport.set_protocol(connection)
        connection.connection_made(transport)
    except BaseException:
        lowest.abort()
        raise
    return connection


async def _socket(host: str, port: int) -> socket.socket:
    """A connected socket, to whichever address of the host answers first."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    sock = await start_connection(cast("list[AddrInfoType]", found), happy_eyeballs_delay=HEADSTART)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


async def _secured(
    transport: asyncio.Transport, context: ssl.SSLContext | None, host: str, seconds: float
) -> asyncio.Transport:
    loop = asyncio.get_running_loop()
    assert context is not None
    made = await loop.start_tls(
        transport, asyncio.Protocol(), context, server_hostname=host, ssl_handshake_timeout=seconds
    )
    if made is None:
        raise ConnectionResetError
    return made


async def _tunnelled(transport: asyncio.Transport, origin: Origin, proxy: Proxy) -> None:
    """Ask a proxy for a way to an origin, on which TLS can begin. Raises `Unreachable`."""
    tunnel = Tunnel()
    transport.set_protocol(tunnel)
    lines = [f"CONNECT {origin.authority} HTTP/1.1", f"host: {origin.authority}"]
    if proxy.authorization:
        lines.append(f"proxy-authorization: {proxy.authorization}")
    transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
    await tunnel.opened
    if tunnel.more:
        raise Unreachable("the proxy's answer is more than a head")


class Silence(asyncio.Protocol):
    """What a server has to keep until it is asked, or until TLS begins: bytes from before would be lost."""

    broken = False

    def data_received(self, data: bytes) -> None:
        self.broken = True


class Tunnel(asyncio.Protocol):
    """Hears what a proxy says to a request for a tunnel. `opened` is resolved when it may be used, or fails."""

    def __init__(self) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._heard = self._status = 0
        self.more = False
        """Whether anything came behind the head."""

    def data_received(self, data: bytes) -> None:
        self._heard += len(data)
        if self._parser is None or self._heard > HEAD:
            self._fail("the proxy's answer is too large")
            return
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._fail("the proxy's answer is not HTTP")
            return
        if self._status == 407:
            self._fail("the proxy asks for other credentials")
        elif self._status >= 300:
            self._fail(f"the proxy refused with status {self._status}")
        elif self._status >= 200 and not self.opened.done():
            self.opened.set_result(None)

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        self._status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        self.more = True

    def connection_lost(self, error: Exception | None) -> None:
        self._parser = None
        self._fail("the proxy closed the connection")

    def _fail(self, words: str) -> None:
        if not self.opened.done():
            self.opened.set_exception(Unreachable(words))


def _words(error: Exception) -> str:
    """What went wrong, for a person; the exceptions' own texts hold addresses, paths and numbers of errors."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or 'no reason given'})"
    if isinstance(error, socket.gaierror | UnicodeError):
        return "its name cannot be resolved"
    if isinstance(error, ConnectionRefusedError):
        return "it refused the connection"
    if isinstance(error, ConnectionError):
        return "it closed the connection"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
