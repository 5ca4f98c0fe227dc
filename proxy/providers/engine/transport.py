"""Guards every upstream HTTP client: no redirects, no encoded or unbounded bodies; and remembers what the wire said.

`guarded` goes around the one method through which LiteLLM's clients send, so that every vendor passes through it,
whichever client library it uses and whenever its client was made.
Redirects are refused here, below the clients that would follow them with the prompt
and the key; encoded bodies are refused because a small one can unpack into any amount of memory.
"""

from __future__ import annotations

import codecs
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx

from proxy.crowd import OF_AN_ANSWER, Crowd
from proxy.providers.engine.capture import catch
from proxy.providers.engine.fetching import certify
from proxy.providers.wire.events import LARGEST
from proxy.providers.wire.exchange import FROM_ENVIRONMENT, Exchange, Refusal, current, refusal

UNKNOWN_LIMIT = 48 * 2**20
"""Bytes allowed in an answer that belongs to no call."""

Send = Callable[[Any, httpx.Request], Awaitable[httpx.Response]]
"""`handle_async_request` of a transport class."""


def guarded(send: Send) -> Send:
    """The method with the guard around it. It replaces a class's own, so that clients made before are guarded too."""

    @functools.wraps(send)
    async def handle_async_request(transport: Any, request: httpx.Request) -> httpx.Response:
        exchange = current() or Exchange(UNKNOWN_LIMIT)
        request.headers["accept-encoding"] = "identity"
        for name in FROM_ENVIRONMENT:
            if name in request.headers and request.headers[name] != exchange.organization:
                del request.headers[name]
        await catch(request)
        certify(request)
        if request.method == "POST":
            exchange.send()
        response = await send(transport, request)
        exchange.status = response.status_code
        exchange.headers = response.headers
        why = refusal(response.status_code, response.headers, exchange.limit)
        if why is not None:
            await response.aclose()
            raise _refused(exchange, why, request)
        body: httpx.AsyncByteStream = CappedStream(response, exchange, request)
        if streams(response):
            body = EventStream(body, exchange, request)
        response.stream = body
        return response

    return handle_async_request


class SyncGuard(httpx.HTTPTransport):
    """The same for the few requests that LiteLLM makes from its own threads, such as fetching an image that a message
    names.
    """

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        exchange = Exchange(UNKNOWN_LIMIT)
        request.headers["accept-encoding"] = "identity"
        certify(request)
        response = super().handle_request(request)
        why = refusal(response.status_code, response.headers, exchange.limit)
        if why is not None:
            response.close()
            raise _refused(exchange, why, request)
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = CappedSyncStream(response.stream, exchange, request)
        return response


def _refused(exchange: Exchange, why: Refusal, request: httpx.Request) -> httpx.HTTPError:
    """The refusal as an error that every client above takes for a broken connection."""
    return httpx.ReadError(str(exchange.refuse(why)), request=request)


def streams(response: httpx.Response) -> bool:
    """Whether it is a stream of events."""
    return str(response.headers.get("content-type", "")).startswith("text/event-stream")


class CappedStream(httpx.AsyncByteStream):
    """A response's body that ends in an error once it has grown past the exchange's limit.

    Closed, it leaves the response: httpx has the two hold each other, and with them all that was read would stay.
    """

    def __init__(self, response: httpx.Response, exchange: Exchange, request: httpx.Request) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._response = response
        self._body = response.stream
        self._exchange = exchange
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._exchange.limit
        crowd = Crowd(OF_AN_ANSWER, lines=streams(self._response))
        async for piece in self._body:
            left -= len(piece)
            if left < 0:
                raise _refused(self._exchange, "size", self._request)
            if crowd.feed(piece):
                raise _refused(self._exchange, "values", self._request)
            yield piece

    async def aclose(self) -> None:
        self._response.stream = httpx.ByteStream(b"")
        await self._body.aclose()


def _lines(piece: bytes) -> list[bytes]:
    """A piece cut after each newline; the last line may be unfinished."""
    return [line + b"\n" for line in piece.split(b"\n")[:-1]] + [line for line in piece.split(b"\n")[-1:] if line]


class EventStream(httpx.AsyncByteStream):
    """Server-sent events without their comments: some of LiteLLM's parsers lose the usage, and so the cost, to one.

    It ends in an error at what is no UTF-8, for which most of them would put a sign of their own, and at a line that is
    longer than any event may be: they would gather it in several copies.
    """

    def __init__(self, body: httpx.AsyncByteStream, exchange: Exchange, request: httpx.Request) -> None:
        self._body = body
        self._exchange = exchange
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        read, line = codecs.getincrementaldecoder("utf-8")().decode, 0
        async for piece in self._uncommented():
            last = piece.rfind(b"\n")
            line = len(piece) - last - 1 if last >= 0 else line + len(piece)
            if line > LARGEST:
                raise _refused(self._exchange, "event", self._request)
            try:
                read(piece)
            except UnicodeDecodeError:
                raise _refused(self._exchange, "text", self._request) from None
            yield piece

    async def _uncommented(self) -> AsyncIterator[bytes]:
        fresh, inside = True, False
        async for piece in self._body:
            if not fresh and not inside and b"\n:" not in piece and not piece.endswith(b"\n"):
                yield piece
                continue
            kept = bytearray()
            for line in _lines(piece):
                if fresh:
                    inside = line.startswith(b":")
                if not inside:
                    kept += line
                fresh = line.endswith(b"\n")
            if kept:
                yield bytes(kept)

    async def aclose(self) -> None:
        await self._body.aclose()


class CappedSyncStream(httpx.SyncByteStream):
    """`CappedStream` for a thread."""

    def __init__(self, body: httpx.SyncByteStream, exchange: Exchange, request: httpx.Request) -> None:
        self._body = body
        self._exchange = exchange
        self._request = request

    def __iter__(self) -> Iterator[bytes]:
        left = self._exchange.limit
        for piece in self._body:
            left -= len(piece)
            if left < 0:
                raise _refused(self._exchange, "size", self._request)
            yield piece

    def close(self) -> None:
        self._body.close()
