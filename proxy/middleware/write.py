"""The way of a finished record: narrowed to the configured policy, sampled, omitted, redacted, and then to the log. Who
wants to be told of calls besides, such as what sends spans, is told of what is left; and of a function that a client
logs, of the row that the log has made of it, once that has an end.

What must stay true: nothing reaches the log, nor anybody else, but through here, an edit as little as a row. What was
there with an end before is not told again: it was told then, by whoever it is from.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import Protocol

from proxy.config import Config
from proxy.errors import GatewayError
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


ENDS = frozenset({"end_timestamp", "latency"})
"""What says that a function has ended."""

Tell = Callable[[Record], None]
"""Takes what may be told of a call, at once and without raising."""


class Told(Protocol):
    """Whoever is told besides the log. Nothing here waits or raises."""

    def put(self, record: Record) -> None:
        """Take what may be told of a call of a model."""
        ...

    def put_function(self, record: Record) -> None:
        """Take the row of a function that has ended; one that it knows is none of its business."""
        ...

    def knows(self, trace_id: str) -> bool:
        """Whether it was told of this function lately."""
        ...


class Writer:
    """Takes what is to be written down to the log, as one configuration says."""

    def __init__(self, config: Config, log: TraceLog, sessions: Sessions, told: Told | None = None) -> None:
        self._told = told
        self._tell = told.put if told is not None else None
        self.policy = OMIT[config.log.omit]
        self._sample_rate = config.log.sample_rate
        self._log = log
        self._sessions = sessions
        self._redact = redact(config.log)

    def write_call(self, record: Record) -> asyncio.Future[bool]:
        """Take the record of a call of a model through the processors, to the log and to whoever is told of calls."""
        return self._write(record, self._tell)

    async def write_function(self, record: Record) -> bool:
        """The same for what a client has logged: a function, or a call that it made elsewhere."""
        return await self._telling(record.trace_id, partial(self.write, record))

    async def update_function(self, trace_id: str, fields: Mapping[str, Json], key: str | None = None) -> bool:
        """Take an edit to the log as `update` does; it may be what ends a function."""
        update = partial(self.update, trace_id, fields, key)
        return await update() if ENDS.isdisjoint(fields) else await self._telling(trace_id, update)

    def write(self, record: Record) -> asyncio.Future[bool]:
        """Take a finished record through the processors to the log."""
        return self._write(record, None)

    async def _telling(self, trace_id: str, write: Callable[[], asyncio.Future[bool]]) -> bool:
        """Have a row written, and tell of it if it has an end by that, whoever said what of it."""
        if self._told is None or self._told.knows(trace_id):
            return await write()
        before = await self._seen(trace_id)
        written = await write()
        if written and before is False and isinstance(row := await self._seen(trace_id), Record):
            self._told.put_function(row)
        return written

    async def _seen(self, trace_id: str) -> Record | bool | None:
        """The row, if it has an end; False where it has none or is not there, None where nobody can say."""
        try:
            row = await self._log.get(trace_id)
        except GatewayError:
            return None
        return row if row is not None and any(getattr(row, name) is not None for name in ENDS) else False

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

    def update(self, trace_id: str, fields: Mapping[str, Json], key: str | None = None) -> asyncio.Future[bool]:
        """Take an edit of a record, or only of one with that `key`, to the log, without what may not be written."""
        kept = omit_fields(fields, self.policy)
        if self._redact is not None:
            return self._redact.edit(kept, partial(self._log.update, trace_id, key=key))
        return self._log.update(trace_id, kept, key)

    async def settle(self) -> None:
        """Wait until all that was taken has been handed to the log."""
        if self._redact is not None:
            await self._redact.settle()
