"""What a user of OpenTelemetry writes whose calls go through the gateway, and whose spans go to it, too.

Arguments: who instruments OpenAI's client, `openinference` or `opentelemetry`, and the form of the spans, `json` or
`protobuf`. Run with OPENAI_BASE_URL, OPENAI_API_KEY and OTEL_EXPORTER_OTLP_ENDPOINT set; prints one JSON object of what
it saw.
"""

from __future__ import annotations

import json
import sys

from openai import OpenAI
from opentelemetry.instrumentation.httpx import HTTPX2ClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

instrumented, form = sys.argv[1:]
if instrumented == "openinference":
    from openinference.instrumentation.openai import OpenAIInstrumentor
else:
    from opentelemetry.instrumentation.openai_v2 import OpenAIInstrumentor
if form == "json":
    from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
HTTPX2ClientInstrumentor().instrument(tracer_provider=provider)
OpenAIInstrumentor().instrument(tracer_provider=provider)
tracer = provider.get_tracer("an-application")
client = OpenAI()
said = []


def look() -> None:
    with tracer.start_as_current_span("tool"):
        raise LookupError("there is no such city")


with tracer.start_as_current_span("agent", attributes={"session.id": "s-1", "turns": 2}) as agent:
    answer = client.chat.completions.create(model="echo", messages=[{"role": "user", "content": "Hello"}])
    said.append(answer.choices[0].message.content)
    try:
        look()
    except LookupError:
        pieces = client.chat.completions.create(
            model="echo", messages=[{"role": "user", "content": "Bye"}], stream=True
        )
        said.append("".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices))
provider.shutdown()
print(json.dumps({"said": said, "agent": f"{agent.get_span_context().span_id:016x}"}))
