"""Guards every upstream HTTP client: no redirects, no encoded or unbounded bodies; and remembers what the wire said.

`guarded` goes around the one method through which LiteLLM's clients send, so that every vendor passes through it,
whichever client library it uses and whenever its client was made.
Redirects are refused here, below the clients that would follow them with the prompt
and the key; encoded bodies are refused because a small one can unpack into any amount of memory.

`Exchange` is the truth about one call: the status and headers of the last answer and what the guard refused. LiteLLM
invents statuses (500 for a reset connection, 503 for a 500) and loses `retry-after` for most vendors; the exchange
has both as they came.
"""

from __future__ import annotations

import functools
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

FROM_ENVIRONMENT = ("openai-organization", "openai-project")
"""Headers that OpenAI's library takes from the environment and sends to every server that it is pointed at."""

UNKNOWN_LIMIT = 64 * 2**20
"""Bytes allowed in an answer that belongs to no call."""

Refusal = Literal["redirect", "encoding", "size"]

REFUSALS: Mapping[Refusal, str] = {
    "redirect": "the provider answered with a redirect, which is not followed; set api_base to the final address",
    "encoding": "the provider's answer is compressed although that was not asked for",
    "size": "the provider's answer is larger than allowed (server.max_response)",
}


@dataclass(slots=True)
class Exchange:
    """What was seen on the wire during one call: `status` is None until an answer began, and `sent` false until the
    first request was made.
    """

    limit: int
    organization: str | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    refusal: Refusal | None = None
    sent: bool = True

    def refuse(self, refusal: Refusal, request: httpx.Request) -> httpx.HTTPError:
        """Remember the refusal; the error is one that every client above takes for a broken connection."""
        self.refusal = refusal
        return httpx.ReadError(REFUSALS[refusal], request=request)


_exchange: ContextVar[Exchange | None] = ContextVar("proxy_exchange", default=None)


def begin(limit: int, organization: str | None = None) -> Exchange:
    """The exchange of the call that is about to be made in this context; `organization` is what OpenAI may be told."""
    exchange = Exchange(limit, organization, sent=False)
    _exchange.set(exchange)
    return exchange


def retry_after(headers: Mapping[str, Any]) -> float | None:
    """Seconds to wait, as the provider's headers say."""
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers.get(name, "")) * scale
        except ValueError:
            continue
        if math.isfinite(seconds) and seconds >= 0:
            return seconds
    return None


Send = Callable[[Any, httpx.Request], Awaitable[httpx.Response]]
"""`handle_async_request` of a transport class."""


def guarded(send: Send) -> Send:
    """The method with the guard around it. It replaces a class's own, so that clients made before are guarded too."""

    @functools.wraps(send)
    async def handle_async_request(transport: Any, request: httpx.Request) -> httpx.Response:
        exchange = _exchange.get() or Exchange(UNKNOWN_LIMIT)
        request.headers["accept-encoding"] = "identity"
        for name in FROM_ENVIRONMENT:
            if name in request.headers and request.headers[name] != exchange.organization:
                del request.headers[name]
        exchange.sent = True
        response = await send(transport, request)
        exchange.status = response.status_code
        exchange.headers = response.headers
        refusal = _refusal(response, exchange.limit)
        if refusal is not None:
            await response.aclose()
            raise exchange.refuse(refusal, request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        body: httpx.AsyncByteStream = CappedStream(response.stream, exchange, request)
        if response.headers.get("content-type", "").startswith("text/event-stream"):
            body = EventStream(body)
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
        response = super().handle_request(request)
        refusal = _refusal(response, exchange.limit)
        if refusal is not None:
            response.close()
            raise exchange.refuse(refusal, request)
        assert isinstance(response.stream, httpx.SyncByteStream)
        response.stream = CappedSyncStream(response.stream, exchange, request)
        return response


def _refusal(response: httpx.Response, limit: int) -> Refusal | None:
    """What is wrong with an answer already from its head."""
    if response.has_redirect_location:
        return "redirect"
    if response.headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        return "encoding"
    length = response.headers.get("content-length", "")
    return "size" if length.isdecimal() and int(length) > limit else None


class CappedStream(httpx.AsyncByteStream):
    """A body that ends in an error once it has grown past the exchange's limit."""

    def __init__(self, body: httpx.AsyncByteStream, exchange: Exchange, request: httpx.Request) -> None:
        self._body = body
        self._exchange = exchange
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._exchange.limit
        async for piece in self._body:
            left -= len(piece)
            if left < 0:
                raise self._exchange.refuse("size", self._request)
            yield piece

    async def aclose(self) -> None:
        await self._body.aclose()


def _lines(piece: bytes) -> list[bytes]:
    """A piece cut after each newline; the last line may be unfinished."""
    return [line + b"\n" for line in piece.split(b"\n")[:-1]] + [line for line in piece.split(b"\n")[-1:] if line]


class EventStream(httpx.AsyncByteStream):
    """Server-sent events without their comments: some of LiteLLM's parsers lose the usage, and so the cost, to one."""

    def __init__(self, body: httpx.AsyncByteStream) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
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
                raise self._exchange.refuse("size", self._request)
            yield piece

    def close(self) -> None:
        self._body.close()
