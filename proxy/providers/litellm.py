"""Calls all twelve providers of the vendor table with LiteLLM.

What must stay true:

* It gets an explicit key, no retries, and only arguments that were chosen here.
* A consumer that leaves closes the upstream connection at once: nothing is awaited on the way out, a task closes the
  stream.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from typing import Any

from proxy.models import Call, Completion, Event, Json, Target
from proxy.providers import (
    answers,
    clients,
    credentials,
    embeddings,
    failures,
    messages,
    names,
    parameters,
    prices,
    texts,
    wrapper,
)
from proxy.providers import usage as usages
from proxy.providers.engine import Engine
from proxy.providers.lean import Lean
from proxy.providers.source import Source
from proxy.providers.transport import begin

REMEMBERED = 4096
"""Answers kept about which model takes which parameter."""

LONGEST_VALUE = 200
"""Characters of a value by which such an answer is remembered."""


class LiteLLM:
    """A `Provider` for every vendor but `echo`. `start` it on the event loop; calls wait until it is loaded."""

    def __init__(self, *, strict_params: bool = False, max_response: int = 64 * 2**20, timeout: float = 600.0) -> None:
        self._strict = strict_params
        self._limit = max_response
        self._timeout = timeout
        self._engine = Engine()
        self._lean = Lean(self._engine)
        self._closing: set[asyncio.Task[None]] = set()
        self._accepted: dict[tuple[str, str, str, str], bool] = {}

    def start(self) -> asyncio.Task[Any]:
        """Begin to load LiteLLM, if nobody has yet. The task's result is the module."""
        return self._engine.start()

    async def ready(self) -> str | None:
        return self._engine.reason()

    async def close(self) -> None:
        await asyncio.gather(self._lean.close(), *self._closing, return_exceptions=True)
        await self._engine.close()

    async def complete(self, call: Call, target: Target) -> AsyncGenerator[Event, None]:
        litellm = await self._engine.loaded()
        exchange, reader = begin(self._limit, target.settings.get("organization")), answers.Reader(target.provider)
        source: Source | None = None
        try:
            routed = names.route(target)
            names.check(routed)
            if call.request.kind == "embedding":
                yield await self._embedded(litellm, call, routed, target)
                return
            plan = self._plan(litellm, call, routed)
            seconds = self._seconds(routed)
            source = await self._lean.ask(plan, routed, exchange, seconds)
            if source is None:
                source = await wrapper.ask(litellm, plan, routed, seconds, self._abandon)
            async for part in source:
                if not plan.stream:
                    reader.take(part)
                    continue
                for chunk in reader.read(part):
                    yield chunk
            counted = reader.usage if source.counted else None
            choices = reader.finish(source.reason, counted=counted is not None)
            usage = usages.tokens(counted) or usages.estimate(plan.messages, choices)
            cost = prices.cost(routed, counted, usage, reader.model, self._engine.price)
            yield Completion(
                choices, usage, target.model, target.provider, cost=cost, system_fingerprint=reader.fingerprint
            )
        except Exception as error:
            secrets = credentials.secrets(target)
            raise failures.translate(error, target.provider, exchange, secrets, began=reader.began) from None
        finally:
            if source is not None:
                source.close()

    async def _embedded(self, litellm: Any, call: Call, routed: Target, target: Target) -> Completion:
        """The vectors of a call for them, which comes in one piece however it was asked for."""
        plan = self._start(call, routed)
        embeddings.prepare(plan)
        if clients.reaches(routed):
            send = embeddings.posted(clients.client(litellm, routed, self._seconds(routed)), plan)
        else:
            place = credentials.embedding(routed)
            send = partial(
                litellm.aembedding, **plan.arguments, **place, **wrapper.common(routed, self._seconds(routed))
            )
        vectors, counted, model = await embeddings.ask(send, plan)
        usage = usages.tokens(counted) or usages.estimate(plan.messages, [])
        cost = prices.cost(routed, counted, usage, model, self._engine.price)
        return Completion([], usage, target.model, target.provider, cost=cost, embeddings=vectors)

    def _seconds(self, target: Target) -> float:
        return target.timeout or self._timeout

    def _start(self, call: Call, target: Target) -> parameters.Plan:
        """A plan of which nothing has been chosen yet; what will not be sent is noted in the call."""
        return parameters.Plan(
            provider=target.provider,
            model=target.model,
            params={**target.params, **call.request.params},
            messages=[*call.request.history, *(call.request.messages or [])],
            stream=call.request.stream,
            strict=self._strict,
            demanded=call.demanded,
            asked=call.request.kind,
            kind=texts.kind(target, call.request.kind),
            dropped=call.dropped,
        )

    def _plan(self, litellm: Any, call: Call, target: Target) -> parameters.Plan:
        """What will be sent for a conversation or a text."""
        plan = self._start(call, target)
        if plan.kind == "text":
            texts.prepare(plan)
            return plan
        prefix, model = credentials.named(target)
        if plan.asked == "text":
            texts.check(plan)
        plan.messages = messages.prepare(plan.messages, target.provider, claude=plan.claude)
        parameters.prepare(plan, lambda name, value: self._accepts(litellm, prefix, model, name, value))
        return plan

    def _accepts(self, litellm: Any, prefix: str, model: str, name: str, value: Json) -> bool:
        """Whether LiteLLM would send this parameter to the model; it says so by raising."""
        key = (prefix, model, name, repr(value)[:LONGEST_VALUE])
        if key not in self._accepted:
            if len(self._accepted) >= REMEMBERED:
                self._accepted.clear()
            try:
                litellm.utils.get_optional_params(
                    model=model, custom_llm_provider=prefix, drop_params=False, **{name: value}
                )
                self._accepted[key] = True
            except litellm.UnsupportedParamsError:
                self._accepted[key] = False
        return self._accepted[key]

    def _abandon(self, stream: Any) -> None:
        """Close a stream that nobody reads any more, in a task of its own."""
        task = asyncio.create_task(stream.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


provider = LiteLLM
