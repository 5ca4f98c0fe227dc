"""Spans of applications from outside: OpenTelemetry's own SDK and exporter, and requests made by hand."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace import Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from proxy.dialects.archives import otlp
from proxy.errors import RequestError, UnsupportedMedia
from tests.collector import Collector
from tests.gateway import Local, rows

TRACE, SPAN, CHILD = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "00f067aa0ba902b8"
CANARY = "the-word-that-must-not-be-kept"
START = 1_795_291_701_011_708_123


def one(**fields: Any) -> dict[str, Any]:
    """A request with one span."""
    span = {"traceId": TRACE, "spanId": SPAN, "name": "work", "startTimeUnixNano": str(START), **fields}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def text(key: str, value: str) -> dict[str, Any]:
    return {"key": key, "value": {"stringValue": value}}


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Local]:
    with Local(tmp_path, {"model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}]}) as gateway:
        yield gateway


def post(gateway: Local, body: Any, **headers: str) -> httpx.Response:
    return httpx.post(f"{gateway.url}/v1/traces", json=body, headers=headers)


def test_an_application_s_own_spans_join_the_tree(gateway: Local) -> None:
    """As OpenTelemetry's SDK for Python sends them, in protobuf, with a call by `traceparent` in between."""
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{gateway.url}/v1/traces")))
    tracer = provider.get_tracer("an-application")
    with tracer.start_as_current_span("agent", attributes={"turn": 3, "tags": ["a", "b"], "api_key": CANARY}) as agent:
        with tracer.start_as_current_span("tool") as tool:
            headers: dict[str, str] = {}
            TraceContextTextMapPropagator().inject(headers)
            asked = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}
            answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=asked, headers=headers)
            assert answer.status_code == 200
            tool.set_status(Status(StatusCode.ERROR, "the tool is broken"))
        agent.add_event("thought", {"about": "it"})
    provider.shutdown()
    context = agent.get_span_context()
    root, top = f"{context.trace_id:032x}", f"{context.span_id:016x}"
    found = {row["name"]: row for row in rows(gateway.data)}
    assert found.keys() == {"agent", "tool", "llm-echo"}
    assert {row["root_trace_id"] for row in found.values()} == {root}
    assert (found["agent"]["trace_id"], found["agent"]["parent_trace_id"]) == (top, None)
    assert found["tool"]["parent_trace_id"] == top
    assert found["llm-echo"]["parent_trace_id"] == found["tool"]["trace_id"]
    assert (found["tool"]["status"], found["tool"]["error"]) == ("error", "the tool is broken")
    assert found["agent"]["start_timestamp"] <= found["tool"]["start_timestamp"] <= found["llm-echo"]["start_timestamp"]
    kept = found["agent"]["extra"]["otel"]
    assert kept["attributes"] == {"turn": 3, "tags": ["a", "b"], "api_key": "[withheld]"}
    assert (kept["kind"], kept["scope"], kept["events"][0]["name"]) == ("internal", "an-application", "thought")
    tree = gateway.client.get(f"/trace_log/{top}").json()
    assert [child["trace_name"] for child in tree["children_logs"]] == ["tool"]
    page = gateway.client.post("/get_trace_logs", json={}).json()
    assert (page["total"], page["results"][0]["trace_name"]) == (1, "agent")


def test_json_packed_and_twice(gateway: Local) -> None:
    body = one(endTimeUnixNano=START + 2_500_000_000, attributes=[text("session.id", "s-1")], kind=3)
    packed = gzip.compress(json.dumps(body).encode())
    headers = {"content-type": "application/json; charset=utf-8", "content-encoding": "gzip"}
    for _ in range(2):
        answer = httpx.post(f"{gateway.url}/v1/traces", content=packed, headers=headers)
        assert (answer.status_code, answer.json()) == (200, {})
    (row,) = rows(gateway.data)
    assert (row["trace_id"], row["root_trace_id"], row["session_id"]) == (SPAN, TRACE, "s-1")
    assert row["start_timestamp"] == "2026-11-21T20:08:21.011708+00:00"
    assert row["latency"] == pytest.approx(2.5)
    assert row["extra"]["otel"]["kind"] == "client"


def test_a_span_of_ours_that_comes_back_is_no_second_row(tmp_path: Path) -> None:
    with Collector() as collector:
        with Local(tmp_path, {"model_list": [], "otel": {"endpoint": collector.url}}) as gateway:
            body = {"llm_configuration": {"model": "echo/echo", "messages": [{"role": "user", "content": "Hi"}]}}
            gateway.complete(body)
        (sent,) = collector.bodies
    with Local(tmp_path, {"model_list": []}) as gateway:
        headers = {"content-type": "application/x-protobuf"}
        answer = httpx.post(f"{gateway.url}/v1/traces", content=sent, headers=headers)
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["content-type"] == "application/x-protobuf"
        assert len(rows(gateway.data)) == 1


@pytest.mark.parametrize(
    ("body", "status", "told"),
    [
        (one(spanId="short"), 400, "spanId"),
        (one(spanId="0" * 16), 400, "spanId"),
        (one(startTimeUnixNano="soon"), 400, "startTimeUnixNano"),
        (one(attributes=[{"value": {}}]), 400, "key"),
        ({"resourceSpans": {}}, 400, "resourceSpans"),
        ([], 400, "body"),
        ({"resourceSpans": one()["resourceSpans"] * 4097}, 413, "4096"),
    ],
)
def test_what_is_no_span(body: Any, status: int, told: str, gateway: Local) -> None:
    answer = post(gateway, body)
    assert answer.status_code == status
    assert told in answer.text
    assert rows(gateway.data) == []


def test_bytes_that_are_none(gateway: Local) -> None:
    url = f"{gateway.url}/v1/traces"
    bomb = gzip.compress(bytes(64 * 2**20))
    for content, kind, packing, status in (
        (b"{", "application/json", "identity", 400),
        (b"\xff\xff", "application/x-protobuf", "identity", 400),
        (b"{}", "text/plain", "identity", 415),
        (b"{}", "application/json", "br", 415),
        (b"{}", "application/json", "gzip", 400),
        (gzip.compress(b"{}")[:-4], "application/json", "gzip", 400),
        (bomb, "application/json", "gzip", 413),
    ):
        headers = {"content-type": kind, "content-encoding": packing}
        assert httpx.post(url, content=content, headers=headers).status_code == status, (kind, packing)
    protobuf = {"content-type": "application/x-protobuf"}
    assert httpx.post(f"{gateway.url}/v1/chat/completions", content=b"{}", headers=protobuf).status_code == 415


def test_who_may_send(tmp_path: Path) -> None:
    keys = {
        name: {"hash": f"sha256:{sha256(name.encode()).hexdigest()}", "log": name == "writer"}
        for name in ("writer", "reader")
    }
    with Local(tmp_path, {"model_list": [], "keys": keys, "general_settings": {"master_key": "master"}}) as gateway:
        statuses = {
            key: post(gateway, one(), **{"x-api-key": key}).status_code
            for key in ("master", "writer", "reader", "nobody")
        }
        assert statuses == {"master": 200, "writer": 200, "reader": 403, "nobody": 401}
        assert post(gateway, one(), **{"x-api-key": "master", "origin": "http://elsewhere.test"}).status_code == 403
        assert post(gateway, one(), **{"x-api-key": "master", "sec-fetch-site": "cross-site"}).status_code == 403


def test_what_is_omitted_is_not_kept(tmp_path: Path) -> None:
    with Local(tmp_path, {"model_list": [], "log": {"omit": "inputs"}}) as gateway:
        body = one(
            attributes=[text("gen_ai.input.messages", CANARY)],
            events=[{"name": CANARY, "attributes": [text("a", CANARY)]}],
            status={"code": 2, "message": CANARY},
        )
        assert post(gateway, body).status_code == 200
    assert len(rows(tmp_path / "data")) == 1
    assert not any(CANARY.encode() in path.read_bytes() for path in (tmp_path / "data").rglob("*") if path.is_file())


def test_a_trace_is_kept_whole_or_not_at_all(tmp_path: Path) -> None:
    with Local(tmp_path, {"model_list": [], "log": {"sample_rate": 0.5}}) as gateway:
        for number in range(1, 41):
            for span in (SPAN, CHILD):
                body = one(traceId=f"{number:032x}", spanId=f"{number:04x}{span[4:]}")
                assert post(gateway, body).status_code == 200
    roots = [row["root_trace_id"] for row in rows(tmp_path / "data")]
    assert 0 < len(roots) < 80
    assert all(roots.count(root) == 2 for root in roots)


def test_without_protobuf_s_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.proto.collector.trace.v1.trace_service_pb2", None)
    with pytest.raises(UnsupportedMedia, match=r"parea-proxy\[otel\]"):
        otlp.from_protobuf(b"")


WORDS = ("stringValue", "intValue", "arrayValue", "kvlistValue", "values", "key", "value", "name", "code")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64) | st.text(max_size=8),
    lambda deeper: st.lists(deeper, max_size=3) | st.dictionaries(st.sampled_from(WORDS), deeper, max_size=3),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from((*otlp.Span.model_fields, "scope")), VALUES, max_size=5), VALUES)
def test_whatever_is_sent_is_a_record_or_refused(fields: dict[str, Any], value: Any) -> None:
    body = one(**{"attributes": [{"key": "a", "value": value if isinstance(value, dict) else {}}], **fields})
    try:
        (record,) = otlp.from_json(json.dumps(body).encode(), 100)
    except RequestError:
        return
    assert len(record.root_trace_id) == 32
    assert json.dumps(record.extra)


def test_a_credential_is_known_by_the_name_of_its_attribute() -> None:
    secret = "token access_token accessToken x-amz-security-token http.request.header.bearer auth.jwt slack.bot_token"
    plain = "gen_ai.usage.input_tokens time_to_first_token gen_ai.token.type per_output_token max_tokens"
    said = [text(name, CANARY) for name in (*secret.split(), *plain.split())]
    nested = {"key": "at", "value": {"kvlistValue": {"values": [text("id_token", CANARY)]}}}
    (record,) = otlp.from_json(json.dumps(one(attributes=[*said, nested])).encode(), 100)
    kept = record.extra["otel"]["attributes"]
    assert {name for name, value in kept.items() if value == "[withheld]"} == set(secret.split())
    assert kept["at"] == {"id_token": "[withheld]"}
