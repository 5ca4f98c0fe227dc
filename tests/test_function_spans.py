"""Functions that clients log are spans, once each: whole gateways, real clients, a collector on loopback."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.config.telemetry import Otel
from proxy.record import Record
from proxy.stores.telemetry.convention import span_id, trace_id
from proxy.stores.telemetry.functions import function
from proxy.stores.telemetry.spans import Spans
from tests.clients import environment
from tests.collector import Collector, said
from tests.gateway import Local, Process, rows
from tests.test_spans import CANARY, ask, config, counted

START, END = "2026-11-21T20:08:21.000000+00:00", "2026-11-21T20:08:23.500000+00:00"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def ended(name: str, **more: Any) -> dict[str, Any]:
    """A log of a function, as the original client posts it."""
    times = {"start_timestamp": START, "end_timestamp": END, "latency": 2.5}
    told = {"trace_name": "plan", "inputs": {"city": CANARY}, "output": f"to {CANARY}", "status": "success"}
    return {"trace_id": name, "parent_trace_id": name, "root_trace_id": name, **told, **times, **more}


def post(gateway: Local | Process, log: dict[str, Any], headers: dict[str, str] | None = None) -> None:
    answer = httpx.post(f"{gateway.url}/api/parea/v1/trace_log", json=log, headers=headers, timeout=20)
    assert (answer.status_code, answer.json()["logged"]) == (200, True)


def put(gateway: Local, name: str, **fields: Any) -> None:
    body = {"trace_id": name, "field_name_to_value_map": fields}
    answer = httpx.put(f"{gateway.url}/api/parea/v1/trace_log", json=body, timeout=20)
    assert (answer.status_code, answer.json()["logged"]) == (200, True)


def test_the_tree_of_an_application_has_every_parent_that_the_log_has(collector: Collector, tmp_path: Path) -> None:
    """The original client's `@trace`, in threads and tasks, with calls of models inside."""
    with Local(tmp_path, config(collector)) as gateway:
        seen = environment.seen(
            environment.DEVELOPMENT, "parea_functions.py", home=tmp_path, PAREA_BASE_URL=gateway.parea
        )
        end = time.monotonic() + 10
        while len(rows(gateway.data)) < seen["rows"] and time.monotonic() < end:
            time.sleep(0.05)
    found = rows(gateway.data)
    assert len(found) == seen["rows"]
    spans = {one.span_id: one for one in collector.spans}
    assert len(collector.spans) == len(spans) == len(found)
    for row in found:
        got = spans[span_id(row["trace_id"]).to_bytes(8)]
        above = row["parent_trace_id"]
        assert got.trace_id == trace_id(row["root_trace_id"]).to_bytes(16)
        assert got.parent_span_id == (span_id(above).to_bytes(8) if above else b"")
        assert not above or got.parent_span_id in spans
        called = row["name"] == "llm-echo"
        assert (got.kind, got.name) == ((3, "chat echo") if called else (1, row["name"]))
        assert got.status.code == (2 if row["name"] == "broken" else 0)
    assert {row["name"] for row in found} == {"trunk", "leaf", "async_trunk", "async_leaf", "broken", "llm-echo"}


def test_a_function_is_a_span_of_openinference(collector: Collector, tmp_path: Path) -> None:
    with Local(tmp_path, config(collector)) as gateway:
        post(gateway, ended("f-1", session_id="s-1", parent_trace_id="f-0", root_trace_id="f-0"))
        post(gateway, ended("f-2", status="error", error="Traceback: no such city", output=None))
        post(gateway, ended("f-3", output='[{"a": 1}]'))
    by_id = {said(one.attributes)["parea_proxy.trace_id"]: one for one in collector.spans}
    one = by_id["f-1"]
    assert said(one.attributes) == {
        "openinference.span.kind": "CHAIN",
        "session.id": "s-1",
        "input.value": f'{{"city":"{CANARY}"}}',
        "input.mime_type": "application/json",
        "output.value": f"to {CANARY}",
        "output.mime_type": "text/plain",
        "parea_proxy.trace_id": "f-1",
        "parea_proxy.root_trace_id": "f-0",
    }
    assert (one.name, one.kind, one.status.code) == ("plan", 1, 0)
    assert one.parent_span_id == span_id("f-0").to_bytes(8)
    assert one.end_time_unix_nano - one.start_time_unix_nano == 2_500_000_000
    assert (by_id["f-2"].status.code, by_id["f-2"].status.message) == (2, "Traceback: no such city")
    assert said(by_id["f-2"].attributes)["error.type"] == "_OTHER"
    assert said(by_id["f-3"].attributes)["output.mime_type"] == "application/json"


def test_each_is_sent_once_and_when_it_has_ended(collector: Collector, tmp_path: Path) -> None:
    half = {"trace_name": "plan", "start_timestamp": START, "inputs": {"a": 1}}
    with Local(tmp_path, config(collector)) as gateway:
        # again, with more fields, and again
        post(gateway, ended("again"))
        post(gateway, ended("again", tags=["late"]))
        put(gateway, "again", end_timestamp=END, output="another")
        # in two parts, and by an edit, before or after
        post(gateway, {"trace_id": "parts", **half})
        post(gateway, {"trace_id": "parts", "start_timestamp": START, "end_timestamp": END, "output": "done"})
        post(gateway, {"trace_id": "edited", **half})
        put(gateway, "edited", latency=2.5, output="done")
        put(gateway, "early", end_timestamp=END, output="done")
        post(gateway, {"trace_id": "early", **half})
        # never
        post(gateway, {"trace_id": "open", **half})
        put(gateway, "open", scores=[{"name": "good", "score": 1.0}])
    told = {said(one.attributes)["parea_proxy.trace_id"]: one for one in collector.spans}
    assert len(collector.spans) == len(told)
    assert told.keys() == {"again", "parts", "edited", "early"}
    for name in ("parts", "edited", "early"):
        attributes = said(told[name].attributes)
        assert (attributes["input.value"], attributes["output.value"]) == ('{"a":1}', "done")
        assert told[name].end_time_unix_nano - told[name].start_time_unix_nano == 2_500_000_000
    assert said(told["again"].attributes)["output.value"] == f"to {CANARY}"
    # nor by a gateway that begins anew
    with Local(tmp_path, config(collector)) as gateway:
        post(gateway, ended("again"))
        post(gateway, ended("new"))
    assert len(collector.spans) == len(told) + 1


def test_what_was_a_span_before_is_not_sent_again(collector: Collector, tmp_path: Path) -> None:
    """A call of the gateway's own, and what the application sends to its collector itself."""
    own = "00f067aa0ba902b7"
    span = {
        "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": own, "name": "agent",
        "startTimeUnixNano": "1795291701000000000", "endTimeUnixNano": "1795291702000000000",
    }  # fmt: skip
    with Local(tmp_path, config(collector)) as gateway:
        call = ask(gateway.url).headers["x-trace-id"]
        sent = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}
        assert httpx.post(f"{gateway.url}/v1/traces", json=sent).status_code == 200
        post(gateway, ended(call))
        post(gateway, ended(own))
    assert [one.name for one in collector.spans] == ["chat echo"]


def test_a_call_that_outlives_the_function_of_its_id_is_no_second_span(collector: Collector) -> None:
    """A call that begins later has another id, as the log's rows do."""
    spans = Spans(Otel(endpoint=f"{collector.url}/v1/traces"))
    for name in ("f-1", "f-2"):
        spans.put_function(Record(name, name, name="plan", start_timestamp=START, end_timestamp=END))
    for name in ("f-1", "c-1"):
        spans.put(Record(name, name, start_timestamp=START, latency=2.5, status="success"))
    spans.close()
    assert [one.name for one in collector.spans] == ["plan", "plan", "chat"]
    assert (spans.sent, spans.dropped) == (3, 0)


def test_many_at_once_are_one(collector: Collector, tmp_path: Path) -> None:
    async def all_at_once(url: str) -> None:
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:
            sent = [client.post("/api/parea/v1/trace_log", json=ended(f"f-{n % 5}")) for n in range(50)]
            assert {answer.status_code for answer in await asyncio.gather(*sent)} == {200}

    with Local(tmp_path, config(collector)) as gateway:
        asyncio.run(all_at_once(gateway.url))
    assert len(collector.spans) == len({one.span_id for one in collector.spans}) == 5


@pytest.mark.timeout(120)
def test_workers_know_of_each_other_s(collector: Collector, tmp_path: Path) -> None:
    """Each request is a connection of its own, so any worker may get it."""
    with Process(tmp_path, config(collector), PAREA_PROXY_WORKERS="2") as gateway:
        for number in range(30):
            post(gateway, ended(f"f-{number % 3}"))
    assert len(collector.spans) == len({one.span_id for one in collector.spans}) == 3


@pytest.mark.parametrize("by", ["config", "content", "redact"])
def test_what_may_not_be_logged_does_not_leave(by: str, collector: Collector, tmp_path: Path) -> None:
    made = config(collector)
    if by == "content":
        made["otel"]["content"] = False
    else:
        made["log"] = {"omit": "all"} if by == "config" else {"redact": [{"name": "word", "pattern": CANARY}]}
    with Local(tmp_path, made) as gateway:
        post(gateway, ended("f-1"))
        post(gateway, ended("f-2", status="error", error=CANARY, unknown=CANARY))
        post(gateway, {"trace_id": "f-3", "start_timestamp": START})
        put(gateway, "f-3", end_timestamp=END, inputs={"a": CANARY}, output=CANARY, error=CANARY)
    assert len(collector.spans) == 3
    assert CANARY.encode() not in b"".join(collector.bodies)


def test_a_trace_that_is_not_kept_has_no_span(collector: Collector, tmp_path: Path) -> None:
    with Local(tmp_path, config(collector, log={"sample_rate": 0.5})) as gateway:
        for number in range(40):
            post(gateway, ended(f"f-{number}"))
    kept = {row["trace_id"] for row in rows(gateway.data)}
    assert 0 < len(kept) < 40
    assert {said(one.attributes)["parea_proxy.trace_id"] for one in collector.spans} == kept


def test_datapoints_and_runs_are_spans_and_sessions_are_none(collector: Collector, tmp_path: Path) -> None:
    """Humanloop's logs; and LangChain's runs, which come again inside each run above them."""
    inner: dict[str, Any] = {
        "id": str(uuid.uuid4()), "name": "search", "run_type": "tool", "start_time": START, "end_time": END,
        "inputs": {"q": "a"}, "outputs": {"output": "b"},
    }  # fmt: skip
    outer = {**inner, "id": str(uuid.uuid4()), "name": "chain", "run_type": "chain", "child_runs": [inner]}
    point = {"project": "p", "session_id": "s-1", "inputs": {"a": 1}, "output": "x", "duration": 1.5}
    with Local(tmp_path, config(collector)) as gateway:
        assert httpx.post(f"{gateway.url}/v4/sessions").status_code == 201
        model = {"model": "gpt-4o", "provider": "openai"}
        logged = httpx.post(f"{gateway.url}/v4/logs", json=[point, {**point, "config": model, "prompt_tokens": 7}])
        assert logged.status_code == 200, logged.text
        changed = httpx.patch(f"{gateway.url}/v4/logs/{logged.json()[0]['id']}", json={"output": "y", "duration": 2})
        assert changed.status_code == 200, changed.text
        for run in ({**inner, "parent_run_id": outer["id"]}, outer):
            assert httpx.post(f"{gateway.url}/api/parea/v1/trace_log/langchain", json=run).status_code == 200
    found = sorted((one.name, said(one.attributes)["openinference.span.kind"]) for one in collector.spans)
    assert found == [("chain", "CHAIN"), ("llm-openai", "LLM"), ("log", "CHAIN"), ("search", "TOOL")]
    (called,) = [said(one.attributes) for one in collector.spans if one.name == "llm-openai"]
    assert (called["llm.model_name"], called["llm.provider"], called["llm.token_count.prompt"]) == (
        "gpt-4o",
        "openai",
        7,
    )


@pytest.mark.parametrize("end", ["9999-01-01T00:00:00+00:00", "1960-01-01T00:00:00+00:00"])
def test_a_time_that_otlp_cannot_say_costs_no_other_span(end: str, collector: Collector, tmp_path: Path) -> None:
    with Local(tmp_path, config(collector)) as gateway:
        post(gateway, ended("far", start_timestamp=end, end_timestamp=end))
        post(gateway, ended("near"))
    assert [said(one.attributes)["parea_proxy.trace_id"] for one in collector.spans] == ["near"]
    assert counted(tmp_path) == (1, 1)


def test_a_log_that_cannot_be_read_costs_the_span_and_not_the_answer(collector: Collector, tmp_path: Path) -> None:
    with Local(tmp_path, config(collector)) as gateway:
        post(gateway, ended("f-1"))
        for file in gateway.data.glob("traces.db*"):
            file.unlink()
        (gateway.data / "traces.db").mkdir()
        answer = httpx.post(f"{gateway.url}/api/parea/v1/trace_log", json=ended("f-2"), timeout=20)
    assert (answer.status_code, answer.json()["logged"]) == (200, False)
    assert [said(one.attributes)["parea_proxy.trace_id"] for one in collector.spans] == ["f-1"]


def test_an_end_before_the_start_is_the_start() -> None:
    made = function(Record("t", "t", start_timestamp=END, end_timestamp=START), content=True)
    assert made.start == made.end
