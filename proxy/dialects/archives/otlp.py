"""Spans as OTLP has them over HTTP, as records: an application's own spans in the tree of its calls. Pure translation.

A span's id is its row's, and the trace's id is its root's, as `traceparent` gives them to the calls below; so rows and
calls find each other whichever comes first, and a span that comes twice is one row. What has no column is kept in
`extra`, under `otel`, and goes with what is omitted there.

What must stay true: a span that the gateway itself has sent becomes no second row, and what an attribute's name says is
a credential is not kept.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from proxy import timestamps
from proxy.body import loads, validated
from proxy.dialects.archives import generation
from proxy.errors import BadRequest, TooLarge, UnsupportedMedia
from proxy.models import Json
from proxy.record import Record

MOST: Final = 4096
"""Spans of one request."""

ATTRIBUTES: Final = 128
"""Of one span, or one event; OpenTelemetry's own limit."""

EVENTS: Final = 128
OWN: Final = "parea_proxy.trace_id"
SECRET: Final = re.compile(
    r"authorization|api[-_.]?key|cookie|passw|secret|credential|private[-_.]?key|bearer|jwt"
    r"|(?:access|api|auth|bot|csrf|id|refresh|security|session|user|xsrf)[-_.]?token$|(?:^|\.)token$",
    re.IGNORECASE,
)
"""A name that ends in `token` alone may be a count of tokens, or the time of one."""

SESSIONS: Final = ("gen_ai.conversation.id", "session.id")
OTHERS: Final = frozenset({"resourceMetrics", "resourceLogs", "resourceProfiles"})
FAILED: Final = (2, "STATUS_CODE_ERROR")
KINDS: Final = ("unspecified", "internal", "server", "client", "producer", "consumer")


def _nanoseconds(value: Any) -> Any:
    """64 bits stand in JSON as text."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20 else value


Hex16 = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{16}$"), AfterValidator(str.lower)]
Hex32 = Annotated[str, Field(pattern=r"^[0-9a-fA-F]{32}$"), AfterValidator(str.lower)]
Time = Annotated[int, Field(ge=0, lt=2**63), BeforeValidator(_nanoseconds)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)


class Attribute(_Part):
    key: str
    value: dict[str, Any] = {}


class Event(_Part):
    name: str = ""
    timeUnixNano: Time = 0
    attributes: list[Attribute] = []


class Status(_Part):
    code: int | str = 0
    message: str = ""


class Span(_Part):
    traceId: Hex32
    spanId: Hex16
    parentSpanId: Hex16 | Annotated[str, Field(max_length=0)] = ""
    name: str = ""
    kind: int | str = 0
    startTimeUnixNano: Time
    endTimeUnixNano: Time = 0
    attributes: list[Attribute] = []
    events: list[Event] = []
    status: Status = Status()


class Scope(_Part):
    name: str = ""


class ScopeSpans(_Part):
    scope: Scope = Scope()
    spans: list[Span] = []


class Resource(_Part):
    attributes: list[Attribute] = []


class ResourceSpans(_Part):
    resource: Resource = Resource()
    scopeSpans: list[ScopeSpans] = []


class Traces(_Part):
    """The body of a request."""

    resourceSpans: list[ResourceSpans] = []


def from_json(body: bytes, max_depth: int) -> list[Record]:
    """The records of a request's spans. Raises `RequestError`."""
    return list(_records(_limited(validated(Traces, loads(body, max_depth)))))


def records(value: Json, skip: Callable[[str], None]) -> Iterator[Record]:
    """The records of the spans in a line of a file, as the collector's file exporter writes it; `skip` is told of each
    that has no row. Raises `RequestError`.

    The calls of models among them are calls in the log as well, with what they used. Of spans that are sent as they
    come they are not: a call that went through this gateway has a row already, and would count twice.
    """
    if isinstance(value, dict) and "resourceSpans" not in value and value.keys() & OTHERS:
        skip("no traces, but metrics or logs")
        return
    if isinstance(value, dict) and value and "resourceSpans" not in value:
        raise BadRequest("resourceSpans: is missing, so these are no spans", param="resourceSpans")
    for record in _records(validated(Traces, value), skip):
        yield generation.told(record)


def from_protobuf(body: bytes) -> list[Record]:
    """The same of a request in protobuf, which needs a package that may not be there. Raises `RequestError`."""
    try:
        from google.protobuf.json_format import MessageToDict
        from google.protobuf.message import DecodeError
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
    except ImportError:
        message = "protobuf needs the extra parea-proxy[otel] here; or send JSON: OTEL_EXPORTER_OTLP_PROTOCOL=http/json"
        raise UnsupportedMedia(message) from None
    try:
        found = MessageToDict(ExportTraceServiceRequest.FromString(body))
    except (DecodeError, RecursionError):
        raise BadRequest("the body is no ExportTraceServiceRequest in protobuf") from None
    for resource in found.get("resourceSpans", []):
        for scope in resource.get("scopeSpans", []):
            for span in scope.get("spans", []):
                for name in ("traceId", "spanId", "parentSpanId"):
                    span[name] = _hex(span.get(name, ""))
    return list(_records(_limited(validated(Traces, found))))


def _hex(text: str) -> str:
    """JSON of protobuf has bytes in base64, OTLP's own has these in hexadecimal digits."""
    try:
        return base64.b64decode(text).hex()
    except binascii.Error:
        return text


def _limited(traces: Traces) -> Traces:
    """Raises `TooLarge` for more spans than one request may bring."""
    count = sum(len(scope.spans) for resource in traces.resourceSpans for scope in resource.scopeSpans)
    if count > MOST:
        raise TooLarge(f"resourceSpans: {count} spans; send {MOST} at a time at most")
    return traces


def _records(traces: Traces, skip: Callable[[str], None] = lambda _: None) -> Iterator[Record]:
    spans = [
        (span, scope.scope, resource.resource)
        for resource in traces.resourceSpans
        for scope in resource.scopeSpans
        for span in scope.spans
    ]
    for span, scope, resource in spans:
        for name in ("traceId", "spanId"):
            if not getattr(span, name).strip("0"):
                raise BadRequest(f"{name}: only zeros are no id", param=name)
        if all(one.key != OWN for one in span.attributes):
            yield _record(span, scope, resource)
        else:
            skip("spans that a gateway like this one sent, which has them in its log")


def _record(span: Span, scope: Scope, resource: Resource) -> Record:
    attributes = _plain(span.attributes)
    session = next((attributes[name] for name in SESSIONS if isinstance(attributes.get(name), str)), None)
    kept: dict[str, Json] = {
        "kind": _kind(span.kind),
        "scope": scope.name,
        "resource": _plain(resource.attributes),
        "attributes": attributes,
        "events": [
            {"name": one.name, "time": _when(one.timeUnixNano), "attributes": _plain(one.attributes)}
            for one in span.events[:EVENTS]
        ],
    }
    failed = span.status.code in FAILED
    end = max(span.endTimeUnixNano, span.startTimeUnixNano)
    return Record(
        trace_id=span.spanId,
        root_trace_id=span.traceId,
        parent_trace_id=span.parentSpanId or None,
        session_id=session,
        name=span.name or "span",
        start_timestamp=_when(span.startTimeUnixNano),
        end_timestamp=_when(end),
        latency=(end - span.startTimeUnixNano) / 1e9,
        status="error" if failed else "success",
        error=(span.status.message or "error") if failed else None,
        notes={"dialect": "otlp"},
        extra={"otel": {name: value for name, value in kept.items() if value not in ("", [], {})}},
    )


def _kind(kind: int | str) -> str:
    """A number, or the word that protobuf's own JSON has for it."""
    if isinstance(kind, str):
        return kind.removeprefix("SPAN_KIND_").lower()
    return KINDS[kind] if 0 <= kind < len(KINDS) else KINDS[0]


def _when(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, 10**9)
    try:
        return f"{timestamps.at(seconds)[:-12]}{rest // 1000:06d}+00:00"
    except (ValueError, OverflowError):
        raise BadRequest("startTimeUnixNano, endTimeUnixNano or timeUnixNano is no time of this age") from None


def _plain(attributes: Iterable[Attribute]) -> dict[str, Json]:
    return {
        one.key: "[withheld]" if SECRET.search(one.key) else _value(one.value) for one in list(attributes)[:ATTRIBUTES]
    }


def _value(value: Json) -> Json:
    """An `AnyValue` without its words for types."""
    if not isinstance(value, dict):
        return None
    for kind, given in value.items():
        match kind:
            case "stringValue" | "boolValue" | "doubleValue" | "bytesValue":
                return given
            case "intValue":
                return _nanoseconds(given)
            case "arrayValue":
                return [_value(one) for one in _listed(given)]
            case "kvlistValue":
                listed = [one for one in _listed(given) if isinstance(one, dict)]
                pairs = [(str(one.get("key")), one.get("value")) for one in listed]
                return {key: "[withheld]" if SECRET.search(key) else _value(one) for key, one in pairs}
    return None


def _listed(given: Json) -> list[Json]:
    values = given.get("values") if isinstance(given, dict) else None
    return values if isinstance(values, list) else []
