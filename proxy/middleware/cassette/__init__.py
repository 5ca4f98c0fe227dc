"""The cassette: calls that were recorded are answered as they were then, and others are recorded, as its mode says.

It stands in the place of the cache, just outside the route, so that a test sees every call that its program makes. What
must stay true:

* With `replay` nothing behind it is ever called.
* The n-th call of equal requests gets the n-th answer that was recorded, and after the last one the last again.
* A recording is kept before its answer's `Completion` or failure goes out. What its client left, what omits its inputs
  or outputs from the log, and what failed for a reason of this gateway's (`Unasked`) is not recorded.
* No key that is known here is in what is kept, in one piece or over the pieces of a stream.
"""

from __future__ import annotations

import asyncio
import copy
import logging
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict, replace
from typing import Any

from proxy.asgi import App
from proxy.config import Config
from proxy.draft import Draft
from proxy.errors import BadRequest, NotRecorded, Unasked, UpstreamError
from proxy.middleware.cassette.blot import Blot, blot, overheard
from proxy.middleware.cassette.canonical import Canon, difference
from proxy.middleware.flight import pieces
from proxy.models import Call, Chunk, Completion, Event, Json, Usage
from proxy.protocols import Handler, Middleware
from proxy.recording import Cassette, Mode, Recording, key, written
from proxy.target import Target

logger = logging.getLogger(__name__)

IN_PLACE = "a cassette is used instead (--mode)"
"""Why the cache is not used; with what became of the call in the cassette, as soon as it is known."""


class Player:
    """Records to `cassette` and replays from it. With `paced` an answer comes as slowly as it did when it was recorded.

    One player serves all configurations, and counts the calls of each request from its start on.
    """

    def __init__(self, cassette: Cassette, mode: Mode, *, paced: bool = False) -> None:
        self.mode = mode
        self._cassette = cassette
        self._paced = paced
        self._asked: Counter[str] = Counter()

    def under(self, config: Config) -> Middleware:
        """The middleware for one configuration."""
        canon, secrets = Canon(config), blot(config)

        def middleware(inner: Handler) -> Handler:
            async def handler(call: Call) -> AsyncGenerator[Event, None]:
                call.cache_status, call.cache_reason = "bypass", IN_PLACE
                hidden = secrets.also(call.api_keys.values())
                async with aclosing(self._answer(call, canon, hidden, inner)) as events:
                    async for event in events:
                        yield event

            return handler

        return middleware

    def unspared(self, config: Config) -> Config:
        """`config`, in which no target is cooled down: what one test met does not decide what another gets."""
        return replace(config, router=replace(config.router, cooldown_time=0.0))

    def before(self, app: App) -> App:
        """`app`, of whose requests the keys in their heads become known here, used or not."""
        return overheard(app)

    def _answer(self, call: Call, canon: Canon, hidden: Blot, inner: Handler) -> AsyncGenerator[Event, None]:
        """Where the answer to `call` comes from. Raises `NotRecorded`."""
        request = hidden.clean(canon.request(call))
        asked = key(request)
        self._asked[asked] += 1
        number = self._asked[asked]
        found = () if self.mode == "record" else self._cassette.find(asked)
        if not found and self.mode != "record":
            former = self._cassette.find(key(hidden.clean(canon.former(call))))
            found = [recording for recording in former if recording.format == 1]
        if found:
            return self._replayed(call, found[min(number, len(found)) - 1])
        if self.mode == "replay":
            raise NotRecorded(self._missing(call, request))
        if call.request.policy.omits:
            _note(call, "omitted")
            return inner(call)
        return self._recorded(call, request, hidden, inner, number)

    async def _replayed(self, call: Call, recording: Recording) -> AsyncGenerator[Event, None]:
        # what is told may be changed by whoever gets it
        chunks, completion, remarks = copy.deepcopy((recording.chunks, recording.completion, recording.remarks))
        call.remarks.update(remarks)
        _note(call, "replayed")
        call.dropped.update(recording.dropped)
        call.current = _teller(call, completion)
        began = time.perf_counter()
        if completion is not None and not chunks:
            chunks = [(recording.ms, chunk) for chunk in pieces(completion)]
        for ms, chunk in chunks if call.request.stream else ():
            await self._wait(began, ms)
            yield chunk
        await self._wait(began, recording.ms)
        if recording.error is not None:
            # raised by many calls: each starts anew, or the tracebacks would pile up
            raise recording.error.with_traceback(None)
        if completion is not None:
            yield completion

    async def _wait(self, began: float, ms: float) -> None:
        """Until `ms` after `began`; for one turn of the loop at least, so that each chunk leaves by itself."""
        await asyncio.sleep(max(0.0, began + ms / 1e3 - time.perf_counter()) if self._paced else 0.0)

    async def _recorded(
        self, call: Call, request: dict[str, Json], hidden: Blot, inner: Handler, number: int
    ) -> AsyncGenerator[Event, None]:
        recording = Recording(request)
        remarks, dropped = dict(call.remarks), dict(call.dropped)
        began = time.perf_counter()
        try:
            async with aclosing(inner(call)) as events:
                async for event in events:
                    recording.ms = round((time.perf_counter() - began) * 1e3, 1)
                    if isinstance(event, Chunk):
                        recording.chunks.append((recording.ms, event))
                        yield event
                    else:
                        recording.completion = event
        except (UpstreamError, BadRequest) as error:
            recording.ms = round((time.perf_counter() - began) * 1e3, 1)
            recording.error = error
        recording.remarks, recording.dropped = _new(call.remarks, remarks), _new(call.dropped, dropped)
        if isinstance(recording.error, Unasked):
            self._uncount(request, number)
            _note(call, "refused")
        else:
            await self._keep(call, recording, hidden, number)
        if recording.error is not None:
            raise recording.error
        if recording.completion is not None:
            yield recording.completion

    def _uncount(self, request: dict[str, Json], number: int) -> None:
        """The `number`th call of a request has come to nothing: so the next one is that, if it is not under way."""
        if self._asked[asked := key(request)] == number:
            self._asked[asked] -= 1

    async def _keep(self, call: Call, recording: Recording, hidden: Blot, number: int) -> None:
        document = hidden.clean(written(_joined(recording, hidden)))
        try:
            await asyncio.to_thread(self._cassette.keep, document, number)
            _note(call, "recorded")
        except OSError as error:
            logger.error("a call could not be recorded in %s: %s", self._cassette.name, error.strerror)
            _note(call, "lost")

    def _missing(self, call: Call, request: dict[str, Json]) -> str:
        told = f"{self._cassette.name} has no recording of this request, and with --mode replay nobody is called"
        if call.request.policy.omits:
            told += " (a call that omits its log is never recorded)"
        recordings = self._cassette.all()
        if not recordings:
            return f"{told}. It has no recordings at all: make some with --mode record or --mode auto"
        return f"{told}. The nearest one differs:\n{difference(request, recordings)}"


def _note(call: Call, done: str) -> None:
    """What became of a call here, for its row and its answer's headers."""
    call.remarks["cassette"] = done
    call.cache_reason = f"{IN_PLACE}: {done}"


def _teller(call: Call, completion: Completion | None) -> Target | None:
    """The target that an answer is of, which may be another than the name leads to now: the pieces of a stream name
    its model before the end does.
    """
    if completion is None:
        return None
    told = completion.provider, completion.model
    known = next((target for target in call.targets if (target.provider, target.model) == told), None)
    return known or Target(*told)


def _joined(recording: Recording, hidden: Blot) -> Recording:
    """The recording, in one chunk for each choice if a secret lies in what its chunks are together."""
    draft = Draft()
    for _, chunk in recording.chunks:
        draft.add(chunk)
    choices = draft.choices()
    if all(hidden.clean(said) == said for said in map(asdict, choices)):
        return recording
    whole = Completion(choices, Usage(), model="", provider="")
    return replace(recording, chunks=[(recording.chunks[-1][0], chunk) for chunk in pieces(whole)])


def _new(now: dict[str, Any], before: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in now.items() if name not in before or before[name] != value}
