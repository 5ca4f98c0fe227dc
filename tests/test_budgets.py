"""Budgets, in every order of calls: a key spends no more than its budget and what those calls cost that were under way
when it was reached, through however many gateways on one folder; and what is counted is what its calls cost.
"""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from proxy.app import chain
from proxy.caller import DAY, NANO, Budget, Caller, nanodollars
from proxy.config import Config
from proxy.config.prices import price
from proxy.errors import Forbidden, NotReady, OverBudget, UpstreamError
from proxy.middleware.admit import Admission, admit
from proxy.middleware.names import Names
from proxy.middleware.sample import sample
from proxy.middleware.trace import trace
from proxy.models import Call, Choice, Chunk, Completion, CompletionRequest, Event, LogPolicy, TraceContext, Usage
from proxy.protocols import Handler
from proxy.stores.log.sqlite import SQLiteLog
from proxy.stores.shared.board import Board
from proxy.target import Group, Target

TARGET = Target("openai", "mine", input_cost_per_token=0.001, output_cost_per_token=0.002)
WINDOWS = ("1d", "7d", "30d", "month", "total")
START = 1_795_000_000.0


class Gateway:
    """One process's part: its log and its pipeline. What calls cost, `gates` tell when they are opened."""

    def __init__(self, folder: Path, config: Config, now: Callable[[], float] = time.time) -> None:
        self.log = SQLiteLog(folder / "traces.db", busy_timeout=0.05)
        self.board = Board(folder / "board")
        self.handler: Handler = chain(
            self._upstream,
            trace(lambda record: self.log.append(sample(record))),
            admit(Admission(config, Names(config), self.log, self.board, now=now)),
        )
        self.gates: dict[str, asyncio.Future[float | None | Exception]] = {}

    async def _upstream(self, call: Call) -> AsyncGenerator[Event, None]:
        call.asked = time.perf_counter()
        gate = self.gates[call.request.trace.trace_id] = asyncio.get_running_loop().create_future()
        yield Chunk("four")
        cost = await gate
        if isinstance(cost, Exception):
            raise cost
        hit = cost is None
        yield Completion([Choice(text="four")], Usage(1, 1), "mine", "openai", cost=0.5 if hit else cost, cache_hit=hit)

    async def close(self) -> None:
        await self.log.close()
        self.board.close()


@dataclass
class Running:
    """A call that was let through."""

    gateway: Gateway
    caller: Caller
    call: Call
    events: AsyncGenerator[Event, None]
    cost: int = field(default=0)

    def ends(self, now: float) -> None:
        """Its row is to say that it has lasted until `now`."""
        self.call.started = time.perf_counter() - (now - self.call.started_at)


def make(caller: Caller, trace_id: str, now: float, rate: float = 1.0) -> Call:
    place = TraceContext(trace_id, trace_id)
    request = CompletionRequest(
        "parea", place, messages=[{"role": "user", "content": "hi"}], policy=LogPolicy(rate=rate)
    )
    request.stream = True
    group = Group(name="mine", targets=(TARGET,))
    return Call(request, targets=(TARGET,), groups=(group,), caller=caller, started_at=now)


def counted(path: Path, query: str) -> dict[str, int]:
    connection = sqlite3.connect(f"file:{path / 'traces.db'}?mode=ro", uri=True)
    try:
        return dict(connection.execute(query).fetchall())
    finally:
        connection.close()


SPENT = "SELECT key || ' ' || day, nanodollars FROM spend"


class Budgets(RuleBasedStateMachine):
    running = Bundle("running")

    @initialize(
        gateways=st.integers(1, 3),
        budgets=st.lists(st.tuples(st.integers(1, 4 * NANO), st.sampled_from(WINDOWS)), min_size=1, max_size=3),
    )
    def begin(self, gateways: int, budgets: list[tuple[int, Any]]) -> None:
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.now, self.number = START, 0
        self.callers = [Caller(name=f"k{i}", budget=Budget(*one)) for i, one in enumerate(budgets)]
        config = Config(models={"mine": (TARGET,)}, keys={bytes([i]): one for i, one in enumerate(self.callers)})
        self.gateways = [self.loop.run_until_complete(self._gateway(config)) for _ in range(gateways)]
        self.spent: Counter[str] = Counter()
        """By key and day, as it should be."""
        self.under_way: list[Running] = []
        self.reached: dict[tuple[str, str], list[Running]] = {}
        """The calls that were under way when a key reached its budget in a window, the one that did it among them."""

    async def _gateway(self, config: Config) -> Gateway:
        return Gateway(self.folder, config, lambda: self.now)

    def _within(self, caller: Caller) -> int:
        """What a key has spent in the window that it is in."""
        assert caller.budget is not None
        since = f"{caller.name} {caller.budget.begins(self.now)}"
        return sum(spent for day, spent in self.spent.items() if day.startswith(f"{caller.name} ") and day >= since)

    @rule(target=running, gateway=st.integers(0, 2), key=st.integers(0, 2), rate=st.sampled_from([0.0, 1.0]))
    def call(self, gateway: int, key: int, rate: float) -> Any:
        through, caller = self.gateways[gateway % len(self.gateways)], self.callers[key % len(self.callers)]
        self.number += 1
        call = make(caller, f"t{self.number}", self.now, rate)
        events = through.handler(call)
        assert caller.budget is not None
        try:
            self.loop.run_until_complete(anext(events))
        except OverBudget:
            assert self._within(caller) >= caller.budget.amount
            return multiple()
        assert self._within(caller) < caller.budget.amount
        one = Running(through, caller, call, events)
        self.under_way.append(one)
        return one

    def _ended(self, one: Running, cost: int) -> None:
        assert one.caller.budget is not None
        before, one.cost = self._within(one.caller), cost
        day = time.strftime("%Y-%m-%d", time.gmtime(self.now))
        self.spent[f"{one.caller.name} {day}"] += cost
        if before < one.caller.budget.amount <= self._within(one.caller):
            window = one.caller.name, one.caller.budget.begins(self.now)
            self.reached[window] = [each for each in self.under_way if each.caller is one.caller]
        self.under_way.remove(one)

    @rule(one=consumes(running), cost=st.floats(0, 3))
    def answer(self, one: Running, cost: float) -> None:
        one.ends(self.now)
        one.gateway.gates[one.call.request.trace.trace_id].set_result(cost)
        assert isinstance(self.loop.run_until_complete(anext(one.events)), Completion)
        self.loop.run_until_complete(one.events.aclose())
        self._ended(one, nanodollars(cost))

    @rule(one=consumes(running))
    def answer_from_the_cache(self, one: Running) -> None:
        one.ends(self.now)
        one.gateway.gates[one.call.request.trace.trace_id].set_result(None)
        self.loop.run_until_complete(anext(one.events))
        self._ended(one, 0)

    @rule(one=consumes(running), broken=st.booleans())
    def break_off(self, one: Running, broken: bool) -> None:
        """The client leaves, or the provider: five tokens of the prompt are charged, and the one that was answered."""
        one.ends(self.now)
        if broken:
            failure = UpstreamError("broke off", code="upstream_failed", provider="openai")
            one.gateway.gates[one.call.request.trace.trace_id].set_result(failure)
            with pytest.raises(UpstreamError):
                self.loop.run_until_complete(anext(one.events))
        else:
            self.loop.run_until_complete(one.events.aclose())
            # Nobody waits for this row; the next that is committed comes after it: a project that is not there yet.
            self.loop.run_until_complete(one.gateway.log.project(one.call.request.trace.trace_id))
        self._ended(one, 5 * 1_000_000 + 2_000_000)

    @rule(days=st.sampled_from([0.3, 1, 6.99, 31]))
    def wait(self, days: float) -> None:
        self.now += days * DAY

    @invariant()
    def what_is_counted_is_what_calls_cost(self) -> None:
        if hasattr(self, "spent"):
            assert counted(self.folder, SPENT) == {day: spent for day, spent in self.spent.items() if spent}

    @invariant()
    def no_more_is_spent_than_the_budget_and_what_was_under_way(self) -> None:
        for caller in getattr(self, "callers", ()):
            window = caller.name, caller.budget.begins(self.now)
            late = sum(one.cost for one in self.reached.get(window, ()))
            assert self._within(caller) <= caller.budget.amount + late

    def teardown(self) -> None:
        if not hasattr(self, "gateways"):
            return
        for one in self.under_way:
            self.loop.run_until_complete(one.events.aclose())
        for gateway in self.gateways:
            self.loop.run_until_complete(gateway.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.folder)


TestBudgets = Budgets.TestCase
TestBudgets.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture
def poor() -> Caller:
    return Caller(name="poor", budget=Budget(NANO, "total"))


async def through(gateway: Gateway, caller: Caller, trace_id: str, cost: float) -> Call:
    """One call, answered."""
    call = make(caller, trace_id, time.time())
    events = gateway.handler(call)
    await anext(events)
    gateway.gates[trace_id].set_result(cost)
    await anext(events)
    await events.aclose()
    return call


def config(*callers: Caller) -> Config:
    return Config(models={"mine": (TARGET,)}, keys={bytes([i]): one for i, one in enumerate(callers)})


async def test_a_trace_id_that_comes_again_is_paid_again(tmp_path: Path, poor: Caller) -> None:
    """One row, which the second call replaces, and two calls, which were both bought."""
    gateway = Gateway(tmp_path, config(poor))
    for _ in range(2):
        await through(gateway, poor, "same", 0.25)
    assert gateway.log.spent("poor", "") == NANO // 2
    assert counted(tmp_path, "SELECT key, calls FROM spend") == {"poor": 2}
    assert counted(tmp_path, "SELECT key, cost FROM traces") == {"poor": 0.25}
    await gateway.log.update("same", {"cost": 100.0})
    assert gateway.log.spent("poor", "") == NANO // 2
    await gateway.close()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Nobody can write to the log, which is there."""
    lock = sqlite3.connect(folder / "traces.db", isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    yield
    lock.execute("ROLLBACK")
    lock.close()


async def test_what_cannot_be_counted_is_owed_and_nothing_more_is_bought(tmp_path: Path, poor: Caller) -> None:
    """The log cannot be written while a call is under way: it is answered, and charged as soon as it can be again."""
    free = Caller(name="free")
    gateway = Gateway(tmp_path, config(poor, free))
    await through(gateway, poor, "before", 0.25)
    with locked(tmp_path):
        for caller in (poor, free):
            assert (await through(gateway, caller, f"during {caller.name}", 0.25)).logged is False
            with pytest.raises(NotReady, match=r"what is spent cannot be counted: the log cannot be written"):
                await anext(gateway.handler(make(poor, "refused", time.time())))
        assert counted(tmp_path, "SELECT key, nanodollars FROM spend") == {"poor": NANO // 4}
    end = time.monotonic() + 10
    while True:
        try:
            await through(gateway, poor, "after", 0.5)
            break
        except NotReady:
            assert time.monotonic() < end, "the log was never written again"
            await asyncio.sleep(0.01)
    assert counted(tmp_path, "SELECT key, nanodollars FROM spend") == {"poor": NANO, "free": NANO // 4}
    with pytest.raises(OverBudget):
        await anext(gateway.handler(make(poor, "over", time.time())))
    await gateway.close()


async def test_what_is_owed_is_paid_when_the_gateway_ends(tmp_path: Path, poor: Caller) -> None:
    gateway = Gateway(tmp_path, config(poor))
    with locked(tmp_path):
        assert (await through(gateway, poor, "during", 0.25)).logged is False
    await gateway.close()
    assert counted(tmp_path, "SELECT key, nanodollars FROM spend") == {"poor": NANO // 4}


async def test_all_that_is_owed_of_one_day_is_paid(tmp_path: Path, poor: Caller) -> None:
    gateway = Gateway(tmp_path, config(poor))
    calls = [make(poor, name, time.time()) for name in ("one", "two", "three")]
    running = [gateway.handler(call) for call in calls]
    for events in running:
        await anext(events)
    with locked(tmp_path):
        for call, events in zip(calls, running, strict=True):
            gateway.gates[call.request.trace.trace_id].set_result(0.25)
            await anext(events)
            await events.aclose()
            assert call.logged is False
    await gateway.close()
    assert counted(tmp_path, "SELECT key, nanodollars FROM spend") == {"poor": 3 * NANO // 4}
    assert counted(tmp_path, "SELECT key, calls FROM spend") == {"poor": 3}


async def test_an_answer_that_turns_out_to_have_no_price_is_the_last(tmp_path: Path, poor: Caller) -> None:
    gateway = Gateway(tmp_path, config(poor))

    async def unpriced(call: Call) -> AsyncGenerator[Event, None]:
        yield Completion([Choice(text="x")], Usage(1, 1), "mine", "openai", cost=None)

    handler = admit(Admission(config(poor), Names(config(poor)), gateway.log, gateway.board))(unpriced)
    events = handler(make(poor, "first", time.time()))
    assert isinstance(await anext(events), Completion)
    await events.aclose()
    with pytest.raises(Forbidden, match="what openai/mine costs is not known"):
        await anext(handler(make(poor, "second", time.time())))
    await gateway.close()


def test_the_target_of_these_tests_has_a_price() -> None:
    assert price(TARGET) == (0.001, 0.002)
