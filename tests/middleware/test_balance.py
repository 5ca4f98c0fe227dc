from __future__ import annotations

import math
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config.router import RouterSettings
from proxy.middleware.balance import ASKED_FOR, COUNTED, LONGEST, PROBE, Balance, drawn
from proxy.stores.shared.board import Board
from proxy.target import Group, Strategy, Target
from tests.gateway import Local, Process
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import Scenario

ROUTER = RouterSettings(allowed_fails=2, cooldown_time=5)


class Clock:
    """A clock that is set by hand, in place of the machine's."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        patch.setattr(time, "monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    state = random.getstate()
    random.seed(6)
    yield
    random.setstate(state)


def balance(board: Board | None = None, router: RouterSettings = ROUTER, **prices: float) -> Balance:
    return Balance(board or Board(), router, lambda target: prices.get(target.id))


def target(id: str, **fields: Any) -> Target:
    return Target("p", id or "m", id=id, **fields)


def group(*targets: Target, strategy: Strategy = "ordered") -> Group:
    return Group(name="g", targets=targets, strategy=strategy)


def chosen(by: Balance, of: Group, tokens: int = 0) -> str | None:
    """The id of the target that is chosen."""
    found = by.choose(of, of.targets, tokens)
    return None if found is None else found.id


def fail(by: Balance, of: Group, ended: str = "overloaded", times: int = 3, retry_after: float | None = None) -> None:
    for _ in range(times):
        found = by.choose(of, of.targets)
        assert found is not None
        by.end(found, ended, retry_after=retry_after)


# which is asked


@settings(max_examples=25, deadline=None)
@given(weights=st.lists(st.integers(0, 20), min_size=1, max_size=5))
def test_draws_follow_the_weights(weights: list[int]) -> None:
    targets = [target(f"{number}", weight=weight) for number, weight in enumerate(weights)]
    draws = 4000
    count = Counter(drawn(targets).id for _ in range(draws))
    for one in targets:
        share = one.weight / sum(weights) if sum(weights) else 1 / len(weights)
        # six standard deviations: once in 500 million
        assert abs(count[one.id] - draws * share) <= 6 * math.sqrt(draws * share * (1 - share)) + 1e-9


@pytest.mark.parametrize("strategy", ["weighted", "ordered", "least-busy", "lowest-latency", "lowest-cost"])
def test_a_lower_order_comes_first(strategy: Strategy) -> None:
    last, first, same = target("last", order=2), target("first", order=1), target("same", order=1)
    by, of = balance(last=0.1, first=0.2, same=0.2), group(last, first, same, strategy=strategy)
    assert {chosen(by, of) for _ in range(50)} <= {"first", "same"}
    fail(by, group(first), times=3)
    assert {chosen(by, of) for _ in range(20)} == {"same"}
    fail(by, group(same), times=3)
    assert chosen(by, of) == "last"


def test_in_order_is_the_files() -> None:
    by = balance()
    assert [chosen(by, group(target("b"), target("a"))) for _ in range(3)] == ["b"] * 3


def test_the_least_busy_is_asked() -> None:
    by, of = balance(), group(target("a"), target("b"), target("c"), strategy="least-busy")
    assert sorted(str(chosen(by, of)) for _ in range(6)) == ["a", "a", "b", "b", "c", "c"]
    by.end(of.targets[1], "success")
    assert chosen(by, of) == "b"


def test_the_fastest_is_asked_and_the_others_now_and_then() -> None:
    by, of = balance(), group(target("slow"), target("fast"), strategy="lowest-latency")
    speed = {"slow": 0.5, "fast": 0.1}

    def ask() -> str:
        found = by.choose(of, of.targets)
        assert found is not None
        by.told(found, speed[found.id])
        by.end(found, "success")
        return found.id

    assert {ask(), ask()} == {"slow", "fast"}
    assert 900 <= Counter(ask() for _ in range(1000))["fast"] < 1000
    # what has become faster is found out
    speed["slow"] = 0.01
    for _ in range(500):
        ask()
    assert Counter(ask() for _ in range(200))["slow"] >= 180


def test_one_that_was_never_measured_gets_one_call_at_a_time() -> None:
    by, of = balance(), group(target("known"), target("hangs"), strategy="lowest-latency")
    by.told(of.targets[0], 0.1)
    count = Counter(chosen(by, of) for _ in range(100))
    assert 1 <= count["hangs"] < 15


def test_the_cheapest_is_asked_and_what_has_no_price_last() -> None:
    by, of = balance(a=0.2, b=0.1), group(target("c"), target("a"), target("b"), strategy="lowest-cost")
    assert {chosen(by, of) for _ in range(20)} == {"b"}
    fail(by, group(of.targets[2]), times=3)
    assert chosen(by, of) == "a"
    fail(by, group(of.targets[1]), times=3)
    assert chosen(by, of) == "c"


# cooling down


@pytest.mark.parametrize("ended", sorted(COUNTED - {"rate_limited"}))
def test_more_failures_than_allowed_cool_a_target_down(clock: Clock, ended: str) -> None:
    by, of = balance(), group(target("a"))
    fail(by, of, ended, times=2)
    assert by.reason(of.targets[0]) == ""
    clock.now += 66
    fail(by, of, ended, times=3)
    assert [chosen(by, of), by.reason(of.targets[0]), by.wait(of.targets)] == [None, "cooled_down", 5]


@pytest.mark.parametrize("ended", ["authentication", "payment_required", "permission", "model_not_found"])
def test_a_refusal_of_the_key_or_the_model_cools_down_at_once(clock: Clock, ended: str) -> None:
    by, of = balance(), group(target("a"), target("b"))
    fail(by, of, ended, times=1)
    assert [chosen(by, of), by.wait(of.targets), by.wait(of.targets[:1])] == ["b", 0, 5]


@pytest.mark.parametrize(("said", "rests"), [(None, 5), (0.0, 5), (2.0, 2), (90.0, 90), (1e9, ASKED_FOR)])
def test_a_429_rests_for_as_long_as_it_says(clock: Clock, said: float | None, rests: float) -> None:
    by, of = balance(), group(target("a"))
    fail(by, of, "rate_limited", times=1, retry_after=said)
    assert by.wait(of.targets) == pytest.approx(rests)


def test_no_rest_is_shorter_than_a_failing_provider_asks_for(clock: Clock) -> None:
    by, of = balance(), group(target("a"))
    fail(by, of, "overloaded", times=3, retry_after=20.0)
    assert by.wait(of.targets) == pytest.approx(20)


@pytest.mark.parametrize(
    "ended",
    [
        "cancelled",
        "invalid_request",
        "context_length_exceeded",
        "content_filter",
        "unsupported_parameter",
        "bad_request",
    ],
)
def test_mistakes_of_the_client_and_leaving_say_nothing(ended: str) -> None:
    by, of = balance(), group(target("a"))
    fail(by, of, ended, times=20)
    assert chosen(by, of) == "a"


def test_without_a_cool_down_time_nothing_rests() -> None:
    by, of = balance(router=RouterSettings(cooldown_time=0, allowed_fails=0)), group(target("a"))
    fail(by, of, "authentication", times=5)
    fail(by, of, "rate_limited", times=5, retry_after=60.0)
    assert chosen(by, of) == "a"


@pytest.mark.parametrize("ended", ["model_not_found", "permission"])
def test_a_model_that_is_not_there_says_nothing_of_those_of_a_pattern(ended: str) -> None:
    by, of = balance(), group(target("openai/*"))
    fail(by, of, ended, times=20)
    assert chosen(by, of) == "openai/*"
    fail(by, of, "authentication", times=1)
    assert chosen(by, of) is None


def test_a_target_without_an_id_is_neither_counted_nor_cooled() -> None:
    by, of = balance(), group(target("", rpm=1, tpm=1, max_parallel=1))
    fail(by, of, "authentication", times=5)
    by.told(of.targets[0], 1.0)
    assert [by.reason(of.targets[0]), by.wait(of.targets), by.health(of.targets)] == ["", 0, {}]
    many = group(*of.targets, target("a"))
    assert chosen(by, many) == ""


def test_after_a_cool_down_one_call_sees_whether_it_is_over(clock: Clock) -> None:
    board = Board()
    by, other, of = balance(board), balance(board), group(target("a"))
    fail(by, of, times=3)
    for rest in (5, 10, 20, 40, LONGEST, LONGEST):
        assert by.wait(of.targets) == pytest.approx(rest)
        clock.now += rest - 0.1
        assert [chosen(by, of), chosen(other, of)] == [None, None]
        clock.now += 0.2
        assert other.reason(of.targets[0]) == ""
        assert [chosen(by, of), chosen(by, of), chosen(other, of)] == ["a", None, None]
        assert [other.reason(of.targets[0]), 0 < other.wait(of.targets) < 1] == ["cooled_down", True]
        by.end(of.targets[0], "timeout")
    clock.now += LONGEST + 1
    assert chosen(other, of) == "a"
    other.end(of.targets[0], "success")
    fail(by, of, times=2)
    assert chosen(by, of) == "a"
    by.end(of.targets[0], "timeout")
    assert by.wait(of.targets) == pytest.approx(5)


def test_who_leaves_while_seeing_lets_another_see(clock: Clock) -> None:
    by, of = balance(), group(target("a"))
    assert chosen(by, of) == "a"
    fail(by, of, times=3)
    clock.now += 6
    assert chosen(by, of) == "a"
    # one of the two is from before, and nobody knows which
    by.end(of.targets[0], "cancelled")
    assert chosen(by, of) is None
    by.end(of.targets[0], "cancelled")
    assert [chosen(by, of), chosen(by, of)] == ["a", None]
    # it may also never end
    clock.now += PROBE
    assert chosen(by, of) == "a"


def test_calls_from_before_do_not_prolong_a_cool_down(clock: Clock) -> None:
    by, of = balance(), group(target("a"))
    for _ in range(5):
        chosen(by, of)
    for _ in range(3):
        by.end(of.targets[0], "timeout")
    clock.now += 4
    by.end(of.targets[0], "timeout")
    by.end(of.targets[0], "success")
    assert by.wait(of.targets) == pytest.approx(1)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), steps=st.integers(1, 60))
def test_a_cooled_down_target_is_never_chosen_but_by_one_at_a_time(data: st.DataObject, steps: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock, board = Clock(patch), Board()
        workers = [balance(board), balance(board)]
        of = group(target("a"), target("b"), strategy="weighted")
        under_way: list[tuple[Balance, Target, float]] = []
        rests: dict[str, tuple[float, float]] = {}
        """Until when the targets rest, and for how long in all, that nobody has seen to be back."""
        for _ in range(steps):
            clock.now += data.draw(st.sampled_from([0.0, 0.5, 2.0, 6.0]))
            ends: bool = data.draw(st.booleans())
            if under_way and ends:
                by, one, _ = under_way.pop(data.draw(st.integers(0, len(under_way) - 1)))
                ended = data.draw(st.sampled_from(["success", "authentication", "cancelled", "invalid_request"]))
                until, rest = rests.get(one.id, (0.0, ROUTER.cooldown_time / 2))
                by.end(one, ended)
                if ended == "authentication" and clock.now >= until:
                    rests[one.id] = clock.now + min(2 * rest, LONGEST), min(2 * rest, LONGEST)
                elif ended == "success" and clock.now >= until:
                    rests.pop(one.id, None)
            else:
                by = data.draw(st.sampled_from(workers))
                found = by.choose(of, of.targets)
                if found is not None and found.id in rests:
                    assert clock.now >= rests[found.id][0]
                    seeing = [at for _, one, at in under_way if one is found and at >= rests[found.id][0]]
                    assert all(at <= clock.now - PROBE for at in seeing)
                if found is not None:
                    under_way.append((by, found, clock.now))


# limits


@settings(max_examples=60, deadline=None)
@given(data=st.data(), rpm=st.integers(1, 6), tpm=st.integers(20, 200), parallel=st.integers(1, 4))
def test_limits_hold_under_any_interleaving(data: st.DataObject, rpm: int, tpm: int, parallel: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        clock, board = Clock(patch), Board()
        workers = [balance(board), balance(board)]
        of = group(target("a", rpm=rpm, tpm=tpm, max_parallel=parallel))
        under_way: list[tuple[Balance, float, int]] = []
        begun: list[tuple[float, int]] = []
        for _ in range(data.draw(st.integers(1, 60))):
            clock.now += data.draw(st.sampled_from([0.0, 1.0, 5.0, 20.0]))
            ends: bool = data.draw(st.booleans())
            if under_way and ends:
                by, at, estimate = under_way.pop(data.draw(st.integers(0, len(under_way) - 1)))
                # never more than was thought, so that the limit can be kept at all
                tokens = data.draw(st.integers(1, estimate))
                by.end(of.targets[0], "success", tokens=tokens, estimate=estimate, begun=at)
                begun.remove((at, estimate))
                begun.append((at, tokens))
                continue
            by, estimate = data.draw(st.sampled_from(workers)), data.draw(st.integers(1, tpm))
            reason, wait = by.reason(of.targets[0], estimate), by.wait(of.targets, estimate)
            found = by.choose(of, of.targets, estimate)
            assert (found is None) == (reason == "limited") == (wait > 0)
            if found is not None:
                begun.append((clock.now, estimate))
                under_way.append((by, clock.now, estimate))
            minute = [tokens for at, tokens in begun if at > clock.now - 60]
            assert len(minute) <= rpm
            assert sum(minute) <= tpm
            assert len(under_way) <= parallel


def test_what_is_at_its_limit_is_passed_over() -> None:
    by, of = balance(), group(target("a", rpm=2), target("b", max_parallel=1), target("c", tpm=10))
    assert [chosen(by, of, 6) for _ in range(5)] == ["a", "a", "b", "c", None]
    assert [by.reason(each, 6) for each in of.targets] == ["limited"] * 3
    assert by.wait(of.targets, 6) < 1
    by.end(of.targets[1], "success")
    assert chosen(by, of, 6) == "b"


def test_an_answer_corrects_what_was_thought(clock: Clock) -> None:
    by, of = balance(), group(target("a", tpm=100))
    assert [chosen(by, of, 80), chosen(by, of, 80)] == ["a", None]
    by.end(of.targets[0], "success", tokens=10, estimate=80, begun=clock.now)
    assert chosen(by, of, 80) == "a"
    # nobody knows what a call took that was not answered
    by.end(of.targets[0], "cancelled", estimate=80, begun=clock.now)
    assert chosen(by, of, 20) is None


def test_what_is_corrected_is_the_minute_in_which_it_was_taken(clock: Clock) -> None:
    by, of = balance(), group(target("a", tpm=100))
    begun = clock.now
    assert chosen(by, of, 50) == "a"
    clock.now += 50
    assert chosen(by, of, 50) == "a"
    by.end(of.targets[0], "success", tokens=10, estimate=50, begun=begun)
    assert [chosen(by, of, 41), chosen(by, of, 40)] == [None, "a"]
    # what was given back is over with what it was given back from
    clock.now += 20
    assert [chosen(by, of, 11), chosen(by, of, 10)] == [None, "a"]


def test_a_probe_that_the_limit_forbids_is_none(clock: Clock) -> None:
    by, of = balance(), group(target("a", rpm=1))
    fail(by, of, "authentication", times=1)
    clock.now += 6
    assert [chosen(by, of), by.reason(of.targets[0])] == [None, "limited"]
    clock.now += 65
    assert chosen(by, of) == "a"


def test_health_is_readable(clock: Clock) -> None:
    by, of = balance(), group(target("a", rpm=10), target("b"))
    chosen(by, of)
    by.told(of.targets[0], 0.25)
    fail(by, of, "authentication", times=1)
    assert by.health(of.targets) == {
        "a": {"requests": 2, "tokens": 0, "busy": 1, "failures": 0, "cooled": 5.0, "latency": 0.25},
        "b": {"requests": 0, "tokens": 0, "busy": 0, "failures": 0, "cooled": 0.0, "latency": None},
    }


# the workers of one machine

FAIL = """
import pathlib, sys
from proxy.config.router import RouterSettings
from proxy.middleware.balance import Balance
from proxy.stores.shared.board import Board
from proxy.target import Group, Target
balance = Balance(Board(pathlib.Path(sys.argv[1])), RouterSettings(), lambda target: None)
group = Group(name="g", targets=(Target("p", "m", id="a"),))
balance.end(balance.choose(group, group.targets), "authentication")
print("failed", flush=True)
sys.stdin.readline()
"""


def test_another_process_knows_of_a_cool_down(tmp_path: Path) -> None:
    with closing(Board(tmp_path / "board")) as board:
        by, of = balance(board), group(target("a"))
        assert chosen(by, of) == "a"
        other = subprocess.Popen(
            [sys.executable, "-c", FAIL, str(tmp_path / "board")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert other.stdout is not None
        assert other.stdout.readline() == "failed\n"
        assert [chosen(by, of), by.reason(of.targets[0])] == [None, "cooled_down"]
        other.communicate()


def routed(fleet: Fleet, **second: Any) -> dict[str, Any]:
    """A configuration whose model `m` is OpenAI's, and Mistral's after it."""
    first, other = fleet.providers["openai"], fleet.providers["mistral"]
    return {
        "model_list": [
            {"model_name": "m", "litellm_params": {"model": "openai/gpt-4o-mini", **first, "order": 1, **second}},
            {"model_name": "m", "litellm_params": {"model": "mistral/mistral-small-latest", **other, "order": 2}},
        ],
        "router_settings": {"num_retries": 1, "allowed_fails": 0, "cooldown_time": 60},
    }


def ask(url: str) -> tuple[int, str]:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    answer = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=30)
    return answer.status_code, answer.json()["choices"][0]["message"]["content"]


@pytest.mark.fault("D5")
@pytest.mark.timeout(120)
def test_a_target_that_failed_for_one_gateway_rests_for_another(fleet: Fleet, tmp_path: Path) -> None:
    fleet["openai"].script = Scenario(status=500)
    with Process(tmp_path, routed(fleet)) as one, Process(tmp_path, routed(fleet)) as other:
        answers = [ask(url) for url in (one.url, other.url, other.url, one.url)]
    assert answers == [(200, "Hello from mistral")] * 4
    assert len(fleet["openai"].requests) == 1


@pytest.mark.fault("D5")
@pytest.mark.timeout(120)
def test_workers_keep_a_targets_rate_together(fleet: Fleet, tmp_path: Path) -> None:
    with (
        Process(tmp_path, routed(fleet, rpm=7), PAREA_PROXY_WORKERS="2") as gateway,
        ThreadPoolExecutor(8) as clients,
    ):
        answers = Counter(clients.map(ask, [gateway.url] * 40))
    assert answers == {(200, "Hello from openai"): 7, (200, "Hello from mistral"): 33}
    assert len(fleet["openai"].requests) == 7


def test_a_target_that_is_alone_rests_and_is_seen_about(fleet: Fleet, tmp_path: Path) -> None:
    config = routed(fleet)
    del config["model_list"][1]
    config["router_settings"] |= {"num_retries": 0, "cooldown_time": 4}
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
    fleet["openai"].script = [Scenario(status=500), Scenario()]
    with Local(tmp_path, config) as gateway:
        answers = [httpx.post(f"{gateway.url}/v1/chat/completions", json=body, timeout=30) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [502, 503]
        assert 0 < float(answers[1].headers["retry-after"]) <= 4
        assert len(fleet["openai"].requests) == 1
        end = time.monotonic() + 20
        while (answer := httpx.post(f"{gateway.url}/v1/chat/completions", json=body, timeout=30)).status_code != 200:
            assert answer.status_code == 503
            assert time.monotonic() < end
            time.sleep(0.1)
        assert len(fleet["openai"].requests) == 2
