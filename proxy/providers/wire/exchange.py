"""What is known of one call to a provider: what the wire said, what was refused of it, and how the wire can fail.

`Exchange` is the truth about one call: the status and headers of the last answer and what the guard refused. LiteLLM
invents statuses (500 for a reset connection, 503 for a 500) and loses `retry-after` for most vendors; the exchange
has both as they came.

The errors are what `pool` raises, and each knows the code of the `UpstreamError` that it is:

    TransportError
      Unsendable    invalid_request   the request cannot be written as HTTP; nothing was sent
      Unreachable   unreachable       no connection: the name, the address, the proxy, TLS
      Broken        unreachable       the connection ended before the answer began
      Truncated     truncated         the answer began and ended early
      Malformed     bad_answer        the answer is not HTTP, or not what HTTP allows
      TimedOut      timeout           a `TimeoutError` too
      Refused       redirected, bad_answer   the guard's

A message is fit to be shown: it may name the host, never a path, a query, a header's value or a piece of the answer.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

EVENT = 256
"""Bytes that an event of a stream counts for at least, of those that an answer may have: it takes as many in memory."""

FROM_ENVIRONMENT = ("openai-organization", "openai-project")
"""Headers that OpenAI's library takes from the environment and sends to every server that it is pointed at."""

T = TypeVar("T")

Refusal = Literal["redirect", "encoding", "size", "text", "event", "token", "values"]

REFUSALS: Mapping[Refusal, str] = {
    "redirect": "the provider answered with a redirect, which is not followed; set api_base to the final address",
    "encoding": "the provider's answer is compressed although that was not asked for",
    "size": "the provider's answer is larger than allowed (server.max_response)",
    "text": "the provider's stream holds bytes that are no text",
    "event": "an event of the provider's stream is too large",
    "values": "the provider's answer holds more objects and lists than are allowed in one",
    "token": "what should have brought a token for the provider brought none",
}


class TransportError(Exception):
    """A call that failed on the wire. `code` is that of the `UpstreamError` which it means."""

    code = "unreachable"


class Unsendable(TransportError):
    code = "invalid_request"


class Unreachable(TransportError):
    pass


class Broken(TransportError):
    pass


class Truncated(TransportError):
    code = "truncated"


class Malformed(TransportError):
    code = "bad_answer"


class TimedOut(TransportError, TimeoutError):
    code = "timeout"


class Refused(TransportError):
    """An answer that the guard does not let in, and why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(REFUSALS[refusal])
        self.refusal = refusal
        self.code = "redirected" if refusal == "redirect" else "bad_answer"


@dataclass(slots=True)
class Exchange:
    """What was seen on the wire during one call: `status` is None until an answer began, and `sent` false until the
    first request was made. `calls` counts them by `provider`, over all attempts of the gateway's.
    """

    limit: int
    organization: str | None = None
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    refusal: Refusal | None = None
    sent: bool = True
    provider: str = ""
    calls: dict[str, int] = field(default_factory=dict)
    loop: asyncio.AbstractEventLoop | None = None
    left: bool = False
    """Whether nobody waits for the answer any more."""
    _waiting: set[Future[Any]] = field(default_factory=set)

    def await_in_thread(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns, done on the call's event loop, for a thread of the call's; cancelled with the call."""
        assert self.loop is not None
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        self._waiting.add(future)
        try:
            if self.left:
                future.cancel()
            return future.result()
        finally:
            self._waiting.discard(future)

    def leave(self) -> None:
        """End what threads wait for on behalf of the call, which is left."""
        self.left = True
        for future in self._waiting.copy():
            future.cancel()

    def send(self) -> None:
        """Note that a request is about to be made."""
        self.sent = True
        self.calls[self.provider] = self.calls.get(self.provider, 0) + 1

    def bound(self, events: int) -> None:
        """Raises `Refused` for a stream of more events than an answer may have."""
        if events * EVENT > self.limit:
            raise self.refuse("size")

    def refuse(self, refusal: Refusal) -> Refused:
        """Remember the refusal; the error is for whoever reads the answer."""
        self.refusal = refusal
        return Refused(refusal)


_exchange: ContextVar[Exchange | None] = ContextVar("proxy_exchange", default=None)


def begin(limit: int, organization: str | None, provider: str, calls: dict[str, int]) -> Exchange:
    """The exchange of the call that is about to be made in this context; `organization` is what OpenAI may be told."""
    loop = asyncio.get_running_loop()
    exchange = Exchange(limit, organization, sent=False, provider=provider, calls=calls, loop=loop)
    _exchange.set(exchange)
    return exchange


def current() -> Exchange | None:
    """The exchange of the call that this context belongs to."""
    return _exchange.get()


REDIRECTS = frozenset({301, 302, 303, 307, 308})


def refusal(status: int, headers: Mapping[str, str], limit: int) -> Refusal | None:
    """What is wrong with an answer already from its head; `headers` finds lower-case names."""
    if status in REDIRECTS and "location" in headers:
        return "redirect"
    if headers.get("content-encoding", "identity").strip().lower() not in ("identity", ""):
        return "encoding"
    length = headers.get("content-length", "")
    return "size" if length.isdecimal() and int(length) > limit else None


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
