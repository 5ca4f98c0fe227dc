from __future__ import annotations

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.middleware.entry import Entry, decode, encode
from proxy.models import Choice, Chunk, Completion, ToolCall, Usage

text = st.text(max_size=20)
count = st.integers(0, 2**53)
tool_call = st.builds(ToolCall, id=text, name=text, arguments=text, index=st.integers(0, 5))
json = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
choice = st.builds(
    Choice,
    index=st.integers(0, 5),
    text=text,
    tool_calls=st.lists(tool_call, max_size=2),
    finish_reason=text,
    reasoning=text,
    logprobs=json,
)
completion = st.builds(
    Completion,
    choices=st.lists(choice, max_size=3),
    usage=st.builds(Usage, prompt_tokens=count, completion_tokens=count, estimated=st.booleans()),
    model=text,
    provider=text,
    cost=st.none() | st.floats(0, 100),
    cache_hit=st.just(False),
)
chunk = st.builds(Chunk, text=text, tool_calls=st.lists(tool_call, max_size=2), reasoning=text, index=st.integers(0, 5))
entry = st.builds(
    Entry,
    completion=completion,
    chunks=st.lists(chunk, max_size=4),
    dropped=st.dictionaries(text, text, max_size=2),
)


@settings(deadline=None)
@given(entry)
def test_what_is_encoded_is_decoded(entry: Entry) -> None:
    assert decode(encode(entry)) == entry


ANSWER = Entry(Completion([Choice(text="hi")], Usage(1, 2), "m", "p"))


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{}",
        b"[]",
        b"[1]",
        b"[1, 2]",
        b"[1, {}]",
        b"null",
        b"\xff",
        b"[1, {}, [], {}]",
        b"[1, null, [], {}]",
        b'[1, {"choices": [], "usage": {}, "model": "", "provider": ""}, null, {}]',
        b'[1, {"choices": [], "usage": {}, "model": "", "provider": ""}, [1], {}]',
        b'[1, {"choices": [], "usage": {}, "model": "", "provider": ""}, [], []]',
        b'[0, {"choices": [], "usage": {}, "model": "", "provider": ""}, [], {}]',
    ],
)
def test_what_is_no_entry_is_none(value: bytes | None) -> None:
    assert decode(value) is None


def test_no_part_of_an_entry_is_an_entry() -> None:
    value = encode(ANSWER)
    assert value is not None
    assert decode(value) == ANSWER
    assert [decode(value[:end]) for end in range(len(value))] == [None] * len(value)


def test_an_entry_with_an_unknown_or_a_missing_field_is_none() -> None:
    version, body, *rest = orjson.loads(encode(ANSWER) or b"")
    assert decode(orjson.dumps([version, body, *rest])) == ANSWER
    assert decode(orjson.dumps([version + 1, body, *rest])) is None
    assert decode(orjson.dumps([version, [*body, 1], *rest])) is None
    for place in range(len(body)):
        assert decode(orjson.dumps([version, body[:place] + body[place + 1 :], *rest])) is None
    choices, *others = body
    assert decode(orjson.dumps([version, [[choices[0][:-1]], *others], *rest])) is None


def test_what_json_cannot_carry_is_not_encoded() -> None:
    assert encode(Entry(Completion([Choice(text="half \ud83d")], Usage(), "m", "p"))) is None
