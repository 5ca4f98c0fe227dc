from __future__ import annotations

from typing import Any

import pytest

from proxy.draft import Draft
from proxy.models import Chunk, ToolCall


def test_log_probabilities_come_one_after_the_other() -> None:
    draft = Draft()
    draft.add(Chunk("a", logprobs={"content": [{"token": "a"}]}))
    draft.add(Chunk("b", logprobs={"content": [{"token": "b"}]}))
    assert draft.choices()[0].logprobs == {"content": [{"token": "a"}, {"token": "b"}]}


def test_further_fields_of_a_message_are_put_together() -> None:
    draft = Draft()
    draft.add(Chunk(extra={"audio": {"id": "x", "data": "AA"}, "refusal": "I "}))
    draft.add(Chunk(extra={"audio": {"data": "BB", "expires_at": 3}, "refusal": "cannot", "annotations": [1]}))
    draft.add(Chunk(extra={"annotations": [2]}))
    assert draft.choices()[0].extra == {
        "audio": {"id": "x", "data": "AABB", "expires_at": 3},
        "refusal": "I cannot",
        "annotations": [1, 2],
    }


def test_an_id_that_comes_twice_is_no_longer_for_it() -> None:
    draft = Draft()
    draft.add(Chunk(extra={"audio": {"id": "x"}}))
    draft.add(Chunk(extra={"audio": {"id": "x"}}))
    assert draft.choices()[0].extra == {"audio": {"id": "x"}}


@pytest.mark.parametrize("chunks", [[{"id": "x"}, {"id": None}], [{"id": None}, {"id": "x"}]])
def test_nothing_takes_nothing_away(chunks: list[dict[str, Any]]) -> None:
    draft = Draft()
    for extra in chunks:
        draft.add(Chunk(extra=extra))
    assert draft.choices()[0].extra == {"id": "x"}


def test_what_is_put_together_is_not_changed() -> None:
    first: dict[str, Any] = {"content": [{"token": "a"}], "audio": {"data": "AA"}}
    draft = Draft()
    for _ in range(3):
        draft.add(Chunk(logprobs=first, extra=first))
    assert first == {"content": [{"token": "a"}], "audio": {"data": "AA"}}
    assert draft.choices()[0].extra == {"content": [{"token": "a"}] * 3, "audio": {"data": "AAAAAA"}}


def test_choices_are_apart() -> None:
    draft = Draft()
    draft.add(Chunk("a", index=1))
    draft.add(Chunk(tool_calls=[ToolCall("c", "f", "{", 0)], index=0))
    draft.add(Chunk(tool_calls=[ToolCall(arguments="}", index=0)], index=0))
    first, second = draft.choices({1: "length"})
    assert first.tool_calls == [ToolCall("c", "f", "{}", 0)]
    assert (second.text, second.finish_reason) == ("a", "length")
