from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from proxy.body import MAX_DEPTH, loads, validated
from proxy.errors import BadRequest, Unprocessable

pytestmark = pytest.mark.fault("P4")

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


class Inner(BaseModel):
    size: int = Field(alias="Size")


class Outer(BaseModel):
    inner: list[Inner] = []
    bias: dict[str, float] = {}
    either: dict[str, int | bool] | None = None


@pytest.mark.parametrize(
    ("value", "loc"),
    [
        ({"inner": [{"Size": 1}, {"Size": "x"}]}, ["body", "inner", 1, "Size"]),
        ({"inner": [{}]}, ["body", "inner", 0, "Size"]),
        ({"bias": {"a-name-of-the-clients": "x"}}, ["body", "bias", "*"]),
        ({"either": {"a-name-of-the-clients": "x"}}, ["body", "either", "*", "int"]),
        ({"bias": {"inner": "x"}}, ["body", "bias", "inner"]),
    ],
)
def test_a_refusal_names_fields_and_no_name_of_the_clients_own(value: Any, loc: list[str | int]) -> None:
    with pytest.raises(Unprocessable) as caught:
        validated(Outer, value)
    assert caught.value.detail[0]["loc"] == loc
