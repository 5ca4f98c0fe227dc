"""What is set aside for a call, of its key's limits and of its target's, and what of it is given back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.caller import Caller
from proxy.config import Config
from proxy.config.router import RouterSettings
from proxy.errors import Limited
from proxy.estimate import ANSWER, longest
from proxy.middleware.admit.allowance import Allowance
from proxy.middleware.balance import Balance
from proxy.middleware.names import Names
from proxy.middleware.route.series import Series
from proxy.stores.shared.board import Board
from proxy.target import Target
from tests.middleware.calls import make_call


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    made = Board(tmp_path / "board")
    yield made
    made.close()


def begun(board: Board, caller: Caller, tokens: int = 0) -> Allowance:
    allowance = Allowance(caller, board, None, tokens, time.time)
    allowance.begin()
    return allowance


def test_a_call_that_has_ended_is_under_way_no_longer(board: Board) -> None:
    caller = Caller(name="k", max_parallel=1)
    for _ in range(3):
        allowance = begun(board, caller)
        with pytest.raises(Limited, match="1 calls at a time"):
            begun(board, caller)
        allowance.end(0)
        allowance.end(0)
    assert board.busy("key/k") == 0


def test_what_may_be_answered_is_set_aside_until_it_is_known(board: Board) -> None:
    caller = Caller(name="k", tpm=1000)
    first, _ = begun(board, caller, 400), begun(board, caller, 400)
    with pytest.raises(Limited, match="1000 tokens a minute"):
        begun(board, caller, 400)
    first.end(10)
    begun(board, caller, 400)
    assert board.use("key/k").tokens == 810


def test_a_call_for_more_than_a_minutes_tokens_is_let_through_alone(board: Board) -> None:
    caller = Caller(name="k", tpm=100)
    alone = begun(board, caller, 5000)
    with pytest.raises(Limited):
        begun(board, caller, 1)
    alone.end(30)
    assert board.use("key/k").tokens == 30
    begun(board, caller, 70)


@pytest.mark.parametrize(
    ("params", "tokens"),
    [
        ({}, ANSWER),
        ({"max_tokens": 20}, 20),
        ({"max_completion_tokens": 30}, 30),
        ({"max_tokens": 20, "n": 3}, 60),
        ({"max_tokens": None, "n": None}, ANSWER),
    ],
)
def test_what_is_set_aside_for_an_answer(params: dict[str, Any], tokens: int) -> None:
    request = make_call().request
    request.params.update(params)
    assert longest(request) == tokens


def test_a_target_is_not_asked_for_more_than_it_may_answer(board: Board) -> None:
    target = Target("openai", "m", id="a", tpm=1000)
    group = Names(Config(models={"m": (target,)})).group("m")
    balance = Balance(board, RouterSettings(), lambda _: None)

    def series(allowed: int) -> Series:
        call = make_call("hi")
        call.request.params["max_tokens"] = allowed
        return Series(balance, group, call, retries=0, end=1e12, pause=0, backoff=0)

    first, second, third = series(400), series(400), series(400)
    assert [first.fresh(), second.fresh(), third.fresh()] == [target, target, None]
    balance.end(target, "success", tokens=10, estimate=first.tokens, begun=time.monotonic())
    assert series(400).fresh() is target
    # one that failed before its first event gives all of it back, one that was cut off nothing
    balance.end(target, "server_error", tokens=0, estimate=second.tokens, begun=time.monotonic())
    assert series(400).fresh() is target
    balance.end(target, "cancelled", estimate=second.tokens, begun=time.monotonic())
    assert series(400).fresh() is None
    assert board.use("a").tokens == 10 + 2 * first.tokens
