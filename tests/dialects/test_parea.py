"""What Parea's clients and documents send, and what they are answered.

`tests/golden/parea/*.json` hold request bodies, taken from the published examples and from what the clients put on
the wire, each with the call that it means. A file without its call fails; `python -m tests.dialects.test_parea`
writes what is missing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects.parea import PIECE, Parea
from proxy.errors import BadRequest, NotFound, Unprocessable, UpstreamError
from proxy.models import Call, Choice, Chunk, Completion, CompletionRequest, ToolCall, TraceContext, Usage
from proxy.target import Target
from tests.dialects.meaning import meaning

GOLDEN = Path(__file__).parents[1] / "golden" / "parea"
FILES = sorted(GOLDEN.glob("*.json"))
DIALECT = Parea()


def decoded(request: dict[str, Any]) -> dict[str, Any]:
    """The call that a body means, without what is new in each."""
    call = DIALECT.decode(json.dumps(request).encode(), {})
    meant = meaning(call.request)
    if not (request.get("trace_id") or request.get("inference_id")):
        assert meant["trace"]["trace_id"] == meant["trace"]["root_trace_id"]
        meant["trace"]["trace_id"] = meant["trace"]["root_trace_id"] = "<new>"
    return meant


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_golden(file: Path) -> None:
    golden = json.loads(file.read_text())
    assert decoded(golden["request"]) == golden["call"]


def call(*, provider: str = "openai", model: str = "gpt-4o") -> Call:
    return Call(CompletionRequest("parea", TraceContext("t", "t")), targets=(Target(provider, model),))


def completion(text: str = "", *calls: ToolCall, cost: float | None = None) -> Completion:
    return Completion([Choice(text=text, tool_calls=list(calls))], Usage(3, 4), "gpt-4o", "openai", cost)


def answered(whole: Completion) -> dict[str, Any]:
    answer = DIALECT.encode(call(), whole)
    assert answer.status == 200
    body: dict[str, Any] = json.loads(answer.body)
    return body


def test_an_answer_has_every_field_and_no_null_but_the_error() -> None:
    body = answered(completion("hi"))
    assert [name for name, value in body.items() if value is None] == ["error"]
    assert (body["inference_id"], body["trace_id"]) == ("t", "t")
    assert (body["input_tokens"], body["output_tokens"], body["total_tokens"]) == (3, 4, 7)
    assert (body["content"], body["cost"], body["status"], body["cache_hit"]) == ("hi", 0.0, "success", False)
    assert body["latency"] >= 0
    assert body["start_timestamp"] <= body["end_timestamp"]
    assert body["start_timestamp"].endswith("+00:00")


def test_one_function_call_is_an_object_between_backticks() -> None:
    content = answered(completion("", ToolCall("1", "f", '{"a": 1}')))["content"]
    assert content == '```{"name":"f","arguments":{"a":1}}```'
    assert json.loads(content.replace("```", ""))["arguments"] == {"a": 1}


def test_several_function_calls_are_a_list_between_backticks() -> None:
    content = answered(completion("", ToolCall("1", "f", "{}"), ToolCall("2", "g", "")))["content"]
    assert json.loads(content.replace("```", "")) == [{"name": "f", "arguments": {}}, {"name": "g", "arguments": {}}]


def test_text_comes_before_a_function_call() -> None:
    assert answered(completion("Let me see.", ToolCall("1", "f", "{}")))["content"].startswith("Let me see.\n```{")


def test_arguments_that_are_no_json_stay_text() -> None:
    content = answered(completion("", ToolCall("1", "f", '{"a": ')))["content"]
    assert json.loads(content.replace("```", ""))["arguments"] == '{"a": '


def as_the_client_reads(event: bytes) -> str:
    """What parea-ai 0.2.220 makes of one event: every `data: ` goes, then the JSON's chunk."""
    text = event.decode("utf-8")
    if text.startswith("data: "):
        text = text.replace("data: ", "").strip()
    chunk: str = json.loads(text)["chunk"]
    return chunk


@given(st.text(), st.text())
def test_any_text_arrives_as_it_was(before: str, after: str) -> None:
    text = f"{before}data: {after}"
    events = DIALECT.encode_event(call(), Chunk(text))
    assert "".join(as_the_client_reads(event) for event in events) == text
    assert all(event.isascii() and event.endswith(b"\r\n\r\n") and event.count(b"\n") == 2 for event in events)


def test_pieces_are_small() -> None:
    events = DIALECT.encode_event(call(), Chunk("😀" * (PIECE * 2 + 1)))
    assert len(events) == 3
    assert max(map(len, events)) < 32 * 1024


def test_an_empty_chunk_is_no_event() -> None:
    assert DIALECT.encode_event(call(), Chunk("")) == []


def test_a_stream_tells_its_function_calls_at_the_end() -> None:
    assert DIALECT.encode_event(call(), Chunk(tool_calls=[ToolCall("1", "f", "{")])) == []
    (event,) = DIALECT.encode_event(call(), completion("told before", ToolCall("1", "f", "{}")))
    assert as_the_client_reads(event) == '```{"name":"f","arguments":{}}```'


FAILURE = UpstreamError("busy", code="overloaded", provider="openai", upstream_status=529)


def test_a_providers_failure_is_an_answer_with_an_error() -> None:
    answer = DIALECT.encode_error(call(), FAILURE, stream=False)
    body = json.loads(answer.body)
    assert (answer.status, body["status"], body["error"], body["content"]) == (200, "error", "busy", "")
    assert (body["provider"], body["model"], body["inference_id"], body["cost"]) == ("openai", "gpt-4o", "t", 0.0)


def test_a_providers_failure_before_a_stream_is_a_status() -> None:
    answer = DIALECT.encode_error(call(), FAILURE, stream=True)
    assert (answer.status, json.loads(answer.body)) == (503, {"detail": "busy"})


def test_a_refusal_is_a_status() -> None:
    answer = DIALECT.encode_error(call(), NotFound("no such deployment"), stream=False)
    assert (answer.status, json.loads(answer.body)) == (404, {"detail": "no such deployment"})


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"llm_configuration": {"provider": "sk-canary"}}, ["body", "llm_configuration", "provider"]),
        ({"llm_configuration": {"model_params": {"temp": 2}}}, ["body", "llm_configuration", "model_params", "temp"]),
        (
            {"llm_configuration": {"messages": [{"role": "sk-canary"}]}},
            ["body", "llm_configuration", "messages", 0, "role"],
        ),
        ({"log_sample_rate": 1.5}, ["body", "log_sample_rate"]),
        ({"provider_api_key": {"sk-canary": 1}}, ["body", "provider_api_key"]),
        ({"tags": "sk-canary"}, ["body", "tags"]),
    ],
)
def test_a_wrong_field_is_named_and_its_value_is_not(body: dict[str, Any], where: list[Any]) -> None:
    with pytest.raises(Unprocessable) as caught:
        DIALECT.decode(json.dumps(body).encode(), {})
    assert where in [item["loc"] for item in caught.value.detail]
    shown = DIALECT.encode_error(None, caught.value, stream=False)
    assert shown.status == 422
    assert b"canary" not in shown.body


def test_a_body_that_is_no_json_is_refused() -> None:
    with pytest.raises(BadRequest):
        DIALECT.decode(b"{", {})


def test_a_key_travels_apart_from_its_request() -> None:
    body = {"provider_api_key": "sk-canary", "llm_configuration": {"messages": [{"content": "hi"}]}}
    decoded = DIALECT.decode(json.dumps(body).encode(), {})
    assert decoded.api_keys[""].get_secret_value() == "sk-canary"
    assert "canary" not in repr(decoded)


def _write() -> None:
    for file in FILES:
        golden = json.loads(file.read_text())
        golden.setdefault("call", decoded(golden["request"]))
        file.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    _write()
