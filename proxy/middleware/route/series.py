"""A series: the attempts at the targets of one group, which of them is next and when.

A target that was not asked yet comes first, and at once. Then those that failed for a moment are asked again, after a
wait that doubles with each repetition and is jittered, and never before the provider said to come back. What must stay
true: a series has at most one attempt more than its retries, and no wait of it outlasts the deadline. Only a call that
has a patience of its own asks one that says 429 as often as that lasts, and none of its waits outlasts it.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

from proxy.errors import Unasked, UpstreamError
from proxy.estimate import expected, longest
from proxy.middleware.balance import Balance
from proxy.models import Call
from proxy.target import Attempt, Group, Target

OF_THE_REQUEST = frozenset({"invalid_request", "context_length_exceeded", "content_filter"})
"""Failures that are the request's: another target of the same name would say the same."""

PATIENCE = 3.0
"""Seconds that a call waits for a target that rests or is at its limit, where nothing else can be asked, unless it has
a patience of its own.
"""

MOMENT = 0.02
"""Seconds that any wait takes, and any attempt needs, at least."""


OFTEN, SELDOM = 1.0, 10.0
"""Seconds after which a call with a patience of its own asks again at the latest, unless it was told a longer wait: the
first where it was told when to come back, and a little more each time. Waits that double would outlast the patience
while the model answers whoever asks.
"""


class Series:
    """The attempts at one group's targets. `failure` is the last one's, None while none has failed.

    `end` is when the whole call must be over, `pause` the least wait before a repetition and `backoff` that before the
    first one; all in seconds.
    """

    __slots__ = (
        "_again", "_backoff", "_balance", "_call", "_end", "_left", "_passed", "_pause", "_repeated", "_untried",
        "failure", "group", "tokens",
    )  # fmt: skip

    def __init__(
        self, balance: Balance, group: Group, call: Call, *, retries: int, end: float, pause: float, backoff: float
    ) -> None:
        self.group = group
        self.failure: UpstreamError | None = None
        self._balance = balance
        self._call = call
        self._left = 1 + retries
        self._end = end
        self._pause = pause
        self._backoff = backoff
        self._repeated = 0
        self.tokens = _thought(call) if any(target.tpm is not None for target in group.targets) else 0
        """What the call is thought to take from a target's limit, if one of them has any."""
        self._untried: Sequence[Target] = group.targets
        self._again: list[tuple[float, Target]] = []
        """Those that failed for a moment, each with the time from which on it may be asked again."""
        self._passed: set[int] = set()

    def fresh(self) -> Target | None:
        """A target that was not asked yet, if there is one that may be asked now."""
        if not (self._left and self._untried) or (target := self._choose(self._untried)) is None:
            return None
        self._untried = [each for each in self._untried if each is not target]
        self._left -= 1
        return target

    async def next(self, *, last: bool = False) -> Target | None:
        """The target to ask now; None when no more attempt can be made. Waits for one that may be asked if it is the
        `last` hope, as long as the call has patience, besides what a repetition waits for.
        """
        loop = asyncio.get_running_loop()
        patience, own = PATIENCE if last else 0.0, self._call.patience
        while self._left:
            if (target := self.fresh()) is not None:
                return target
            if (target := await self._repeat()) is not None:
                self._left -= 1
                return target
            if last and own is not None:
                patience = own.left(self._call.groups[0].name)
            waiting = [*self._untried, *(each for when, each in self._again if when < self._latest())]
            wait = max(self._balance.wait(waiting, self.tokens), MOMENT) if waiting else patience
            if wait >= patience or loop.time() + wait >= self._end:
                return None
            patience -= wait
            await self._wait(wait)
        return None

    async def _repeat(self) -> Target | None:
        """A target that has failed, once it may be asked again."""
        if not self._again:
            return None
        loop = asyncio.get_running_loop()
        soonest = min(when for when, _ in self._again)
        if soonest >= self._latest():
            return None
        if (wait := soonest - loop.time()) > 0:
            await self._wait(wait)
        target = self._choose([each for when, each in self._again if when <= soonest])
        if target is not None:
            self._again = [(when, each) for when, each in self._again if each is not target]
            self._repeated += 1
        return target

    def _latest(self) -> float:
        """Until when a repetition can be waited for."""
        if (own := self._call.patience) is None:
            return self._end
        return min(self._end, asyncio.get_running_loop().time() + own.left(self._call.groups[0].name))

    async def _wait(self, seconds: float) -> None:
        """Whoever has patience has not come before it may go: its wait is none of its latency."""
        if (own := self._call.patience) is None:
            await asyncio.sleep(seconds)
        else:
            self._call.shift(await own.wait(self._call.groups[0].name, seconds))

    def failed(self, target: Target, failure: UpstreamError, *, again: bool) -> None:
        """The attempt at `target` has failed; `again`: it may be asked once more."""
        self.failure = failure
        now = asyncio.get_running_loop().time()
        if failure.code in OF_THE_REQUEST or now + MOMENT >= self._end:
            self._left = 0
        elif again:
            wait, patient = failure.retry_after, self._call.patience is not None and failure.code == "rate_limited"
            if wait is None or patient:
                pause = self._backoff * 2 ** min(self._repeated, 64) * random.uniform(0.5, 1)
                if patient:
                    pause = min(pause, SELDOM if wait is None else max(OFTEN, OFTEN * self._repeated / 20))
                wait = max(wait or 0.0, pause)
            self._left += patient
            self._again.append((now + max(wait, self._pause), target))

    def refusal(self) -> UpstreamError:
        """Why no target was asked at all, and when one may be."""
        targets = self.group.targets
        reasons = [self._balance.reason(target, self.tokens) for target in targets]
        limited = all(reason == "limited" for reason in reasons)
        told = "at the limit of its rate" if limited else "resting after failures, or at the limit of its rate"
        wait = self._balance.wait(targets, self.tokens)
        return Unasked(
            f"model {self.group.name!r}: each of its targets ({len(targets)}) is {told}; try again in {wait:.1f} s",
            code="rate_limited" if limited else "unavailable",
            provider=targets[0].provider,
            retry_after=wait,
        )

    def _choose(self, targets: Sequence[Target]) -> Target | None:
        """The balance's choice. Those that it could not make are noted, each once."""
        chosen = self._balance.choose(self.group, targets, self.tokens)
        if chosen is not None and len(targets) == 1:
            return chosen
        for target in targets:
            if target is chosen or id(target) in self._passed:
                continue
            if reason := self._balance.reason(target, self.tokens):
                self._passed.add(id(target))
                self._call.attempts.append(Attempt(target.label, self.group.name, reason))
        return chosen


def _thought(call: Call) -> int:
    """The tokens of what is sent and the most that are asked for; those of the answer are known when it has ended."""
    return expected(call.request.messages or [], call.request.params) + longest(call.request)
