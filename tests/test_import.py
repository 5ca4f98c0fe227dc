"""`log import`: the logs of other programs, each as it is written by them, and prompts."""

from __future__ import annotations

import asyncio
import csv
import json
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from google.protobuf.json_format import MessageToDict
from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from proxy import timestamps
from proxy.config import load
from proxy.dialects.archives import archive, otlp
from proxy.dialects.archives.trace_log import to_log as to_parea
from proxy.record import Record
from proxy.report import row
from proxy.routes.humanloop.archive import Archive
from proxy.routes.humanloop.directory import Directory
from proxy.routes.humanloop.log_response import to_log
from proxy.stores.telemetry import convention
from proxy.terminal import line
from tests.clients import environment
from tests.gateway import rows as on_disk
from tests.test_log import NOON, lines, peak, record, run, store

STARTER = load(None, {})
BEGAN = datetime.fromisoformat(timestamps.at(NOON))


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, utc: None) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAREA_PROXY_DATA", "data")
    monkeypatch.setenv("HOME", str(tmp_path))


def imported(*arguments: str, told: str) -> dict[str, dict[str, Any]]:
    """The rows that an import makes, by id; when it is made once more, they are the same."""
    assert lines("import", *arguments)[0] == told
    first = {one["trace_id"]: one for one in on_disk(Path("data"))}
    again = lines("import", *arguments)
    assert again[0] == f"0 rows {told.partition(', ')[0].split(maxsplit=2)[2]}"
    assert again[1].startswith(f"{len(first)} row{'s were' if len(first) > 1 else ' was'} there already")
    assert {one["trace_id"]: one for one in on_disk(Path("data"))} == first
    return first


# what is exported comes back

_text = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
_name = st.text("abcdefg-", min_size=1, max_size=8)
_json = st.recursive(st.none() | st.booleans() | st.integers(-9, 9) | _text, lambda one: st.lists(one, max_size=2))
_object = st.dictionaries(_name, _json, max_size=3)
_messages = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant"]), "content": _text}), max_size=3
)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """What any client may have logged, and any call may have left."""
    model, lasted = draw(st.none() | _name), draw(st.none() | st.integers(0, 10**6))
    prompted, answered = draw(st.none() | st.integers(0, 99)), draw(st.none() | st.integers(0, 99))
    counts = [count for count in (prompted, answered) if count is not None]
    session, failed = draw(st.none() | _name), draw(st.none() | _text.filter(bool))
    said = {"model": model, "messages": draw(_messages)} if model else None
    return Record(
        "row-1",
        session or "row-1",
        parent_trace_id=session,
        session_id=session,
        name=draw(st.none() | _name),
        project_name=draw(_name),
        end_user=draw(st.none() | _name),
        tags=draw(st.lists(_text, max_size=2)),
        metadata=draw(st.none() | _object),
        inputs=draw(st.none() | _object),
        model=model,
        configuration=said,
        output=draw(st.none() | _text),
        input_tokens=prompted,
        output_tokens=answered,
        total_tokens=sum(counts) if counts else None,
        latency=None if lasted is None else lasted / 1e6,
        start_timestamp=timestamps.at(NOON),
        end_timestamp=timestamps.text(BEGAN + timedelta(microseconds=lasted or 0)),
        status="error" if failed else "success",
        error=failed,
    )


def again(made: Any) -> Any:
    """A value as it comes out of a file."""
    return orjson.loads(line(made))


@given(records())
@settings(deadline=None, max_examples=200)
def test_a_row_and_a_trace_log_come_back(one: Record) -> None:
    assert list(archive.records(again(row(one)))) == [one]
    assert to_parea(next(archive.records(again(to_parea(one))))) == to_parea(one)


@given(records())
@settings(deadline=None, max_examples=200)
def test_a_datapoint_comes_back(one: Record) -> None:
    directory = Directory(STARTER, None)  # type: ignore[arg-type]  # a project that has a name is not looked up

    def shown(record: Record) -> Any:
        return again(asyncio.run(to_log(record, STARTER, directory)))

    (back,) = Archive(STARTER).records(shown(one))
    assert shown(back) == shown(one)
    for name in ("trace_id", "root_trace_id", "parent_trace_id", "session_id", "end_user", "inputs", "output", "error"):
        assert getattr(back, name) == getattr(one, name)


# Humanloop

V5 = {
    "id": "log_1",
    "prompt": {
        "path": "team/weather",
        "version_id": "prv_1",
        "name": "weather",
        "model": "gpt-4o",
        "provider": "openai",
    },
    "evaluator_logs": [{"id": "log_e", "evaluator": {"path": "checks/tone"}, "judgment": True}],
    "messages": [{"role": "user", "content": "Rome?"}],
    "output_message": {"role": "assistant", "content": "", "tool_calls": [{"id": "c1", "type": "function"}]},
    "start_time": "2026-01-01T00:00:00Z",
    "end_time": "2026-01-01T00:00:02Z",
    "prompt_tokens": 5,
    "prompt_cost": 0.25,
    "trace_id": "log_0",
    "trace_parent_id": "log_0",
    "log_status": "complete",
    "environment": "production",
}


def test_logs_of_humanloops_v5_are_calls_of_their_prompts_in_their_traces() -> None:
    flow = {"id": "log_0", "flow": {"path": "team/agent"}, "evaluator_logs": [], "trace_id": "log_0"}
    tool = {"id": "log_2", "tool": {"path": "team/look"}, "evaluator_logs": [], "output": "x", "error": "no such city"}
    page = {"page": 1, "size": 10, "total": 3, "records": [V5, {**flow, "trace_children": [tool]}]}
    Path("page.json").write_text(json.dumps(page, indent=1))
    found = imported("page.json", told="3 rows imported from page.json (Humanloop), 1 of them failed")
    call = found["log_1"]
    assert (call["deployment_id"], call["deployment_version"], call["model"]) == ("team/weather", "prv_1", "gpt-4o")
    assert (call["latency"], call["cost"], call["input_tokens"]) == (2.0, 0.25, 5)
    assert call["configuration"]["messages"] == [{"role": "user", "content": "Rome?"}]
    assert call["output"] == [{"id": "c1", "type": "function"}]
    assert call["scores"][0] == {"name": "checks/tone", "id": "log_e", "value": True, "score": 1.0}
    assert call["extra"]["humanloop"] == {"log_status": "complete"}
    assert call["extra"]["environment"] == "production"
    places = {id: (one["name"], one["parent_trace_id"], one["root_trace_id"]) for id, one in found.items()}
    assert places["log_0"] == ("team/agent", None, "log_0")
    assert places["log_2"] == ("team/look", "log_0", "log_0")
    assert (call["parent_trace_id"], call["root_trace_id"]) == ("log_0", "log_0")


def test_datapoints_without_a_session_are_in_the_tree_of_their_root() -> None:
    """Which stands last in a file that begins with the newest."""
    deep = [{"id": f"d{n}", "config": {}, "project": "p", "parent_id": f"d{n - 1}"} for n in (3, 2, 1)]
    every = [*deep, {"id": "d0", "config": {}, "project": "p", "created_at": "2026-01-01T00:00:00"}]
    Path("in").write_text("".join(json.dumps({**one, "config": {"model": "m"}}) + "\n" for one in every))
    found = imported("in", told="4 rows imported from in (Humanloop)")
    assert {one["root_trace_id"] for one in found.values()} == {"d0"}


# LiteLLM

KEY = "sk-the-key-that-is-kept-nowhere"
SPENT: dict[str, Any] = {
    "request_id": "chatcmpl-1",
    "call_type": "acompletion",
    "api_key": KEY,
    "spend": 0.0125,
    "total_tokens": 9,
    "prompt_tokens": 7,
    "completion_tokens": 2,
    "startTime": "2026-01-01T00:00:00.000Z",
    "endTime": "2026-01-01T00:00:02.000Z",
    "completionStartTime": "2026-01-01T00:00:00.500Z",
    "model": "bedrock/claude",
    "model_id": "one",
    "model_group": "default",
    "custom_llm_provider": "bedrock",
    "api_base": "https://example.com",
    "user": "ann",
    "metadata": {
        "user_api_key": KEY,
        "user_api_key_alias": "team-a",
        "user_api_key_team_alias": "support",
        "spend_logs_metadata": {"job": "1"},
        "attempted_retries": 1,
        "applied_guardrails": None,
    },
    "cache_hit": "False",
    "cache_key": "Cache OFF",
    "request_tags": ["red"],
    "end_user": "bob",
    "messages": {},
    "session_id": "s-1",
    "status": "success",
    "proxy_server_request": {
        "model": "default",
        "messages": [{"role": "user", "content": "Rome?"}],
        "temperature": 0.5,
        "tools": [{"type": "function", "function": {"name": "f"}}],
    },
    "response": {"choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": "Sunny."}}]},
}
FAILED = {
    **SPENT,
    "request_id": "c2",
    "status": "failure",
    "response": {},
    "metadata": {"error_information": {"error_class": "Timeout", "error_message": "too slow"}},
}
HIT = {**SPENT, "request_id": "c3", "cache_hit": "True", "spend": 0.0, "completionStartTime": SPENT["endTime"]}
EVERY = [SPENT, FAILED, HIT]


def table(path: Path) -> None:
    """A dump of the table, as `COPY ... TO STDOUT WITH (FORMAT csv, HEADER)` writes it."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(SPENT)
        for one in EVERY:
            writer.writerow(
                json.dumps(cell) if isinstance(cell, dict | list) else str(cell).replace("T00", " 00").removesuffix("Z")
                for cell in one.values()
            )


WAYS: dict[str, Callable[[Path], Any]] = {
    "list": lambda path: path.write_text(json.dumps(EVERY)),
    "document": lambda path: path.write_text(json.dumps(EVERY, indent=2)),
    "page": lambda path: path.write_text(json.dumps({"data": EVERY, "total": 3}, indent=2)),
    "lines": lambda path: path.write_text("".join(json.dumps(one) + "\n" for one in EVERY)),
    "table": table,
}


@pytest.mark.parametrize("way", WAYS)
def test_spend_logs_of_litellm(way: str) -> None:
    WAYS[way](Path("spend"))
    found = imported("spend", told="3 rows imported from spend (LiteLLM), 1 of them failed")
    one, failed, hit = (found[id] for id in ("chatcmpl-1", "c2", "c3"))
    assert (one["provider"], one["model"], one["name"]) == ("aws_bedrock", "claude", "llm-aws_bedrock")
    assert (one["cost"], one["latency"], one["time_to_first_token"], one["total_tokens"]) == (0.0125, 2.0, 0.5, 9)
    assert (one["key"], one["project_name"], one["end_user"], one["session_id"]) == ("team-a", "support", "bob", "s-1")
    assert (one["tags"], one["metadata"], one["output"]) == (["red"], {"job": "1"}, "Sunny.")
    assert one["configuration"] == {
        "model": "claude",
        "provider": "aws_bedrock",
        "model_params": {"temp": 0.5},
        "messages": [{"role": "user", "content": "Rome?"}],
        "functions": [{"name": "f"}],
    }
    assert one["notes"] == {"dialect": "litellm", "target": "one", "finish_reason": "stop"}
    assert one["extra"]["litellm"]["metadata"] == {"attempted_retries": 1}
    assert one["extra"]["litellm"]["user"] == "ann"
    assert (failed["status"], failed["error"], failed["notes"]["failure"]) == ("error", "too slow", "Timeout")
    assert (hit["cache_hit"], hit["cost"], hit["time_to_first_token"]) == (1, None, None)
    assert KEY.encode() not in b"".join(path.read_bytes() for path in Path("data").iterdir())


@pytest.mark.parametrize(
    ("response", "output"),  # which is told as JSON, where it is such
    [
        ({"choices": [{"text": "Rome"}]}, "Rome"),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab"),
        ({"output": [{"type": "message", "content": [{"type": "output_text", "text": "Hi"}]}]}, "Hi"),
        ({"data": [{"embedding": [1.0]}]}, None),
        ({"other": 1}, {"other": 1}),
        ({}, None),
    ],
)
def test_answers_of_every_api_are_read(response: Any, output: Any) -> None:
    Path("in").write_text(json.dumps({**SPENT, "response": json.dumps(response)}))
    assert imported("in", told="1 row imported from in (LiteLLM)")["chatcmpl-1"]["output"] == output


def test_what_has_no_spans_is_not_read_as_otlp() -> None:
    Path("in").write_text(json.dumps({"trace_id": "a", "root_trace_id": "a"}))
    found = run("import", "in", "--format", "otlp")
    assert found.exit_code == 2
    assert "  line 1: resourceSpans: is missing, so these are no spans" in found.stderr


def test_a_list_that_is_no_list_is_told() -> None:
    for text, told in (
        (json.dumps(EVERY)[:-30], "in: item 3: is not valid JSON, or too large"),
        (f"[{json.dumps(SPENT)}, 5]", "in: item 2: should be an object"),
        (f"[{json.dumps(SPENT)}] x", "in: item 1: [ is missing, behind it or before"),
        (f'[{json.dumps(SPENT)}, {{"request_id": 1}}]', "  item 2: request_id: Input should be a valid string"),
        ("a,b\n1,2\n", "in: a CSV can be read of LiteLLM's spend logs only, by the names of their columns"),
    ):
        Path("in").write_text(text)
        found = run("import", "in")
        assert found.exit_code == 2
        assert told in found.stderr.splitlines()
    assert not Path("data").exists()


@pytest.mark.parametrize("form", ["lines", "list", "object", "table"])
def test_a_mark_of_the_byte_order_is_no_part_of_a_file(form: str) -> None:
    text = {
        "lines": "\n".join(map(json.dumps, [SPENT, SPENT])),
        "list": json.dumps([SPENT]),
        "object": json.dumps(SPENT, indent=1),
        "table": f"request_id,startTime,spend\nr1,{SPENT['startTime']},0.5\n",
    }[form]
    Path("in").write_text(text, encoding="utf-8-sig")
    assert lines("import", "in", "--check")[0].endswith("can be read from in (LiteLLM)")


def test_a_long_list_is_read_in_little_memory() -> None:
    """70 MB in one line."""
    asked = {"messages": [{"role": "user", "content": "\u00e9" * 5000}]}
    with Path("in").open("w") as file:
        file.write("[")
        for number in range(7000):
            one = {"request_id": f"r{number}", "startTime": SPENT["startTime"], "proxy_server_request": asked}
            file.write(f"{',' if number else ''}{json.dumps(one, ensure_ascii=False)}")
        file.write("]")
    assert Path("in").stat().st_size > 70 * 10**6
    Path("few").write_text(json.dumps([{"request_id": "r", "startTime": SPENT["startTime"]}]))
    assert peak("import", "in", "--data", "many") - peak("import", "few", "--data", "less") < 32 * 2**20


# llm


def logs_db(which: str) -> Path:
    environment.run("tools", "llm_script.py", "logs.db", which, home=Path.cwd())
    return Path("logs.db")


def test_a_logs_db_of_llm() -> None:
    found = imported(str(logs_db("new")), told="5 rows imported from logs.db (llm)")
    by_start = sorted(found.values(), key=lambda one: one["start_timestamp"])
    first, second, asked, told, last = by_start
    assert first["session_id"] == second["session_id"] != asked["session_id"] == told["session_id"]
    assert first["configuration"]["model_params"] == {"temp": 0.5}
    system, user = first["configuration"]["messages"]
    assert system == {"role": "system", "content": "Be terse"}
    assert user["content"][1] == {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    assert user["content"][2] == {"type": "attachment", "media_type": "image/png", "bytes": 4}
    roles = [message["role"] for message in second["configuration"]["messages"]]
    assert roles == ["system", "user", "assistant", "user"]
    assert (second["output"], second["total_tokens"], second["model"]) == ("Sunny.", 10, "toy")
    text, _, calls = asked["output"].partition("\n")
    assert (text, json.loads(calls)[0]["function"]) == ("Wait.", {"name": "weather", "arguments": '{"city":"Rome"}'})
    assert told["configuration"]["messages"][-1] == {
        "role": "tool",
        "tool_call_id": "c1",
        "content": "sunny in Rome",
    }
    assert told["configuration"]["functions"][0]["name"] == "weather"
    assert last["configuration"]["messages"] == [{"role": "user", "content": "a long text\nAs JSON"}]
    assert last["configuration"]["model_params"]["response_format"]["json_schema"]["schema"] == {"type": "object"}


def test_a_logs_db_of_an_older_llm() -> None:
    found = imported(str(logs_db("old")), told="2 rows imported from logs.db (llm)")
    one, two = found["r1"], found["r2"]
    assert (one["session_id"], one["latency"], one["input_tokens"], one["total_tokens"]) == ("conv", 1.5, 5, 5)
    assert one["output"].startswith("Hello r1\n[")
    said = [(message["role"], message["content"]) for message in two["configuration"]["messages"]]
    assert said == [
        ("system", "Be terse"),
        ("user", "Hi"),
        ("assistant", "Hello r1"),
        ("tool", "done"),
        ("user", "And Rome?"),
    ]


def test_other_databases_are_told() -> None:
    store(record("a"))
    sqlite3.connect("other.db").executescript("CREATE TABLE x (y)")
    for name, told in (("data/traces.db", "it is a log of parea-proxy"), ("other.db", "is no logs.db of llm")):
        found = run("import", name, "--data", "new")
        assert (found.exit_code, told in found.stderr) == (2, True)


# OTLP


def spans(*several: Any) -> dict[str, Any]:
    """Spans of OpenTelemetry's SDK, as the collector writes them into a file."""
    made: dict[str, Any] = MessageToDict(encode_spans(several))
    for resource in made["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for name in ("traceId", "spanId", "parentSpanId"):
                    span[name] = otlp._hex(span.get(name, ""))
    return made


ASKED = [
    {"role": "system", "parts": [{"type": "text", "content": "Be terse"}]},
    {"role": "user", "parts": [{"type": "text", "content": "Rome?"}]},
    {"role": "assistant", "parts": [{"type": "tool_call", "id": "c1", "name": "f", "arguments": {"city": "Rome"}}]},
    {"role": "tool", "parts": [{"type": "tool_call_response", "id": "c1", "response": "sunny"}]},
]
GENERATION: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "azure.ai.openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024",
    "gen_ai.request.temperature": 0.5,
    "gen_ai.usage.input_tokens": 7,
    "gen_ai.usage.output_tokens": 2,
    "gen_ai.response.finish_reasons": ["stop"],
    "gen_ai.conversation.id": "s-1",
    "gen_ai.input.messages": json.dumps(ASKED),
    "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": "Sunny."}]}]),
    "user.id": "bob",
    "own": 1,
}


def test_spans_of_generative_ai_are_calls() -> None:
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    tracer = provider.get_tracer("app")
    with tracer.start_as_current_span("agent"):
        with tracer.start_as_current_span("chat gpt-4o", attributes=GENERATION):
            pass
        tool = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "f",
            "gen_ai.tool.call.arguments": '{"city": "Rome"}',
            "gen_ai.tool.call.result": "sunny",
        }
        with tracer.start_as_current_span("execute_tool f", attributes=tool):
            pass
        with tracer.start_as_current_span("chat", attributes={"parea_proxy.trace_id": "ours"}):
            pass
    written = [json.dumps(spans(one)) for one in memory.get_finished_spans()]
    Path("in").write_text("\n".join([*written, '{"resourceMetrics": []}']) + "\n")
    found = imported("in", told="3 rows imported from in (OTLP)")
    assert lines("import", "in", "--check")[2:] == [
        "1 passed over: spans that a gateway like this one sent, which has them in its log",
        "1 passed over: no traces, but metrics or logs",
    ]
    by_name = {one["name"]: one for one in found.values()}
    call, tool_row, top = by_name["chat gpt-4o"], by_name["f"], by_name["agent"]
    assert call["parent_trace_id"] == tool_row["parent_trace_id"] == top["trace_id"]
    assert (call["provider"], call["model"], call["session_id"]) == ("azure", "gpt-4o-2024", "s-1")
    assert (call["input_tokens"], call["total_tokens"], call["output"], call["end_user"]) == (7, 9, "Sunny.", "bob")
    assert call["configuration"]["model_params"] == {"temp": 0.5}
    roles = [message["role"] for message in call["configuration"]["messages"]]
    assert roles == ["system", "user", "assistant", "tool"]
    assert call["configuration"]["messages"][2]["tool_calls"][0]["function"]["arguments"] == '{"city":"Rome"}'
    assert call["extra"]["otel"]["attributes"] == {"own": 1, "gen_ai.conversation.id": "s-1"}
    assert (tool_row["inputs"], tool_row["output"]) == ({"city": "Rome"}, "sunny")


def test_what_openllmetry_writes_is_read() -> None:
    said = {
        "gen_ai.system": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "Rome?",
        "gen_ai.completion.0.content": "Sunny.",
        "gen_ai.usage.prompt_tokens": 3,
    }
    attributes = [
        {"key": name, "value": {"intValue": one} if isinstance(one, int) else {"stringValue": one}}
        for name, one in said.items()
    ]
    span = {"traceId": "a" * 32, "spanId": "b" * 16, "startTimeUnixNano": "1", "attributes": attributes}
    (found,) = otlp.records({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}, lambda _: None)
    assert (found.configuration or {})["messages"] == [{"role": "user", "content": "Rome?"}]
    assert (found.output, found.input_tokens, found.extra["otel"].get("attributes")) == ("Sunny.", 3, {})


@given(records())
@settings(deadline=None, max_examples=100)
def test_what_this_gateway_sends_is_read_as_it_was(one: Record) -> None:
    """Where its own mark is taken out, as by a collector."""
    one.model, one.provider = one.model or "m", "azure"
    made = convention.span(one, content=True)
    attributes = [
        {"key": name, "value": _any(value)} for name, value in made.attributes.items() if "parea_proxy" not in name
    ]
    span = {
        "traceId": f"{made.trace_id:032x}",
        "spanId": f"{made.span_id:016x}",
        "startTimeUnixNano": str(made.start),
        "endTimeUnixNano": str(made.end),
        "attributes": attributes,
    }
    (found,) = otlp.records(again({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}), lambda _: None)
    for name in ("provider", "input_tokens", "output_tokens", "total_tokens", "session_id", "start_timestamp"):
        assert getattr(found, name) == getattr(one, name)
    # a call that failed before a word was said has no answer in its span
    assert found.output == (one.output if one.status == "success" else one.output or None)
    said = (one.configuration or {}).get("messages") or None
    assert (found.configuration or {}).get("messages") == said


def _any(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    return {"arrayValue": {"values": [_any(one) for one in value]}}


# what holds for all


def test_what_the_config_omits_is_not_imported_from_anywhere() -> None:
    Path("config.yaml").write_text("log: {omit: all}")
    Path("in").write_text(json.dumps(SPENT))
    found = imported("in", told="1 row imported from in (LiteLLM)")["chatcmpl-1"]
    assert (found["output"], found["extra"]) == (None, None)
    assert b"Rome" not in b"".join(path.read_bytes() for path in Path("data").iterdir())


def test_the_format_can_be_said() -> None:
    Path("in").write_text(json.dumps(SPENT))
    found = run("import", "in", "--format", "parea", "--check")
    assert (found.exit_code, "line 1: " in found.stderr) == (2, True)


# prompts

PROMPT = """---
model: gpt-4o
provider: openai
temperature: 0.5
---
<user>
  What is the weather in {{city}}?
</user>
"""


@pytest.fixture
def prompts() -> Path:
    Path("config.yaml").write_text("model_list: []\n")
    Path("from/team").mkdir(parents=True)
    Path("from/team/weather.prompt").write_text(PROMPT)
    Path("from/plain.prompt").write_text(PROMPT)
    Path("from/agent.agent").write_text("x")
    return Path("from")


def test_prompts_become_versions_of_deployments(prompts: Path) -> None:
    assert lines("import", "from", "--check")[0] == "2 prompts can be copied to deployments"
    assert not Path("deployments").exists()
    told = lines("import", "from")
    assert told[:3] == [
        "2 prompts copied to deployments",
        "  plain@v1  deployments/plain/v1.prompt",
        "  team/weather@v1  deployments/team/weather/v1.prompt",
    ]
    assert "  projects:" in told
    assert lines("import", "from") == ["0 prompts copied to deployments", "2 passed over: there already"]
    Path("from/plain.prompt").write_text(PROMPT.replace("0.5", "0.7"))
    assert lines("import", "from")[1] == "  plain@v2  deployments/plain/v2.prompt  the latest version now"
    config = load(Path("config.yaml"), {})
    assert list(config.versions["plain"].versions) == ["v1", "v2"]
    assert config.deployments["team/weather"].params == {"temperature": 0.5}


def test_a_prompt_that_is_wrong_is_told_and_the_others_are_copied(prompts: Path) -> None:
    Path("from/wrong.prompt").write_text(PROMPT.replace("temperature", "temprature"))
    Path("from/bytes.prompt").write_bytes(b"\xff")
    for arguments, told in ((["--check"], "2 prompts can be copied"), ([], "2 prompts copied")):
        assert not Path("deployments").exists()
        found = run("import", "from", *arguments)
        assert (found.exit_code, found.stdout.startswith(told)) == (1, True)
        assert found.stderr.startswith("2 not copied:\nfrom/bytes.prompt: ")
        assert "deployments/wrong/v1.prompt: 1 problem\n  line 4: temprature: unknown key" in found.stderr
    assert sorted(path.name for path in Path("deployments").iterdir()) == ["plain", "team"]


def test_a_deployment_that_is_one_file_is_left_alone(prompts: Path) -> None:
    Path("deployments").mkdir()
    Path("deployments/plain.prompt").write_text(PROMPT.replace("0.5", "0.7"))
    found = run("import", "from")
    assert found.exit_code == 1
    assert "move it to deployments/plain/v1.prompt, and import again" in found.stderr
    assert sorted(path.name for path in Path("deployments").iterdir()) == ["plain.prompt", "team"]


def test_a_prompt_that_is_a_link_to_elsewhere_is_not_copied(prompts: Path) -> None:
    Path("elsewhere").write_text(PROMPT)
    Path("from/team/more.prompt").symlink_to("../plain.prompt")
    assert lines("import", "from", "--check")[0] == "3 prompts can be copied to deployments"
    Path("from/team/link.prompt").symlink_to("../../elsewhere")
    found = run("import", "from")
    assert found.exit_code == 1
    assert "from/team/link.prompt: leads out of from" in found.stderr
    assert not Path("deployments/team/link").exists()


def test_a_file_that_is_no_prompt_is_not_copied(prompts: Path) -> None:
    found = run("import", "from/agent.agent", "--format", "prompt")
    assert found.exit_code == 2
    assert "from/agent.agent: is none of the .prompt files" in found.stderr


def test_prompts_need_a_config(prompts: Path) -> None:
    Path("config.yaml").unlink()
    assert "parea-proxy init" in run("import", "from").stderr
    assert lines("import", "from", "--check")[0] == "2 prompts can be copied to deployments"
    Path("empty").mkdir()
    assert "is a folder" in run("import", "empty").stderr
