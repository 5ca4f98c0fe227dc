from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.middleware.sample import COUNTED, draw, sample
from proxy.record import Record


@pytest.mark.fault("D11")
@given(st.text(), st.floats(0, 1), st.lists(st.text(), min_size=1))
def test_a_trace_stays_or_goes_together(root: str, rate: float, children: list[str]) -> None:
    kept = {sample(Record(child, root, sample_rate=rate)).counted_only for child in children}
    assert len(kept) == 1


@given(st.text(), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_rate_keeps_whatever_a_lower_one_keeps(root: str, one: float, other: float) -> None:
    low, high = sorted((one, other))
    if not sample(Record("t", root, sample_rate=low)).counted_only:
        assert not sample(Record("t", root, sample_rate=high)).counted_only


@given(st.text())
def test_one_keeps_all_and_zero_none(root: str) -> None:
    assert not sample(Record("t", root, sample_rate=1.0)).counted_only
    assert sample(Record("t", root, sample_rate=0.0)).counted_only


@pytest.mark.fault("D11")
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_share_that_is_kept_is_the_rate(rate: float) -> None:
    kept = sum(draw(f"root-{number}") < rate for number in range(20_000)) / 20_000
    # five standard deviations of a binomial share; the ids are fixed, so the figure is too
    assert abs(kept - rate) < 5 * (rate * (1 - rate) / 20_000) ** 0.5


def test_the_draw_is_the_same_everywhere() -> None:
    assert draw("4e0f3d0c-0000-4000-8000-000000000000") == pytest.approx(0.5138, abs=1e-4)


@pytest.mark.fault("D11")
def test_a_loser_keeps_ids_and_counters_only() -> None:
    full = Record("t", "r", sample_rate=0.0, inputs={"a": "secret"}, output="secret", cost=0.5, input_tokens=3)
    lost = sample(full)
    assert lost.counted_only
    assert (lost.cost, lost.input_tokens) == (0.5, 3)
    blank = Record("", "")
    left = {field.name for field in fields(Record) if getattr(lost, field.name) != getattr(blank, field.name)}
    assert left - {"counted_only"} <= COUNTED
