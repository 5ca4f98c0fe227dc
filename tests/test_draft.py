from __future__ import annotations

from proxy.draft import Draft, joined
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
    assert joined({"id": "x"}, {"id": "x"}) == {"id": "x"}


def test_nothing_takes_nothing_away() -> None:
    assert joined({"id": "x"}, None) == {"id": "x"}
    assert joined(None, {"id": "x"}) == {"id": "x"}


def test_choices_are_apart() -> None:
    draft = Draft()
    draft.add(Chunk("a", index=1))
    draft.add(Chunk(tool_calls=[ToolCall("c", "f", "{", 0)], index=0))
    draft.add(Chunk(tool_calls=[ToolCall(arguments="}", index=0)], index=0))
    first, second = draft.choices({1: "length"})
    assert first.tool_calls == [ToolCall("c", "f", "{}", 0)]
    assert (second.text, second.finish_reason) == ("a", "length")
