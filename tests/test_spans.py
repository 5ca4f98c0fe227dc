"""Spans from outside: whole gateways, a collector on loopback that reads with the format's own definition."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTracePartialSuccess,
    ExportTraceServiceResponse,
)

from proxy.config import load
from proxy.errors import ConfigError
from proxy.record import Record
from proxy.stores.telemetry.convention import span, span_id, trace_id
from tests.collector import Collector, said
from tests.gateway import Local, Process, rows, written
from tests.test_metrics import page
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import Scenario

CANARY = "the-word-that-must-not-leave"
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with Fleet() as fleet:
        yield fleet


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


def config(collector: Collector, fleet: Fleet | None = None, **rest: Any) -> dict[str, Any]:
    models = [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}]
    if fleet is not None:
        models.append({"model_name": "gpt-4o-mini", "litellm_params": {"model": "openai/gpt-4o-mini"}})
        rest["providers"] = {"openai": fleet.providers["openai"]}
    otel = {"endpoint": collector.url, "headers": {"x-team": "the-collectors-key"}, "content": True}
    return {"model_list": models, "otel": otel, "router_settings": {"num_retries": 0}, **rest}


def ask(url: str, model: str = "echo", headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
    asked = {"model": model, "messages": [{"role": "user", "content": f"Hello, {CANARY}"}], **body}
    return httpx.post(f"{url}/v1/chat/completions", json=asked, headers=headers, timeout=40)


def test_a_call_is_a_span_of_the_conventions(collector: Collector, fleet: Fleet, tmp_path: Path) -> None:
    fleet.reset()
    with Local(tmp_path, config(collector, fleet)) as gateway:
        answer = ask(
            gateway.url, "gpt-4o-mini", {"x-session-id": "s-1", "traceparent": PARENT}, temperature=0.5, seed=7
        )
        assert answer.status_code == 200
    (got,) = collector.spans
    (row,) = rows(gateway.data)
    attributes = said(got.attributes)
    messages = [json.loads(attributes.pop(f"gen_ai.{way}.messages")) for way in ("input", "output")]
    first_parts = [{"type": "text", "content": f"Hello, {CANARY}"}]
    assert messages[0] == [{"role": "user", "parts": first_parts}]
    assert messages[1][0]["parts"] == [{"type": "text", "content": row["output"]}]
    assert messages[1][0]["finish_reason"] == "stop"
    assert {name: value for name, value in attributes.items() if name.startswith("gen_ai.")} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o-mini",
        "gen_ai.response.model": row["model"],
        "gen_ai.conversation.id": "s-1",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.seed": 7,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": row["input_tokens"],
        "gen_ai.usage.output_tokens": row["output_tokens"],
    }
    assert attributes["parea_proxy.trace_id"] == row["trace_id"]
    assert attributes["parea_proxy.cost_usd"] == pytest.approx(row["cost"])
    assert (got.name, got.kind, got.status.code) == ("chat gpt-4o-mini", 3, 0)
    assert (got.trace_id.hex(), got.parent_span_id.hex()) == tuple(PARENT.split("-")[1:3])
    assert got.end_time_unix_nano - got.start_time_unix_nano == pytest.approx(row["latency"] * 1e9, abs=1000)
    resource = said(collector.requests[0].resource_spans[0].resource.attributes)
    assert resource["service.name"] == "parea-proxy"
    assert collector.headers[0]["x-team"] == "the-collectors-key"


def test_a_call_that_fails(collector: Collector, fleet: Fleet, tmp_path: Path) -> None:
    fleet.reset()
    fleet["openai"].script = Scenario(status=429)
    with Local(tmp_path, config(collector, fleet)) as gateway:
        assert ask(gateway.url, "gpt-4o-mini").status_code == 429
    fleet.reset()
    (got,) = collector.spans
    assert said(got.attributes)["error.type"] == "rate_limited"
    assert got.status.code == 2
    assert got.status.message


@pytest.mark.parametrize("by", ["request", "config", "key", "content"])
@pytest.mark.parametrize("status", [200, 400])
def test_what_may_not_be_logged_does_not_leave(
    by: str, status: int, collector: Collector, fleet: Fleet, tmp_path: Path
) -> None:
    """Nor does any key, in whichever way a call ends."""
    fleet.reset()
    fleet["openai"].script = Scenario(status=400) if status == 400 else Scenario()
    made = config(collector, fleet, general_settings={"master_key": "the-master-key"})
    headers = {"authorization": "Bearer the-master-key"}
    if by == "request":
        headers["x-log-omit"] = "all"
    elif by == "config":
        made["log"] = {"omit": "all"}
    elif by == "key":
        made["keys"] = {"team": {"hash": f"sha256:{sha256(b'the-team-key').hexdigest()}", "omit": "all"}}
        headers = {"authorization": "Bearer the-team-key"}
    else:
        made["otel"]["content"] = False
    tools = [{"type": "function", "function": {"name": CANARY, "parameters": {"type": "object"}}}]
    with Local(tmp_path, made) as gateway:
        assert ask(gateway.url, "gpt-4o-mini", headers, tools=tools, stop=[CANARY]).status_code == status
        ask(gateway.url, "gpt-4o-mini", headers, stream=True)
    fleet.reset()
    sent = b"".join(collector.bodies)
    assert len(collector.spans) == 2
    assert CANARY.encode() not in sent
    for key in ("the-master-key", "the-team-key", "the-collectors-key", fleet["openai"].key):
        assert key.encode() not in sent


def test_a_trace_that_is_not_kept_has_no_span(collector: Collector, tmp_path: Path) -> None:
    with Local(tmp_path, config(collector, log={"sample_rate": 0.5})) as gateway:
        for _ in range(40):
            assert ask(gateway.url).status_code == 200
    kept = {row["trace_id"] for row in rows(gateway.data)}
    assert 0 < len(kept) < 40
    assert {said(one.attributes)["parea_proxy.trace_id"] for one in collector.spans} == kept


def counted(folder: Path) -> tuple[float, float]:
    """Spans that were sent, and that were dropped, by gateways on this data folder."""
    with Local(folder, {"model_list": []}) as gateway:
        found = page(gateway.url)
    return found["spans_sent_total"][()], found["spans_dropped_total"][()]


def lot(url: str, calls: int = 20) -> None:
    """Calls, none of which may wait for a collector: one that did would take a second at least."""
    asked = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}
    with httpx.Client(base_url=url, timeout=20) as client:
        begun = time.monotonic()
        for _ in range(calls):
            assert client.post("/v1/chat/completions", json=asked).status_code == 200
        assert time.monotonic() - begun < calls / 2


def test_a_dead_collector_costs_nothing(collector: Collector, tmp_path: Path) -> None:
    collector.status = 503
    with Local(tmp_path, config(collector)) as gateway:
        lot(gateway.url)
        closing = time.monotonic()
    assert time.monotonic() - closing < 12, "the end waits for a collector that is dead"
    assert counted(tmp_path) == (0, 20)


def test_a_collector_that_is_not_there_costs_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Collector() as gone:
        pass
    with Local(tmp_path, config(gone)) as gateway:
        lot(gateway.url)
    assert f"otel: {gone.url}/v1/traces has not got 20 of 20 spans" in caplog.messages
    assert counted(tmp_path) == (0, 20)


@pytest.mark.parametrize("status", [429, 503])
def test_a_collector_that_asks_for_patience_gets_it(
    status: int, collector: Collector, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is asked again when it said, within the time that a batch has."""
    collector.status, collector.also = status, {"retry-after": "1"}
    with Local(tmp_path, config(collector)) as gateway:
        lot(gateway.url)
        end = time.monotonic() + 10
        while not collector.asked:
            assert time.monotonic() < end
            time.sleep(0.01)
        collector.status = 200
    assert len(collector.spans) == 20
    assert counted(tmp_path) == (20, 0)
    assert not caplog.messages


def test_more_patience_than_there_is(collector: Collector, tmp_path: Path) -> None:
    collector.status, collector.also = 429, {"retry-after": "3600"}
    with Local(tmp_path, config(collector)) as gateway:
        lot(gateway.url)
        closing = time.monotonic()
    assert time.monotonic() - closing < 12
    assert counted(tmp_path) == (0, 20)


def test_a_slow_collector_costs_nothing_and_its_last_batch_is_counted(collector: Collector, tmp_path: Path) -> None:
    """At the end nobody knows whether it took what it has not answered for."""
    collector.delay = 15
    with Local(tmp_path, config(collector)) as gateway:
        lot(gateway.url)
        closing = time.monotonic()
    assert time.monotonic() - closing < 12
    assert counted(tmp_path) == (0, 20)


def test_long_conversations_go_in_requests_that_collectors_take(collector: Collector, tmp_path: Path) -> None:
    """They refuse what is too large as a whole: OpenTelemetry's own by default above 20 MiB."""
    collector.delay = 1.0
    with Local(tmp_path, config(collector)) as gateway:
        for _ in range(10):
            assert ask(gateway.url, messages=[{"role": "user", "content": "x" * 600_000}]).status_code == 200
        collector.delay = 0.0
    assert len(collector.spans) == 10
    assert max(map(len, collector.bodies)) < 5 * 2**20


def test_what_a_collector_takes_in_part(collector: Collector, tmp_path: Path) -> None:
    """It answers 200 and says how many it has refused."""
    partial = ExportTracePartialSuccess(rejected_spans=1, error_message="too much")
    collector.answer = ExportTraceServiceResponse(partial_success=partial).SerializeToString()
    with Local(tmp_path, config(collector)) as gateway:
        lot(gateway.url)
    assert collector.asked > 0
    assert counted(tmp_path) == (20 - collector.asked, collector.asked)


def test_a_redirection_takes_nothing(collector: Collector, tmp_path: Path) -> None:
    """It is not followed: the key in the headers is for the address that was configured."""
    with Collector() as other:
        collector.status, collector.also = 307, {"location": f"{other.url}/v1/traces"}
        with Local(tmp_path, config(collector)) as gateway:
            lot(gateway.url, 5)
        assert (collector.asked > 0, other.asked) == (True, 0)
    assert counted(tmp_path) == (0, 5)


@pytest.mark.timeout(120)
def test_the_last_spans_of_all_workers_leave_at_the_end(collector: Collector, tmp_path: Path) -> None:
    with Process(tmp_path, config(collector), PAREA_PROXY_WORKERS="2") as gateway:
        for _ in range(20):
            assert ask(gateway.url).status_code == 200
    assert len(collector.spans) == len({one.span_id for one in collector.spans}) == 20


def test_the_environment_says_where(collector: Collector, tmp_path: Path) -> None:
    environ = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "mine"}
    made = {**config(collector), "otel": {}}
    with Process(tmp_path, made, **environ) as gateway:
        assert ask(gateway.url).status_code == 200
    assert [one.name for one in collector.spans] == ["chat echo"]
    assert said(collector.requests[0].resource_spans[0].resource.attributes)["service.name"] == "mine"


def test_without_the_packages_it_does_not_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path, {"otel": {"headers": {"authorization": "Bearer secret"}}})
    monkeypatch.setattr("proxy.config.telemetry.NEEDED", ("no_such_package.sdk",))
    with pytest.raises(
        ConfigError, match=r"line 1: otel: needs OpenTelemetry.*pip install 'parea-proxy\[otel\]'"
    ) as told:
        load(path, {})
    assert "secret" not in told.value.message


ANY = st.text(max_size=60)
HEX = st.text("0123456789abcdef", min_size=1, max_size=36)


@given(st.one_of(ANY, HEX, st.uuids().map(str)))
def test_ids_are_always_ids(name: str) -> None:
    for made, size in ((trace_id(name), 16), (span_id(name), 8)):
        assert 0 < made < 256**size
    assert (trace_id(name), span_id(name)) == (trace_id(name), span_id(name))


def test_ids_stay_what_they_are() -> None:
    uuid_ = "0198f6b0-1111-7222-8333-444455556666"
    assert trace_id(uuid_) == uuid.UUID(uuid_).int
    assert trace_id("4bf92f3577b34da6a3ce929d0e0e4736") == 0x4BF92F3577B34DA6A3CE929D0E0E4736
    assert span_id("00f067aa0ba902b7") == 0x00F067AA0BA902B7
    # written down once: they may never change
    assert trace_id("data_00") == 0x3C21CA5E5A4067E90AC9CC05FD9E4037
    assert span_id(uuid_) == 0xFDC560928B6E034F


def test_whatever_a_conversation_holds() -> None:
    """Parts of any form, tools and answers of several samples."""
    calls = [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]
    configuration = {
        "model": "m",
        "model_params": {"temp": True, "n": 2, "stop": "x", "seed": "none"},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}, "odd"]},
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
                    {"type": "input_audio", "input_audio": {"data": "aGk=", "format": "wav"}},
                ],
            },
            {
                "role": "assistant",
                "content": "",
                "tool_calls": calls,
            },
            {"role": "tool", "tool_call_id": "1", "content": "7"},
        ],
        "functions": [{"name": "f"}],
    }
    samples = [{"index": 0, "finish_reason": "stop"}, {"index": 1, "finish_reason": "length"}]
    record = Record(
        "t", "r", "p", configuration=configuration, output='["a", "b"]', notes={"samples": samples},
        start_timestamp="2026-11-21T20:08:21.011708+00:00", latency=0.5, status="success",
    )  # fmt: skip
    made = span(record, content=True)
    found = dict(made.attributes)
    sent = json.loads(str(found["gen_ai.input.messages"]))
    assert [[part["type"] if isinstance(part, dict) else part for part in one["parts"]] for one in sent] == [
        ["text", "image_url", "odd"],
        ["uri", "blob", "blob"],
        ["tool_call"],
        ["tool_call_response"],
    ]
    blob = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "aGk="}
    assert sent[1]["parts"] == [
        {"type": "uri", "modality": "image", "uri": "https://example.com/a.png"},
        blob,
        {**blob, "modality": "audio", "mime_type": "audio/wav"},
    ]
    answers = json.loads(str(found["gen_ai.output.messages"]))
    assert [(one["parts"][0]["content"], one["finish_reason"]) for one in answers] == [("a", "stop"), ("b", "length")]
    assert found["gen_ai.request.stop_sequences"] == ["x"]
    assert found["gen_ai.request.choice.count"] == 2
    assert "gen_ai.request.temperature" not in found
    assert made.start == 1795291701_011708000
    assert made.end - made.start == 500_000_000


CALL = {"id": "call00001", "type": "function", "function": {"name": "f", "arguments": '{"city": "Paris"}'}}
PART = {"type": "tool_call", "id": "call00001", "name": "f", "arguments": {"city": "Paris"}}
SAID = {"type": "text", "content": "Let me look."}


@pytest.mark.parametrize(
    ("output", "parts"),
    [
        ("Let me look.", [SAID]),
        ("", [{"type": "text", "content": ""}]),
        (json.dumps([CALL], indent=2), [PART]),
        ("Let me look.\n" + json.dumps([CALL, CALL], indent=2), [SAID, PART, PART]),
        (json.dumps([{**CALL, "function": {"name": "f", "arguments": "{"}}]), [{**PART, "arguments": "{"}]),
    ],
)
def test_an_answer_s_tool_calls_are_parts_of_it(output: str, parts: list[Any]) -> None:
    """The log has them as text."""
    start = "2026-11-21T20:08:21.011708+00:00"
    record = Record("t", "r", output=output, notes={"finish_reason": "tool_calls"}, status="success")
    record.start_timestamp = start
    (found,) = json.loads(str(span(record, content=True).attributes["gen_ai.output.messages"]))
    assert found == {"role": "assistant", "parts": parts, "finish_reason": "tool_call"}
    failed = Record("t", "r", output="", status="error", start_timestamp=start)
    assert "gen_ai.output.messages" not in span(failed, content=True).attributes
