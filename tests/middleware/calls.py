"""Calls and a scripted handler for tests of the middleware."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from pydantic import SecretStr

from proxy.models import Call, Choice, Chunk, Completion, CompletionRequest, Event, LogPolicy, TraceContext, Usage
from proxy.protocols import Handler
from proxy.target import Target

TARGET = Target(provider="openai", model="gpt-4o-mini", api_key=SecretStr("sk-configured"))


def make_call(
    text: str = "hello", *, stream: bool = False, cache: bool = True, policy: LogPolicy | None = None, **rest: Any
) -> Call:
    """A resolved call; `rest` are fields of `Call`."""
    request = CompletionRequest(
        dialect="parea",
        trace=TraceContext(trace_id="t", root_trace_id="t"),
        messages=[{"role": "user", "content": text}],
        stream=stream,
        cache=cache,
        policy=policy or LogPolicy(),
    )
    return Call(request=request, **{"targets": (TARGET,), **rest})


def make_completion(text: str = "a b c", finish_reason: str = "stop") -> Completion:
    return Completion(
        choices=[Choice(text=text, finish_reason=finish_reason)],
        usage=Usage(prompt_tokens=3, completion_tokens=5),
        model="gpt-4o-mini-2024-07-18",
        provider="openai",
        cost=0.25,
    )


class Upstream:
    """A handler that tells `events` and keeps count of its calls.

    When `gated`, each call waits before its first event until `gate` is opened. An exception among them is raised.
    """

    def __init__(self, *events: Event | BaseException, gated: bool = False) -> None:
        self.events: Sequence[Event | BaseException] = events or (
            Chunk("a"),
            Chunk(" b"),
            Chunk(" c"),
            make_completion(),
        )
        self.gate = asyncio.Event()
        if not gated:
            self.gate.set()
        self.calls: list[Call] = []
        self.running = 0
        self.cancelled = 0
        self.finished = 0

    @property
    def handler(self) -> Handler:
        async def handler(call: Call) -> AsyncGenerator[Event, None]:
            self.calls.append(call)
            self.running += 1
            try:
                call.dropped["logit_bias"] = "openai has no such parameter"
                await self.gate.wait()
                for event in self.events:
                    await asyncio.sleep(0)
                    if isinstance(event, BaseException):
                        raise event
                    if call.request.stream or isinstance(event, Completion):
                        yield event
                self.finished += 1
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            finally:
                self.running -= 1

        return handler


async def settle() -> None:
    """Let every task that can run do so; a few turns of the loop."""
    for _ in range(5):
        await asyncio.sleep(0)
