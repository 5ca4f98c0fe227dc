"""What a chat model and a completion model say beside the text, as the two clients read it."""

from __future__ import annotations

from typing import Any

import pytest

from proxy.dialects.scale.text import chunks, contents, whole
from proxy.models import Call, Choice, Chunk, Completion, CompletionRequest, ToolCall, TraceContext, Usage
from proxy.target import Target

CHATTED = {
    "content": [
        {"token": "Pa", "logprob": -0.1, "bytes": [80, 97], "top_logprobs": [{"token": "Lo", "logprob": -2.0}]},
        {"token": "ris", "logprob": -0.2, "bytes": [114, 105, 115], "top_logprobs": []},
    ]
}
COMPLETED = {
    "tokens": ["Pa", "ris"],
    "token_logprobs": [-0.1, -0.2],
    "top_logprobs": [{"Lo": -2.0}, None],
    "text_offset": [0, 2],
}
CALLS = [ToolCall("c1", "f", "{}")]


def asked() -> Call:
    messages = [{"role": "user", "content": "hi"}]
    request = CompletionRequest("scale", TraceContext("t", "t"), kind="text", messages=messages)
    return Call(request, targets=(Target("openai", "gpt-4o"),))


def completion(choice: Choice) -> Completion:
    return Completion([choice], Usage(), "gpt-4o", "openai")


@pytest.mark.parametrize("said", [CHATTED, COMPLETED])
def test_one_client_reads_log_probabilities_as_a_conversations(said: Any) -> None:
    (choice,) = whole(asked(), completion(Choice(text="Paris", logprobs=said)), content=True)["choices"]
    found = choice["logprobs"]["content"]
    assert [(entry["token"], entry["logprob"], entry["bytes"]) for entry in found] == [
        ("Pa", -0.1, [80, 97]),
        ("ris", -0.2, [114, 105, 115]),
    ]
    assert [[top["token"] for top in entry["top_logprobs"]] for entry in found] == [["Lo"], []]


@pytest.mark.parametrize("said", [CHATTED, COMPLETED])
def test_the_other_reads_them_as_lists(said: Any) -> None:
    (choice,) = whole(asked(), completion(Choice(text="Paris", logprobs=said)), content=False)["choices"]
    assert choice["logprobs"]["tokens"] == ["Pa", "ris"]
    assert choice["logprobs"]["text_offset"] == [0, 2]


def test_without_them_there_are_none() -> None:
    assert contents(None) is None
    (choice,) = whole(asked(), completion(Choice(text="x")), content=True)["choices"]
    assert choice["logprobs"] is None


def test_lists_of_different_length_are_read_to_the_last() -> None:
    found = contents({"tokens": ["a", "b"], "token_logprobs": [-1.0]})
    assert [(entry["token"], entry["logprob"]) for entry in found["content"]] == [("a", -1.0), ("b", None)]


@pytest.mark.parametrize("said", [CHATTED, COMPLETED])
def test_a_stream_has_them_in_the_same_shape(said: Any) -> None:
    call = asked()
    (chunk,) = chunks(call, Chunk("Paris", logprobs=said), content=True)
    assert [entry["token"] for entry in chunk["choices"][0]["logprobs"]["content"]] == ["Pa", "ris"]
    (last,) = chunks(call, completion(Choice(text="Paris", logprobs=said)), content=True)
    assert last["choices"][0]["logprobs"] is None


def test_a_choice_that_comes_whole_has_them_too() -> None:
    (last,) = chunks(asked(), completion(Choice(text="Paris", logprobs=COMPLETED)), content=True)
    assert last["choices"][0]["text"] == "Paris"
    assert len(last["choices"][0]["logprobs"]["content"]) == 2


def test_calls_of_tools_stand_beside_the_text() -> None:
    ended = completion(Choice(text="Let me see", tool_calls=CALLS, finish_reason="tool_calls"))
    told = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    (choice,) = whole(asked(), ended, content=True)["choices"]
    assert (choice["text"], choice["tool_calls"], choice["finish_reason"]) == ("Let me see", told, "tool_calls")
    call = asked()
    assert chunks(call, Chunk(tool_calls=CALLS), content=True) == []
    (last,) = chunks(call, ended, content=True)
    assert last["choices"][0]["tool_calls"] == told
