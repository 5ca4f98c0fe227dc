from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from proxy.errors import UpstreamError
from proxy.middleware.route import route
from proxy.models import Call, Chunk, Completion, CompletionRequest, Event, Json, TraceContext, Usage
from proxy.protocols import Handler
from proxy.target import Target

pytestmark = pytest.mark.fault("U8")

DONE = Completion([], Usage(), model="m", provider="p")


class Scripted:
    """A provider that plays one list of events for each attempt: an exception is raised, a number slept."""

    def __init__(self, *attempts: list[Event | Exception | float]) -> None:
        self.attempts = list(attempts)
        self.asked: list[str] = []
        self.closed = 0

    async def complete(self, call: Call, target: Target) -> AsyncGenerator[Event, None]:
        self.asked.append(target.model)
        try:
            for event in self.attempts.pop(0):
                if isinstance(event, Exception):
                    raise event
                if isinstance(event, float):
                    await asyncio.sleep(event)
                else:
                    yield event
        finally:
            self.closed += 1

    async def explain(self, call: Call, target: Target) -> dict[str, Json]:
        return {}

    def start(self) -> None: ...
    async def ready(self) -> str | None: ...
    async def close(self) -> None: ...


def failure(code: str, retry_after: float | None = None) -> UpstreamError:
    return UpstreamError("no", code=code, provider="p", retry_after=retry_after)


def call(*models: str, retry: bool = False, timeout: float | None = None) -> Call:
    request = CompletionRequest("parea", TraceContext("t", "t"), retry=retry)
    return Call(request, targets=tuple(Target("p", model, timeout=timeout) for model in models))


async def events(handler: Handler, asked: Call) -> list[Event]:
    return [event async for event in handler(asked)]


async def test_an_answer_passes_through() -> None:
    provider = Scripted([Chunk("a"), DONE])
    assert await events(route({"": provider}, timeout=5), call("m")) == [Chunk("a"), DONE]


async def test_a_passing_failure_is_repeated_as_often_as_configured() -> None:
    provider = Scripted([failure("overloaded")], [failure("timeout")], [DONE])
    assert await events(route({"": provider}, timeout=5, num_retries=2, backoff=0.001), call("m")) == [DONE]
    assert provider.asked == ["m", "m", "m"]


async def test_nothing_is_repeated_by_default() -> None:
    provider = Scripted([failure("overloaded")], [DONE])
    with pytest.raises(UpstreamError):
        await events(route({"": provider}, timeout=5), call("m"))
    assert provider.asked == ["m"]


async def test_a_request_may_ask_for_repetition() -> None:
    provider = Scripted([failure("rate_limited", 0.0)], [failure("rate_limited", 0.0)], [DONE])
    assert await events(route({"": provider}, timeout=5), call("m", retry=True)) == [DONE]


@pytest.mark.parametrize("code", ["invalid_request", "authentication", "content_filter", "model_not_found"])
async def test_a_lasting_failure_is_not_repeated(code: str) -> None:
    provider = Scripted([failure(code)], [DONE])
    with pytest.raises(UpstreamError):
        await events(route({"": provider}, timeout=5, num_retries=3, backoff=0.001), call("m"))
    assert provider.asked == ["m"]


async def test_nothing_is_repeated_once_an_event_has_gone_out() -> None:
    provider = Scripted([Chunk("a"), failure("truncated")], [DONE])
    running = route({"": provider}, timeout=5, num_retries=3)(call("m"))
    assert await anext(running) == Chunk("a")
    with pytest.raises(UpstreamError):
        await anext(running)
    assert provider.asked == ["m"]


async def test_the_next_target_is_asked_after_the_last_attempt() -> None:
    provider = Scripted([failure("authentication")], [DONE])
    assert await events(route({"": provider}, timeout=5), call("m", "n")) == [DONE]
    assert provider.asked == ["m", "n"]


async def test_a_provider_of_its_own_name_is_preferred() -> None:
    own, other = Scripted([DONE]), Scripted([DONE])
    await events(route({"p": own, "": other}, timeout=5), call("m"))
    assert (own.asked, other.asked) == (["m"], [])


async def test_the_deadline_ends_a_call_and_closes_the_provider() -> None:
    provider = Scripted([Chunk("a"), 5.0])
    with pytest.raises(UpstreamError) as caught:
        await events(route({"": provider}, timeout=5), call("m", timeout=0.05))
    assert caught.value.status == 504
    assert provider.closed == 1


@pytest.mark.parametrize(
    ("asked", "target", "configured"), [(0.05, None, 5), (0.05, 5, 5), (5, 0.05, 5), (None, 0.05, 5), (5, None, 0.05)]
)
async def test_the_shortest_of_three_limits_counts(
    asked: float | None, target: float | None, configured: float
) -> None:
    waiting = call("m", timeout=target)
    waiting.request.timeout = asked
    with pytest.raises(UpstreamError, match="time limit"):
        await asyncio.wait_for(events(route({"": Scripted([5.0])}, timeout=configured), waiting), 2)


async def test_a_target_may_have_more_time_than_is_configured() -> None:
    provider = Scripted([0.1, DONE])
    assert await events(route({"": provider}, timeout=0.01), call("m", timeout=5)) == [DONE]


async def test_a_wait_that_would_miss_the_deadline_is_not_begun() -> None:
    provider = Scripted([failure("rate_limited", 60.0)], [DONE])
    with pytest.raises(UpstreamError) as caught:
        await asyncio.wait_for(events(route({"": provider}, timeout=1, num_retries=1), call("m")), 0.5)
    assert caught.value.code == "rate_limited"


async def test_closing_the_handler_closes_the_provider() -> None:
    provider = Scripted([Chunk("a"), Chunk("b"), DONE])
    running = route({"": provider}, timeout=5)(call("m"))
    assert await anext(running) == Chunk("a")
    await running.aclose()
    assert provider.closed == 1
