"""Calls all twelve providers of the vendor table with LiteLLM.

What must stay true:

* It gets an explicit key, no retries, and only arguments that were chosen here.
* A consumer that leaves closes the upstream connection at once: nothing is awaited on the way out, a task closes the
  stream.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any, Self

from proxy.errors import NotReady
from proxy.estimate import estimate
from proxy.models import Call, Completion, Event, Json
from proxy.providers import credentials, standins
from proxy.providers.engine import Engine, clients, wrapper
from proxy.providers.lean import Lean
from proxy.providers.plans import Plans
from proxy.providers.preparation import Preparation
from proxy.providers.prices import Prices
from proxy.providers.source import Source
from proxy.providers.translation import answers, embeddings, failures, names
from proxy.providers.translation import usage as usages
from proxy.providers.wire.exchange import begin
from proxy.target import Target


class LiteLLM:
    """A `Provider` for every vendor but `echo`. `start` it on the event loop; calls wait until it is loaded."""

    def __init__(
        self,
        *,
        strict_params: bool = False,
        max_response: int = 48 * 2**20,
        timeout: float = 600.0,
        plans: Path | None = None,
    ) -> None:
        self._limit = max_response
        self._timeout = timeout
        self._engine = Engine()
        self._lean = Lean(self._engine)
        self._preparation = Preparation(self._engine, strict=strict_params)
        self._prices = Prices(self._engine.price, self._engine.loaded)
        self._plans = Plans(plans, self._preparation, self._lean, self._prices)
        self._plans.load()
        self._closing: set[asyncio.Task[None]] = set()

    def under(self, *, strict_params: bool, max_response: int, timeout: float) -> Self:
        """This provider under other settings: with the same connections, and all that it has learnt."""
        other = copy.copy(self)
        other._limit, other._timeout = max_response, timeout
        other._preparation = self._preparation.under(strict=strict_params)
        return other

    def start(self) -> asyncio.Future[Any]:
        """Begin to load LiteLLM, unless all that the run before met can be served without it: then whoever needs it
        loads it. The result is there when no more is to be loaded.
        """
        if self._plans.needed:
            return self._engine.start()
        idle = asyncio.get_running_loop().create_future()
        idle.set_result(None)
        return idle

    async def ready(self) -> str | None:
        return self._engine.reason() if self._plans.needed or self._engine.started else None

    async def close(self) -> None:
        await asyncio.gather(self._lean.close(), *self._closing, return_exceptions=True)
        self._plans.save()
        await self._engine.close()

    async def complete(self, call: Call, target: Target) -> AsyncGenerator[Event, None]:
        exchange = begin(self._limit, target.settings.get("organization"), target.provider, call.calls)
        reader = answers.Reader(target.provider)
        source: Source | None = None
        try:
            routed = names.route(target)
            names.check(routed)
            if call.request.kind == "embedding":
                yield await self._embedded(call, routed, target)
                return
            plan = await self._preparation.plan(call, routed)
            seconds = self._seconds(routed)
            source = await self._lean.ask(plan, routed, exchange, seconds)
            if source is None:
                source = await wrapper.ask(await self._engine.loaded(), plan, routed, exchange, seconds, self._abandon)
            async for part in source:
                if not plan.stream:
                    reader.take(part)
                    continue
                for chunk in reader.read(part):
                    yield chunk
            counted = reader.usage if source.counted else None
            choices = reader.finish(source.reason, counted=counted is not None)
            usage = usages.tokens(counted) or estimate(plan.messages, choices)
            tier = reader.tier or plan.wanted.get("service_tier")
            cost = await self._prices.cost(routed, counted, usage, reader.model, tier)
            self._plans.served(call, plan, routed, reader.model)
            yield Completion(
                choices, usage, target.model, target.provider, cost=cost, system_fingerprint=reader.fingerprint
            )
        except NotReady:
            raise
        except Exception as error:
            secrets = credentials.secrets(target)
            raise failures.translate(error, target.provider, exchange, secrets, began=reader.began) from None
        except BaseException:  # the caller has gone, or its time is up
            exchange.leave()
            raise
        finally:
            if source is not None:
                source.close()

    async def explain(self, call: Call, target: Target) -> dict[str, Json]:
        routed = names.route(target)
        names.check(routed)
        if call.request.kind == "embedding":
            plan = self._preparation.start(call, routed)
            embeddings.prepare(plan)
        else:
            plan = await self._preparation.plan(call, routed)
        return {name: value for name, value in standins.filled(plan.arguments, plan.own).items() if name != "prompt"}

    async def warm(self, call: Call, target: Target) -> None:
        routed = names.route(target)
        names.check(routed)
        if call.request.kind == "embedding":
            await self._engine.loaded()
            return
        plan = await self._preparation.plan(call, routed)
        await self._lean.learn(plan, routed)
        if not self._plans.holds(plan):
            await self._engine.loaded()

    async def _embedded(self, call: Call, routed: Target, target: Target) -> Completion:
        """The vectors of a call for them, which comes in one piece however it was asked for."""
        litellm = await self._engine.loaded()
        plan = self._preparation.start(call, routed)
        embeddings.prepare(plan)
        if clients.reaches(routed):
            send = embeddings.posted(clients.client(litellm, routed, self._seconds(routed)), plan)
        else:
            place = credentials.embedding(routed)
            send = partial(
                litellm.aembedding, **plan.arguments, **place, **wrapper.common(routed, self._seconds(routed))
            )
        self._plans.missed()
        vectors, counted, model = await embeddings.ask(send, plan)
        usage = usages.tokens(counted) or estimate(plan.messages, [])
        cost = await self._prices.cost(routed, counted, usage, model)
        return Completion([], usage, target.model, target.provider, cost=cost, embeddings=vectors)

    def _seconds(self, target: Target) -> float:
        return target.timeout or self._timeout

    def _abandon(self, stream: Any) -> None:
        """Close a stream that nobody reads any more, in a task of its own."""
        task = asyncio.create_task(stream.aclose())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


provider = LiteLLM
