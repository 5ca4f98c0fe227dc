"""A new connection to a provider: the name, the address that answers first, the proxy's tunnel, TLS.

What must stay true: whoever is cancelled, and whatever fails, leaves no socket open; certificates are checked for the
provider's own name, through a proxy too; no message holds a credential.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import cast

from aiohappyeyeballs import AddrInfoType, start_connection
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from proxy.providers.connection import HEAD, Connection
from proxy.providers.exchange import TimedOut, TransportError, Unreachable
from proxy.providers.request import Origin, Proxy

HEADSTART = 0.25
"""Seconds that an address has before the next one of the name is tried beside it."""


async def dial(
    origin: Origin, make: Callable[[], Connection], trust: Callable[[], ssl.SSLContext], seconds: float
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
    origin: Origin, connection: Connection, trust: Callable[[], ssl.SSLContext], seconds: float
) -> Connection:
    context = trust() if origin.secure or (origin.proxy is not None and origin.proxy.secure) else None
    loop, proxy = asyncio.get_running_loop(), origin.proxy
    first = proxy or origin
    outer = context if first.secure else None
    tunnel = Tunnel(origin, proxy) if proxy is not None and origin.secure else None
    try:
        sock = await _socket(first.host, first.port)
        await _attach(sock, tunnel or connection, outer, first.host, seconds)
        if tunnel is not None:
            await tunnel.opened
            assert context is not None
            inner = await loop.start_tls(
                tunnel.transport,
                connection,
                context,
                server_hostname=origin.host,
                ssl_handshake_timeout=seconds,
            )
            assert inner is not None
            connection.connection_made(inner)
    except BaseException:
        if tunnel is not None:
            tunnel.abort()
        connection.abort()
        raise
    return connection


async def _socket(host: str, port: int) -> socket.socket:
    """A connected socket, to whichever address of the host answers first."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    sock = await start_connection(cast("list[AddrInfoType]", found), happy_eyeballs_delay=HEADSTART)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


async def _attach(
    sock: socket.socket, protocol: asyncio.Protocol, context: ssl.SSLContext | None, host: str, seconds: float
) -> None:
    loop = asyncio.get_running_loop()
    try:
        if context is None:
            await loop.create_connection(lambda: protocol, sock=sock)
        else:
            await loop.create_connection(
                lambda: protocol, sock=sock, ssl=context, server_hostname=host, ssl_handshake_timeout=seconds
            )
    except BaseException:
        sock.close()
        raise


class Tunnel(asyncio.Protocol):
    """Asks a proxy for a way to an origin. `opened` is resolved when TLS can begin, or fails with `Unreachable`."""

    def __init__(self, origin: Origin, proxy: Proxy) -> None:
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._heard = 0
        lines = [f"CONNECT {origin.authority} HTTP/1.1", f"host: {origin.authority}"]
        if proxy.authorization:
            lines.append(f"proxy-authorization: {proxy.authorization}")
        self._asked = "\r\n".join([*lines, "", ""]).encode("latin-1")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._asked)

    def data_received(self, data: bytes) -> None:
        self._heard += len(data)
        if self._parser is None or self._heard > HEAD:
            self._fail("the proxy's answer is not one")
            return
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._fail("the proxy's answer is not HTTP")

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        status = self._parser.get_status_code()
        if 200 <= status < 300:
            if not self.opened.done():
                self.opened.set_result(None)
        elif status == 407:
            self._fail("the proxy asks for other credentials")
        elif status >= 300:
            self._fail(f"the proxy refused with status {status}")

    def connection_lost(self, error: Exception | None) -> None:
        self._parser = None
        self._fail("the proxy closed the connection")

    def abort(self) -> None:
        self.opened.cancel()
        if hasattr(self, "transport"):
            self.transport.abort()

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
