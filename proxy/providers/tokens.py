"""Google's tokens. google-auth buys them in a thread; what it sends goes over a connection that ends with its call.

What must stay true: a purchase has a limit in seconds and in bytes, and ends when the call that waits for it is left,
so that the next call starts its own; what is sent is signed with the account's key, and lets in whoever has it, so no
redirect is followed; what cannot be a token is neither sent nor kept.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx
from google.auth.exceptions import GoogleAuthError, TransportError
from google.auth.transport.requests import Request

from proxy.providers.wire import trust
from proxy.providers.wire.exchange import Exchange, Refused, current, refusal

LIMIT = 2**20
"""Bytes allowed in an answer that brings a token."""

LONGEST = 30.0
"""Seconds that a purchase may take, whatever its call may."""


@dataclass(slots=True, frozen=True)
class Brought:
    """What google-auth reads of an answer (`google.auth.transport.Response`)."""

    status: int
    headers: Mapping[str, str]
    data: bytes


def bounded(ask: Callable[..., Any]) -> Callable[..., Any]:
    """In place of `__call__` of google-auth's client, whose library knows no limit for an answer that drips."""

    @functools.wraps(ask)
    def call(_: Any, url: str, method: str = "GET", body: Any = None, headers: Any = None, *__: Any, **___: Any) -> Any:
        exchange = current() or Exchange(LIMIT)
        bought = _bought(exchange, method, url, body, {**(headers or {}), "accept-encoding": "identity"})
        try:
            return _awaited(exchange, bought)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, CancelledError) as error:
            raise TransportError(str(error) or "timed out") from error

    return call


def _awaited(exchange: Exchange, bought: Coroutine[Any, Any, Brought]) -> Brought:
    """The answer, for the thread that waits for it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        # of no call, as when another program of the process buys a token, there is no loop to end it
        return exchange.await_in_thread(bought) if exchange.loop is not None else asyncio.run(bought)
    # LiteLLM asks from the event loop itself for the type of a file in Google's storage.
    with ThreadPoolExecutor(1) as apart:
        return apart.submit(asyncio.run, bought).result()


async def _bought(exchange: Exchange, method: str, url: str, body: Any, headers: Mapping[str, str]) -> Brought:
    context = await asyncio.to_thread(trust.context)
    async with (
        asyncio.timeout(LONGEST),
        httpx.AsyncClient(verify=context, timeout=None) as client,
        client.stream(method, url, content=body, headers=headers) as response,
    ):
        read = bytearray()
        if (why := refusal(response.status_code, response.headers, LIMIT)) is not None:
            raise exchange.refuse(why)
        async for piece in response.aiter_raw():
            read += piece
            if len(read) > LIMIT:
                raise exchange.refuse("size")
        return Brought(response.status_code, response.headers, bytes(read))


def refresh(_: Any, credentials: Any) -> None:
    """In place of `refresh_auth` of LiteLLM's, which has all wait for the one that is under way, and keeps whatever
    comes.
    """
    before = credentials.token, credentials.expiry
    try:
        credentials.refresh(Request())
        if _sendable(credentials.token):
            return
    except (GoogleAuthError, Refused):
        raise
    except Exception as error:  # google-auth's, at an answer that has not the form
        raise (current() or Exchange(LIMIT)).refuse("token") from error
    credentials.token, credentials.expiry = before
    raise (current() or Exchange(LIMIT)).refuse("token")


def _sendable(token: Any) -> bool:
    """Whether a header can hold it."""
    return isinstance(token, str) and bool(token) and token.isascii() and token.isprintable()
