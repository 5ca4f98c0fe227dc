from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.body import MAX_DEPTH, loads
from proxy.errors import BadRequest

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(values)
def test_reads_what_json_writes(value: Any) -> None:
    assert loads(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": "\\ud800"}',
        b'{"a": "\xff"}',
        b"\xef\xbb\xbf{}",
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_refuses_what_is_no_json(body: bytes) -> None:
    with pytest.raises(BadRequest):
        loads(body)


def test_a_message_never_repeats_the_body() -> None:
    with pytest.raises(BadRequest) as caught:
        loads(b'{"provider_api_key": "sk-canary" oops}')
    assert "canary" not in caught.value.message


def test_nesting_is_limited_to_the_level() -> None:
    assert loads(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH)
    with pytest.raises(BadRequest, match="deeper than 200"):
        loads(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1))


def test_many_shallow_brackets_are_no_depth() -> None:
    assert len(loads(b"[" + b"[]," * 5000 + b"[]]")) == 5001


def test_of_two_equal_keys_the_last_wins() -> None:
    assert loads(b'{"a": 1, "a": 2}') == {"a": 2}
