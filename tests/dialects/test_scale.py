"""What Scale's clients and its document send, and what they are answered.

`tests/golden/scale/*.json` hold requests as `scale-gp` 0.1.0a58 and `scale-gp-beta` 0.7.0 put them on the wire, each
with the call that it means. A file without its call fails; `python -m tests.dialects.test_scale` writes what is
missing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects.scale import SAME, VLLM, Scale, surface
from proxy.dialects.scale.schema import ChatSchema, CountedTextSchema, TextSchema
from proxy.errors import BadRequest, RequestError, Unprocessable, UpstreamError
from proxy.models import Call, Choice, Chunk, Completion, CompletionRequest, TraceContext, Usage
from proxy.target import Target
from tests.dialects.meaning import meaning

GOLDEN = Path(__file__).parents[1] / "golden" / "scale"
FILES = sorted(GOLDEN.glob("*.json"))
DIALECTS = {operation.path: operation.dialect for operation in surface(200).operations}
TEXT, CHAT = Scale(TextSchema), Scale(ChatSchema)
COUNTED = Scale(CountedTextSchema)
SAID = {"model": "openai/gpt-4o", "prompt": "hi"}


def decode(dialect: Scale, headers: dict[bytes, bytes] | None = None, **body: Any) -> Call:
    default = {"model": "openai/gpt-4o", "messages": [{"role": "user", "content": "hi"}]} if dialect is CHAT else SAID
    return dialect.decode(json.dumps({**default, **body}).encode(), headers or {})


def meant(golden: dict[str, Any]) -> dict[str, Any]:
    """All that a request means, without what is new in each."""
    headers = {name.encode(): value.encode() for name, value in golden["headers"].items()}
    call = DIALECTS[golden["path"]].decode(json.dumps(golden["request"]).encode(), headers)
    found = meaning(call.request)
    if "trace_id" not in golden["request"]:
        assert found["trace"]["trace_id"] == found["trace"]["root_trace_id"]
        found["trace"]["trace_id"] = found["trace"]["root_trace_id"] = "<new>"
    return {"call": found, "dropped": call.dropped, "told": call.told, "keys": sorted(call.api_keys)}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_golden(file: Path) -> None:
    golden = json.loads(file.read_text())
    assert meant(golden) == {name: golden[name] for name in ("call", "dropped", "told", "keys")}


def test_every_path_has_a_golden_file() -> None:
    assert {json.loads(file.read_text())["path"] for file in FILES} == set(DIALECTS)


def test_a_null_says_as_much_as_nothing() -> None:
    nulls: dict[str, Any] = dict.fromkeys([*TextSchema.model_fields, "surprise"])
    call = decode(TEXT, **nulls | SAID)
    assert call.request.params == {}
    assert call.dropped == {"surprise": "not a parameter of this API"}


def test_only_the_fields_of_a_body_are_its_parameters() -> None:
    odd: dict[str, Any] = {name: "x" for name in (*SAME, *VLLM) if name not in CountedTextSchema.model_fields}
    call = decode(COUNTED, **odd)
    assert call.request.params == {}
    assert {"top_logprobs", "store", "chat_template"} <= call.dropped.keys()


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ({"stop": "a"}, "a"),
        ({"stop": ["a"]}, ["a"]),
        ({"stop_sequences": ["b"]}, ["b"]),
        ({"stop": "a", "stop_sequences": ["b", "a"]}, ["a", "b"]),
    ],
)
def test_stops_are_joined(given: dict[str, Any], sent: Any) -> None:
    assert decode(TEXT, **given).request.params == {"stop": sent}


def test_new_tokens_are_a_limit_where_there_is_no_other() -> None:
    assert decode(TEXT, max_new_tokens=5).request.params == {"max_tokens": 5}
    beside = decode(TEXT, max_new_tokens=5, max_tokens=4)
    assert (beside.request.params, list(beside.dropped)) == ({"max_tokens": 4}, ["max_new_tokens"])


@pytest.mark.parametrize(("given", "sent"), [(1, 1.0), (0.25, 0.25), ("30", 30.0), (" 2.5 ", 2.5), (None, None)])
def test_a_timeout_is_seconds(given: Any, sent: float | None) -> None:
    assert decode(TEXT, inference_timeout=given).request.timeout == sent


def test_one_prompt_may_stand_in_a_list() -> None:
    for dialect in (TEXT, COUNTED):
        assert decode(dialect, prompt=["hi"]).request.messages == [{"role": "user", "content": "hi"}]


def test_the_newer_client_may_send_several_prompts() -> None:
    request = decode(COUNTED, prompt=["hi", "ho"]).request
    assert request.messages == [{"role": "user", "content": "hi"}, {"role": "user", "content": "ho"}]
    assert request.kind == "text"


def test_log_probabilities_may_be_asked_for_by_their_older_name() -> None:
    assert decode(TEXT, return_token_log_probs=True, top_logprobs=1).request.params["logprobs"] is True
    assert decode(TEXT, return_token_log_probs=True, logprobs=False).request.params["logprobs"] is False


@pytest.mark.parametrize(
    ("dialect", "body", "where"),
    [
        (TEXT, {"model": ""}, "model"),
        (TEXT, {"model": None}, "model"),
        (TEXT, {"prompt": {"sk-canary": 1}}, "prompt"),
        (TEXT, {"prompt": ["sk-canary", "b"]}, "prompt"),
        (TEXT, {"temperature": "sk-canary"}, "temperature"),
        (TEXT, {"presence_penalty": 2.5}, "presence_penalty"),
        (TEXT, {"logit_bias": {"5": 101}}, "logit_bias"),
        (TEXT, {"top_logprobs": 2}, "top_logprobs"),
        (TEXT, {"top_logprobs": 2, "logprobs": False}, "top_logprobs"),
        (TEXT, {"top_logprobs": 21, "logprobs": True}, "top_logprobs"),
        (TEXT, {"best_of": 2, "stream": True}, "best_of"),
        (TEXT, {"best_of": 2, "n": 3}, "best_of"),
        (TEXT, {"n": 0}, "n"),
        (TEXT, {"modalities": ["sk-canary"]}, "modalities"),
        (TEXT, {"inference_timeout": "sk-canary"}, "inference_timeout"),
        (TEXT, {"inference_timeout": 0}, "inference_timeout"),
        (TEXT, {"inference_timeout": True}, "inference_timeout"),
        (TEXT, {"inference_timeout": "inf"}, "inference_timeout"),
        (TEXT, {"inference_extra_headers": {"a\r\nb": "sk-canary"}}, "inference_extra_headers"),
        (TEXT, {"inference_extra_headers": {"a": "sk-canary\r\nb: c"}}, "inference_extra_headers"),
        (TEXT, {"inference_extra_params": "sk-canary"}, "inference_extra_params"),
        (TEXT, {"tools": [{"function": {"sk-canary": 1}}]}, "tools"),
        (COUNTED, {"logprobs": "sk-canary"}, "logprobs"),
        (CHAT, {"messages": []}, "messages"),
        (CHAT, {"messages": [{"role": "sk-canary"}]}, "messages"),
        (CHAT, {"messages": [{"role": "user"}]}, "messages"),
        (CHAT, {"memory_strategy": {"name": "sk-canary", "k": 1}}, "memory_strategy"),
    ],
)
def test_a_wrong_field_is_named_and_its_value_is_not(dialect: Scale, body: dict[str, Any], where: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        decode(dialect, **body)
    assert {item["loc"][1] for item in caught.value.detail} == {where}
    refused = dialect.encode_error(None, caught.value, stream=False)
    assert refused.status == 422
    assert b"canary" not in refused.body


def test_a_field_is_named_where_the_client_wrote_it() -> None:
    with pytest.raises(Unprocessable) as caught:
        decode(TEXT, inference_extra_params={"top_p": 7, "seed": 1}, n=0)
    assert [item["loc"] for item in caught.value.detail] == [
        ["body", "inference_extra_params", "top_p"],
        ["body", "n"],
    ]


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"null"])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(Unprocessable):
        TEXT.decode(body, {})


def test_a_body_that_is_no_json_is_refused() -> None:
    with pytest.raises(BadRequest):
        TEXT.decode(b"{", {})


def test_a_key_travels_apart_from_its_request() -> None:
    call = decode(CHAT, {b"x-openai-api-key": b"sk-canary"})
    assert call.api_keys["openai"].get_secret_value() == "sk-canary"
    assert "canary" not in repr(call)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(-1e9, 1e9) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(
    dialect=st.sampled_from([TEXT, COUNTED, CHAT]),
    name=st.sampled_from(sorted({*TextSchema.model_fields, *ChatSchema.model_fields})),
    value=JSON,
    extra=st.booleans(),
)
def test_any_value_is_taken_or_refused(dialect: Scale, name: str, value: Any, extra: bool) -> None:
    """In the body itself or among the extra parameters; nothing else happens, and what is taken is fit to be sent."""
    body = {"inference_extra_params": {name: value}} if extra else {name: value}
    refused = None
    try:
        call = decode(dialect, **body)
    except RequestError as error:
        refused = dialect.encode_error(None, error, stream=False)
    else:
        assert not {"model", "prompt", "messages", "stream"} & call.request.params.keys()
        assert None not in call.request.params.values()
        json.dumps(call.request.params)
    assert refused is None or json.loads(refused.body)["detail"]


def asked(kind: Any = "text", model: str = "gpt-4o", **told: Any) -> Call:
    messages = [{"role": "user", "content": "hi"}]
    request = CompletionRequest("scale", TraceContext("t", "t"), kind=kind, messages=messages)
    return Call(request, targets=(Target("openai", model),), told=told)


def completed(*choices: Choice) -> Completion:
    return Completion(list(choices), Usage(3, 4), "gpt-4o-2026", "openai", system_fingerprint="fp")


def events(dialect: Scale, call: Call, *told: Chunk | Completion) -> list[dict[str, Any]]:
    pieces = [piece for event in told for piece in dialect.encode_event(call, event)]
    assert all(piece.startswith(b"data: {") and piece.endswith(b"\n\n") and piece.isascii() for piece in pieces)
    return [json.loads(piece.removeprefix(b"data: ")) for piece in pieces]


def test_a_whole_text() -> None:
    body = json.loads(TEXT.encode(asked(), completed(Choice(0, "a"), Choice(1, "b", finish_reason="length"))).body)
    assert (body["object"], body["model"], body["system_fingerprint"]) == ("text_completion", "gpt-4o-2026", "fp")
    assert [(choice["text"], choice["finish_reason"]) for choice in body["choices"]] == [("a", "stop"), ("b", "length")]
    assert body["usage"]["total_tokens"] == 7


def test_a_whole_conversation() -> None:
    body = json.loads(CHAT.encode(asked("chat"), completed(Choice(0, "a"))).body)
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"]["content"] == "a"


def test_a_stream_ends_with_its_usage_if_asked() -> None:
    end = completed(Choice(0, "ab"))
    plain = events(TEXT, asked(), Chunk("a"), Chunk("b"), end)
    assert [chunk["choices"][0]["text"] for chunk in plain] == ["a", "b", ""]
    assert [chunk["choices"][0]["finish_reason"] for chunk in plain] == [None, None, "stop"]
    counted = events(TEXT, asked(usage=True), Chunk("a"), Chunk("b"), end)
    assert (counted[-1]["choices"], counted[-1]["usage"]["total_tokens"]) == ([], 7)


@pytest.mark.parametrize("dialect", [TEXT, COUNTED, CHAT])
def test_a_failure_in_a_stream_is_a_chunk_of_its_own(dialect: Scale) -> None:
    failure = UpstreamError("busy", code="overloaded", provider="openai")
    (piece,) = dialect.encode_failure(asked(), failure)
    chunk = json.loads(piece.removeprefix(b"data: "))
    assert (chunk["choices"], chunk["error"]) == ([], {"message": "busy", "status_code": 503})
    assert chunk["chunk_type"] == "error"


def test_a_failure_before_the_answer_is_a_status() -> None:
    answer = TEXT.encode_error(asked(), UpstreamError("busy", code="overloaded", provider="openai"), stream=True)
    assert (answer.status, json.loads(answer.body)) == (503, {"detail": "busy"})


def _write() -> None:
    for file in FILES:
        golden = json.loads(file.read_text())
        file.write_text(json.dumps({**meant(golden), **golden}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    _write()
