"""Spans on their way to a collector: a bounded queue, and a thread that sends what is in it with OpenTelemetry's own
exporter, which it only needs where `otel` is configured.

What must stay true: the event loop never waits for a collector. What finds no room, and what a collector would not
take, is counted as dropped and forgotten: each span is counted once, as sent or as dropped. Closing takes no longer
than it is told to.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import requests
from google.protobuf.message import DecodeError
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from proxy import __version__
from proxy.config.telemetry import Otel
from proxy.record import Record
from proxy.stores.telemetry.convention import SCHEMA, Span, span
from proxy.stores.telemetry.functions import function

logger = logging.getLogger(__name__)

MOST: Final = 2048
"""Spans that wait, at most."""

MOST_BYTES: Final = 32 * 2**20
BATCH: Final = 256
BATCH_BYTES: Final = 4 * 2**20
"""About what goes in one request, but for a span that is larger: collectors refuse a body that is too large."""

DELAY: Final = 1.0
"""Seconds that a span waits for others to go with."""

TIMEOUT: Final = 10.0
"""Seconds in which a collector has to take a batch, attempts after failures included."""

FLUSH: Final = 5.0
"""Seconds in which a collector gets the last spans when the gateway ends."""

PROVIDERS: Final = (
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_CREDENTIAL_PROVIDER",
    "OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER",
)
"""Variables by which the exporter makes a session of its own."""

KNOWN: Final = 10_000
"""Functions that are remembered; of older ones the log knows that they have ended."""

SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class Spans:
    """Sends the spans of calls and functions to where `settings` say. The thread begins with the first span."""

    def __init__(self, settings: Otel) -> None:
        self.dropped = 0
        """Spans that no collector took."""
        self.sent = 0
        self._content = settings.content
        self._endpoint = settings.endpoint
        headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        self._exporter = OTLPSpanExporter(
            settings.endpoint, headers=headers or None, timeout=TIMEOUT, session=self._session()
        )
        resource = {"service.name": settings.service_name, "service.version": __version__}
        self._resource = Resource.create({**resource, "service.instance.id": str(uuid.uuid4())})
        self._scope = InstrumentationScope("parea-proxy", __version__, SCHEMA)
        self._queue: deque[Span] = deque()
        self._bytes = 0
        self._functions: dict[str, None] = {}
        self._sending = 0
        """Spans that a collector has been given and has not answered for."""
        self._refused: int | None = 0
        """Of the batch that was answered last; None is all of it."""
        self._changed = threading.Condition()
        self._closing = False
        self._failing = False
        self._thread: threading.Thread | None = None
        # It says so for each attempt; here it is said once.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)

    def put(self, record: Record) -> None:
        """Take the span of a call, unless the call's trace is not kept, or a function went out under its id."""
        if not record.counted_only and record.trace_id not in self._functions:
            self._put(record, span)

    def put_function(self, record: Record) -> None:
        """Take the span of a function that a client has logged, once."""
        if not self.knows(record.trace_id):
            self._functions[record.trace_id] = None
            if len(self._functions) > KNOWN:
                del self._functions[next(iter(self._functions))]
            self._put(record, function)

    def knows(self, trace_id: str) -> bool:
        """Whether the span of this function was taken, as far as is remembered."""
        return trace_id in self._functions

    def _put(self, record: Record, made_of: Callable[[Record, bool], Span]) -> None:
        try:
            made = made_of(record, self._content)
        except Exception as error:
            logger.error("a row cannot be told as a span: %s", type(error).__name__)
            self.dropped += 1
            return
        with self._changed:
            if self._closing or len(self._queue) >= MOST or self._bytes + made.size > MOST_BYTES:
                self.dropped += 1
                return
            self._queue.append(made)
            self._bytes += made.size
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="spans", daemon=True)
                self._thread.start()
            elif self._is_full():
                self._changed.notify()

    def close(self, grace: float = FLUSH) -> None:
        """Send what waits, within `grace` seconds; what is left then is dropped. Tells how many were lost in all."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        end = time.monotonic() + grace
        if self._thread is not None:
            self._thread.join(max(end - time.monotonic(), 0.0))
        stop: Callable[[], None] = self._exporter.shutdown
        with contextlib.suppress(Exception):
            stop()
        with self._changed:
            self.dropped += len(self._queue) + self._sending
            self._sending = 0
            self._queue.clear()
        if self.dropped:
            made = self.dropped + self.sent
            logger.warning("otel: %s has not got %d of %d spans", self._endpoint, self.dropped, made)

    def _run(self) -> None:
        while batch := self._next():
            taken = self._taken(batch)
            with self._changed:
                if not self._sending:
                    return  # given up, and counted, by `close`
                self._sending = 0
                self.sent += taken
                self.dropped += len(batch) - taken
            if (failed := taken < len(batch)) is not self._failing:
                self._failing = failed
                what = "does not take spans, which are dropped and counted" if failed else "takes spans again"
                logger.warning("otel: %s %s", self._endpoint, what)

    def _taken(self, batch: Sequence[Span]) -> int:
        """How many spans of a batch the collector has taken."""
        try:
            result = self._exporter.export([self._readable(one) for one in batch])
        except Exception:
            return 0
        if result is not SpanExportResult.SUCCESS or self._refused is None:
            return 0
        return max(len(batch) - self._refused, 0)

    def _session(self) -> requests.Session | None:
        """A session that sees what the exporter does not look at; not where the exporter has to make it itself."""
        if any(map(os.environ.get, PROVIDERS)):
            return None
        session = requests.Session()
        session.hooks["response"].append(self._answered)
        return session

    def _answered(self, response: requests.Response, *_: Any, **__: Any) -> None:
        """A 200 may say that a part was taken only, and a redirection, which is not followed, takes nothing."""
        self._refused = None if 300 <= response.status_code < 400 else _refused(response)

    def _next(self) -> Sequence[Span]:
        """What is to be sent; nothing when all is sent and no more will come."""
        with self._changed:
            if not self._closing and not self._is_full():
                self._changed.wait(DELAY)
            while not self._queue and not self._closing:
                self._changed.wait(DELAY)
            batch: list[Span] = []
            room = BATCH_BYTES
            while self._queue and len(batch) < BATCH and (not batch or self._queue[0].size <= room):
                room -= self._queue[0].size
                batch.append(self._queue.popleft())
            self._bytes -= BATCH_BYTES - room
            self._sending = len(batch)
            return batch

    def _is_full(self) -> bool:
        """Whether there is a whole batch."""
        return len(self._queue) >= BATCH or self._bytes >= BATCH_BYTES

    def _readable(self, one: Span) -> ReadableSpan:
        def context(span_id: int, remote: bool) -> SpanContext:
            return SpanContext(one.trace_id, span_id, remote, SAMPLED)

        return ReadableSpan(
            one.name,
            context(one.span_id, False),
            None if one.parent_id is None else context(one.parent_id, True),
            self._resource,
            one.attributes,
            kind=SpanKind.INTERNAL if one.internal else SpanKind.CLIENT,
            status=Status(StatusCode.ERROR, one.error) if one.failed else Status(StatusCode.UNSET),
            start_time=one.start,
            end_time=one.end,
            instrumentation_scope=self._scope,
        )


def _refused(response: requests.Response) -> int:
    if response.headers.get("content-type", "").partition(";")[0] != "application/x-protobuf":
        return 0
    try:
        rejected: int = ExportTraceServiceResponse.FromString(response.content).partial_success.rejected_spans
        return max(rejected, 0)
    except DecodeError:
        return 0
