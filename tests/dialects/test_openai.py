"""What OpenAI's client and its API reference send, and what is made of it.

`tests/golden/openai/*.json` hold request bodies, published examples and what `openai` 3.52.0 put on the wire, each with
the call that it means. A file without its call fails; `python -m tests.dialects.test_openai` writes what is missing.
"""

from __future__ import annotations

import json
import struct
from base64 import b64decode, b64encode
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.dialects.openai import OpenAI, surface
from proxy.errors import GatewayError, RequestError, UpstreamError
from proxy.models import Call, Chunk, Completion, Json, Usage
from proxy.target import Target
from tests.dialects.meaning import meaning

GOLDEN = Path(__file__).parents[1] / "golden" / "openai"
FILES = sorted(GOLDEN.glob("*.json"))
OPERATIONS = {operation.path: operation for operation in surface(50).operations}
CHAT, TEXT, EMBEDDING = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
USER = {"role": "user", "content": "hi"}
FUNCTION = {"name": "f", "parameters": {"type": "object"}}


def decode(path: str, body: Json, headers: dict[str, str] | None = None) -> Call:
    sent = {name.encode(): value.encode() for name, value in (headers or {}).items()}
    return OPERATIONS[path].dialect.decode(json.dumps(body).encode(), sent)


def decoded(golden: dict[str, Any]) -> dict[str, Any]:
    """The call that a body means, without what is new in each, and what its answer must look like."""
    call = decode(golden["path"], golden["request"], golden.get("headers"))
    meant = meaning(call.request)
    for name in ("trace_id", "root_trace_id"):
        if meant["trace"][name] == call.request.trace.trace_id and "headers" not in golden:
            meant["trace"][name] = "<new>"
    return {**meant, "told": call.told}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_golden(file: Path) -> None:
    golden = json.loads(file.read_text())
    assert decoded(golden) == golden["call"]


def refused(path: str, body: Json) -> dict[str, Any]:
    """The envelope of a body that is refused as OpenAI refuses it."""
    with pytest.raises(RequestError) as caught:
        decode(path, body)
    answer = OPERATIONS[path].dialect.encode_error(None, caught.value, stream=False)
    assert answer.status == 400
    assert b"canary" not in answer.body
    envelope: dict[str, Any] = json.loads(answer.body)
    assert envelope.keys() == {"error"}
    assert envelope["error"].keys() == {"message", "type", "param", "code"}
    assert envelope["error"]["type"] == "invalid_request_error"
    return dict(envelope["error"])


@pytest.mark.parametrize("prompt", ["a", ["a"], ["a", "b", "a"]])
def test_of_several_prompts_each_is_a_message(prompt: str | list[str]) -> None:
    request = decode(TEXT, {"model": "m", "prompt": prompt}).request
    assert request.messages == [{"role": "user", "content": text} for text in prompt]
    assert request.kind == "text"


@pytest.mark.parametrize(
    ("path", "body", "param", "code"),
    [
        (CHAT, [], None, "invalid_type"),
        (CHAT, {"messages": [USER]}, "model", "missing_required_parameter"),
        (CHAT, {"model": "m"}, "messages", "missing_required_parameter"),
        (CHAT, {"model": "m", "messages": []}, "messages", "missing_required_parameter"),
        (CHAT, {"model": "m", "messages": [{"content": "canary"}]}, "messages.0.role", "missing_required_parameter"),
        (CHAT, {"model": "m", "messages": [{**USER, "content": [1]}]}, "messages.0.content", "invalid_type"),
        (CHAT, {"model": "m", "messages": [USER], "temperature": "canary"}, "temperature", "invalid_type"),
        (CHAT, {"model": "m", "messages": [USER], "n": True}, "n", "invalid_type"),
        (CHAT, {"model": "m", "messages": [USER], "n": 0}, "n", "invalid_value"),
        (CHAT, {"model": "m", "messages": [USER], "stop": {"canary": 1}}, "stop", "invalid_type"),
        (CHAT, {"model": "m", "messages": [USER], "tools": [{"type": "function", "function": {}}]},
         "tools.0.function.name", "missing_required_parameter"),
        (CHAT, {"model": "m", "messages": [USER], "stream_options": {"include_usage": "canary"}},
         "stream_options.include_usage", "invalid_type"),
        (CHAT, {"model": "m", "messages": [USER], "tools": [{"type": "function", "function": FUNCTION}],
                "functions": [FUNCTION]}, "functions", None),
        (CHAT, {"model": "m", "messages": [USER], "log_omit": "canary"}, "log_omit", None),
        (TEXT, {"model": "m"}, "prompt", "missing_required_parameter"),
        (TEXT, {"model": "m", "prompt": 1}, "prompt", "invalid_type"),
        (TEXT, {"model": "m", "prompt": ["canary", 1]}, "prompt", None),
        (TEXT, {"model": "m", "prompt": [1, 2]}, "prompt", None),
        (TEXT, {"model": "m", "prompt": [[1, 2], [3]]}, "prompt", None),
        (TEXT, {"model": "m", "prompt": []}, "prompt", None),
        (TEXT, {"model": "m", "prompt": "hi", "logprobs": True}, "logprobs", "invalid_type"),
        (EMBEDDING, {"model": "m"}, "input", "missing_required_parameter"),
        (EMBEDDING, {"model": "m", "input": []}, "input", "invalid_type"),
        (EMBEDDING, {"model": "m", "input": ["canary", 1]}, "input", "invalid_type"),
        (EMBEDDING, {"model": "m", "input": "hi", "encoding_format": "canary"}, "encoding_format", "invalid_value"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(path: str, body: Json, param: str | None, code: str | None) -> None:
    error = refused(path, body)
    assert (error["param"], error["code"]) == (param, code)
    assert param is None or param in error["message"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool", ""]) | JSON},
    optional={"content": JSON, "tool_calls": JSON, "function_call": JSON, "name": JSON},
)
NAMES = ("stop", "tools", "tool_choice", "functions", "function_call", "stream", "stream_options", "metadata", "n",
         "inputs", "tags", "cache", "log_omit", "log_sample_rate", "trace_id", "user", "logprobs", "encoding_format",
         "echo", "max_tokens", "response_format", "temperature")  # fmt: skip
BODY = st.fixed_dictionaries(
    {"model": st.just("m") | JSON, "messages": st.lists(MESSAGE, max_size=2) | JSON, "prompt": JSON, "input": JSON},
    optional=dict.fromkeys(NAMES, JSON),
)


@settings(max_examples=300)
@given(st.sampled_from([CHAT, TEXT, EMBEDDING]), BODY | JSON)
def test_any_json_is_a_call_or_refused(path: str, body: Json) -> None:
    try:
        call = decode(path, body)
    except RequestError as error:
        envelope = json.loads(OPERATIONS[path].dialect.encode_error(None, error, stream=False).body)["error"]
        assert isinstance(envelope["message"], str)
    else:
        assert call.request.model == body["model"]
        assert None not in call.request.params.values()
        assert not call.request.params.keys() & {"model", "stream", "stream_options", "metadata", "cache", "trace_id"}


@given(st.binary())
def test_any_bytes_are_a_call_or_refused(body: bytes) -> None:
    with pytest.raises(RequestError):
        OPERATIONS[CHAT].dialect.decode(body, {})


@pytest.mark.parametrize("path", [CHAT, TEXT])
def test_beside_a_deployment_there_need_be_nothing(path: str) -> None:
    call = decode(path, {"model": "deployment/p", "inputs": {"name": "Ada"}})
    assert (call.request.model, call.request.messages, call.request.inputs) == ("deployment/p", None, {"name": "Ada"})


def upstream(code: str) -> UpstreamError:
    return UpstreamError("busy", code=code, provider="openai")


@pytest.mark.parametrize(
    ("code", "status", "kind", "told", "param"),
    [
        ("invalid_request", 400, "invalid_request_error", None, None),
        ("context_length_exceeded", 400, "invalid_request_error", "context_length_exceeded", "messages"),
        ("authentication", 401, "invalid_request_error", "invalid_api_key", None),
        ("payment_required", 402, "insufficient_quota", "insufficient_quota", None),
        ("permission", 403, "permission_error", "permission", None),
        ("model_not_found", 404, "invalid_request_error", "model_not_found", "model"),
        ("rate_limited", 429, "rate_limit_error", "rate_limit_exceeded", None),
        ("overloaded", 503, "server_error", "overloaded", None),
        ("timeout", 504, "server_error", "timeout", None),
    ],
)
def test_a_providers_failure_has_openais_words(
    code: str, status: int, kind: str, told: str | None, param: str | None
) -> None:
    dialect = OPERATIONS[CHAT].dialect
    call = decode(CHAT, {"model": "m", "messages": [USER]})
    answer = dialect.encode_error(call, upstream(code), stream=True)
    expected = {"error": {"message": "busy", "type": kind, "param": param, "code": told}}
    assert (answer.status, json.loads(answer.body)) == (status, expected)
    (piece,) = dialect.encode_failure(call, upstream(code))
    assert json.loads(piece.removeprefix(b"data: ")) == expected


def test_a_bug_is_a_servers_error() -> None:
    answer = OPERATIONS[CHAT].dialect.encode_error(None, GatewayError("internal error"), stream=False)
    assert (answer.status, json.loads(answer.body)["error"]["type"]) == (500, "server_error")


def test_a_stream_is_lines_of_ascii_that_end_with_done() -> None:
    dialect = OPERATIONS[CHAT].dialect
    call = decode(CHAT, {"model": "m", "messages": [USER], "stream": True})
    pieces = dialect.encode_event(call, Chunk("naïve \u2028 😀"))
    pieces += dialect.encode_event(call, Completion([], Usage(), "m", "openai"))
    assert pieces[-1] == b"data: [DONE]\n\n"
    assert all(piece.isascii() and piece.startswith(b"data: ") and piece.count(b"\n") == 2 for piece in pieces)
    assert json.loads(pieces[1].removeprefix(b"data: "))["choices"][0]["delta"]["content"] == "naïve \u2028 😀"


VECTOR = [0.5, -1.25, 3.0]
PACKED = b64encode(struct.pack("<3f", *VECTOR)).decode()


@pytest.mark.parametrize("came", [VECTOR, PACKED], ids=["numbers", "base64"])
@pytest.mark.parametrize("wanted", ["float", "base64", None])
def test_an_embedding_leaves_as_it_was_asked_for(came: Json, wanted: str | None) -> None:
    call = decode(EMBEDDING, {"model": "m", "input": "hi", "encoding_format": wanted})
    whole = Completion([], Usage(3, 0), "m", "openai", embeddings=[came])
    body = json.loads(OPERATIONS[EMBEDDING].dialect.encode(call, whole).body)
    (told,) = body["data"]
    assert (told["object"], told["index"]) == ("embedding", 0)
    assert body["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    if wanted == "base64":
        assert list(struct.unpack("<3f", b64decode(told["embedding"]))) == VECTOR
    else:
        assert told["embedding"] == VECTOR


@pytest.mark.parametrize("came", ["not base64!", "AAA=", ["x"], 7])
@pytest.mark.parametrize("wanted", ["float", "base64"])
def test_an_embedding_that_cannot_be_read_is_the_providers_fault(came: Json, wanted: str) -> None:
    if isinstance(came, str) and wanted == "base64":
        return
    call = decode(EMBEDDING, {"model": "m", "input": "hi", "encoding_format": wanted})
    with pytest.raises(UpstreamError) as caught:
        OPERATIONS[EMBEDDING].dialect.encode(call, Completion([], Usage(), "m", "openai", embeddings=[came]))
    assert caught.value.code == "bad_answer"


def test_each_route_is_of_one_dialect() -> None:
    assert {operation.dialect.name for operation in OPERATIONS.values()} == {"openai"}
    assert all(isinstance(operation.dialect, OpenAI) for operation in OPERATIONS.values())


def _write() -> None:
    for file in FILES:
        golden = json.loads(file.read_text())
        golden.setdefault("call", decoded(golden))
        file.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    _write()


@pytest.mark.parametrize("usage", [False, True])
def test_a_text_that_comes_alone_is_written_as_any_other_piece(usage: bool) -> None:
    dialect = OPERATIONS[CHAT].dialect
    body = {"model": "m \x00", "messages": [USER], "stream": True, "stream_options": {"include_usage": usage}}
    call, texts = decode(CHAT, body), ["Hello", "\x00", "naïve \u2028 😀", '"', "half \ud83d"]
    call.targets = (Target("openai", "a \x00 b"),)
    found = []
    for text, index in product(texts, (0, 2)):
        found += dialect.encode_event(call, Chunk(text, index=index))
    told = [json.loads(piece.removeprefix(b"data: ")) for piece in found]
    whole = [piece for piece in told if "role" not in piece["choices"][0]["delta"]]
    assert [
        (piece["choices"][0]["index"], piece["choices"][0]["delta"]) for piece in whole
    ] == [(index, {"content": text}) for text, index in product(texts, (0, 2))]  # fmt: skip
    first = whole[0]
    for piece in told:
        assert {**piece, "choices": None} == {**first, "choices": None}
        assert list(piece) == list(first)
        assert list(piece["choices"][0]) == list(first["choices"][0])
    assert ("usage" in first) is usage
    assert all(piece.isascii() for piece in found)
