from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from proxy.dialects.blocks import Block, Blocks, Step
from proxy.models import Choice, Chunk, Completion, Event, ToolCall, Usage
from tests.dialects.answers import Streamed, answers

SIGNED = {"thinking_blocks": [{"type": "thinking", "thinking": "so", "signature": "c2ln"}]}


def told(*events: Event) -> tuple[list[Step], list[Block]]:
    blocks = Blocks("call", "t")
    return [step for event in events for step in blocks.add(event)], blocks.told


def done(**choice: Any) -> Completion:
    return Completion([Choice(**choice)], Usage(), "m", "p")


def content(blocks: list[Block]) -> list[Any]:
    return [(block.kind, block.text, block.id, block.name, block.signature) for block in blocks]


def joined(blocks: list[Block], kind: str) -> str:
    return "".join(block.text for block in blocks if block.kind == kind)


@given(answers())
def test_every_piece_arrives_and_one_block_is_open_at_a_time(answer: Streamed) -> None:
    steps, blocks = told(*answer.events)
    open_block: Block | None = None
    heard: dict[int, str] = {}
    for step in steps:
        if step.kind == "start":
            assert open_block is None
            assert step.block.index == len(heard)
            open_block, heard[step.block.index] = step.block, ""
            continue
        assert step.block is open_block
        heard[step.block.index] += step.text
        open_block = None if step.kind == "stop" else open_block
    assert open_block is None
    assert [heard[block.index] for block in blocks] == [block.text for block in blocks]
    (choice,) = answer.completion.choices
    assert (joined(blocks, "text"), joined(blocks, "thought")) == (choice.text, choice.reasoning)
    calls = {block.number: (block.id, block.name, block.text) for block in blocks if block.kind == "call"}
    assert calls == {call.index: (call.id, call.name, call.arguments) for call in choice.tool_calls}


@given(answers())
def test_a_whole_answer_says_the_same_as_its_stream(answer: Streamed) -> None:
    _, whole = told(answer.completion)
    _, streamed = told(*answer.events)
    assert joined(whole, "text") == joined(streamed, "text")
    assert sorted(content([block for block in whole if block.kind == "call"])) == sorted(
        content([block for block in streamed if block.kind == "call"])
    )


def test_calls_are_streamed_one_after_the_other() -> None:
    steps, _ = told(Chunk(tool_calls=[ToolCall("a", "f", "{}", 0)]), Chunk(tool_calls=[ToolCall("b", "g", '{"x"', 1)]))
    assert [(step.kind, step.block.id, step.text) for step in steps] == [
        ("start", "a", ""),
        ("delta", "a", "{}"),
        ("stop", "a", ""),
        ("start", "b", ""),
        ("delta", "b", '{"x"'),
    ]


def test_what_comes_amid_a_calls_arguments_waits_for_their_end() -> None:
    blocks = Blocks("call", "t")
    list(blocks.add(Chunk(tool_calls=[ToolCall("a", "f", '{"x": ', 0)])))
    assert list(blocks.add(Chunk("and so"))) == []
    steps = list(blocks.add(Chunk(tool_calls=[ToolCall(arguments="1}", index=0)])))
    assert [(step.kind, step.text) for step in steps] == [
        ("delta", "1}"),
        ("stop", ""),
        ("start", ""),
        ("delta", "and so"),
    ]


def test_arguments_that_never_end_are_told_and_so_is_what_waited_for_them() -> None:
    _, blocks = told(
        Chunk(tool_calls=[ToolCall("a", "f", '{"x": ', 0)]),
        Chunk(tool_calls=[ToolCall("b", "g", "{", 1)]),
        Chunk(tool_calls=[ToolCall(arguments="}", index=1)]),
        done(finish_reason="length"),
    )
    assert [(block.id, block.text) for block in blocks] == [("a", '{"x": '), ("b", "{}")]


def test_a_thought_that_comes_twice_is_told_once_and_signed() -> None:
    _, blocks = told(Chunk(reasoning="so", extra=SIGNED), Chunk("yes"), done(text="yes", reasoning="so", extra=SIGNED))
    assert content(blocks) == [("thought", "so", "", "", "c2ln"), ("text", "yes", "", "", "")]


def test_a_signature_may_come_after_its_thought() -> None:
    late = {"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "c2ln"}]}
    _, blocks = told(Chunk(reasoning="s"), Chunk(reasoning="o"), Chunk(extra=late), Chunk("yes"))
    assert content(blocks) == [("thought", "so", "", "", "c2ln"), ("text", "yes", "", "", "")]


def test_thoughts_that_come_as_blocks_only_are_told() -> None:
    hidden = {"type": "redacted_thinking", "data": "cmVk"}
    extra = {"thinking_blocks": [*SIGNED["thinking_blocks"], hidden, {"type": "thinking", "thinking": "then"}]}
    expected = [("thought", "so", "", "", "c2ln"), ("hidden", "cmVk", "", "", ""), ("thought", "then", "", "", "")]
    for events in ([Chunk(extra=extra), done()], [done(extra=extra, reasoning="sothen")]):
        assert content(told(*events)[1]) == expected


@pytest.mark.parametrize("extra", [{"thinking_blocks": 1}, {"thinking_blocks": [1, {"type": 2}]}, {"refusal": 3}])
def test_odd_extras_say_nothing(extra: dict[str, Any]) -> None:
    assert told(Chunk(extra=extra), done(extra=extra))[1] == []


def test_calls_without_an_id_or_with_anothers_get_one() -> None:
    calls = [ToolCall("a", "f", "{}"), ToolCall("a", "g", "{}"), ToolCall("", "h", "{}")]
    ids = [block.id for block in told(done(tool_calls=calls))[1]]
    assert ids[0] == "a"
    assert len(set(ids)) == 3
    assert all(one.startswith("call_") for one in ids[1:])


def test_only_the_first_choice_is_told() -> None:
    _, blocks = told(Chunk("one"), Chunk("two", index=1), Completion([Choice(text="one")], Usage(), "m", "p"))
    assert [block.text for block in blocks] == ["one"]


def test_text_has_its_log_probabilities() -> None:
    logprobs = {"content": [{"token": "a", "logprob": -0.5}]}
    steps, blocks = told(Chunk("a", logprobs=logprobs), done(text="a", logprobs=logprobs))
    assert [step.logprobs for step in steps if step.kind == "delta"] == [logprobs["content"]]
    assert blocks[0].logprobs == logprobs["content"]
