"""The way of a finished record: narrowed to the configured policy, sampled, omitted, redacted, and then to the log. Who
wants to be told of calls besides, such as what sends spans, is told of what is left.

What must stay true: nothing reaches the log, nor anybody else, but through here, an edit as little as a row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial

from proxy.config import Config
from proxy.middleware.omit import omit, omit_fields
from proxy.middleware.redact import redact
from proxy.middleware.sample import sample
from proxy.middleware.session import Sessions
from proxy.models import ALL, Json, LogPolicy
from proxy.protocols import TraceLog
from proxy.record import Record

OMIT = {
    "none": ALL,
    "inputs": LogPolicy(inputs=False),
    "outputs": LogPolicy(outputs=False),
    "all": LogPolicy(inputs=False, outputs=False),
}


Tell = Callable[[Record], None]
"""Takes what may be told of a call, at once and without raising."""


class Writer:
    """Takes what is to be written down to the log, as one configuration says."""

    def __init__(self, config: Config, log: TraceLog, sessions: Sessions, tell: Tell | None = None) -> None:
        self._tell = tell
        self.policy = OMIT[config.log.omit]
        self._sample_rate = config.log.sample_rate
        self._log = log
        self._sessions = sessions
        self._redact = redact(config.log)

    def write_call(self, record: Record) -> asyncio.Future[bool]:
        """Take the record of a call of a model through the processors, to the log and to whoever is told of calls."""
        return self._write(record, self._tell)

    def write(self, record: Record) -> asyncio.Future[bool]:
        """Take a finished record through the processors to the log."""
        return self._write(record, None)

    def _write(self, record: Record, tell: Tell | None) -> asyncio.Future[bool]:
        record.policy = record.policy.narrowed(self.policy)
        record.sample_rate = min(record.sample_rate, self._sample_rate)
        if (session := self._sessions.missing(record)) is not None:
            self._send(omit(sample(session)), None).add_done_callback(partial(self._settle, session.trace_id))
        return self._send(omit(sample(record)), tell)

    def _send(self, kept: Record, tell: Tell | None) -> asyncio.Future[bool]:
        if self._redact is not None:
            return self._redact.write(kept, partial(self._append, tell))
        if tell is not None:
            tell(kept)
        return self._log.append(kept)

    def _append(self, tell: Tell | None, kept: Record) -> asyncio.Future[bool]:
        if tell is not None:
            tell(kept)
        return self._log.append(kept)

    def _settle(self, session: str, written: asyncio.Future[bool]) -> None:
        if written.cancelled() or not written.result():
            self._sessions.forget(session)

    def update(self, trace_id: str, fields: Mapping[str, Json]) -> asyncio.Future[bool]:
        """Take an edit of a record to the log, without what may not be written down."""
        kept = omit_fields(fields, self.policy)
        if self._redact is not None:
            return self._redact.edit(kept, partial(self._log.update, trace_id))
        return self._log.update(trace_id, kept)

    async def settle(self) -> None:
        """Wait until all that was taken has been handed to the log."""
        if self._redact is not None:
            await self._redact.settle()
