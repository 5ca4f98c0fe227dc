"""Spans on their way to a collector: a bounded queue, and a thread that sends what is in it with OpenTelemetry's own
exporter, which it only needs where `otel` is configured.

What must stay true: the event loop never waits for a collector. What finds no room, and what a collector would not
take, is counted as dropped and forgotten. Closing takes no longer than it is told to.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from proxy import __version__
from proxy.config.telemetry import Otel
from proxy.record import Record
from proxy.stores.convention import SCHEMA, Span, span

logger = logging.getLogger(__name__)

MOST: Final = 2048
"""Spans that wait, at most."""

MOST_BYTES: Final = 32 * 2**20
BATCH: Final = 256
DELAY: Final = 1.0
"""Seconds that a span waits for others to go with."""

TIMEOUT: Final = 10.0
"""Seconds in which a collector has to take a batch, attempts after failures included."""

FLUSH: Final = 5.0
"""Seconds in which a collector gets the last spans when the gateway ends."""

SAMPLED: Final = TraceFlags(TraceFlags.SAMPLED)


class Spans:
    """Sends the spans of calls to where `settings` say. The thread begins with the first span."""

    def __init__(self, settings: Otel) -> None:
        self.dropped = 0
        """Spans that no collector took."""
        self.sent = 0
        self._content = settings.content
        self._endpoint = settings.endpoint
        headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        self._exporter = OTLPSpanExporter(settings.endpoint, headers=headers or None, timeout=TIMEOUT)
        resource = {"service.name": settings.service_name, "service.version": __version__}
        self._resource = Resource.create({**resource, "service.instance.id": str(uuid.uuid4())})
        self._scope = InstrumentationScope("parea-proxy", __version__, SCHEMA)
        self._queue: deque[Span] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._closing = False
        self._failing = False
        self._thread: threading.Thread | None = None
        # It says so for each attempt; here it is said once.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.CRITICAL)

    def put(self, record: Record) -> None:
        """Take the span of a call, unless the call's trace is not kept."""
        if record.counted_only:
            return
        try:
            made = span(record, self._content)
        except Exception as error:
            logger.error("a call cannot be told as a span: %s", type(error).__name__)
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
            elif len(self._queue) == BATCH:
                self._changed.notify()

    def close(self, grace: float = FLUSH) -> None:
        """Send what waits, within `grace` seconds; what is left then is dropped."""
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
            self.dropped += len(self._queue)
            self._queue.clear()

    def _run(self) -> None:
        while batch := self._next():
            try:
                taken = self._exporter.export([self._readable(one) for one in batch]) is SpanExportResult.SUCCESS
            except Exception:
                taken = False
            with self._changed:
                self.sent += len(batch) if taken else 0
                self.dropped += 0 if taken else len(batch)
            if taken is self._failing:
                self._failing = not taken
                what = "takes spans again" if taken else "does not take spans, which are dropped and counted"
                logger.warning("otel: %s %s", self._endpoint, what)

    def _next(self) -> Sequence[Span]:
        """What is to be sent; nothing when all is sent and no more will come."""
        with self._changed:
            if not self._closing and len(self._queue) < BATCH:
                self._changed.wait(DELAY)
            while not self._queue and not self._closing:
                self._changed.wait(DELAY)
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            self._bytes -= sum(one.size for one in batch)
            return batch

    def _readable(self, one: Span) -> ReadableSpan:
        def context(span_id: int, remote: bool) -> SpanContext:
            return SpanContext(one.trace_id, span_id, remote, SAMPLED)

        return ReadableSpan(
            one.name,
            context(one.span_id, False),
            None if one.parent_id is None else context(one.parent_id, True),
            self._resource,
            one.attributes,
            kind=SpanKind.CLIENT,
            status=Status(StatusCode.ERROR, one.error) if one.failed else Status(StatusCode.UNSET),
            start_time=one.start,
            end_time=one.end,
            instrumentation_scope=self._scope,
        )
