"""LiteLLM's own way to call a provider, its wrapper `acompletion`: slow, and complete.

It serves every provider that LiteLLM knows, every call that the lean way (`providers/lean.py`) does not cover, and
whoever asks for it. What must stay true: it gets an explicit key, no retries, and only arguments that were chosen here;
a stream is closed when nobody reads it any more, and nothing is awaited on the way out.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from typing import Any

from proxy.providers import credentials
from proxy.providers.engine import clients
from proxy.providers.standins import filled
from proxy.providers.translation import texts
from proxy.providers.translation import usage as usages
from proxy.providers.translation.parameters import Plan
from proxy.providers.wire.exchange import Exchange
from proxy.target import Target

BREATH = 20
"""Chunks after which the other tasks get a turn: what is already buffered arrives without any."""

KEPT = 100
"""Chunks that LiteLLM keeps of a stream's beginning and of its end, where the usage is: each takes 3 kB."""

Abandon = Callable[[Any], None]
"""Closes a stream that nobody reads any more, some time after."""


class Wrapped:
    """A `Source` of what LiteLLM's wrapper, or OpenAI's client for texts, gives: a stream, or a whole answer."""

    def __init__(self, answer: Any, stream: bool, exchange: Exchange, abandon: Abandon) -> None:
        self._answer = answer
        self._exchange = exchange
        self._stream = stream
        self._abandon = abandon
        self._open = stream
        self.reason: str | None = None
        self.counted = not stream

    async def __aiter__(self) -> AsyncIterator[Mapping[str, Any]]:
        if not self._stream:
            yield plain(self._answer)
            return
        parts = 0
        async for part in self._answer:
            yield plain(part)
            parts += 1
            if parts % BREATH == 0:
                self._exchange.bound(parts)
                del self._answer.chunks[KEPT:-KEPT]
                await asyncio.sleep(0)
        self._open = False
        self.reason = self._answer.received_finish_reason or self._answer.intermittent_finish_reason
        # LiteLLM makes a usage up where the provider sent none
        self.counted = any(usages.tokens(plain(part).get("usage")) for part in self._answer.chunks)

    def close(self) -> None:
        """Leave the stream, if it is not at its end."""
        if self._open:
            self._open = False
            self._abandon(self._answer)


def plain(answer: Any) -> Mapping[str, Any]:
    """The JSON of one of LiteLLM's objects, or of OpenAI's."""
    found: Mapping[str, Any] = answer.model_dump(warnings=False)
    return found


async def ask(
    litellm: Any, plan: Plan, target: Target, exchange: Exchange, seconds: float, abandon: Abandon
) -> Wrapped:
    """The answer, or the stream of one: of a text from OpenAI's client, of a conversation from LiteLLM."""
    if plan.kind == "text":
        answer = await texts.ask(clients.client(litellm, target, seconds), plan)
    else:
        plan = replace(plan, arguments=filled(plan.arguments, plan.own))
        answer = await litellm.acompletion(**arguments(litellm, plan, target, seconds))
    return Wrapped(answer, plan.stream, exchange, abandon)


def arguments(litellm: Any, plan: Plan, target: Target, seconds: float) -> dict[str, Any]:
    """All that the wrapper gets for a conversation."""
    return {
        **copy.deepcopy(plan.arguments),
        **credentials.arguments(target),
        **common(target, seconds),
        "messages": plan.messages,
        "allowed_openai_params": allowed(litellm, plan, target),
    }


def allowed(litellm: Any, plan: Plan, target: Target) -> list[str]:
    """The parameters that LiteLLM shall send although it does not know that the model has them."""
    prefix, model = credentials.named(target)
    known = plan.forced and litellm.get_supported_openai_params(model=model, custom_llm_provider=prefix)
    return sorted(plan.forced.difference(known or ()))


def common(target: Target, seconds: float) -> dict[str, Any]:
    """What every call of LiteLLM gets: the model's name, a limit in seconds, and no repetitions."""
    prefix, model = credentials.named(target)
    return {
        "model": f"{prefix}/{model}",
        "drop_params": True,
        "num_retries": 0,
        "max_retries": 0,
        "timeout": seconds,
    }
