"""What is left to a key: requests and tokens of a minute, calls at a time, its budget; and the headers that say so.

Requests, tokens and calls are counted on the board, which the workers of one machine share; money in the log. What must
stay true: what was begun is ended once, and a call that is refused has taken nothing.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime

from proxy.board import Board
from proxy.caller import Caller, dollars, nanodollars
from proxy.errors import Limited, OverBudget
from proxy.models import Completion
from proxy.protocols import Ledger

Headers = list[tuple[bytes, bytes]]

RESET = b"65s"
"""After which all of a minute's requests and tokens are there again: the last one counts for so long."""


class Allowance:
    """One call's part in what its key may use. `tokens` are those of its prompt and the most that its answer may have,
    as far as that is known; they are set aside until it is known what it took.

    `headers` tell what is left, by OpenAI's names where it has some; they are filled in as the call goes on.
    """

    def __init__(
        self, caller: Caller, board: Board, ledger: Ledger | None, tokens: int, now: Callable[[], float]
    ) -> None:
        self.headers: Headers = []
        self._caller = caller
        self._board = board
        self._ledger = ledger
        # A call that may take more than a minute's tokens is let through alone.
        self._counted = tokens if caller.tpm is None else min(tokens, caller.tpm)
        self._now = now
        self._id = f"key/{caller.name}"
        self._spent = 0
        self._taken: float | None = None
        self._counts = not (caller.rpm is None and caller.tpm is None and caller.max_parallel is None)

    def check(self) -> None:
        """Raises what `begin` would raise; nothing is taken."""
        self._afford()
        caller = self._caller
        if self._counts and (
            wait := self._board.wait(self._id, caller.rpm, caller.tpm, caller.max_parallel, self._counted)
        ):
            raise self._limited(wait)

    def begin(self) -> None:
        """Take what the call needs. Raises `Limited`, or `NotReady` where what is spent cannot be counted."""
        self._afford()
        caller = self._caller
        if self._counts:
            wait = self._board.take(self._id, caller.rpm, caller.tpm, caller.max_parallel, self._counted)
            if not wait:
                self._taken = time.monotonic()
            self._tell()
            if wait:
                raise self._limited(wait)

    def charged(self, completion: Completion) -> None:
        """The answer is whole, and its cost is known."""
        if not completion.cache_hit:
            self._spent += nanodollars(completion.cost)
        self._used(0 if completion.cache_hit else completion.usage.total_tokens)
        self._tell()

    def end(self, tokens: int) -> None:
        """The call has ended, and took so many tokens."""
        if self._taken is not None:
            self._used(tokens)
            self._board.release(self._id)
            self._taken = None

    def _afford(self) -> None:
        """Look at the budget."""
        caller, now = self._caller, self._now()
        if caller.budget is not None and self._ledger is not None:
            self._spent = self._ledger.spent(caller.name, caller.budget.begins(now))
            self._tell()
            if self._spent >= caller.budget.amount:
                raise _over(caller, now)

    def _used(self, tokens: int) -> None:
        if self._taken is not None and self._caller.tpm is not None and tokens != self._counted:
            self._board.spend(self._id, tokens - self._counted, self._taken)
            self._counted = tokens

    def _limited(self, wait: float) -> Limited:
        caller = self._caller
        limits = {
            "rpm": (caller.rpm, "requests a minute"),
            "tpm": (caller.tpm, "tokens a minute"),
            "max_parallel": (caller.max_parallel, "calls at a time"),
        }
        told = ", ".join(f"{limit} {what} ({name})" for name, (limit, what) in limits.items() if limit is not None)
        return Limited(
            f"the key {caller.name!r} is at its limit of {told}: try again in {wait:.1f} s", retry_after=wait
        )

    def _tell(self) -> None:
        caller, self.headers[:] = self._caller, []
        if caller.rpm is not None or caller.tpm is not None:
            use = self._board.use(self._id)
            if caller.rpm is not None:
                self.headers += _left(b"requests", caller.rpm, use.requests)
            if caller.tpm is not None:
                self.headers += _left(b"tokens", caller.tpm, use.tokens)
        if caller.budget is not None:
            left = max(0, caller.budget.amount - self._spent)
            self.headers.append((b"x-budget-remaining", dollars(left).encode()))
            if (ends := caller.budget.ends(self._now())) is not None:
                self.headers.append((b"x-budget-reset", _time(ends).encode()))


def _left(what: bytes, limit: int, used: int) -> Headers:
    return [
        (b"x-ratelimit-limit-" + what, b"%d" % limit),
        (b"x-ratelimit-remaining-" + what, b"%d" % max(0, limit - used)),
        (b"x-ratelimit-reset-" + what, RESET if used else b"0s"),
    ]


def _over(caller: Caller, now: float) -> OverBudget:
    budget = caller.budget
    assert budget is not None
    ends = budget.ends(now)
    when = f"; the next one begins at {_time(ends)}" if ends is not None else ""
    message = f"the key {caller.name!r} has spent its budget of {dollars(budget.amount)} USD ({budget.window}){when}"
    return OverBudget(message, retry_after=None if ends is None else math.ceil(ends - now))


def _time(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
