"""What collectors are shown: calls of every kind through a gateway, and an application that one of them is part of.

And what each must have stored of them, in the words of the conventions; how a collector is asked is its own test's.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tests.collectors.environment import PATIENCE, until
from tests.gateway import Local, rows
from tests.test_metrics import page
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import SCENARIOS, Scenario

CANARY = "the-word-that-must-not-leave"
PERSON = "jane.doe@example.com"
PIXEL = "data:image/png;base64,iVBORw0KGgo="
TOOL = {"name": "get_weather", "description": "It tells.", "parameters": {"type": "object", "properties": {}}}
TOOLS = [{"type": "function", "function": TOOL}]
ASKED = {"id": "call00001", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}

OWN = 3
"""Spans of the application itself."""


@dataclass(frozen=True)
class Stored:
    """A span as a collector has it; ids are hexadecimal, `seconds` what it took."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str | None
    failed: bool
    message: str
    start: str
    seconds: float
    attributes: dict[str, Any]


@dataclass
class Scene:
    """The rows of the calls, by what they show, and the ids of the application's trace and of two of its spans."""

    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    trace: str = ""
    agent: str = ""
    tool: str = ""


def play(folder: Path, fleet: Fleet, endpoint: str, headers: dict[str, str] | None = None) -> Scene:
    """Everything that is to be seen, sent to `endpoint`; the gateway has ended, and with it sent the last."""
    scene, ids = Scene(), {}
    provider = TracerProvider()
    exporter = OTLPSpanExporter(f"{endpoint}/v1/traces", headers=headers, timeout=PATIENCE)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("an-application")
    # the first one waits for whatever a collector does at its start, longer than a gateway would
    tracer.start_span("first").end()
    made = {
        "model_list": [{"model_name": "small", "litellm_params": {"model": "openai/gpt-4o-mini"}}],
        "providers": fleet.providers,
        "otel": {"endpoint": endpoint, "headers": headers or {}, "content": True},
        "router_settings": {"num_retries": 0},
        "log": {"redact": ["emails"]},
    }
    fleet.reset()
    with Local(folder, made) as gateway:
        # LiteLLM is loaded while the collector may still be at its start, on two cores
        until(lambda: httpx.get(f"{gateway.url}/ready").status_code == 200, PATIENCE)

        def ask(what: str, script: Scenario, headers: dict[str, str] | None = None, **body: Any) -> None:
            fleet["openai"].script = script
            asked = {"model": "small", "messages": [{"role": "user", "content": "Hello"}], **body}
            answer = httpx.post(f"{gateway.url}/v1/chat/completions", json=asked, headers=headers, timeout=60)
            assert answer.status_code == (script.status or 200), answer.text
            ids[what] = answer.headers["x-trace-id"]

        told = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
        ask("whole", SCENARIOS["ok"], {"x-session-id": "s-1"}, messages=told, temperature=0.5, seed=7, stop=["x", "y"])
        ask("streamed", SCENARIOS["ok"], {"x-session-id": "s-1"}, stream=True)
        ask("tool", SCENARIOS["texttool"], tools=TOOLS)
        seen = [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
        turns = [
            {"role": "user", "content": seen},
            {"role": "assistant", "content": None, "tool_calls": [ASKED]},
            {"role": "tool", "tool_call_id": "call00001", "content": "7 degrees"},
        ]
        ask("turns", SCENARIOS["length"], messages=turns, tools=TOOLS)
        ask("samples", SCENARIOS["ok"], n=2)
        ask("omitted", SCENARIOS["ok"], {"x-log-omit": "all"}, messages=[{"role": "user", "content": CANARY}])
        ask("redacted", SCENARIOS["ok"], messages=[{"role": "user", "content": f"I am {PERSON}"}])
        with tracer.start_as_current_span("agent") as agent, tracer.start_as_current_span("tool") as tool:
            carried: dict[str, str] = {}
            TraceContextTextMapPropagator().inject(carried)
            ask("child", SCENARIOS["ok"], carried)
        provider.shutdown()
        context = agent.get_span_context()
        scene.trace, scene.agent = f"{context.trace_id:032x}", f"{context.span_id:016x}"
        scene.tool = f"{tool.get_span_context().span_id:016x}"
        ask("failed", Scenario(status=400))
        answer = httpx.post(f"{gateway.url}/v1/embeddings", json={"model": "small", "input": "Hello"}, timeout=60)
        assert answer.status_code == 400, "the last script fails"
        ids["embedding"] = answer.headers["x-trace-id"]
        until(lambda: sum(sent(gateway)) == len(ids), PATIENCE)
        assert sent(gateway) == (len(ids), 0)
    fleet.reset()
    found = {row["trace_id"]: row for row in rows(gateway.data)}
    scene.rows = {what: found[name] for what, name in ids.items()}
    return scene


def sent(gateway: Local, key: str = "") -> tuple[float, float]:
    """Spans that the collector has taken, and that were dropped; `key` is the gateway's."""
    found = page(gateway.url, {"x-api-key": key} if key else None)
    return found["spans_sent_total"][()], found["spans_dropped_total"][()]


def spans_of(scene: Scene, stored: list[Stored]) -> dict[str, Stored]:
    """The spans of the calls, by what they show; there is one for each, and the application's own besides."""
    by_call = {span.attributes.get("parea_proxy.trace_id"): span for span in stored}
    assert len(stored) == len(scene.rows) + OWN
    return {what: by_call[row["trace_id"]] for what, row in scene.rows.items()}


def agrees(what: str, span: Stored, row: dict[str, Any], scene: Scene) -> None:
    """The span of a call says what its row says."""
    operation = "embeddings" if what == "embedding" else "chat"
    child = what == "child"
    assert span.name == f"{operation} small"
    assert span.trace_id == (scene.trace if child else uuid.UUID(row["trace_id"]).hex)
    assert span.parent_id == (scene.tool if child else None)
    assert span.start[:23] == row["start_timestamp"][:23]
    assert span.seconds == pytest.approx(row["latency"], abs=2e-6)
    failed = row["status"] == "error"
    assert (span.failed, span.message) == (failed, row["error"] or "")
    said = span.attributes
    assert said["gen_ai.operation.name"] == operation
    assert said["gen_ai.provider.name"] == "openai"
    assert said["gen_ai.request.model"] == "small"
    assert said.get("error.type") == (row["notes"]["failure"] if failed else None)
    assert said.get("gen_ai.usage.input_tokens") == row["input_tokens"]
    assert said.get("gen_ai.usage.output_tokens") == row["output_tokens"]
    assert said.get("parea_proxy.cost_usd") == pytest.approx(row["cost"])
    if not failed:
        assert said["gen_ai.response.model"] == row["model"]
        assert row["cost"] > 0
    assert (
        ("gen_ai.response.time_to_first_chunk" in said)
        is (said.get("gen_ai.request.stream", False))
        is (what == "streamed")
    )


def messages(span: Stored, way: str) -> list[dict[str, Any]]:
    """What went in or came out; empty where the span says nothing of it."""
    found = span.attributes.get(f"gen_ai.{way}.messages", [])
    read: list[dict[str, Any]] = json.loads(found) if isinstance(found, str) else found
    return read


def conversation(spans: dict[str, Stored]) -> None:
    """Messages are there, in the conventions' form, where they may be, and nowhere else."""

    def text(content: str) -> dict[str, str]:
        return {"type": "text", "content": content}

    called = {"type": "tool_call", "id": "call00001", "name": "get_weather", "arguments": {"city": "Paris"}}
    whole = spans["whole"]
    assert messages(whole, "input") == [
        {"role": "system", "parts": [text("Be brief.")]},
        {"role": "user", "parts": [text("Hello")]},
    ]
    greeting = [{"role": "assistant", "parts": [text("Hello from openai")], "finish_reason": "stop"}]
    assert messages(whole, "output") == messages(spans["streamed"], "output") == greeting
    assert list(whole.attributes["gen_ai.response.finish_reasons"]) == ["stop"]
    assert list(whole.attributes["gen_ai.request.stop_sequences"]) == ["x", "y"]
    numbers = whole.attributes["gen_ai.request.temperature"], whole.attributes["gen_ai.request.seed"]
    assert (*numbers, whole.attributes["gen_ai.conversation.id"]) == (0.5, 7, "s-1")
    (said,) = messages(spans["tool"], "output")
    assert said == {"role": "assistant", "parts": [text("Let me look."), called], "finish_reason": "tool_call"}
    blob = {"type": "blob", "modality": "image", "mime_type": "image/png", "content": PIXEL.partition(",")[2]}
    assert messages(spans["turns"], "input") == [
        {"role": "user", "parts": [text("What is it?"), blob]},
        {"role": "assistant", "parts": [called]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "call00001", "response": "7 degrees"}]},
    ]
    assert messages(spans["samples"], "output") == greeting * 2
    assert spans["samples"].attributes["gen_ai.request.choice.count"] == 2
    for name in ("failed", "embedding"):
        assert messages(spans[name], "output") == []
    for way in ("input", "output"):
        assert messages(spans["omitted"], way) == []
    assert CANARY not in repr(spans["omitted"])


def redaction(spans: dict[str, Stored]) -> None:
    """What is redacted does not leave, and the rest does."""
    assert PERSON not in repr(spans["redacted"])
    assert "I am " in repr(messages(spans["redacted"], "input"))


def tree(scene: Scene, stored: list[Stored]) -> None:
    """The call that came with a `traceparent` hangs below the application's span."""
    found = {one.name: (one.span_id, one.parent_id) for one in stored if one.trace_id == scene.trace}
    assert found.keys() == {"agent", "tool", "chat small"}
    assert found["agent"] == (scene.agent, None)
    assert found["tool"] == (scene.tool, scene.agent)
    assert found["chat small"][1] == scene.tool
