"""What OpenAI's client sends to `/v1/responses`, and what it is answered.

`tests/golden/responses/*.json` hold requests as `openai` 3.52.0 puts them on the wire, each with the call that it
means. A file without its call fails; `python -m tests.dialects.test_responses` writes what is missing.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from proxy.dialects.responses import Responses
from proxy.dialects.responses.thought import opened, sealed
from proxy.errors import BadRequest, RequestError, UpstreamError
from proxy.models import Call, Choice, Chunk, Completion, Event, ToolCall, Usage
from proxy.target import Target
from tests.dialects.answers import Streamed, answers
from tests.dialects.meaning import meant

GOLDEN = Path(__file__).parents[1] / "golden" / "responses"
FILES = sorted(GOLDEN.glob("*.json"))
DIALECT = Responses()
SAID: dict[str, Any] = {"model": "gpt-4o", "input": "hi"}
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
THOUGHT = {"type": "thinking", "thinking": "so", "signature": "c2ln"}
HIDDEN = {"type": "redacted_thinking", "data": "cmVk"}
RETURNED = ["reasoning.encrypted_content"]


def decode(**body: Any) -> Call:
    return DIALECT.decode(json.dumps({**SAID, **body}).encode(), {})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_golden(file: Path) -> None:
    golden = json.loads(file.read_text())
    assert meant(DIALECT, golden) == {name: golden[name] for name in ("call", "dropped")}


def part(**content: Any) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": [content]}]}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"model": None}, "model: Input should be a valid string"),
        ({"input": 1}, "input: should be text or a list of items"),
        ({"input": [{"role": "sk-canary", "content": "x"}]}, "input.0.role: should be user"),
        ({"input": [{"role": "user"}]}, "input.0.content: should be a list"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input.0.type: 'item_reference' names what another"),
        ({"input": [{"type": "computer_call"}]}, "input.0.type: 'computer_call' is not served here"),
        ({"input": [{"type": "function_call", "call_id": "1", "name": "f"}]}, "input.0.arguments: is missing"),
        ({"input": [{"type": "function_call_output", "call_id": "1"}]}, "input.0.output: should be a list"),
        (part(type="input_image", file_id="f"), "input.0.content.0.image_url: is missing"),
        (part(type="input_file", file_url="u"), "input.0.content.0.file_url: is not fetched here"),
        (part(type="input_file", filename="a"), "input.0.content.0.file_data: is missing"),
        (part(type="sk-canary"), "input.0.content.0.type: is not served here"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type: 'web_search' tools are not served here"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools.0.name: is missing"),
        ({"tool_choice": "sk-canary"}, "tool_choice: should be auto, none, required"),
        ({"tool_choice": {"type": "mcp"}}, "tool_choice.type: 'mcp' is not served here"),
        ({"tool_choice": {"type": "allowed_tools", "tools": [], "mode": "x"}}, "tool_choice.mode: should be"),
        ({"text": {"format": {"type": "sk-canary"}}}, "text.format.type: should be text"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema: should be an object"),
        ({"previous_response_id": "resp_1"}, "previous_response_id: is not served: nothing is stored here"),
        ({"conversation": {"id": "conv_1"}}, "conversation: is not served: nothing is stored here"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt: is not served: name a deployment"),
        ({"background": True}, "background: is not served"),
    ],
)
def test_a_wrong_field_is_named_and_its_value_is_not(body: dict[str, Any], named: str) -> None:
    with pytest.raises(RequestError) as caught:
        decode(**body)
    assert caught.value.message.startswith(named)
    answer = DIALECT.encode_error(None, caught.value, stream=False)
    error = json.loads(answer.body)["error"]
    assert (answer.status, error["type"], error["param"]) == (400, "invalid_request_error", named.partition(":")[0])
    assert b"canary" not in answer.body


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
KINDS = ("message", "function_call", "function_call_output", "reasoning", "input_text", "input_image", "input_file")
NAMES = (
    "role",
    "content",
    "text",
    "image_url",
    "call_id",
    "name",
    "arguments",
    "output",
    "encrypted_content",
    "format",
)
items: st.SearchStrategy[Any] = st.deferred(
    lambda: st.fixed_dictionaries(
        {"type": st.sampled_from((*KINDS, "function", "allowed_tools", "json_schema"))},
        optional=dict.fromkeys(NAMES, items | st.lists(items, max_size=2) | st.just("user") | json_values),
    )
)
bodies = st.fixed_dictionaries(
    {"model": st.just("m"), "input": st.lists(items, max_size=4)},
    optional=dict.fromkeys(
        ("tools", "tool_choice", "text", "reasoning", "metadata", "prompt", "include", "user"),
        items | st.lists(items, max_size=2) | json_values,
    ),
)


@given(bodies | json_values)
def test_decoding_raises_nothing_but_refusals(body: Any) -> None:
    with suppress(RequestError):
        json.dumps(DIALECT.decode(json.dumps(body).encode(), {}).request.messages)


def test_a_body_that_is_no_json_is_refused() -> None:
    with pytest.raises(BadRequest):
        DIALECT.decode(b"{", {})


def test_without_input_the_messages_are_the_deployments() -> None:
    assert DIALECT.decode(b'{"model": "deployment/p"}', {}).request.messages is None
    assert decode(input="", instructions=None).request.messages is None


def test_a_conversation_is_never_shortened_and_that_is_noted() -> None:
    assert decode(truncation="auto").dropped == {"truncation": "no conversation is shortened here"}
    assert decode(truncation="disabled").dropped == {}


def test_the_calls_of_one_turn_are_one_message_and_a_new_thought_begins_another() -> None:
    def call(number: int) -> dict[str, Any]:
        return {"type": "function_call", "call_id": f"c{number}", "name": "f", "arguments": "{}"}

    thought = {"type": "reasoning", "summary": [], "encrypted_content": sealed([THOUGHT])}
    given = [{"role": "user", "content": "x"}, thought, call(1), call(2), {**thought}, call(3)]
    _, first, second = decode(input=given).request.messages or []
    assert [one["id"] for one in first["tool_calls"]] == ["c1", "c2"]
    assert [one["id"] for one in second["tool_calls"]] == ["c3"]
    assert first["thinking_blocks"] == second["thinking_blocks"] == [THOUGHT]
    words = {"role": "assistant", "content": "Let me look."}
    said, thought_of = decode(input=[words, thought, call(1)]).request.messages or []
    assert (said, thought_of["thinking_blocks"]) == (words, [THOUGHT])


@pytest.mark.parametrize("text", ["gAAAAABo", "", sealed([]) + "!", "thinking_blocks.e30=", sealed([{"type": "text"}])])
def test_what_others_sealed_is_no_thought(text: str) -> None:
    assert opened(text) == []


def test_a_thought_comes_back_as_it_was_and_with_nothing_else() -> None:
    assert opened(sealed([{**THOUGHT, "cache_control": {}}, HIDDEN])) == [THOUGHT, HIDDEN]


# answers


def asked(**body: Any) -> Call:
    call = decode(trace_id="t", **body)
    call.targets = (Target("openai", "gpt-4o"),)
    return call


def completion(**choice: Any) -> Completion:
    return Completion([Choice(**choice)], Usage(30, 4, cached_tokens=10, reasoning_tokens=2), "gpt-4o-1", "openai")


def whole(answer: Completion, **body: Any) -> dict[str, Any]:
    encoded = DIALECT.encode(asked(**body), answer)
    assert encoded.status == 200
    found: dict[str, Any] = json.loads(encoded.body)
    return found


def events(call: Call, *told: Event) -> list[dict[str, Any]]:
    """A stream's events; each piece is one, its name the type that it holds, and they are numbered."""
    found: list[dict[str, Any]] = []
    for piece in (piece for event in told for piece in DIALECT.encode_event(call, event)):
        name, data, *rest = piece.decode("ascii").split("\n")
        assert rest == ["", ""]
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


def test_a_response_has_all_that_the_client_knows() -> None:
    tool = {"type": "function", "name": "f", "parameters": {}, "strict": True}
    body = whole(completion(text="hi"), instructions="Be brief.", tools=[tool], metadata={"a": "b"}, temperature=0.5)
    response = Response.model_validate(body)
    assert (response.output_text, response.status, response.model) == ("hi", "completed", "gpt-4o-1")
    assert (response.instructions, response.metadata, response.temperature) == ("Be brief.", {"a": "b"}, 0.5)
    assert body["tools"] == [tool]
    assert (body["store"], body["previous_response_id"]) == (False, None)
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage.total_tokens) == (30, 4, 34)
    assert response.usage.input_tokens_details.cached_tokens == 10
    assert response.usage.output_tokens_details.reasoning_tokens == 2


@pytest.mark.parametrize(
    ("reason", "why"), [("length", "max_output_tokens"), ("content_filter", "content_filter"), ("stop", None)]
)
def test_an_answer_that_was_cut_short_is_incomplete(reason: str, why: str | None) -> None:
    status = "incomplete" if why else "completed"
    answer = completion(text="x", finish_reason=reason)
    body = whole(answer)
    assert (body["status"], body["incomplete_details"]) == (status, {"reason": why} if why else None)
    assert body["output"][-1]["status"] == status
    *_, item, last = events(asked(), Chunk("x"), answer)
    assert (last["type"], item["item"]["status"], last["response"]["status"]) == (f"response.{status}", status, status)


def test_everything_that_an_answer_may_hold_is_an_item() -> None:
    annotation = {"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 1}}
    extra = {"thinking_blocks": [THOUGHT, HIDDEN], "annotations": [annotation], "refusal": "no"}
    logprobs = {"content": [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]}
    answer = completion(text="a", extra=extra, logprobs=logprobs, tool_calls=[ToolCall("c", "f", "{}")])
    first, second, text, refusal, call = whole(answer, include=RETURNED)["output"]
    assert first["summary"] == [{"type": "summary_text", "text": "so"}]
    assert (opened(first["encrypted_content"]), opened(second["encrypted_content"])) == ([THOUGHT], [HIDDEN])
    assert text["content"][0]["annotations"] == [{"type": "url_citation", **annotation["url_citation"]}]  # type: ignore[dict-item]
    assert text["content"][0]["logprobs"] == logprobs["content"]
    assert refusal["content"] == [{"type": "refusal", "refusal": "no"}]
    assert (call["call_id"], call["name"], call["arguments"], call["type"]) == ("c", "f", "{}", "function_call")
    assert "encrypted_content" not in whole(answer)["output"][0]


@given(answers())
def test_the_deltas_of_a_stream_put_together_are_the_whole_answer(answer: Streamed) -> None:
    """As the client's own accumulator does it, which refuses items that change or that nobody began."""
    told = events(asked(), *answer.events)
    state: ResponseStreamState[Any] = ResponseStreamState(input_tools=omit, text_format=omit)
    heard: dict[str, str] = {}
    for event in told:
        assert state.handle_event(EVENT.validate_python(event))
        if event["type"].endswith(".delta"):
            heard[event["item_id"]] = heard.get(event["item_id"], "") + event["delta"]
    last, expected = told[-1]["response"], whole(answer.completion)
    for item in last["output"]:
        said = item.get("arguments", "".join(p["text"] for p in item.get("content", item.get("summary", ()))))
        assert heard.get(item["id"], "") == said

    def said_of(output: list[dict[str, Any]]) -> list[Any]:
        texts = [p["text"] for item in output if item["type"] == "message" for p in item["content"]]
        calls = [(i["call_id"], i["name"], i["arguments"]) for i in output if i["type"] == "function_call"]
        return ["".join(texts), [i["summary"] for i in output if i["type"] == "reasoning"], sorted(calls)]

    assert said_of(last["output"]) == said_of(expected["output"])
    assert {**last, "output": None, "completed_at": None} == {
        **expected,
        "output": None,
        "completed_at": None,
        "id": last["id"],
        "created_at": last["created_at"],
    }


def test_a_failure_in_a_stream_is_told_twice() -> None:
    call = asked()
    begun = events(call, Chunk("a"))
    failed, error = DIALECT.encode_failure(call, UpstreamError("busy", code="rate_limited", provider="openai"))
    first, second = (json.loads(piece.split(b"data: ")[1]) for piece in (failed, error))
    assert (first["type"], first["response"]["status"]) == ("response.failed", "failed")
    assert first["response"]["error"] == {"code": "rate_limit_exceeded", "message": "busy"}
    assert first["response"]["id"] == begun[0]["response"]["id"]
    assert (second["type"], second["message"], second["error"]["message"]) == ("error", "busy", "busy")
    assert [first["sequence_number"], second["sequence_number"]] == [len(begun), len(begun) + 1]
