"""The route: which targets are called for a call, in what order, how long each may take, and what follows a failure.

    the asked name's targets -> its fallbacks' targets, name by name
    a name's targets         -> each once, as the balance chooses; then again those that failed for a moment

All of it happens before the first event has gone out; after that an answer is the provider's to finish or to break,
unless it is wanted that another target goes on with it (`continuation`). What must stay true: one deadline covers every
attempt and every wait between them; repetitions are the gateway's own, and providers are told to make none.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass

from proxy import remains
from proxy.config.router import RouterSettings
from proxy.errors import UpstreamError
from proxy.middleware.balance import Balance
from proxy.middleware.route.attempt import Trial
from proxy.middleware.route.continuation import continuation
from proxy.middleware.route.deadline import Deadline
from proxy.middleware.route.fallback import Fallbacks, Lookup
from proxy.middleware.route.samples import sampled
from proxy.middleware.route.series import MOMENT, Series
from proxy.models import Call, Completion, Event
from proxy.protocols import Handler, Provider
from proxy.target import Group, Target

RETRIES_ON_REQUEST = 2
"""How often a request that asks for `retry` is repeated when the configuration says nothing."""

DAY = 86400.0
"""Seconds that a call with patience may take: it ends with its attempts and its patience."""


def route(
    providers: Mapping[str, Provider],
    settings: RouterSettings,
    lookup: Lookup,
    balance: Balance,
    *,
    backoff: float = 0.5,
) -> Handler:
    """The innermost handler.

    `providers` is by the target's provider name, with `""` for all that have none of their own. `lookup` knows the
    groups of configured fallbacks. `backoff` is the wait in seconds before the first repetition.
    """
    router = Router(providers, settings, lookup, balance, backoff)
    return router.handle


@dataclass(slots=True, frozen=True)
class Router:
    """What `route` is made with."""

    providers: Mapping[str, Provider]
    settings: RouterSettings
    lookup: Lookup
    balance: Balance
    backoff: float

    async def handle(self, call: Call) -> AsyncGenerator[Event, None]:
        """A handler: asks the call's targets until one has answered."""
        begun = asyncio.get_running_loop().time()
        limit = Deadline(end := begun + _seconds(call))
        way = Way(self, call, end)
        story = continuation(call) if self.settings.continue_streams or call.request.resume else None
        asked = call
        try:
            while True:
                target = way.series.fresh() or await way.next()
                tokens, group = way.series.tokens, way.series.group
                trial = Trial(self.balance, call, group, target, limit=limit, end=end, tokens=tokens)
                provider = self.providers.get(target.provider) or self.providers[""]
                try:
                    async with aclosing(sampled(provider, asked, target)) as events:
                        while (event := await limit.next(events)) is not None:
                            if not trial.began:
                                trial.begin()
                            if isinstance(event, Completion):
                                trial.answered(event)
                            yield event if story is None else story.take(event)
                            if trial.idle is not None:
                                trial.go_on(trial.idle)
                    return
                except (UpstreamError, TimeoutError) as error:
                    failure = trial.failed(error)
                    remains.clear(error)
                except BaseException as error:
                    trial.left(error)
                    raise
                going = story.broken() if trial.began and story is not None else None
                if trial.began and going is None:
                    raise failure
                asked = going or asked
                way.failed(target, failure, again=failure.retryable or going is not None)
        finally:
            limit.close()


class Way:
    """The way of one call through the targets of its groups: the series of one group after that of another.

    A parameter that one target could not be sent says nothing of the next, so what attempts note in `dropped` is
    forgotten before the next one.
    """

    __slots__ = ("_call", "_dropped", "_end", "_failure", "_fallbacks", "_router", "series")

    def __init__(self, router: Router, call: Call, end: float) -> None:
        self._router = router
        self._call = call
        self._end = end
        self._dropped = dict(call.dropped)
        self._failure: UpstreamError | None = None
        self._fallbacks: Fallbacks | None = None
        self.series = self._series(call.groups[0])

    async def next(self) -> Target:
        """The target to ask now. Raises the last failure when there is none any more."""
        while (target := await self.series.next()) is None:
            failure = self.series.failure or self._failure or self.series.refusal()
            if (group := self._fallback(failure)) is not None:
                self._failure = failure if self.series.failure is not None else self._failure
                self.series = self._series(group)
            elif (target := await self.series.next(last=True)) is not None:
                break
            else:
                raise failure
        return target

    def _fallback(self, failure: UpstreamError) -> Group | None:
        """The group to go on with, if there is one and time for it."""
        if asyncio.get_running_loop().time() + MOMENT >= self._end:
            return None
        if self._fallbacks is None:
            self._fallbacks = Fallbacks(self._router.settings, self._router.lookup, self._call)
        return self._fallbacks.after(failure.code)

    def failed(self, target: Target, failure: UpstreamError, *, again: bool) -> None:
        """The attempt at `target` has failed; `again`: it may be asked once more."""
        self.series.failed(target, failure, again=again)
        self._call.dropped.clear()
        self._call.dropped.update(self._dropped)

    def _series(self, group: Group) -> Series:
        router, settings = self._router, self._router.settings
        retries = max(group.num_retries, RETRIES_ON_REQUEST if self._call.request.retry else 0)
        return Series(
            router.balance,
            group,
            self._call,
            retries=retries,
            end=self._end,
            pause=settings.retry_after,
            backoff=router.backoff,
        )


def _seconds(call: Call) -> float:
    """How long the whole call may take: as long as its name may, or one of its targets by itself."""
    if call.patience is not None:
        return DAY
    group = call.groups[0]
    allowed, asked = group.timeout, call.request.timeout
    for target in group.targets:
        if target.timeout is not None and target.timeout > allowed:
            allowed = target.timeout
    return allowed if asked is None else min(allowed, asked)
