from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from proxy import timestamps


@given(st.floats(min_value=0, max_value=4e9))
def test_a_time_in_seconds_is_written_as_a_datetime_is(seconds: float) -> None:
    read = datetime.fromisoformat(timestamps.at(seconds))
    assert timestamps.text(read) == timestamps.at(seconds)
    assert abs(read - datetime.fromtimestamp(seconds, UTC)) <= timedelta(microseconds=1)
