"""Chat completions: a stream, read by OpenAI's own client, is the whole answer."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from proxy.dialects.openai import chat as openai_chat
from proxy.draft import Draft
from proxy.models import Call, Choice, Chunk, Completion, CompletionRequest, Event, Json, ToolCall, TraceContext, Usage
from proxy.target import Target

USAGE = Usage(7, 9, cached_tokens=2, reasoning_tokens=3)


def call(**told: Json) -> Call:
    return Call(CompletionRequest("openai", TraceContext("t", "t")), targets=(Target("openai", "asked"),), told=told)


def completion(*choices: Choice) -> Completion:
    return Completion(list(choices), USAGE, "gpt-4o-2024-08-06", "openai", system_fingerprint="fp_1")


def streamed(asked: Call, chunks: list[Chunk], whole: Completion) -> list[dict[str, Json]]:
    events: list[Event] = [*chunks, whole]
    return [told for event in events for told in openai_chat.chunks(asked, event)]


def read(told: list[dict[str, Json]]) -> dict[str, Any]:
    """What OpenAI's client makes of a stream."""
    state = ChatCompletionStreamState()
    for chunk in told:
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    return state.current_completion_snapshot.to_dict()


def entry(token: str) -> Json:
    return {"token": token, "logprob": -0.5, "bytes": list(token.encode()), "top_logprobs": []}


TEXTS = st.text(st.characters(codec="utf-8"), max_size=6)
LOGPROBS = TEXTS.map(lambda token: {"content": [entry(token)], "refusal": None})


@st.composite
def fragments(draw: st.DrawFn, index: int) -> list[Chunk]:
    """The chunks of one tool call, as vendors send them: its id and name first, or again and again."""
    again = draw(st.booleans())
    pieces = draw(st.lists(TEXTS, min_size=1, max_size=3))
    place = draw(st.integers(0, 2))
    return [
        Chunk(
            tool_calls=[
                ToolCall(f"call_{index}", f"f{index}", piece, index)
                if at == 0 or again
                else ToolCall(arguments=piece, index=index)
            ],
            index=place,
        )
        for at, piece in enumerate(pieces)
    ]


PLAIN = st.builds(
    Chunk,
    text=TEXTS,
    reasoning=TEXTS,
    index=st.integers(0, 2),
    logprobs=st.none() | LOGPROBS,
    extra=st.just({}) | st.builds(lambda text: {"refusal": text}, TEXTS),
)


@st.composite
def streams(draw: st.DrawFn) -> list[Chunk]:
    chunks = draw(st.lists(PLAIN, max_size=5))
    for index in range(draw(st.integers(0, 2))):
        chunks += draw(fragments(index))
    return chunks


def comparable(choice: dict[str, Any]) -> dict[str, Any]:
    """A choice without what is said by being absent."""
    message = {name: value for name, value in choice["message"].items() if value not in (None, "", [])}
    for tool in message.get("tool_calls", ()):
        tool.pop("index", None)
        tool["function"].pop("parsed_arguments", None)
    message.pop("parsed", None)
    found = choice.get("logprobs") or {}
    return {
        "index": choice["index"],
        "message": message,
        "finish_reason": choice["finish_reason"],
        "logprobs": found.get("content") or [],
    }


@given(streams(), st.booleans(), st.sampled_from(["stop", "length", "tool_calls"]))
def test_a_stream_is_the_whole_answer(chunks: list[Chunk], functions: bool, reason: str) -> None:
    draft = Draft()
    for chunk in chunks:
        draft.add(chunk)
    number = max((chunk.index for chunk in chunks), default=0) + 1
    whole = completion(*draft.choices(dict.fromkeys(range(number), reason)))
    told = streamed(call(usage=True, functions=functions), chunks, whole)
    answer = openai_chat.whole(call(functions=functions), whole)
    ChatCompletion.model_validate(answer)
    snapshot = read(told)
    assert sorted(map(comparable, snapshot["choices"]), key=lambda choice: choice["index"]) == list(
        map(comparable, answer["choices"])
    )
    assert snapshot["usage"] == answer["usage"]
    assert {chunk["id"] for chunk in told} == {answer["id"]} == {"chatcmpl-t"}
    assert {chunk["created"] for chunk in told} == {answer["created"]}


def test_a_whole_answer() -> None:
    asked = call()
    choice = Choice(0, "hi", reasoning="so", logprobs={"content": [entry("hi")]}, extra={"annotations": []})
    assert openai_chat.whole(asked, completion(choice)) == {
        "id": "chatcmpl-t",
        "object": "chat.completion",
        "created": int(asked.started_at),
        "model": "gpt-4o-2024-08-06",
        "system_fingerprint": "fp_1",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "hi",
                    "refusal": None,
                    "annotations": [],
                    "reasoning_content": "so",
                },
                "logprobs": {"content": [entry("hi")]},
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 7,
            "completion_tokens": 9,
            "total_tokens": 16,
            "prompt_tokens_details": {"cached_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
    }


def test_what_is_not_known_is_not_told() -> None:
    bare = Completion([Choice(0, "hi")], Usage(), "m", "openai")
    assert not openai_chat.whole(call(), bare).keys() & {"system_fingerprint", "service_tier"}


def deltas(told: list[dict[str, Json]], index: int) -> list[dict[str, Json]]:
    return [choice["delta"] for chunk in told for choice in chunk["choices"] if choice["index"] == index]


def test_every_choice_begins_with_its_role_and_ends_with_its_reason() -> None:
    whole = completion(Choice(0, "ab"), Choice(1, "c", finish_reason="length"), Choice(2, ""))
    told = streamed(call(), [Chunk("a"), Chunk("c", index=1), Chunk("b")], whole)
    begin = {"role": "assistant", "content": ""}
    assert deltas(told, 0) == [begin, {"content": "a"}, {"content": "b"}, {}]
    assert deltas(told, 1) == [begin, {"content": "c"}, {}]
    assert deltas(told, 2) == [begin, {}]
    reasons = [choice["finish_reason"] for chunk in told for choice in chunk["choices"] if choice["finish_reason"]]
    assert reasons == ["stop", "length", "stop"]


def test_choices_and_calls_begin_in_order() -> None:
    """OpenAI's client fails at a stream that begins with another choice than the first, or another call."""
    calls = [ToolCall("c", "f", "{}", 2), ToolCall("d", "g", "{}", 5)]
    whole = completion(Choice(0, "a"), Choice(1, "b"), Choice(2, tool_calls=calls))
    chunks = [Chunk(tool_calls=calls, index=2), Chunk("b", index=1), Chunk("a")]
    told = streamed(call(), chunks, whole)
    assert [part["choices"][0]["index"] for part in told[:3]] == [0, 1, 2]
    assert [one["message"].get("content") or None for one in read(told)["choices"]] == ["a", "b", None]
    assert [one["id"] for one in read(told)["choices"][2]["message"]["tool_calls"]] == ["c", "d"]


def test_usage_is_told_once_and_its_place_is_kept() -> None:
    told = streamed(call(usage=True), [Chunk("a")], completion(Choice(0, "a")))
    assert [chunk["usage"] for chunk in told[:-1]] == [None, None, None]
    assert (told[-1]["choices"], told[-1]["usage"]["total_tokens"]) == ([], 16)


@pytest.mark.parametrize("usage", [False, None])
def test_usage_is_not_told_unless_it_is_asked_for(usage: bool | None) -> None:
    told = streamed(call(usage=usage), [Chunk("a")], completion(Choice(0, "a")))
    assert all("usage" not in chunk and chunk["choices"] for chunk in told)


def test_a_calls_id_and_name_are_told_once() -> None:
    pieces = [Chunk(tool_calls=[ToolCall("c", "f", piece)]) for piece in ("", '{"a"', ": 1}")]
    told = streamed(call(), pieces, completion(Choice(tool_calls=[ToolCall("c", "f", '{"a": 1}')])))
    begin, first, second, *_ = deltas(told, 0)
    assert begin == {"role": "assistant", "content": None}
    assert first == {
        "tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}]
    }
    assert second == {"tool_calls": [{"index": 0, "function": {"arguments": '{"a"'}}]}


def test_what_no_chunk_told_is_told_at_the_end() -> None:
    whole = completion(Choice(tool_calls=[ToolCall("c", "f", "{}")], finish_reason="tool_calls"))
    (choice,) = read(streamed(call(), [], whole))["choices"]
    assert choice["message"]["tool_calls"][0]["function"]["name"] == "f"


def test_an_empty_chunk_is_no_event() -> None:
    asked = call()
    assert len(openai_chat.chunks(asked, Chunk("a"))) == 2
    assert openai_chat.chunks(asked, Chunk("")) == []
