"""Whatever a provider puts in whichever field: what leaves is text, counts and OpenAI's words, or a failure."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.errors import UpstreamError
from proxy.estimate import estimate
from proxy.models import Choice, Chunk, Completion, Usage
from proxy.providers.prices import PriceList, Prices
from proxy.providers.translation import answers, values
from proxy.providers.translation.answers import Reader
from proxy.providers.translation.choices import blocks, finish_reason
from proxy.providers.translation.usage import tokens
from proxy.target import Target

WORDS = {"stop", "length", "tool_calls", "content_filter", "function_call"}
HALF = "\ud83d"

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(f"half {HALF}")
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "text", "thinking", "content", HALF, "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
TEXTS = st.text(max_size=8) | st.none()
FUNCTION = st.fixed_dictionaries({}, optional={"name": TEXTS | ANYTHING, "arguments": TEXTS | ANYTHING})
CALL = st.fixed_dictionaries({}, optional={"id": TEXTS | ANYTHING, "index": ANYTHING, "function": FUNCTION | ANYTHING})
BLOCK = st.fixed_dictionaries({"type": st.just("thinking"), "thinking": ANYTHING})
MESSAGE = st.fixed_dictionaries(
    {},
    optional={
        "content": TEXTS | ANYTHING,
        "reasoning_content": ANYTHING,
        "reasoning": ANYTHING,
        "provider_specific_fields": ANYTHING,
        "refusal": ANYTHING,
        "audio": ANYTHING,
        "annotations": ANYTHING,
        "thinking_blocks": ANYTHING | st.lists(BLOCK, max_size=2),
        "tool_calls": st.lists(CALL, max_size=2) | ANYTHING,
    },
)
CHOICE = st.fixed_dictionaries(
    {},
    optional={
        "index": ANYTHING,
        "finish_reason": TEXTS | ANYTHING,
        "logprobs": ANYTHING,
        "text": TEXTS | ANYTHING,
        "message": MESSAGE | ANYTHING,
        "delta": MESSAGE | ANYTHING,
    },
)
USAGE = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("prompt_tokens", "completion_tokens", "cost", "prompt_tokens_details", "completion_tokens_details"), ANYTHING
    ),
)
ANSWER = st.fixed_dictionaries(
    {},
    optional={
        "model": ANYTHING,
        "system_fingerprint": ANYTHING,
        "choices": st.lists(CHOICE, max_size=2) | ANYTHING,
        "usage": USAGE | ANYTHING,
    },
)


def whole(answer: Any, provider: str) -> list[Choice]:
    """The choices of an answer that came in one piece."""
    reader = Reader(provider)
    reader.take(answer)
    return reader.finish(None, counted=False)


def reckoned(target: Target, counted: Any, usage: Usage, model: str | None, listed: PriceList) -> float | None:
    async def loaded() -> None:
        """Nothing has to be."""

    return asyncio.run(Prices(listed, loaded).cost(target, counted, usage, model))


def check(choices: list[Choice], answer: Any) -> None:
    """The completion that these choices become can be written in every form that the gateway writes."""
    usage = (answer or {}).get("usage")
    cost = reckoned(Target("openrouter", "m"), usage, Usage(), answers.model(answer or {}), lambda **_: float("nan"))
    counted = tokens(usage) or estimate([], choices)
    completion = Completion(choices, counted, model="m", provider="p", cost=cost)
    orjson.dumps(completion)
    json.dumps(orjson.loads(orjson.dumps(completion)), allow_nan=False).encode()
    for choice in choices:
        assert choice.finish_reason in WORDS
        choice.text.encode()
        assert all(type(part) is str for call in choice.tool_calls for part in (call.id, call.name, call.arguments))


@pytest.mark.fault("U2")
@given(ANSWER)
def test_any_whole_answer_can_be_written(answer: Any) -> None:
    try:
        choices = whole(answer, "openai")
    except UpstreamError:
        return
    check(choices, answer)


@pytest.mark.fault("U2")
@given(st.lists(ANSWER, max_size=3))
def test_any_streamed_answer_can_be_written(parts: list[Any]) -> None:
    reader = Reader("openai")
    try:
        for part in parts:
            for chunk in reader.read(part):
                orjson.dumps(chunk)
        choices = reader.finish("stop", counted=True)
    except UpstreamError:
        return
    check(choices, parts[-1] if parts else None)


PARTS = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}, {"type": "text", "text": "."}]},
    {"type": "text", "text": "Hi"},
    {"type": "reference", "reference_ids": [1]},
    {"type": "text", "text": " there"},
]


def an_answer(**message: Any) -> Any:
    return {"choices": [{"index": 0, "finish_reason": "stop", "message": message}]}


def test_content_in_parts_is_its_text_and_its_reasoning() -> None:
    (choice,) = whole(an_answer(content=PARTS), "mistral")
    assert (choice.text, choice.reasoning) == ("Hi there", "hm.")
    reader = Reader("mistral")
    chunks = reader.read({"choices": [{"index": 0, "delta": {"content": PARTS}}]})
    assert chunks == [Chunk(text="Hi there", reasoning="hm.")]
    assert [(c.text, c.reasoning) for c in reader.finish("stop", counted=False)] == [("Hi there", "hm.")]


@pytest.mark.parametrize("odd", [{"x": "y"}, 5, True, ["text"], [{"type": "text", "text": {"x": "y"}}], b"x"])
def test_content_that_is_no_text_is_no_answer(odd: Any) -> None:
    with pytest.raises(UpstreamError) as caught:
        whole(an_answer(content=odd), "openai")
    assert caught.value.code == "bad_answer"
    with pytest.raises(UpstreamError):
        Reader("openai").read({"choices": [{"index": 0, "delta": {"content": odd}}]})


@pytest.mark.parametrize("field", ["id", "name", "arguments"])
def test_a_call_that_is_no_text_is_no_answer(field: str) -> None:
    parts = {"id": "1", "name": "f", "arguments": "{}"} | {field: ["x"]}
    call = {"id": parts.pop("id"), "function": parts}
    with pytest.raises(UpstreamError, match="cannot be read"):
        whole(an_answer(content=None, tool_calls=[call]), "openai")


def test_arguments_that_are_an_object_become_its_json() -> None:
    call = {"id": "1", "function": {"name": "f", "arguments": {"city": "Rome", "days": 2}}}
    (choice,) = whole(an_answer(content=None, tool_calls=[call]), "openai")
    assert json.loads(choice.tool_calls[0].arguments) == {"city": "Rome", "days": 2}


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("MAX_TOKENS", "length"),
        ("end_turn", "stop"),
        ("tool_use", "tool_calls"),
        ("SAFETY", "content_filter"),
        ("anything else", "stop"),
        (None, "stop"),
    ],
)
def test_finish_reasons_are_openais(reason: str | None, word: str) -> None:
    assert finish_reason(reason, []) == word


@pytest.mark.parametrize(
    ("prompt", "said", "counted"),
    [
        (6, 5, Usage(6, 5)),
        (6, None, Usage(6, 0)),
        (0, 5, None),
        (-5, 5, None),
        (6, -5, None),
        (6, "5", None),
        (True, 5, None),
        (2**53, 2**53, Usage(2**53, 2**53)),
        (2**53 + 1, 5, None),
        (6, 10**30, None),
        (6.0, 5.0, Usage(6, 5)),
        (6.5, 5, None),
        (float("inf"), 5, None),
    ],
)
def test_counts_that_are_none_are_absent(prompt: Any, said: Any, counted: Usage | None) -> None:
    assert tokens({"prompt_tokens": prompt, "completion_tokens": said}) == counted


@pytest.mark.parametrize("told", [float("nan"), float("inf"), -1.0, True, "1", 10**400])
def test_a_cost_that_is_none_is_not_told(told: Any) -> None:
    def unpriced(**_: Any) -> float:
        raise KeyError

    assert reckoned(Target("openrouter", "m"), {"cost": told}, Usage(1, 1), "m", unpriced) is None


@pytest.mark.parametrize("listed", [float("nan"), float("inf"), -0.5])
def test_a_price_that_is_none_is_not_told(listed: float) -> None:
    assert reckoned(Target("openai", "m"), None, Usage(1, 1), "m", lambda **_: listed) is None


def test_half_a_pair_is_replaced_and_a_pair_is_joined() -> None:
    assert values.encodable(f"a{HALF}b") == "a\ufffdb"
    assert values.encodable("\ud83d\ude00") == "\U0001f600"
    assert values.encodable("naïve \U0001f600") == "naïve \U0001f600"


def test_a_name_is_fit_for_the_price_list_only_if_it_is_one() -> None:
    assert [answers.model({"model": name}) for name in ("m", {"a": 1}, "m" * 201)] == ["m", None, None]


def test_plain_json_can_be_written_anywhere() -> None:
    deep: Any = "bottom"
    for _ in range(400):
        deep = [deep]
    odd = {HALF: [float("nan"), float("-inf"), 10**30, {1: b"x"}, True, None, 1.5, "x"], "deep": deep}
    plain = values.plain(odd)
    assert plain["\ufffd"] == [None, None, None, {"1": None}, True, None, 1.5, "x"]
    assert orjson.loads(json.dumps(plain, allow_nan=False)) == plain


def piece(text: str = "", signature: str | None = None, index: int = 0) -> dict[str, Any]:
    found = {"type": "thinking", "thinking": text, "index": index}
    return found | ({"signature": signature} if signature else {})


def test_thoughts_in_pieces_become_blocks() -> None:
    hidden = {"type": "redacted_thinking", "data": "xx"}
    pieces = [
        piece("Two "),
        piece("and two."),
        piece(signature="a"),
        hidden,
        piece("So", index=2),
        piece(signature="b"),
    ]
    assert blocks(pieces) == [
        {"type": "thinking", "thinking": "Two and two.", "signature": "a"},
        hidden,
        {"type": "thinking", "thinking": "So", "signature": "b"},
    ]
    assert blocks("odd") == blocks(["odd"]) == []


def test_further_fields_are_what_they_should_be() -> None:
    odd = an_answer(content="x", refusal={"x": 1}, audio="x", annotations={"x": 1}, thinking_blocks="x")
    assert whole(odd, "openai")[0].extra == {}
    good = {"refusal": "no", "audio": {"id": "a"}, "annotations": [{"type": "t"}], "thinking_blocks": [{"type": "t"}]}
    assert whole(an_answer(content=None, **good), "openai")[0].extra == good


@pytest.mark.parametrize("odd", [None, "x", 5, {"cached_tokens": "x"}, {"cached_tokens": -1}, {}])
def test_details_that_are_none_are_zero(odd: Any) -> None:
    usage = {"prompt_tokens": 6, "completion_tokens": 5, "prompt_tokens_details": odd}
    assert tokens(usage) == Usage(6, 5)


def test_texts_are_read_like_messages() -> None:
    choice = {"index": 0, "text": "Hi", "finish_reason": "length", "logprobs": {"tokens": ["Hi"]}}
    (found,) = whole({"choices": [choice]}, "openai")
    assert (found.text, found.finish_reason, found.logprobs) == ("Hi", "length", {"tokens": ["Hi"]})
    reader = Reader("openai")
    assert reader.read({"choices": [choice]}) == [Chunk(text="Hi", logprobs={"tokens": ["Hi"]})]
