"""What Humanloop's clients and documents send, and what they are answered.

`tests/golden/humanloop/*.json` hold request bodies, taken from the published fields and from what the clients put on
the wire, each with its route and with the call that it means, the answer and the stream that `COMPLETION` becomes for
it, or the refusal. A file without them fails; `python -m tests.dialects.test_humanloop` writes what is missing.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects.humanloop import PREFIX, Humanloop, refuse, surface
from proxy.dialects.humanloop.answer import LARGEST_INPUTS, PIECE
from proxy.errors import GatewayError, MissingInputs, NotFound, RequestError, UpstreamError
from proxy.ids import datapoint_id
from proxy.models import Call, Choice, Chunk, Completion, ToolCall, Usage
from proxy.target import Target
from tests.dialects.meaning import meaning

GOLDEN = Path(__file__).parents[1] / "golden" / "humanloop"
FILES = sorted(GOLDEN.glob("*.json"))
DIALECTS: dict[str, Humanloop] = {
    operation.path.removeprefix(f"{PREFIX}/"): operation.dialect
    for operation in surface(200).operations
    if isinstance(operation.dialect, Humanloop)
}
DEPLOYED = DIALECTS["completion-deployed"]
COMPLETION = Completion(
    [
        Choice(0, " Hello\nAda \n", logprobs={"content": [{"token": " Hello", "logprob": -0.5}]}),
        Choice(1, "", [ToolCall("call_1", "f", '{"a": 1}')], "tool_calls", reasoning="Well."),
    ],
    Usage(3, 4),
    "gpt-4o-mini-2024-07-18",
    "openai",
)
CHUNKS = [Chunk(" Hello", logprobs={"content": [{"token": " Hello", "logprob": -0.5}]}), Chunk("\nAda \n")]


def decoded(route: str, body: Any, headers: dict[bytes, bytes] | None = None) -> Call:
    return DIALECTS[route].decode(json.dumps(body).encode(), headers or {})


def ready(call: Call) -> Call:
    """The call as an answer finds it, with nothing in it that is new each time."""
    call.request.trace.trace_id = datapoint_id("golden")
    call.started_at = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
    call.targets = (Target("openai", "gpt-4o-mini"),)
    call.request.messages = [*(call.request.messages or ()), *call.request.turns]
    return call


def told(route: str, call: Call, events: list[Chunk | Completion]) -> list[dict[str, Any]]:
    """A stream as the client for Python reads it: lines with a prefix, JSON after it."""
    pieces = [piece for event in events for piece in DIALECTS[route].encode_event(call, event)]
    for piece in pieces:
        assert piece.isascii()
        assert (piece[:6], piece[-2:], piece.count(b"\n")) == (b"data: ", b"\n\n", 2)
        assert len(piece) < 128 * 1024
    return [json.loads(piece.decode().strip().removeprefix("data: ")) for piece in pieces]


def outcome(route: str, body: Any) -> dict[str, Any]:
    """What comes of a body: the refusal, or the call with its answer and its stream."""
    try:
        call = decoded(route, body)
    except RequestError as error:
        answer = refuse(error)
        return {"refused": [answer.status, json.loads(answer.body)]}
    meant = meaning(call.request)
    trace_id = meant["trace"]["trace_id"]
    assert (trace_id[:5], len(trace_id)) == ("data_", 26)
    meant["trace"] = {name: "<new>" if value == trace_id else value for name, value in meant["trace"].items()}
    keys = {name: key.get_secret_value() for name, key in call.api_keys.items()}
    events = told(route, ready(call), [*CHUNKS, COMPLETION])
    answer = DIALECTS[route].encode(call, COMPLETION)
    assert answer.status == 200
    return {
        "call": meant,
        "keys": keys,
        "dropped": call.dropped,
        "answer": json.loads(answer.body),
        "stream": events,
    }


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_golden(file: Path) -> None:
    golden = json.loads(file.read_text())
    found = outcome(golden.pop("route"), golden.pop("request"))
    assert golden
    assert found == golden


def test_a_key_travels_apart_from_its_request() -> None:
    call = decoded("completion-deployed", {"project": "p", "provider_api_keys": {"openai": "sk-canary"}})
    assert call.api_keys["openai"].get_secret_value() == "sk-canary"
    assert "canary" not in repr(call)


def test_headers_say_what_the_api_has_no_words_for_and_trace_ids_are_its_own() -> None:
    headers = {b"x-cache": b"true", b"x-tags": b"a, b", b"x-log-sample-rate": b"0.5", b"x-log-omit": b"outputs"}
    call = decoded("completion-deployed", {"project": "p"}, headers | {b"x-trace-id": b"mine", b"x-session-id": b"s"})
    request = call.request
    assert (request.cache, request.trace.tags, request.policy.rate) == (True, ["a", "b"], 0.5)
    assert (request.policy.inputs, request.policy.outputs) == (True, False)
    assert request.trace.trace_id.startswith("data_")
    assert request.trace.session_id is None


def test_metadata_stays_whole_whatever_its_names() -> None:
    call = decoded("completion-deployed", {"project": "p", "metadata": {"cache": True, "trace_id": "t"}})
    assert call.request.trace.metadata == {"cache": True, "trace_id": "t"}
    assert not call.request.cache


def test_a_session_reference_is_always_the_same_session() -> None:
    first, second = (
        decoded("completion-deployed", {"project": "p", "session_reference_id": "s"}).request.trace for _ in range(2)
    )
    assert first.session_id == second.session_id == first.root_trace_id == first.parent_trace_id
    assert first.trace_id != second.trace_id


def test_the_same_model_config_has_the_same_id_whatever_the_order_of_its_fields() -> None:
    configs = [{"model": "m", "prompt_template": "x"}, {"prompt_template": "x", "model": "m", "seed": None}]
    configs.append({"model": "m", "prompt_template": "y"})
    first, second, other = (decoded("completion", {"model_config": config}).config_id for config in configs)
    assert first == second != other


LEAVES = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(allow_nan=False) | st.text(max_size=5)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner))
NAMES = sorted({name for file in FILES for name in json.loads(file.read_text())["request"]})
CONFIG = ("model", "prompt_template", "provider", "max_tokens", "stop", "other", "tools", "chat_template", "endpoint")
BODIES = st.dictionaries(
    st.sampled_from(NAMES), VALUES | st.dictionaries(st.sampled_from(CONFIG), VALUES, max_size=4), max_size=6
)


@given(st.sampled_from(sorted(DIALECTS)), BODIES | VALUES)
def test_any_body_is_a_call_or_a_refusal(route: str, body: Any) -> None:
    found = outcome(route, body)
    assert found.get("refused", [422])[0] in (400, 422)


TEXTS = st.text(max_size=20) | st.sampled_from(["😀" * (PIECE + 1), "\ud83d"])


@given(st.sampled_from(sorted(DIALECTS)), st.lists(st.tuples(st.integers(0, 2), TEXTS), max_size=8))
def test_a_stream_put_together_is_the_whole(route: str, deltas: list[tuple[int, str]]) -> None:
    golden = json.loads((GOLDEN / f"client-{route.replace('completion', 'complete')}.json").read_text())
    call = ready(decoded(route, golden["request"]))
    texts = {index: "".join(text for one, text in deltas if one == index) for index in range(3)}
    completion = Completion([Choice(index, text) for index, text in texts.items()], Usage(1, 2), "m", "openai")
    whole = json.loads(DIALECTS[route].encode(call, completion).body)["data"]
    events = told(route, call, [*(Chunk(text, index=index) for index, text in deltas), completion])
    for sample in whole:
        mine = [event["data"][0] for event in events if event["data"][0]["index"] == sample["index"]]
        assert "".join(event["output"] for event in mine) == sample["raw_output"]
        assert sample["output"] == sample["raw_output"].strip()
        assert [event["finish_reason"] for event in mine] == [None] * (len(mine) - 1) + [sample["finish_reason"]]
        assert {event["id"] for event in mine} == {sample["id"]}
        assert {event["model_config_id"] for event in mine} == {sample["model_config_id"]}
        assert [event["inputs"] for event in mine] == [{}] * (len(mine) - 1) + [sample["inputs"]]
    assert len({sample["id"] for sample in whole}) == 3


def test_inputs_that_would_not_fit_into_a_line_are_left_out_of_a_stream_only() -> None:
    call = ready(decoded("completion-deployed", {"project": "p", "inputs": {"x": "a" * LARGEST_INPUTS}}))
    (event, _) = told("completion-deployed", call, [COMPLETION])
    assert event["data"][0]["inputs"] == {}
    assert json.loads(DEPLOYED.encode(call, COMPLETION).body)["data"][0]["inputs"] == call.request.inputs


@pytest.mark.parametrize("text", ["", "Hi"])
def test_log_probabilities_of_a_long_piece_come_in_parts(text: str) -> None:
    entry = {"token": "a" * 20, "logprob": -1.0, "top_logprobs": [{"token": "b" * 20, "logprob": -2.0}] * 20}
    call = ready(decoded("completion-deployed", {"project": "p"}))
    events = told("completion-deployed", call, [Chunk(text, logprobs={"content": [entry] * 1000})])
    found = [event["provider_responses"][0]["choices"][0]["logprobs"]["content"] for event in events]
    assert sum(found, []) == [entry] * 1000
    assert "".join(event["data"][0]["output"] for event in events) == text


def test_the_logarithm_of_nothing_is_null() -> None:
    call = ready(decoded("completion-deployed", {"project": "p"}))
    impossible = Chunk("x", logprobs={"token_logprobs": [float("-inf"), -0.5]})
    (event,) = told("completion-deployed", call, [impossible])
    assert event["provider_responses"][0]["choices"][0]["logprobs"] == {"token_logprobs": [None, -0.5]}


def test_a_completion_model_is_told_of_as_one() -> None:
    call = ready(decoded("completion", {"model_config": {"model": "m", "prompt_template": "Once", "seed": 1}}))
    call.targets = (Target("openai", "gpt-3.5-turbo-instruct"),)
    body = json.loads(DIALECTS["completion"].encode(call, COMPLETION).body)
    assert body["provider_request"] == {"model": "gpt-3.5-turbo-instruct", "prompt": "Once", "seed": 1}
    (response,) = body["provider_responses"]
    assert (response["object"], response["choices"][0]["text"]) == ("text_completion", " Hello\nAda \n")


def test_what_was_not_sent_is_not_told_as_sent() -> None:
    call = ready(decoded("completion-deployed", {"project": "p", "seed": 1, "suffix": "s"}))
    call.dropped["seed"] = "no such parameter"
    body = json.loads(DEPLOYED.encode(call, COMPLETION).body)
    assert body["provider_request"].keys() == {"model", "messages", "suffix"}


def test_only_known_parameters_are_told_as_sent() -> None:
    other = {"min_p": 0.1, "api_base": "http://evil", "api_key": "sk-EVIL", "user_config": "sk-EVIL", "top_k": 2}
    call = ready(
        decoded("completion", {"model_config": {"model": "m", "prompt_template": "x", "other": other | {"n": 3}}})
    )
    call.request.params["extra_headers"] = {"x-team": "sk-EVIL"}
    call.dropped["extra_body.user_config"] = "not a field that can be added"
    answer = DIALECTS["completion"].encode(call, COMPLETION).body
    messages = [{"role": "user", "content": "x"}]
    body = json.loads(answer)
    assert body["provider_request"] == {"model": "gpt-4o-mini", "messages": messages, "top_k": 2}
    assert body["num_samples"] == 3
    assert b"EVIL" not in answer
    assert b"evil" not in answer


@pytest.mark.parametrize(
    ("error", "status", "kind", "origin"),
    [
        (NotFound("no such project"), 404, "not_found_error", "Humanloop"),
        (UpstreamError("too long", code="context_length_exceeded", provider="openai"), 422, "unpro", "OpenAI"),
        (UpstreamError("wait", code="rate_limited", provider="anthropic"), 429, "rate_limit_error", "Anthropic"),
        (UpstreamError("gone", code="unreachable", provider="mistral"), 502, "bad_gateway_error", "mistral"),
        (GatewayError("internal error"), 500, "internal_server_error", "Humanloop"),
    ],
)
def test_an_error_says_whose_it_is(error: GatewayError, status: int, kind: str, origin: str) -> None:
    answer = DEPLOYED.encode_error(None, error, stream=False)
    detail = json.loads(answer.body)["detail"]
    assert (answer.status, detail["code"], detail["message"], detail["origin"]) == (
        status,
        status,
        error.message,
        origin,
    )
    assert detail["type"].startswith(kind)


def test_missing_inputs_are_named_in_the_words_of_the_api() -> None:
    detail = json.loads(refuse(MissingInputs("...", ["b", "a"], param="inputs")).body)["detail"]
    assert detail["message"] == "Missing input variables: a, b"


def test_a_failure_in_mid_stream_has_no_event() -> None:
    assert DEPLOYED.encode_failure(decoded("completion-deployed", {"project": "p"}), GatewayError("x")) == []


def _write() -> None:
    for file in FILES:
        golden = json.loads(file.read_text())
        golden |= {
            name: value for name, value in outcome(golden["route"], golden["request"]).items() if name not in golden
        }
        file.write_text(json.dumps(golden, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    _write()
