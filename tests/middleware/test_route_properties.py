"""The route's promises, for whatever becomes of the attempts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config.router import RouterSettings
from proxy.errors import UpstreamError
from proxy.middleware.balance import Balance
from proxy.middleware.route import RETRIES_ON_REQUEST, route
from proxy.middleware.route.series import OF_THE_REQUEST
from proxy.models import Call, Choice, Chunk, Completion, CompletionRequest, Event, Json, TraceContext, Usage
from proxy.target import Group, Target

LIMIT = 0.5
"""Seconds that a call may take; `SLACK` more until whoever asked knows, on a busy machine."""
SLACK = 1.0

CODES = (*sorted(UpstreamError.RETRYABLE), *sorted(OF_THE_REQUEST), "authentication", "truncated", "model_not_found")


@dataclass(frozen=True)
class Outcome:
    """What an attempt does: tells so many pieces, then fails with `code`, falls silent, or answers."""

    pieces: int = 0
    code: str = ""
    silent: bool = False


OUTCOMES = st.one_of(
    st.builds(Outcome, st.integers(0, 3), st.sampled_from(CODES)),
    st.builds(Outcome, st.integers(0, 3), silent=st.just(True)),
    st.builds(Outcome, st.integers(0, 3)),
)


class Upstreams:
    """Plays the outcomes in turn. Each piece tells the number of its attempt."""

    def __init__(self, outcomes: list[Outcome]) -> None:
        self.outcomes = outcomes
        self.asked: list[str] = []
        self.open = 0

    async def complete(self, call: Call, target: Target) -> AsyncGenerator[Event, None]:
        number = len(self.asked)
        outcome = self.outcomes[number % len(self.outcomes)]
        self.asked.append(target.model)
        self.open += 1
        try:
            for _ in range(outcome.pieces if call.request.stream else 0):
                yield Chunk(f"{number};")
            if outcome.code:
                raise UpstreamError("no", code=outcome.code, provider=target.provider)
            if outcome.silent:
                await asyncio.Event().wait()
            text = f"{number};" * outcome.pieces
            yield Completion([Choice(text=text)], Usage(1, 1), model=target.model, provider=target.provider)
        finally:
            self.open -= 1

    async def explain(self, call: Call, target: Target) -> dict[str, Json]:
        return {}

    async def warm(self, call: Call, target: Target) -> None:
        return None

    def start(self) -> None: ...
    async def ready(self) -> str | None: ...
    async def close(self) -> None: ...


class Books(Balance):
    """The balance in the file's order, with an account of what it is told."""

    def __init__(self) -> None:
        self.under_way = 0
        self.begun = 0

    def choose(self, group: Group, targets: Sequence[Target], tokens: int = 0) -> Target | None:
        self.under_way += 1
        self.begun += 1
        return targets[0]

    def reason(self, target: Target, tokens: int = 0) -> str:
        return ""

    def wait(self, targets: Sequence[Target], tokens: int = 0) -> float:
        return 0.0

    def told(self, target: Target, seconds: float) -> None: ...

    def end(self, target: Target, ended: str, **_: Any) -> None:
        self.under_way -= 1
        assert ended


@dataclass(frozen=True)
class Plan:
    """One call: the numbers of targets of the asked name and of its fallbacks, and how they are asked."""

    outcomes: list[Outcome]
    targets: int
    own: list[int]
    configured: list[int]
    retries: int
    retry: bool
    stream: bool
    resume: bool
    leave_after: int | None


PLANS = st.builds(
    Plan,
    st.lists(OUTCOMES, min_size=1, max_size=12),
    st.integers(1, 3),
    st.lists(st.integers(1, 2), max_size=2),
    st.lists(st.integers(1, 2), max_size=3),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.none() | st.integers(0, 3),
)


def made(name: str, targets: int, retries: int) -> Group:
    return Group(
        name=name,
        targets=tuple(Target("p", f"{name}-{number}", id=f"{name}-{number}") for number in range(targets)),
        num_retries=retries,
        timeout=LIMIT,
        first_token_timeout=0.02,
        idle_timeout=0.02,
    )


async def outcome_of(plan: Plan) -> None:
    own = [made(f"own{number}", targets, plan.retries) for number, targets in enumerate(plan.own)]
    further = {
        f"more{number}": made(f"more{number}", targets, plan.retries) for number, targets in enumerate(plan.configured)
    }
    request = CompletionRequest(
        "parea", TraceContext("t", "t"), messages=[], stream=plan.stream, retry=plan.retry, resume=plan.resume
    )
    call = Call(request, groups=(made("m", plan.targets, plan.retries), *own))
    upstreams, books = Upstreams(plan.outcomes), Books()
    router = RouterSettings(fallbacks={"m": tuple(further)}, max_fallbacks=2)
    handler = route({"": upstreams}, router, further.__getitem__, books, backoff=0.001)
    told: list[Event] = []
    failed = False
    loop = asyncio.get_running_loop()
    begun = loop.time()
    async with aclosing(handler(call)) as events:
        try:
            async for event in events:
                told.append(event)
                if plan.leave_after is not None and len(told) > plan.leave_after:
                    break
        except UpstreamError:
            failed = True
    assert loop.time() - begun < LIMIT + SLACK, "a call outlasted its deadline"
    assert books.under_way == upstreams.open == 0, "something is still under way"

    names = 1 + len(own) + min(len(further), 2)
    retries = max(plan.retries, RETRIES_ON_REQUEST if plan.retry else 0)
    assert books.begun == len(upstreams.asked) == len(call.attempts) <= names * (1 + retries)
    for group in (call.groups[0], *own, *further.values()):
        tries = [model for model in upstreams.asked if model.startswith(f"{group.name}-")]
        first = tries[: len(group.targets)]
        assert len(tries) <= 1 + retries
        assert len(set(first)) == len(first), "one was asked again before all were asked"

    pieces = [event.text for event in told if isinstance(event, Chunk)]
    whole = [event for event in told if isinstance(event, Completion)]
    speakers = list(dict.fromkeys(pieces))
    assert len(whole) <= 1
    assert not (whole and failed)
    if not (plan.resume and plan.stream):
        assert len(speakers) <= 1, "two answers were mixed"
        assert not pieces or speakers == [f"{len(upstreams.asked) - 1};"], "one was asked after the first piece"
    assert pieces == sorted(pieces, key=lambda piece: int(piece[:-1])), "an answer was gone back to"
    if whole and plan.stream:
        assert whole[0].text == "".join(pieces)
    left = plan.leave_after is not None and len(told) > plan.leave_after
    assert bool(whole) != failed or left
    assert all(attempt.ended for attempt in call.attempts)


@settings(max_examples=60, deadline=None)
@given(PLANS)
def test_what_holds_whatever_becomes_of_the_attempts(plan: Plan) -> None:
    asyncio.run(outcome_of(plan))
