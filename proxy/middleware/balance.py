"""The balance: which target of a group is asked next, and what is remembered of those that were.

It is chosen by the group's strategy among the targets of the lowest order that may be asked. One that may not is cooled
down, or at the limit of its rate:

* The provider's failures are counted, and more than `allowed_fails` of them within a minute cool a target down for
  `cooldown_time`; one does where the key, the permission or the model is refused (401, 402, 403, 404), and a 429, for
  as long as the provider says. A request's own mistake, and a caller who leaves, say nothing of the target.
* After that one call may ask it, to see; nobody else does until it has ended. If it fails the target is cooled down
  for twice as long, up to `LONGEST`; if it is answered the target is as good as new.
* All of it also holds for a group's only target, and for all workers of this machine, which share the board.

What must stay true: choosing never waits and never raises. What was chosen counts as a call from then on, and is ended
once, however it ended. A target without an id is neither counted nor cooled down.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from typing import Any, Final

from proxy.board import Board
from proxy.config.router import RouterSettings
from proxy.errors import UpstreamError
from proxy.target import Group, Target

LONGEST: Final = 60.0
"""Seconds up to which a cool-down is doubled; a configured one, or one that the provider asks for, may be longer."""

ASKED_FOR: Final = 3600.0
"""Seconds that a provider may ask for; to see after an hour whether it still means it costs nobody anything."""

PROBE: Final = 60.0
"""Seconds after which a call that is to see whether a target is back counts as lost, and another may."""

SOON: Final = 0.25
"""When to look again at a target that somebody asks to see."""

EXPLORED: Final = 0.05
"""The share of calls with which `lowest-latency` looks at targets that were slower."""

AT_ONCE: Final = frozenset({"authentication", "payment_required", "permission", "model_not_found", "rate_limited"})
"""Failures that cool a target down without being counted."""

OF_THE_MODEL: Final = frozenset({"model_not_found", "permission"})
"""Of which a target that stands for every model of some form is not cooled down: a client may ask for any."""

COUNTED: Final = UpstreamError.RETRYABLE | {"redirected", "truncated"}
"""Failures of which some are allowed."""

Price = Callable[[Target], float | None]
"""What a token to a target and one from it cost together; None if nobody knows."""


class Balance:
    """Chooses among targets by their group's strategy, their health and their limits."""

    def __init__(self, board: Board, settings: RouterSettings, price: Price) -> None:
        self._board = board
        self._settings = settings
        self._price = price
        self._probing: set[str] = set()
        """Ids that a call of this process is to see about."""

    def choose(self, group: Group, targets: Sequence[Target], tokens: int = 0) -> Target | None:
        """The one of `targets`, those of `group` that are still to be asked, that is asked now; None if none may be.

        `tokens` is what the call is thought to take. It is taken from the limits of the target, and the call is under
        way there until `end`.
        """
        if len(targets) == 1:
            return targets[0] if self._take(targets[0], tokens) else None
        left = [target for target in targets if not target.id or self._board.cooled(target.id) <= 0]
        while left:
            lowest = min(target.order for target in left)
            level = [target for target in left if target.order == lowest]
            chosen = level[0] if len(level) == 1 else self._pick(group, level)
            if self._take(chosen, tokens):
                return chosen
            left = [target for target in left if target is not chosen]
        return None

    def reason(self, target: Target, tokens: int = 0) -> str:
        """Why `choose` passes over a target: `cooled_down` or `limited`; "" if it may be asked."""
        return self._bar(target, tokens)[0]

    def wait(self, targets: Sequence[Target], tokens: int = 0) -> float:
        """Seconds until the first of `targets` may be asked again; 0 if one may be now."""
        return min((self._bar(target, tokens)[1] for target in targets), default=0.0)

    def told(self, target: Target, seconds: float) -> None:
        """The first event of a call to `target` has come, after `seconds`."""
        if target.id:
            self._board.observe(target.id, seconds)

    def end(
        self,
        target: Target,
        ended: str,
        *,
        tokens: int | None = None,
        retry_after: float | None = None,
        estimate: int = 0,
        begun: float | None = None,
    ) -> None:
        """A call to `target` has ended: `ended` as in `Attempt`, with the `tokens` it took. Called once for each
        choice, also where the caller has left (`cancelled`, which says nothing of the target).

        `estimate` is what `choose` was told that it would take, at `begun` of the monotonic clock. It stands where
        `tokens` is None: nobody says what it was.
        """
        if not (id := target.id):
            return
        others = self._board.release(id)
        if target.tpm is not None and tokens is not None:
            self._board.spend(id, tokens - _within(target, estimate), begun)
        cooled = self._board.cooled(id)
        if ended == "success":
            self._probing.discard(id)
            if cooled < 0:
                self._board.recovered(id)
        elif ended in COUNTED or (ended in AT_ONCE and not (ended in OF_THE_MODEL and "*" in id)):
            self._probing.discard(id)
            self._failed(id, ended, retry_after, cooled)
        elif id in self._probing and not others:
            # while calls from before the cool-down are under way nobody knows which this one was
            self._probing.discard(id)
            self._board.unprobe(id)

    def health(self, targets: Iterable[Target]) -> dict[str, dict[str, Any]]:
        """What is known of the targets that have an id, by it."""
        return {target.id: asdict(self._board.use(target.id)) for target in targets if target.id}

    def _take(self, target: Target, tokens: int) -> bool:
        """Begin a call to a target, if it may be asked."""
        if not (id := target.id):
            return True
        board = self._board
        cooled = board.cooled(id)
        if cooled and (cooled > 0 or not board.probe(id, PROBE)):
            return False
        if board.take(id, target.rpm, target.tpm, target.max_parallel, _within(target, tokens)):
            if cooled:
                board.unprobe(id)
            return False
        if cooled:
            self._probing.add(id)
        return True

    def _bar(self, target: Target, tokens: int) -> tuple[str, float]:
        """Why a target may not be asked, and for how long."""
        if not (id := target.id):
            return "", 0.0
        cooled = self._board.cooled(id)
        if cooled > 0:
            return "cooled_down", cooled
        if cooled and (probed := self._board.probed(id)):
            return "cooled_down", min(probed, SOON)
        wait = self._board.wait(id, target.rpm, target.tpm, target.max_parallel, _within(target, tokens))
        return ("limited", wait) if wait else ("", 0.0)

    def _failed(self, id: str, ended: str, retry_after: float | None, cooled: float) -> None:
        least = self._settings.cooldown_time
        if least <= 0 or (cooled > 0 and ended != "rate_limited"):
            # a call from before the cool-down says nothing new
            return
        asked = min(retry_after or 0.0, ASKED_FOR)
        seconds = asked if ended == "rate_limited" and asked else max(least, asked)
        if ended in AT_ONCE or cooled < 0 or self._board.fail(id) > self._settings.allowed_fails:
            self._board.cool(id, seconds, max(seconds, LONGEST))

    def _pick(self, group: Group, level: list[Target]) -> Target:
        """One of several targets of the same order, by the strategy alone."""
        match group.strategy:
            case "weighted":
                return drawn(level)
            case "ordered":
                return level[0]
            case "least-busy":
                return _least(level, lambda target: self._board.busy(target.id) if target.id else 0)
            case "lowest-latency":
                return random.choice(level) if random.random() < EXPLORED else _least(level, self._latency)
            case "lowest-cost":
                return _least(level, self._cost)

    def _latency(self, target: Target) -> float:
        """The measured one. What was never measured is asked first, but by one call at a time: it may hang."""
        if not target.id:
            return float("inf")
        found = self._board.latency(target.id)
        if found is not None:
            return found
        return float("inf") if self._board.busy(target.id) else 0.0

    def _cost(self, target: Target) -> float:
        price = self._price(target)
        return float("inf") if price is None else price


def _within(target: Target, tokens: int) -> int:
    """What is taken of a target's limit: a call that may take more than a minute's tokens is let through alone."""
    return tokens if target.tpm is None else min(tokens, target.tpm)


def drawn(targets: Sequence[Target]) -> Target:
    """One of `targets`, each with the probability of its weight; of its number where none has any."""
    at = random.random() * sum(target.weight for target in targets)
    for target in targets:
        at -= target.weight
        if at < 0:
            return target
    return random.choice(targets)


def _least(targets: Sequence[Target], measure: Callable[[Target], float]) -> Target:
    """The target with the least measure; one of them by chance where several have it."""
    return min(targets, key=lambda target: (measure(target), random.random()))
