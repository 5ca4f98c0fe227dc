"""Spans by way of Rotel, a collector that passes on: an application's, and the gateway's own, which come back to it.

It decodes, batches and encodes them anew, in Rust, and packs them with gzip.
"""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tests.collectors.environment import free, program, served, until
from tests.collectors.scene import sent
from tests.gateway import Local, rows

pytestmark = pytest.mark.timeout(300)

SECRET = "the-master-key"


def test_a_collector_in_between(tmp_path: Path) -> None:
    (agent,) = program("rotel", "lib").glob("python*/site-packages/rotel/rotel-agent")
    port = free()
    config = {
        "model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}],
        "otel": {"endpoint": f"http://127.0.0.1:{port}", "content": True},
        "general_settings": {"master_key": SECRET},
    }
    with Local(tmp_path, config) as gateway:
        argv: list[str | Path] = [
            str(agent), "start", "--otlp-http-endpoint", f"127.0.0.1:{port}", "--otlp-grpc-endpoint",
            f"127.0.0.1:{free()}", "--exporter", "otlp", "--otlp-exporter-protocol", "http",
            "--otlp-exporter-endpoint", gateway.url, "--otlp-exporter-custom-headers", f"x-api-key={SECRET}",
            "--otlp-exporter-compression", "gzip", "--batch-timeout", "200ms",
        ]  # fmt: skip
        with served(argv, tmp_path, port, "/") as collector:
            provider = TracerProvider()
            provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(f"{collector}/v1/traces")))
            tracer = provider.get_tracer("an-application")
            with tracer.start_as_current_span("agent", attributes={"turn": 3, "tags": ["a", "b"]}) as span:
                headers: dict[str, str] = {"authorization": f"Bearer {SECRET}"}
                TraceContextTextMapPropagator().inject(headers)
                asked = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}]}
                answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=asked, headers=headers, timeout=60)
                assert answer.status_code == 200
                span.add_event("thought", {"about": "it"})
                # what is passed on keeps its order: when the later span is there, so was the gateway's own
                until(lambda: sent(gateway, SECRET) == (1, 0))
                tracer.start_span("later").end()
            provider.shutdown()
            until(lambda: any(row["name"] == "later" for row in rows(gateway.data)))
        found = {row["name"]: row for row in rows(gateway.data)}
    assert found.keys() == {"agent", "later", "llm-echo"}, "the gateway's own span made a second row"
    context = span.get_span_context()
    assert {row["root_trace_id"] for row in found.values()} == {f"{context.trace_id:032x}"}
    assert found["agent"]["trace_id"] == f"{context.span_id:016x}"
    assert [found[name]["parent_trace_id"] for name in ("later", "llm-echo")] == [found["agent"]["trace_id"]] * 2
    kept = found["agent"]["extra"]["otel"]
    assert kept["attributes"] == {"turn": 3, "tags": ["a", "b"]}
    assert (kept["scope"], kept["events"][0]["attributes"]) == ("an-application", {"about": "it"})
