"""The cache: a request that was answered before, or is being answered just now, is not sent again.

One entry serves every dialect, streamed or not. What must stay true:

* An entry is found by a request that would send the same to the same place, and by no other (`fingerprint`).
* An answer that was bought with a key of the request's own is served to requests with that key only.
* Only whole, successful answers are kept: no error, no cancelled or truncated one, nothing a content filter cut.
* A call that omits its inputs or outputs from the log leaves nothing in the store, and neither does a flight that it
  shares. It may be answered from an entry that another call left.
* Nor is an answer that is not `lasting`: a fallback's of the configuration's, one that was gone on with after it broke.
* `cache: false` neither reads nor writes, and shares nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing

from proxy.middleware.entry import Entry, decode, encode
from proxy.middleware.fingerprint import entry_name, fingerprint
from proxy.middleware.flight import Flight, pieces
from proxy.models import Call, Chunk, Completion, Event
from proxy.protocols import CacheStore, Handler, Middleware
from proxy.target import Target

logger = logging.getLogger(__name__)

HIT = "an equal call was answered before"
NOT_ASKED = "the request does not ask for the cache (cache: true)"
UNWRITTEN = "the request cannot be written as JSON"

BEHIND = 2**24
"""Bytes that may be on their way to the store before answers wait for it."""

WHOLE = frozenset({"stop", "length", "tool_calls", "function_call"})
"""The finish reasons of an answer that the model ended or that ran into the request's own limit."""


def cache(store: CacheStore, secret: bytes, *, patience: float = 1.0) -> Middleware:
    """Answer from `store` what can be, and let equal calls that are under way share one.

    `secret` names the keys of requests without telling them; processes that share a store must share it too. An answer
    does not wait for the store: until it is there, whoever asks this process finds it in memory. Only while more than
    `BEHIND` bytes are on their way it waits, and no longer than `patience` seconds. All handlers that the middleware is
    put around share what is under way.
    """
    flights: dict[bytes, Flight] = {}
    writes = _Writes(store, patience)
    underway = writes.underway

    def middleware(inner: Handler) -> Handler:
        def handler(call: Call) -> AsyncGenerator[Event, None]:
            key = fingerprint(call, secret) if call.request.cache and call.targets else None
            if key is not None:
                if not call.request.policy.omits:
                    # Of what may not be written down, equal calls are not told from others either.
                    call.remarks["entry"] = entry_name(key, secret)
                return cached(key, call)
            call.cache_status, call.cache_reason = "bypass", UNWRITTEN if call.request.cache else NOT_ASKED
            return inner(call)

        async def cached(key: bytes, call: Call) -> AsyncGenerator[Event, None]:
            if key not in flights and (entry := decode(underway.get(key) or await store.get(key))) is not None:
                call.cache_status, call.cache_reason = "hit", HIT
                call.dropped.update(entry.dropped)
                call.remarks.update(entry.remarks)
                if len(call.targets) > 1:
                    call.current = _teller(call, entry.completion)
                for chunk in _replay(call, entry):
                    yield chunk
                entry.completion.cache_hit = True
                yield entry.completion
                return
            # Nothing is awaited between the look at the flights and the take-off: equal calls cannot start two.
            async with aclosing((flights.get(key) or take_off(key, call)).watch(call)) as events:
                async for event in events:
                    yield event

        def take_off(key: bytes, call: Call) -> Flight:
            async def land(flight: Flight, completion: Completion) -> None:
                if not (flight.writable and flight.call.lasting and _storable(completion)):
                    return
                value = encode(Entry(completion, flight.chunks, flight.call.dropped, flight.call.remarks))
                if value is not None:
                    await writes.begin(key, value)

            def ended() -> None:
                if flights.get(key) is flight:
                    del flights[key]

            flight = flights[key] = Flight(call, inner, land, ended)
            return flight

        return handler

    return middleware


class _Writes:
    """Answers on their way to the store; until they are there they are found in `underway`."""

    def __init__(self, store: CacheStore, patience: float) -> None:
        self._store = store
        self._patience = patience
        self.underway: dict[bytes, bytes] = {}
        self._behind = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def begin(self, key: bytes, value: bytes) -> None:
        """Put an answer on its way, and wait a little where too many are."""
        self._behind += len(value)
        self.underway[key] = value
        task = asyncio.create_task(self._keep(key, value))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._behind > BEHIND:
            await asyncio.wait({task}, timeout=self._patience)

    async def _keep(self, key: bytes, value: bytes) -> None:
        try:
            await self._store.set(key, value)
        except Exception as error:
            logger.warning("an answer could not be cached: %s", type(error).__name__)
        finally:
            self._behind -= len(value)
            if self.underway.get(key) is value:
                del self.underway[key]


def _replay(call: Call, entry: Entry) -> Iterable[Chunk]:
    """What was streamed, as it was streamed; an answer that was not is told in one chunk per choice."""
    return (entry.chunks or pieces(entry.completion)) if call.request.stream else ()


def _teller(call: Call, completion: Completion) -> Target | None:
    """The target that an answer is of: the pieces of a stream name its model before the end does."""
    told = completion.provider, completion.model
    return next((target for target in call.targets if (target.provider, target.model) == told), None)


def _storable(completion: Completion) -> bool:
    if completion.embeddings:
        return True
    return all(choice.finish_reason in WHOLE for choice in completion.choices) and any(
        choice.text or choice.tool_calls or choice.extra for choice in completion.choices
    )
