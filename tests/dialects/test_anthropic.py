"""What Anthropic's client and documents send, and what they are answered.

`tests/golden/anthropic/*.json` hold requests as `anthropic` 2.11.0 puts them on the wire, each with the call that it
means. A file without its call fails; `python -m tests.dialects.test_anthropic` writes what is missing.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import anthropic
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from proxy.dialects.anthropic import Anthropic
from proxy.errors import BadRequest, GatewayError, NotFound, RequestError, TooLarge, Unprocessable, UpstreamError
from proxy.models import Call, Choice, Chunk, Completion, CompletionRequest, Event, ToolCall, TraceContext, Usage
from proxy.target import Target
from tests.dialects.answers import Streamed, answers
from tests.dialects.meaning import meant

GOLDEN = Path(__file__).parents[1] / "golden" / "anthropic"
FILES = sorted(GOLDEN.glob("*.json"))
DIALECT = Anthropic()
SAID: dict[str, Any] = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
RAW: TypeAdapter[Any] = TypeAdapter(anthropic.types.RawMessageStreamEvent)


def decode(**body: Any) -> Call:
    return DIALECT.decode(json.dumps({**SAID, **body}).encode(), {})


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_golden(file: Path) -> None:
    golden = json.loads(file.read_text())
    assert meant(DIALECT, golden) == {name: golden[name] for name in ("call", "dropped")}


def block(**content: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [content]}]}


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"max_tokens": None}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"messages": [{"role": "sk-canary", "content": "x"}]}, "messages.0.role: Input should be"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content: should be text or a list"),
        ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        (block(type="container_upload"), "messages.0.content.0.type: 'container_upload' is not served here"),
        (block(type="sk-canary"), "messages.0.content.0.type: is not served here"),
        (block(type="text"), "messages.0.content.0.text: is missing"),
        (block(type="image", source={"type": "file", "file_id": "f"}), "messages.0.content.0.source.type: 'file' is"),
        (block(type="document", source={"type": "url", "url": "u"}), "messages.0.content.0.source.type: 'url' is"),
        (block(type="tool_result", content="x"), "messages.0.content.0.tool_use_id: is missing"),
        (block(type="tool_use", id="1", name="f", input={}), "messages.0.content.0.type: 'tool_use' is"),
        ({"system": [{"type": "image"}]}, "system.0.type: 'image' should be text"),
        ({"system": 1}, "system: should be text or a list"),
        (
            {"tools": [{"type": "web_search_20250305", "name": "w"}]},
            "tools.0.type: 'web_search_20250305' tools are run",
        ),
        ({"tools": [{"name": "f"}]}, "tools.0.input_schema: should be an object"),
        ({"tool_choice": {"type": "sk-canary"}}, "tool_choice.type: should be auto, any, tool or none"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name: is missing"),
        ({"output_config": {"format": {"type": "sk-canary"}}}, "output_config.format.type: Input should be"),
        ({"metadata": {"user_id": 1}}, "metadata.user_id: should be text"),
        ({"log_sample_rate": 2}, "log_sample_rate: should be a number from 0 to 1"),
    ],
)
def test_a_wrong_field_is_named_and_its_value_is_not(body: dict[str, Any], named: str) -> None:
    with pytest.raises(RequestError) as caught:
        decode(**body)
    assert caught.value.message.startswith(named)
    answer = DIALECT.encode_error(None, caught.value, stream=False)
    assert (answer.status, json.loads(answer.body)["error"]["type"]) == (400, "invalid_request_error")
    assert b"canary" not in answer.body


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
KINDS = (
    "text",
    "image",
    "document",
    "search_result",
    "tool_use",
    "tool_result",
    "thinking",
    "redacted_thinking",
    "any",
)
NAMES = (
    "text",
    "source",
    "content",
    "id",
    "tool_use_id",
    "name",
    "input",
    "thinking",
    "signature",
    "data",
    "title",
    "url",
)
blocks: st.SearchStrategy[Any] = st.deferred(
    lambda: st.fixed_dictionaries(
        {"type": st.sampled_from((*KINDS, "base64", "url", "content"))},
        optional=dict.fromkeys(NAMES, blocks | st.lists(blocks, max_size=2) | json_values),
    )
)
turns = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system"]), "content": st.lists(blocks, max_size=3) | json_values}
)
bodies = st.fixed_dictionaries(
    {"model": st.just("m"), "max_tokens": st.just(1), "messages": st.lists(turns, max_size=3)},
    optional=dict.fromkeys(
        ("system", "tools", "tool_choice", "metadata"), blocks | st.lists(blocks, max_size=2) | json_values
    ),
)


@given(bodies | json_values)
def test_decoding_raises_nothing_but_refusals(body: Any) -> None:
    with suppress(RequestError):
        json.dumps(DIALECT.decode(json.dumps(body).encode(), {}).request.messages)


def test_a_body_that_is_no_json_is_refused() -> None:
    with pytest.raises(BadRequest):
        DIALECT.decode(b"{", {})


def test_unknown_fields_are_noted_by_name_and_go_nowhere() -> None:
    call = decode(container="c", speed=None, **{"sk-canary": 1}, extra_headers={"authorization": "x"})
    assert call.dropped.keys() == {"container", "extra_headers"}
    assert call.request.params == {"max_tokens": 9}


def test_the_end_user_is_no_label() -> None:
    trace = decode(metadata={"user_id": "u", "team": "a"}).request.trace
    assert (trace.end_user, trace.metadata) == ("u", {"team": "a"})


def closed(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


@pytest.mark.parametrize(
    ("schema", "strict"),
    [
        (closed(a={"type": "string"}, b={"type": "array", "items": closed()}), True),
        ({**closed(a={}), "$defs": {"b": {"type": "object"}}}, False),
        ({**closed(a={}), "required": []}, False),
        (closed(a={"anyOf": [{"type": "null"}, {"type": "object", "properties": {}}]}), False),
    ],
)
def test_a_format_is_strict_where_openai_would_take_it_for_strict(schema: dict[str, Any], strict: bool) -> None:
    for wanted in (
        {"output_format": {"type": "json_schema", "schema": schema}},
        {"output_config": {"format": {"type": "json_schema", "schema": schema}}},
    ):
        described = decode(**wanted).request.params["response_format"]["json_schema"]
        assert (described["schema"], described.get("strict", False)) == (schema, strict)


# answers


def asked() -> Call:
    return Call(CompletionRequest("anthropic", TraceContext("t", "t")), targets=(Target("openai", "gpt-4o"),))


def completion(**choice: Any) -> Completion:
    return Completion([Choice(**choice)], Usage(30, 4, cached_tokens=10, reasoning_tokens=2), "gpt-4o", "openai")


def whole(answer: Completion) -> dict[str, Any]:
    encoded = DIALECT.encode(asked(), answer)
    assert encoded.status == 200
    body: dict[str, Any] = json.loads(encoded.body)
    return body


def events(call: Call, *told: Event) -> list[dict[str, Any]]:
    """A stream's events; each piece is one, its name the type that it holds."""
    found = []
    for piece in (piece for event in told for piece in DIALECT.encode_event(call, event)):
        name, data, *rest = piece.decode("ascii").split("\n")
        assert rest == ["", ""]
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def as_the_client_reads(told: list[dict[str, Any]]) -> dict[str, Any]:
    """What the client's own accumulator makes of a stream."""
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for event in told:
        snapshot = accumulate_event(event=RAW.validate_python(event), current_snapshot=snapshot, json_bufs=buffers)
    message: dict[str, Any] = json.loads(snapshot.to_json(indent=None, exclude_unset=True))
    return message


def test_a_message_has_all_that_the_client_knows() -> None:
    body = whole(completion(text="hi"))
    message = anthropic.types.Message.model_validate(body, strict=True)
    assert (message.content[0].type, message.stop_reason, message.role, message.model) == (
        "text",
        "end_turn",
        "assistant",
        "gpt-4o",
    )
    assert body["id"].startswith("msg_")
    usage = {"input_tokens": 20, "cache_read_input_tokens": 10, "output_tokens": 4}
    assert body["usage"] == usage | {"output_tokens_details": {"thinking_tokens": 2}}


@pytest.mark.parametrize(
    ("choice", "reason", "sequence"),
    [
        ({"finish_reason": "length"}, "max_tokens", None),
        ({"finish_reason": "tool_calls"}, "tool_use", None),
        ({"finish_reason": "content_filter"}, "refusal", None),
        ({"extra": {"refusal": "I cannot."}}, "refusal", None),
        ({"extra": {"stop_sequence": "END"}}, "stop_sequence", "END"),
    ],
)
def test_why_it_stopped(choice: dict[str, Any], reason: str, sequence: str | None) -> None:
    body = whole(completion(text="x", **choice))
    assert (body["stop_reason"], body["stop_sequence"]) == (reason, sequence)
    *_, delta, _ = events(asked(), completion(text="x", **choice))
    assert delta["delta"] == {"stop_reason": reason, "stop_sequence": sequence}


def test_a_tools_input_is_an_object_whatever_the_arguments_were() -> None:
    calls = [
        ToolCall("a", "f", '{"x": 1}'),
        ToolCall("b", "g", ""),
        ToolCall("c", "h", '{"x'),
        ToolCall("d", "i", "[1]"),
        ToolCall("e", "j", '{"x": 123456789012345678901}'),
    ]
    inputs = [block["input"] for block in whole(completion(tool_calls=calls))["content"]]
    assert inputs == [{"x": 1}, {}, {"arguments": '{"x'}, {"arguments": "[1]"}, {"x": 123456789012345678901}]


@given(answers())
def test_the_deltas_of_a_stream_put_together_are_the_whole_answer(answer: Streamed) -> None:
    streamed = as_the_client_reads(events(asked(), *answer.events))
    expected = whole(answer.completion)
    told, order = streamed.pop("content"), ("thinking", "text", "tool_use")
    merged: list[dict[str, Any]] = []
    for part in sorted(told, key=lambda part: order.index(part["type"])):
        if merged and part["type"] == merged[-1]["type"] == "text":
            merged[-1]["text"] += part["text"]
        else:
            merged.append(part)

    def calls_sorted(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return sorted(parts, key=lambda part: (order.index(part["type"]), part.get("id", "")))

    assert calls_sorted(merged) == calls_sorted(expected.pop("content"))
    assert {name: streamed[name] for name in expected} == expected


def test_a_stream_begins_with_an_estimate_and_ends_with_the_count() -> None:
    call = asked()
    call.request.messages = [{"role": "user", "content": "x" * 400}]
    start, *_, delta, stop = events(call, Chunk("a"), completion(text="a"))
    assert start["message"]["usage"] == {"input_tokens": 104, "cache_read_input_tokens": 0, "output_tokens": 0}
    assert delta["usage"]["input_tokens"] == 20
    assert stop == {"type": "message_stop"}


FAILURES: list[tuple[GatewayError, int, str]] = [
    (
        Unprocessable([{"loc": ["body", "model"], "msg": "Field required", "type": "missing"}]),
        400,
        "invalid_request_error",
    ),
    (TooLarge("too large"), 413, "request_too_large"),
    (NotFound("no such model"), 404, "not_found_error"),
    (GatewayError("internal error"), 500, "api_error"),
    *(
        (UpstreamError("said", code=code, provider="openai"), status, kind)
        for code, status, kind in [
            ("authentication", 401, "authentication_error"),
            ("payment_required", 402, "billing_error"),
            ("permission", 403, "permission_error"),
            ("rate_limited", 429, "rate_limit_error"),
            ("overloaded", 529, "overloaded_error"),
            ("unavailable", 503, "api_error"),
            ("timeout", 504, "timeout_error"),
        ]
    ),
]


@pytest.mark.parametrize(("error", "status", "kind"), FAILURES)
def test_failures_have_anthropics_types(error: GatewayError, status: int, kind: str) -> None:
    answer = DIALECT.encode_error(asked(), error, stream=True)
    expected = {"type": "error", "error": {"type": kind, "message": error.message}}
    assert (answer.status, json.loads(answer.body)) == (status, expected)
    (piece,) = DIALECT.encode_failure(asked(), error)
    assert piece.startswith(b"event: error\n")
    assert json.loads(piece.split(b"data: ")[1]) == expected
