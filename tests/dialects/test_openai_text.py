"""Text completions: a stream is the whole answer, from completion models and from chat models alike."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion as Wire

from proxy.dialects.openai import text as openai_text
from proxy.draft import Draft
from proxy.models import Call, Choice, Chunk, Completion, CompletionRequest, Event, Json, TraceContext, Usage
from proxy.target import Target

CHAT_MODEL, TEXT_MODEL = "gpt-4o", "gpt-3.5-turbo-instruct"


def call(model: str = CHAT_MODEL, *, echo: bool = False, usage: bool = False) -> Call:
    request = CompletionRequest("openai", TraceContext("t", "t"), kind="text")
    request.messages = [{"role": "user", "content": "Once"}]
    request.params = {"echo": True} if echo else {}
    return Call(request, targets=(Target("openai", model),), told={"usage": usage})


def completion(*choices: Choice) -> Completion:
    return Completion(list(choices), Usage(1, 2), "m", "openai")


def entry(token: str, *tops: str) -> Json:
    return {"token": token, "logprob": -0.5, "top_logprobs": [{"token": top, "logprob": -1.0} for top in tops]}


TOKENS = st.lists(st.text(max_size=4), max_size=3)
PIECE = st.builds(
    lambda tokens, index, told: Chunk(
        "".join(tokens), index=index, logprobs={"content": [entry(token) for token in tokens]} if told else None
    ),
    TOKENS,
    st.integers(0, 1),
    st.booleans(),
)


@given(st.lists(PIECE, max_size=6), st.booleans(), st.sampled_from([CHAT_MODEL, TEXT_MODEL]))
def test_a_stream_is_the_whole_answer(chunks: list[Chunk], echo: bool, model: str) -> None:
    draft = Draft()
    for chunk in chunks:
        draft.add(chunk)
    whole = completion(*draft.choices({chunk.index: "length" for chunk in chunks}))
    asked = call(model, echo=echo, usage=True)
    events: list[Event] = [*chunks, whole]
    told = [part for event in events for part in openai_text.chunks(asked, event)]
    answer = openai_text.whole(call(model, echo=echo), whole)
    Wire.model_validate(answer)
    texts: dict[int, str] = {}
    for part in told:
        for choice in part["choices"]:
            texts[choice["index"]] = texts.get(choice["index"], "") + choice["text"]
    assert texts == {choice["index"]: choice["text"] for choice in answer["choices"]}
    ended = [choice for part in told for choice in part["choices"] if choice["finish_reason"]]
    assert [choice["index"] for choice in ended] == sorted(texts)
    assert (told[-1]["choices"], told[-1]["usage"]) == ([], answer["usage"])
    if not (chunks and all(chunk.logprobs for chunk in chunks)):
        return
    for choice in answer["choices"]:
        parts = [one["logprobs"] for part in told for one in part["choices"] if one["index"] == choice["index"]]
        for name in ("tokens", "token_logprobs", "text_offset"):
            assert [item for part in parts if part for item in part[name]] == choice["logprobs"][name]


def test_a_whole_answer() -> None:
    asked = call()
    assert openai_text.whole(asked, completion(Choice(0, " upon", finish_reason="length"))) == {
        "id": "cmpl-t",
        "object": "text_completion",
        "created": int(asked.started_at),
        "model": "m",
        "choices": [{"text": " upon", "index": 0, "logprobs": None, "finish_reason": "length"}],
        "usage": {
            "prompt_tokens": 1,
            "completion_tokens": 2,
            "total_tokens": 3,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def test_log_probabilities_of_a_chat_model_are_written_the_older_way() -> None:
    found = {"content": [entry(" a", " a", " b"), entry("bc", "bc")]}
    assert openai_text.logprobs(found) == {
        "tokens": [" a", "bc"],
        "token_logprobs": [-0.5, -0.5],
        "top_logprobs": [{" a": -1.0, " b": -1.0}, {"bc": -1.0}],
        "text_offset": [0, 2],
    }


OLDER = {"tokens": ["a"], "token_logprobs": [-1.0], "top_logprobs": None, "text_offset": [4]}


@pytest.mark.parametrize("found", [None, OLDER])
def test_log_probabilities_of_a_completion_model_are_left_alone(found: Json) -> None:
    assert openai_text.logprobs(found) == found


@pytest.mark.parametrize(("model", "text"), [(CHAT_MODEL, "Once upon"), (TEXT_MODEL, " upon")])
def test_the_prompt_is_repeated_where_the_model_does_not(model: str, text: str) -> None:
    """A completion model's answer has the prompt in it already; a chat model's never has."""
    whole = completion(Choice(0, " upon", logprobs={"content": [entry(" upon")]}))
    answer: dict[str, Any] = openai_text.whole(call(model, echo=True), whole)["choices"][0]
    assert (answer["text"], answer["logprobs"]["text_offset"]) == (text, [len(text) - len(" upon")])
    (chunk,) = openai_text.chunks(call(model, echo=True), Chunk(" upon"))
    assert chunk["choices"][0]["text"] == text


@pytest.mark.parametrize("params", [{}, {"n": 1}, {"n": 3}])
@pytest.mark.parametrize("default", [{}, {"n": 2}])
def test_each_choice_repeats_its_own_prompt(params: dict[str, Any], default: dict[str, Any]) -> None:
    n = {**default, **params}.get("n", 1)
    prompts = ["Once", "Twice", "Thrice"]

    def listed() -> Call:
        asked = call(echo=True)
        asked.request.messages = [{"role": "user", "content": prompt} for prompt in prompts]
        asked.request.params |= params
        asked.targets = (Target("openai", CHAT_MODEL, params=default),)
        return asked

    expected = [f"{prompt} upon" for prompt in prompts for _ in range(n)]
    whole = completion(*(Choice(index, " upon") for index in range(3 * n)))
    assert [choice["text"] for choice in openai_text.whole(listed(), whole)["choices"]] == expected
    asked, texts = listed(), [""] * (3 * n)
    events: list[Event] = [*(Chunk(" upon", index=index) for index in reversed(range(3 * n))), whole]
    for event in events:
        for part in openai_text.chunks(asked, event):
            for choice in part["choices"]:
                texts[choice["index"]] += choice["text"]
    assert texts == expected


def test_a_conversation_of_a_deployment_repeats_its_last_message() -> None:
    asked = call(echo=True)
    asked.request.kind = "chat"
    asked.request.messages = [{"role": "system", "content": "Be"}, {"role": "user", "content": "Once"}]
    assert openai_text.whole(asked, completion(Choice(0, " upon")))["choices"][0]["text"] == "Once upon"
