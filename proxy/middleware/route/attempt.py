"""An attempt: one call to one target, from its begin to what became of it.

What must stay true: an attempt, which began with the balance's choice, is told to it once at its end, however it ends,
and without waiting; it ends before its `Completion` goes out, so that the row and the headers can say so.
"""

from __future__ import annotations

import asyncio
import time

from proxy.errors import GatewayError, UpstreamError
from proxy.middleware.balance import Balance
from proxy.middleware.route.deadline import Deadline
from proxy.models import Call, Completion
from proxy.target import Attempt, Group, Target


class Trial:
    """One attempt under way. `limit` is moved to its time limits; `end` is when the whole call must be over; `tokens`
    is what it was thought to take when it was chosen.

    The total time and the one between two events are the target's, or else its group's; so is the one until the first
    event, of an answer that is streamed.
    """

    __slots__ = (
        "_attempt", "_balance", "_begun", "_end", "_first", "_limit", "_loop", "_tokens", "began", "idle", "target",
    )  # fmt: skip

    def __init__(
        self,
        balance: Balance,
        call: Call,
        group: Group,
        target: Target,
        *,
        limit: Deadline,
        end: float,
        tokens: int = 0,
    ) -> None:
        self.target = target
        self.began = False
        """Whether an event has come."""
        self._balance = balance
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._begun = self._loop.time()
        self._end = min(end, self._begun + (target.timeout or group.timeout))
        self._first: float | None = None
        self.idle: float | None = None
        """The limit between two events, if there is one."""
        if call.request.stream:
            self._first = target.first_token_timeout or group.first_token_timeout
            self.idle = target.idle_timeout or group.idle_timeout
        self._tokens = tokens
        self._attempt = Attempt(target.label, group.name)
        call.attempts.append(self._attempt)
        call.current, call.asked = target, call.asked or time.perf_counter()
        when = self._end if self._first is None else min(self._end, self._begun + self._first)
        if when != limit.when:
            limit.move(when)

    def begin(self) -> None:
        """Its first event has come."""
        self.began = True
        self._balance.told(self.target, self._loop.time() - self._begun)
        if self._first is not None:
            self._limit.move(self._end)

    def go_on(self, idle: float) -> None:
        """The next event is waited for from now on: the reader's time for the last one is not the provider's."""
        self._limit.move(min(self._end, self._loop.time() + idle))

    def answered(self, completion: Completion) -> None:
        """The answer is whole."""
        self._finish("success", 200, tokens=completion.usage.total_tokens or None)

    def failed(self, error: UpstreamError | TimeoutError) -> UpstreamError:
        """It has failed; returns what is to be told of it."""
        failure = error if isinstance(error, UpstreamError) else self._late()
        # What failed before its first event has said nothing, so all is given back that was set aside for it.
        tokens = None if self.began else 0
        self._finish(failure.code, failure.upstream_status, tokens=tokens, retry_after=failure.retry_after)
        return failure

    def left(self, error: BaseException) -> None:
        """It ended in another way: the caller has gone, or the request cannot be carried out."""
        if isinstance(error, GeneratorExit | asyncio.CancelledError):
            self._finish("cancelled", None)
        else:
            self._finish(error.code if isinstance(error, GatewayError) else GatewayError.code, None)

    def _late(self) -> UpstreamError:
        provider = self.target.provider
        if self._limit.when >= self._end:
            message = f"{provider} did not finish within the time limit"
        elif self.began:
            message = f"{provider} went silent for {self.idle:g} s in the middle of its answer"
        else:
            message = f"{provider} did not begin its answer within {self._first:g} s"
        return UpstreamError(message, code="timeout", provider=provider)

    def _finish(
        self, ended: str, status: int | None, *, tokens: int | None = None, retry_after: float | None = None
    ) -> None:
        attempt = self._attempt
        if attempt.ended:
            return
        attempt.ended, attempt.status, attempt.seconds = ended, status, self._loop.time() - self._begun
        self._balance.end(
            self.target, ended, tokens=tokens, retry_after=retry_after, estimate=self._tokens, begun=self._begun
        )
