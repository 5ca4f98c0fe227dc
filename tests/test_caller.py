from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.caller import DAY, MOST, NANO, Budget, Caller, Window, dollars, nanodollars

MOMENTS = st.integers(0, 4_000_000_000)
WINDOWS = st.sampled_from(get_args(Window))


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("window", "now", "begins", "ends"),
    [
        ("1d", "2026-11-21T23:59:59.999", "2026-11-21", "2026-11-22"),
        ("1d", "2026-11-22T00:00:00", "2026-11-22", "2026-11-23"),
        ("7d", "2026-11-22T23:59:59", "2026-11-16", "2026-11-23"),
        ("7d", "2026-11-23T00:00:00", "2026-11-23", "2026-11-30"),
        ("30d", "1970-01-30T12:00:00", "1970-01-01", "1970-01-31"),
        ("month", "2024-02-29T12:00:00", "2024-02-01", "2024-03-01"),
        ("month", "2026-02-28T23:59:59", "2026-02-01", "2026-03-01"),
        ("month", "2026-12-31T00:00:00", "2026-12-01", "2027-01-01"),
    ],
)
def test_windows_begin_and_end_at_midnight(window: Window, now: str, begins: str, ends: str) -> None:
    budget = Budget(1, window)
    assert (budget.begins(at(now)), budget.ends(at(now))) == (begins, at(ends))


def test_a_budget_for_ever_has_neither() -> None:
    assert (Budget(1, "total").begins(at("2026-11-21")), Budget(1, "total").ends(0.0)) == ("", None)


@given(WINDOWS.filter(lambda window: window != "total"), MOMENTS)
def test_windows_follow_each_other_without_a_gap(window: Window, now: int) -> None:
    budget = Budget(1, window)
    begins, ends = budget.begins(now), budget.ends(now)
    assert ends is not None
    assert at(begins) <= now < ends
    assert budget.begins(ends) == datetime.fromtimestamp(ends, UTC).date().isoformat()
    assert budget.ends(at(begins) - 1) == at(begins)
    days = (ends - at(begins)) / DAY
    first = date.fromisoformat(begins)
    month = (first.replace(day=28) + timedelta(days=4)).replace(day=1) - first
    assert days == (month.days if window == "month" else int(window[:-1]))
    assert window != "7d" or first.weekday() == 0


@pytest.mark.parametrize(
    ("cost", "counted"),
    [(None, 0), (0.0, 0), (1e-12, 1), (1.5e-7, 150), (0.25, 250_000_000), (1e300, MOST), (float("inf"), MOST)],
)
def test_costs_are_counted_in_whole_nanodollars(cost: float | None, counted: int) -> None:
    assert nanodollars(cost) == counted


@given(st.floats(0, 1e6))
def test_a_cost_is_counted_to_the_nearest(cost: float) -> None:
    assert abs(nanodollars(cost) - cost * NANO) <= (0.5 + 1e-15 * cost * NANO if nanodollars(cost) > 1 else 1)


@given(st.integers(-(10**18), 10**18))
def test_amounts_are_written_with_all_their_digits(amount: int) -> None:
    text = dollars(amount)
    assert Decimal(text) * NANO == amount
    assert len(text.partition(".")[2]) >= 2


@pytest.mark.parametrize(
    ("models", "names", "may"),
    [
        ((), ["anything"], True),
        (("default",), ["default"], True),
        (("default",), ["default2"], False),
        (("openai/*",), ["openai/gpt-4o"], True),
        (("openai/*",), ["azure/openai/x", "x"], False),
        (("gpt-*-mini",), ["gpt-4o-mini"], True),
        (("gpt-*-mini",), ["gpt-4o-mini\n"], False),
        (("a.b", "[ab]"), ["axb", "a"], False),
        (("*",), [""], True),
        (("x", "y"), ["z", "y"], True),
    ],
)
def test_models_are_names_and_patterns(models: tuple[str, ...], names: list[str], may: bool) -> None:
    assert Caller(name="k", models=models).may_call(*names) is may


def test_a_key_has_expired_from_its_moment_on() -> None:
    caller = Caller(name="k", expires=100.0)
    assert (caller.expired(99.9), caller.expired(100.0), Caller(name="k").expired(1e12)) == (False, True, False)
