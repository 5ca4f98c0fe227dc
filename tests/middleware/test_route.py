from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from proxy.config.router import RouterSettings
from proxy.errors import BadRequest, NotFound, UpstreamError
from proxy.middleware.balance import Balance
from proxy.middleware.route import route
from proxy.middleware.route.series import Series
from proxy.models import Call, Choice, Chunk, Completion, CompletionRequest, Event, Json, ToolCall, TraceContext, Usage
from proxy.protocols import Handler
from proxy.target import Group, Target

pytestmark = pytest.mark.fault("U8")

DONE = Completion([], Usage(), model="m", provider="p")

Script = Sequence[Event | Exception | float]


class Scripted:
    """A provider that plays one list of events for each attempt: an exception is raised, a number slept.

    `attempts` are for whichever model is asked, `models` for each by itself.
    """

    def __init__(self, *attempts: Script, **models: Sequence[Script]) -> None:
        self.attempts = list(attempts)
        self.models = {name: list(scripts) for name, scripts in models.items()}
        self.asked: list[str] = []
        self.messages: list[list[dict[str, Any]]] = []
        self.closed = 0

    async def complete(self, call: Call, target: Target) -> AsyncGenerator[Event, None]:
        self.asked.append(target.model)
        self.messages.append(call.request.messages or [])
        scripts = self.models.get(target.model, self.attempts)
        try:
            for event in scripts.pop(0):
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

    async def warm(self, call: Call, target: Target) -> None:
        return None

    def start(self) -> None: ...
    async def ready(self) -> str | None: ...
    async def close(self) -> None: ...


class Rests(Balance):
    """The balance in the file's order, where targets rest: `until` has the loop's time by model."""

    def __init__(self, why: str = "cooled_down", **seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self.until = {model: loop.time() + each for model, each in seconds.items()}
        self.why = why
        self.said: list[tuple[str, str]] = []
        self.tokens = 0

    def _left(self, target: Target) -> float:
        return max(0.0, self.until.get(target.model, 0.0) - asyncio.get_running_loop().time())

    def choose(self, group: Group, targets: Sequence[Target], tokens: int = 0) -> Target | None:
        chosen = next((target for target in targets if not self._left(target)), None)
        if chosen is not None:
            self.said.append((chosen.model, "begin"))
        return chosen

    def reason(self, target: Target, tokens: int = 0) -> str:
        return self.why if self._left(target) else ""

    def wait(self, targets: Sequence[Target], tokens: int = 0) -> float:
        return min(map(self._left, targets))

    def told(self, target: Target, seconds: float) -> None:
        self.said.append((target.model, "told"))

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
        self.said.append((target.model, ended))
        self.tokens += tokens or 0


def failure(code: str, retry_after: float | None = None) -> UpstreamError:
    return UpstreamError("no", code=code, provider="p", retry_after=retry_after)


def group(name: str, *models: str, timeout: float = 5.0, **fields: Any) -> Group:
    targets = tuple(Target("p", model, id=f"id-{model}") for model in models or (name,))
    return Group(name=name, targets=targets, timeout=timeout, **fields)


def calling(*groups: Group, **fields: Any) -> Call:
    request = CompletionRequest("parea", TraceContext("t", "t"), **fields)
    targets = tuple(target for each in groups for target in each.targets)
    return Call(request, groups=groups, targets=targets)


def call(*models: str, retries: int = 0, timeout: float = 5, target: float | None = None, **fields: Any) -> Call:
    """A call to the first of `models`, with the others as its own fallbacks."""
    made = [
        Group(name=model, targets=(Target("p", model, timeout=target),), num_retries=retries, timeout=timeout)
        for model in models
    ]
    return calling(*made, **fields)


def routing(
    *providers: Scripted,
    names: Iterable[Group] = (),
    balance: Balance | None = None,
    backoff: float = 0.001,
    **settings: Any,
) -> Handler:
    """The route with one provider for all; `names` can be fallen back to."""
    known = {each.name: each for each in names}

    def lookup(name: str) -> Group:
        if name not in known:
            raise NotFound(f"no model {name}")
        return known[name]

    return route({"": providers[0]}, RouterSettings(**settings), lookup, balance or Rests(), backoff=backoff)


async def events(handler: Handler, asked: Call) -> list[Event]:
    async with aclosing(handler(asked)) as running:
        return [event async for event in running]


def tried(asked: Call) -> list[tuple[str, str]]:
    return [(attempt.target, attempt.ended) for attempt in asked.attempts]


async def test_an_answer_passes_through() -> None:
    provider = Scripted([Chunk("a"), DONE])
    assert await events(routing(provider), call("m")) == [Chunk("a"), DONE]


async def test_a_passing_failure_is_repeated_as_often_as_configured() -> None:
    provider = Scripted([failure("overloaded")], [failure("timeout")], [DONE])
    assert await events(routing(provider), call("m", retries=2)) == [DONE]
    assert provider.asked == ["m", "m", "m"]


async def test_nothing_is_repeated_by_default() -> None:
    provider = Scripted([failure("overloaded")], [DONE])
    with pytest.raises(UpstreamError):
        await events(routing(provider), call("m"))
    assert provider.asked == ["m"]


async def test_a_request_may_ask_for_repetition() -> None:
    provider = Scripted([failure("rate_limited", 0.0)], [failure("rate_limited", 0.0)], [DONE])
    assert await events(routing(provider), call("m", retry=True)) == [DONE]


@pytest.mark.parametrize("code", ["invalid_request", "authentication", "content_filter", "model_not_found"])
async def test_a_lasting_failure_is_not_repeated(code: str) -> None:
    provider = Scripted([failure(code)], [DONE])
    with pytest.raises(UpstreamError):
        await events(routing(provider), call("m", retries=3))
    assert provider.asked == ["m"]


async def test_nothing_is_repeated_once_an_event_has_gone_out() -> None:
    provider = Scripted([Chunk("a"), failure("truncated")], [DONE])
    running = routing(provider, fallbacks={"m": ("n",)}, names=[group("n")])(call("m", "l", retries=3, stream=True))
    assert await anext(running) == Chunk("a")
    with pytest.raises(UpstreamError):
        await anext(running)
    assert provider.asked == ["m"]


async def test_a_request_s_own_fallback_is_asked_after_the_last_attempt() -> None:
    provider = Scripted([failure("authentication")], [DONE])
    asked = call("m", "n")
    assert await events(routing(provider), asked) == [DONE]
    assert (provider.asked, asked.lasting) == (["m", "n"], True)


async def test_a_provider_of_its_own_name_is_preferred() -> None:
    own, other = Scripted([DONE]), Scripted([DONE])
    handler = route({"p": own, "": other}, RouterSettings(), lambda name: group(name), Rests())
    await events(handler, call("m"))
    assert (own.asked, other.asked) == (["m"], [])


async def test_the_deadline_ends_a_call_and_closes_the_provider() -> None:
    provider = Scripted([Chunk("a"), 5.0])
    with pytest.raises(UpstreamError) as caught:
        await events(routing(provider), call("m", target=0.05))
    assert caught.value.status == 504
    assert provider.closed == 1


@pytest.mark.parametrize(
    ("asked", "target", "configured"), [(0.05, None, 5), (0.05, 5, 5), (5, 0.05, 5), (None, 0.05, 5), (5, None, 0.05)]
)
async def test_the_shortest_of_three_limits_counts(
    asked: float | None, target: float | None, configured: float
) -> None:
    waiting = call("m", target=target, timeout=configured)
    waiting.request.timeout = asked
    with pytest.raises(UpstreamError, match="time limit"):
        await asyncio.wait_for(events(routing(Scripted([5.0])), waiting), 2)


async def test_a_target_may_have_more_time_than_its_name() -> None:
    provider = Scripted([0.1, DONE])
    assert await events(routing(provider), call("m", target=5, timeout=0.01)) == [DONE]


async def test_a_wait_that_would_miss_the_deadline_is_not_begun() -> None:
    provider = Scripted([failure("rate_limited", 60.0)], [DONE])
    with pytest.raises(UpstreamError) as caught:
        await asyncio.wait_for(events(routing(provider), call("m", retries=1, timeout=1)), 0.5)
    assert caught.value.code == "rate_limited"


async def test_closing_the_handler_closes_the_provider() -> None:
    provider, balance = Scripted([Chunk("a"), Chunk("b"), DONE]), Rests()
    asked = call("m")
    running = routing(provider, balance=balance)(asked)
    assert await anext(running) == Chunk("a")
    await running.aclose()
    assert provider.closed == 1
    assert balance.said == [("m", "begin"), ("m", "told"), ("m", "cancelled")]
    assert tried(asked) == [("p/m", "cancelled")]


# the targets of one name


@pytest.mark.parametrize(
    "code", ["authentication", "permission", "model_not_found", "rate_limited", "upstream_failed", "timeout"]
)
async def test_another_target_is_asked_at_once(code: str) -> None:
    provider = Scripted(a=[[failure(code, 60.0)]], b=[[DONE]])
    asked = calling(group("m", "a", "b", num_retries=1))
    assert await asyncio.wait_for(events(routing(provider), asked), 1) == [DONE]
    assert tried(asked) == [("id-a", code), ("id-b", "success")]
    assert asked.target is asked.targets[1]


@pytest.mark.parametrize("code", ["invalid_request", "context_length_exceeded", "content_filter"])
async def test_what_is_the_request_s_fault_is_not_tried_elsewhere(code: str) -> None:
    provider = Scripted([failure(code)])
    with pytest.raises(UpstreamError):
        await events(routing(provider), calling(group("m", "a", "b", num_retries=5)))
    assert provider.asked == ["a"]


async def test_retries_are_counted_over_all_targets() -> None:
    provider = Scripted(*[[failure("overloaded")] for _ in range(9)])
    with pytest.raises(UpstreamError):
        await events(routing(provider), calling(group("m", "a", "b", "c", num_retries=4)))
    assert provider.asked[:3] == ["a", "b", "c"]
    assert len(provider.asked) == 5


async def test_what_cannot_get_better_is_not_asked_again() -> None:
    provider = Scripted(a=[[failure("authentication")]], b=[[failure("overloaded")], [failure("overloaded")], [DONE]])
    assert await events(routing(provider), calling(group("m", "a", "b", num_retries=5))) == [DONE]
    assert provider.asked == ["a", "b", "b", "b"]


async def test_of_those_that_failed_the_one_that_may_come_first_does() -> None:
    provider = Scripted(a=[[failure("rate_limited", 60.0)]], b=[[failure("overloaded", 0.01)], [DONE]])
    assert await asyncio.wait_for(events(routing(provider), calling(group("m", "a", "b", num_retries=5))), 1) == [DONE]
    assert provider.asked == ["a", "b", "b"]


@pytest.mark.parametrize(("told", "least"), [(None, 0.1), (0.0, 0.1), (0.2, 0.2)])
async def test_no_repetition_comes_sooner_than_configured_or_told(told: float | None, least: float) -> None:
    provider = Scripted([failure("overloaded", told)], [DONE])
    begun = time.perf_counter()
    await events(routing(provider, retry_after=0.1), call("m", retries=1))
    assert time.perf_counter() - begun >= least


async def test_waits_double() -> None:
    provider = Scripted(*[[failure("overloaded")]] * 3, [DONE])
    begun = time.perf_counter()
    await events(routing(provider, backoff=0.04), call("m", retries=3))
    assert 0.02 + 0.04 + 0.08 <= time.perf_counter() - begun < 2


async def test_waits_of_many_calls_are_spread() -> None:
    """Calls that failed together are not asked again together: each waits for half of the back-off to all of it."""
    loop = asyncio.get_running_loop()
    begun = loop.time()

    async def waited() -> float:
        series = Series(Rests(), group("m"), call("m"), retries=1, end=begun + 60, pause=0.0, backoff=1.0)
        assert (target := series.fresh()) is not None
        series.failed(target, failure("overloaded"), again=True)
        assert await series.next() is target
        return loop.time() - begun

    waits = await asyncio.gather(*(waited() for _ in range(60)))
    assert min(waits) >= 0.5
    assert min(waits) < 0.9
    assert max(waits) > 0.7


async def test_what_one_target_could_not_be_sent_is_not_noted_of_the_next() -> None:
    class Dropping(Scripted):
        async def complete(self, call: Call, target: Target) -> AsyncGenerator[Event, None]:
            call.dropped[target.model] = "no such parameter"
            async for event in super().complete(call, target):
                yield event

    asked = calling(group("m", "a", "b", num_retries=1))
    asked.dropped["x"] = "by the dialect"
    await events(routing(Dropping([failure("overloaded")], [DONE])), asked)
    assert asked.dropped == {"x": "by the dialect", "b": "no such parameter"}


# the balance


async def test_the_balance_is_told_of_each_attempt() -> None:
    answer = Completion([], Usage(2, 3), model="m", provider="p")
    provider, balance = Scripted([failure("overloaded")], [Chunk("a"), answer]), Rests()
    await events(routing(provider, balance=balance), calling(group("m", "a", "b", num_retries=1)))
    assert balance.said == [("a", "begin"), ("a", "overloaded"), ("b", "begin"), ("b", "told"), ("b", "success")]
    assert balance.tokens == 5


async def test_a_refused_request_is_told_of_too() -> None:
    provider, balance = Scripted([BadRequest("no")]), Rests()
    with pytest.raises(BadRequest):
        await events(routing(provider, balance=balance), call("m", retries=3))
    assert balance.said == [("m", "begin"), ("m", "bad_request")]


async def test_a_cancelled_call_is_told_of() -> None:
    provider, balance = Scripted([60.0]), Rests()
    asked = call("m")
    task = asyncio.create_task(events(routing(provider, balance=balance), asked))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert balance.said == [("m", "begin"), ("m", "cancelled")]
    assert tried(asked) == [("p/m", "cancelled")]


async def test_who_rests_is_passed_over_and_noted_once() -> None:
    provider = Scripted([failure("overloaded")], [DONE])
    asked = calling(group("m", "a", "b", num_retries=2))
    assert await events(routing(provider, balance=Rests(a=60)), asked) == [DONE]
    assert tried(asked) == [("id-a", "cooled_down"), ("id-b", "overloaded"), ("id-b", "success")]


async def test_when_all_rest_the_fallback_is_asked_at_once() -> None:
    provider = Scripted([DONE])
    handler = routing(provider, balance=Rests(a=0.5), fallbacks={"m": ("n",)}, names=[group("n")])
    begun = time.perf_counter()
    assert await events(handler, calling(group("m", "a"))) == [DONE]
    assert provider.asked == ["n"]
    assert time.perf_counter() - begun < 0.4


async def test_when_all_rest_for_a_moment_and_nothing_else_can_be_asked_it_waits() -> None:
    provider = Scripted([DONE])
    asked = calling(group("m", "a"))
    assert await events(routing(provider, balance=Rests(a=0.1)), asked) == [DONE]
    assert tried(asked) == [("id-a", "cooled_down"), ("id-a", "success")]


@pytest.mark.parametrize(("why", "status"), [("limited", 429), ("cooled_down", 503)])
async def test_when_all_rest_for_long_it_is_said_when_to_come_back(why: str, status: int) -> None:
    provider = Scripted()
    with pytest.raises(UpstreamError, match="'m'") as caught:
        await asyncio.wait_for(events(routing(provider, balance=Rests(why, a=30)), calling(group("m", "a"))), 1)
    assert caught.value.status == status
    assert caught.value.retry_after == pytest.approx(30, abs=1)
    assert provider.asked == []


async def test_nobody_waits_beyond_the_deadline() -> None:
    with pytest.raises(UpstreamError) as caught:
        await events(routing(Scripted(), balance=Rests(a=0.5)), calling(group("m", "a", timeout=0.1)))
    assert caught.value.code == "unavailable"


async def test_a_failure_is_told_rather_than_that_the_rest_rests() -> None:
    handler = routing(
        Scripted([failure("authentication")]), balance=Rests(n=60), fallbacks={"m": ("n",)}, names=[group("n")]
    )
    with pytest.raises(UpstreamError) as caught:
        await asyncio.wait_for(events(handler, call("m")), 1)
    assert caught.value.code == "authentication"


# time limits of an attempt


async def test_a_first_token_that_is_late_lets_the_next_be_asked() -> None:
    provider = Scripted(a=[[5.0]], b=[[Chunk("x"), DONE]])
    asked = calling(group("m", "a", "b", num_retries=1, first_token_timeout=0.05), stream=True)
    assert await asyncio.wait_for(events(routing(provider), asked), 1) == [Chunk("x"), DONE]
    assert tried(asked) == [("id-a", "timeout"), ("id-b", "success")]


async def test_the_first_token_s_limit_is_for_streams_and_for_the_first_token() -> None:
    handler = routing(Scripted([0.1, DONE], [Chunk("a"), 0.1, DONE]))
    limited = group("m", first_token_timeout=0.05)
    assert await events(handler, calling(limited)) == [DONE]
    assert await events(handler, calling(limited, stream=True)) == [Chunk("a"), DONE]


async def test_silence_in_mid_stream_breaks_it() -> None:
    provider = Scripted([Chunk("a"), 5.0], [DONE])
    asked = calling(group("m", idle_timeout=0.05, num_retries=3), stream=True)
    running = routing(provider)(asked)
    assert await anext(running) == Chunk("a")
    with pytest.raises(UpstreamError, match="silent for 0.05 s") as caught:
        await asyncio.wait_for(anext(running), 1)
    assert (caught.value.status, len(provider.asked)) == (504, 1)


async def test_the_reader_s_time_is_not_the_provider_s() -> None:
    provider = Scripted([Chunk("a"), 0.01, Chunk("b"), 0.01, DONE])
    found = []
    async with aclosing(routing(provider)(calling(group("m", idle_timeout=0.05), stream=True))) as running:
        async for event in running:
            found.append(event)
            await asyncio.sleep(0.1)
    assert len(found) == 3


async def test_a_target_s_own_limits_come_before_its_name_s() -> None:
    own = Target("p", "a", first_token_timeout=5.0)
    asked = calling(Group(name="m", targets=(own,), first_token_timeout=0.01), stream=True)
    assert await events(routing(Scripted([0.1, DONE])), asked) == [DONE]


async def test_one_deadline_is_for_all_attempts() -> None:
    slow: Script = [0.1, failure("overloaded")]
    provider = Scripted(*[slow] * 20)
    begun = time.perf_counter()
    with pytest.raises(UpstreamError):
        await events(routing(provider), calling(group("m", "a", "b", num_retries=10, timeout=0.35)))
    assert time.perf_counter() - begun < 0.8
    assert 3 <= len(provider.asked) <= 4


# fallbacks to other names


def falling(**settings: Any) -> Mapping[str, Any]:
    names = [group(name) for name in ("n", "o", "long", "safe", "any")]
    return {"names": names, **settings}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("overloaded", ["m", "n", "o"]),
        ("authentication", ["m", "n", "o"]),
        ("context_length_exceeded", ["m", "long", "n", "o"]),
        ("content_filter", ["m", "safe", "n", "o"]),
    ],
)
async def test_the_failure_says_where_to_fall_back_to(code: str, expected: list[str]) -> None:
    handler = routing(
        provider := Scripted(*[[failure(code)] for _ in range(9)]),
        **falling(
            fallbacks={"m": ("n", "m", "o", "n"), "n": ("any",)},
            context_window_fallbacks={"m": ("long",)},
            content_policy_fallbacks={"*": ("safe",)},
        ),
    )
    asked = call("m")
    with pytest.raises(UpstreamError):
        await events(handler, asked)
    assert provider.asked == expected
    assert [attempt.name for attempt in asked.attempts] == expected


async def test_the_star_is_for_names_without_fallbacks_of_their_own() -> None:
    fallbacks = {"m": ("n",), "*": ("any",)}
    for model, expected in (("m", ["m", "n"]), ("x", ["x", "any"])):
        provider = Scripted([failure("overloaded")], [failure("overloaded")])
        with pytest.raises(UpstreamError):
            await events(routing(provider, **falling(fallbacks=fallbacks)), call(model))
        assert provider.asked == expected


async def test_the_fallbacks_of_an_alias_s_name_are_its_own() -> None:
    provider = Scripted([failure("overloaded")], [DONE])
    await events(routing(provider, **falling(fallbacks={"m": ("n",)}, aliases={"other": "m"})), call("other"))
    assert provider.asked == ["other", "n"]


async def test_at_most_so_many_fallbacks_are_asked_and_unknown_ones_are_passed_over() -> None:
    provider = Scripted(*[[failure("overloaded")] for _ in range(9)])
    settings = falling(fallbacks={"m": ("who", "n", "o", "any")}, max_fallbacks=2)
    with pytest.raises(UpstreamError):
        await events(routing(provider, **settings), call("m"))
    assert provider.asked == ["m", "n", "o"]


async def test_the_request_s_own_fallbacks_come_first() -> None:
    provider = Scripted(*[[failure("context_length_exceeded")] for _ in range(9)])
    settings = falling(context_window_fallbacks={"m": ("long", "own")}, fallbacks={"own": ("any",)})
    with pytest.raises(UpstreamError):
        await events(routing(provider, **settings), call("m", "own"))
    assert provider.asked == ["m", "own", "long"]


async def test_a_fallback_s_answer_does_not_last() -> None:
    asked = call("m")
    await events(routing(Scripted([failure("overloaded")], [DONE]), **falling(fallbacks={"m": ("n",)})), asked)
    assert not asked.lasting


async def test_retries_are_anew_for_each_name() -> None:
    provider = Scripted(*[[failure("overloaded")] for _ in range(9)])
    handler = routing(provider, names=[group("n", num_retries=2)], fallbacks={"m": ("n",)})
    with pytest.raises(UpstreamError):
        await events(handler, call("m", retries=1))
    assert provider.asked == ["m", "m", "n", "n", "n"]


# answers that are gone on with

ANSWER = Completion([Choice(text="lo there")], Usage(20, 2), model="b", provider="p", cost=0.22)


def asking(**fields: Any) -> Call:
    given: dict[str, Any] = {"stream": True, "messages": [{"role": "user", "content": "greet me"}], **fields}
    return calling(group("m", "a", "b", num_retries=3), **given)


async def test_a_broken_answer_is_gone_on_with_and_told_as_one() -> None:
    provider = Scripted(a=[[Chunk("Hel"), failure("truncated")]], b=[[Chunk("lo"), Chunk(" there"), ANSWER]])
    asked = asking(resume=True)
    *chunks, last = await events(routing(provider), asked)
    assert [chunk.text for chunk in chunks if isinstance(chunk, Chunk)] == ["Hel", "lo", " there"]
    assert isinstance(last, Completion)
    assert last.text == "Hello there"
    assert (last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.estimated) == (20 + 6, 2 + 1, True)
    assert last.cost == pytest.approx(0.22 * 29 / 22)
    assert [message["role"] for message in provider.messages[1]] == ["user", "assistant", "user"]
    assert provider.messages[1][1]["content"] == "Hel"
    assert (asked.lasting, asked.remarks, asked.request.messages) == (False, {"continued": 1}, provider.messages[0])
    assert tried(asked) == [("id-a", "truncated"), ("id-b", "success")]


async def test_the_configuration_may_say_so_and_it_may_happen_more_than_once() -> None:
    broken: Script = [Chunk("x"), failure("timeout")]
    provider = Scripted(broken, list(broken), [Chunk("y"), ANSWER])
    *chunks, last = await events(routing(provider, continue_streams=True), asking())
    assert isinstance(last, Completion)
    assert (len(chunks), last.text) == (3, "xxy")
    assert provider.messages[2][1]["content"] == "xx"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"resume": True, "kind": "text"},
        {"resume": True, "params": {"response_format": {"type": "json_object"}}},
        {"resume": True, "params": {"logprobs": True}},
    ],
)
async def test_what_words_cannot_go_on_from_stays_broken(fields: dict[str, Any]) -> None:
    provider = Scripted(a=[[Chunk("Hel"), failure("truncated")]], b=[[ANSWER]])
    with pytest.raises(UpstreamError):
        await events(routing(provider), asking(**fields))
    assert set(provider.asked) == {"a"}


async def test_a_tool_call_under_way_stays_broken() -> None:
    begun = Chunk(tool_calls=[ToolCall("1", "f", "{")])
    provider = Scripted(a=[[Chunk("Hel"), begun, failure("truncated")]], b=[[ANSWER]])
    with pytest.raises(UpstreamError):
        await events(routing(provider), asking(resume=True))
    assert provider.asked == ["a"]


async def test_when_nobody_is_left_to_go_on_the_break_is_told() -> None:
    broken: Script = [Chunk("x"), failure("truncated")]
    provider = Scripted(*[broken] * 5)
    with pytest.raises(UpstreamError) as caught:
        await events(routing(provider), asking(resume=True))
    assert (caught.value.code, len(provider.asked)) == ("truncated", 4)
