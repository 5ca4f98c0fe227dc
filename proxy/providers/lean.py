"""The lean way to call a provider: LiteLLM's translation, and a connection of our own.

LiteLLM says once how calls of one kind are written (`wires.py`); from then on a call costs what writing JSON and a
round trip on a kept connection cost. Answers of OpenAI's form are read as they come, others by LiteLLM's own classes
(`readings.py`).

What must stay true: what is sent is what LiteLLM's wrapper would send, and what comes back is read as it would be, but
for what LiteLLM gets wrong (tests/providers/test_parity.py lists both); what is not covered takes the wrapper.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

import orjson

from proxy.config.targets import UNCHANGED
from proxy.crowd import OF_AN_ANSWER, crowded
from proxy.models import Json
from proxy.providers import credentials, wires
from proxy.providers.access import Access, access
from proxy.providers.engine import Engine, wrapper
from proxy.providers.engine.capture import capture
from proxy.providers.readings import READINGS, Cutter, Direct, Reading, loaded, readable
from proxy.providers.shelf import Shelf
from proxy.providers.translation import values
from proxy.providers.translation.parameters import Plan
from proxy.providers.translation.parts import distant
from proxy.providers.wire.exchange import Exchange, Truncated
from proxy.providers.wire.pool import Pool
from proxy.providers.wire.reply import Reply
from proxy.providers.wires import Wire
from proxy.target import Target

PROVIDERS = frozenset(
    {"openai", "azure", "anyscale", "openrouter", "mistral", "litellm", "groq", "fireworks", *READINGS}
)
"""Whose calls are covered."""

FETCHED = frozenset({"anthropic", "vertexai", "aws_bedrock"})
"""Vendors for whom LiteLLM may fetch what a message names."""

TOOLS = "tools"

DONE = b"[DONE]"
LINGER = 1.0
"""Seconds that an answer has, after its last event, to end as HTTP ends, so that the connection can be kept."""

BREATH = 50
"""Events after which the other tasks get a turn: less than a millisecond's work."""

FAILURE = 64 * 2**10
"""Bytes that are read of a refusal."""


BEYOND = re.compile(r"NaN|Infinity|[eE]\+?\d{3}")
"""Numbers, perhaps, that Python reads and no JSON holds."""


class Failed(Exception):
    """The provider's own words for a refusal or a failure; `status_code` where its event tells one."""

    def __init__(self, said: str, status_code: int | None = None) -> None:
        super().__init__(said)
        self.status_code = status_code


class Lean:
    """Calls providers over connections of its own, for one event loop."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pool = Pool()
        self.wires: Shelf[Wire | None] = Shelf()
        self._capturing: dict[bytes, asyncio.Task[Wire | None]] = {}

    async def close(self) -> None:
        await self._pool.close()

    async def ask(self, plan: Plan, target: Target, exchange: Exchange, seconds: float) -> Answer | None:
        """The answer to a conversation; None where the call is not covered. `seconds` is for each wait."""
        known = await self.learn(plan, target)
        if known is None:
            return None
        wire, secret = known
        try:
            body = wire.body(plan.messages, _own(plan))
        except Exception:  # LiteLLM cannot translate it; its wrapper says why in words that are known here
            return None
        written = orjson.dumps(body)
        headers, once = secret.headers(wire, written)
        reply = await self._pool.post(wire.url, headers, written, once=once, exchange=exchange, timeout=seconds)
        try:
            if not 200 <= reply.status < 300:
                raise Failed(await _failure(reply))
        except BaseException:
            reply.close()
            raise
        reading = Direct() if wire.direct else READINGS[target.provider](self._engine.module, wire, plan, body)
        return Answer(reply, reading, exchange, stream=plan.stream)

    async def learn(self, plan: Plan, target: Target) -> tuple[Wire, Access] | None:
        """How such a call is written, and who may make it, found out if nobody has yet; None where the call is not
        covered.
        """
        if not _covers(plan, target):
            return None
        place = credentials.arguments(target)
        secret = await access(self._engine, target.provider, place)
        kept = wires.name({**place, "prefix": credentials.named(target)}, plan.arguments, plan.messages)
        wire = self.wires[kept] if kept in self.wires else await self._captured(kept, plan, target, secret.key)
        if wire is None or (wire.transform is not None and _beyond(plan)):
            return None
        plan.wire = kept
        return wire, secret

    async def _captured(self, kept: bytes, plan: Plan, target: Target, key: str) -> Wire | None:
        """What LiteLLM shows of how such calls are written; calls that come meanwhile wait for the same."""
        litellm = await self._engine.loaded()
        if kept in self.wires:
            return self.wires[kept]
        task = self._capturing.get(kept)
        if task is None:
            task = self._capturing[kept] = asyncio.create_task(self._capture(litellm, kept, plan, target, key))
            task.add_done_callback(lambda _: self._capturing.pop(kept))
        return await asyncio.shield(task)

    async def _capture(self, litellm: Any, kept: bytes, plan: Plan, target: Target, key: str) -> Wire | None:
        arguments = wrapper.arguments(litellm, plan, target, 600.0)
        found = await capture(partial(litellm.acompletion, **arguments), stream=plan.stream)
        wire = wires.wire(found, plan.messages, plan.own, key, stream=plan.stream)
        if wire is not None and not readable(target.provider, wire):
            wire = None
        self.wires.put(kept, wire, 0 if wire is None else len(found.body))
        return wire


def _covers(plan: Plan, target: Target) -> bool:
    """Whether calls of this kind are covered at all. Claude's JSON comes as a tool call that LiteLLM unwraps."""
    if target.transport != "lean":
        return False
    if target.provider not in PROVIDERS or target.settings.get(UNCHANGED) or plan.kind != "chat":
        return False
    if target.provider == "anthropic" and "response_format" in plan.arguments:
        return False
    return target.provider not in FETCHED or not distant(plan.messages)


def _own(plan: Plan) -> Mapping[str, Json]:
    """What a wire may have places for: the values behind stand-ins, and tools that it was kept without."""
    return {**plan.own, TOOLS: plan.arguments[TOOLS]} if TOOLS in plan.arguments else plan.own


def _beyond(plan: Plan) -> bool:
    """Whether a call in the conversation may have arguments that LiteLLM refuses, since it cannot send them."""
    return any(
        BEYOND.search(str(values.fields(called.get("function")).get("arguments")))
        for message in plan.messages
        for called in message.get("tool_calls") or ()
    )


async def _failure(reply: Reply) -> str:
    """What a refusal says, as far as it can be read."""
    said = bytearray()
    async for piece in reply:
        said += piece
        if len(said) > FAILURE:
            break
    return said[:FAILURE].decode("utf-8", "replace")


class Answer:
    """A `Source` that reads an answer from the wire."""

    def __init__(self, reply: Reply, reading: Reading, exchange: Exchange, *, stream: bool) -> None:
        self._reply = reply
        self._exchange = exchange
        self._reading = reading
        self._stream = stream
        self._began = self._lingers = False
        self.reason: str | None = None
        self.counted = True

    async def __aiter__(self) -> AsyncIterator[Mapping[str, Any]]:
        if not self._stream:
            body = await self._reply.read()
            self._bound(body)
            answer = self._reading.whole(self._reply, body)
            _check(answer)
            yield answer
            return
        events = self._reading.events(self._reply)
        number = 0
        async for piece in self._reply:
            for payload in events.feed(piece):
                if payload == DONE:
                    self._lingers = True
                    return
                yield self._read(payload)
                number += 1
                if number % BREATH == 0:
                    self._exchange.bound(number)
                    await asyncio.sleep(0)
        for payload in self._rest(events):
            yield self._read(payload)

    def _rest(self, events: Cutter) -> list[bytes]:
        """What the end of the body completes. Raises `Unreadable` for an answer that was no stream at all."""
        try:
            return [payload for payload in events.end() if payload != DONE]
        except Truncated:
            if self._began:
                raise
            raise values.Unreadable from None

    def _read(self, payload: bytes) -> Mapping[str, Any]:
        self._began = True
        self._bound(payload)
        found = loaded(payload)
        _check(found)
        part = self._reading.part(found)
        for choice in part.get("choices") or ():
            reason = values.fields(choice).get("finish_reason")
            if reason:
                self.reason = str(reason)
        return part

    def _bound(self, payload: bytes) -> None:
        if crowded(payload, OF_AN_ANSWER):
            raise self._exchange.refuse("values")

    def close(self) -> None:
        if self._lingers:
            asyncio.get_running_loop().call_later(LINGER, self._reply.close)
        else:
            self._reply.close()


def _check(answer: Mapping[str, Any]) -> None:
    """Raise the failure that an answer tells in place of one, or beside what there was of it."""
    error = answer.get("error") or (answer if answer.get("object") == "error" else None)
    if error:
        code = str(values.fields(error).get("code"))
        raise Failed(orjson.dumps(answer).decode(), int(code) if code.isdecimal() and len(code) == 3 else None)
