"""Redaction of what is logged: the texts of a record, and of an edit, by the rules of the configuration.

What must stay true: what was called, answered or cached stays as it is, since a record shares objects with it. The
event loop looks at what is short and quickly done; a thread does the rest, without the interpreter's lock for the most
part. What cannot be looked through, or not in time, is withheld as a whole.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from functools import partial
from typing import Any

from proxy.config.settings import LogSettings
from proxy.models import Json
from proxy.record import FLAGS, Record
from proxy.redaction import Late, Redaction

logger = logging.getLogger(__name__)

IDS = frozenset(
    {
        *("trace_id", "root_trace_id", "parent_trace_id", "session_id", "experiment_uuid"),
        *("project_name", "project_uuid", "deployment_id", "deployment_version", "key"),
    }
)
"""By what rows are found; changed they would no longer be, and rows of several would be taken for those of one."""

GIVEN = frozenset({"start_timestamp", "end_timestamp", "status", "sample_rate", "cache_hit", "eval_metric_ids"})
"""What the gateway says in words of its own."""

COUNTS = frozenset({"input_tokens", "output_tokens", "total_tokens", "cost", "latency", "time_to_first_token"})
COUNTS |= {"feedback_score"}

TEXTS = tuple(one.name for one in fields(Record) if one.name not in IDS | GIVEN | COUNTS | FLAGS)
"""The fields that may say anything."""

NUMBERED = frozenset({"inputs", "configuration", "metadata", "extra"})
"""The fields in which a client's numbers stand. Elsewhere they are scores and counts."""

AT_ONCE = 256 * 2**10
"""Characters of a record that the event loop looks through."""

STEPS = 1_000_000
"""Steps of RE2's for them, some milliseconds: with a pattern of the user's own it takes for a character as many as the
pattern has instructions, where it is one such as `a[^b]{900}c`. While it searches, nothing can end it.
"""

MOMENT = 0.005
"""Seconds that it takes for them at most."""

LONGEST = 2.0
"""Seconds that a thread takes for one record. Only a pattern that was made for it needs so long."""

GRACE = 5.0
"""Seconds that what is on its way has when a gateway ends."""

WITHHELD = "withheld: it could not be redacted"

ENTRY = re.compile("[0-9a-f]{24}")


class Redact:
    """Redacts on the way to the log, in one configuration."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self._at_once = min(AT_ONCE, STEPS // max(1, redaction.steps))
        self._pool: ThreadPoolExecutor | None = None
        self._waiting: set[asyncio.Future[Any]] = set()
        self._hurried = False

    def record(self, record: Record, longest: float = LONGEST) -> Record:
        """The record without any match, however long it is; itself where it has none."""
        said = {name: value for name in TEXTS if (value := getattr(record, name))}
        changed = self._surely(said, longest)
        return replace(record, **changed) if changed else record

    def write(self, record: Record, send: Callable[[Record], asyncio.Future[bool]]) -> asyncio.Future[bool]:
        """Hand the redacted record to `send`, at once or a little later; what `send` tells."""
        said = {name: value for name in TEXTS if (value := getattr(record, name))}
        return self._pass(said, lambda changed: send(replace(record, **changed) if changed else record))

    def edit(
        self, edit: Mapping[str, Json], send: Callable[[Mapping[str, Json]], asyncio.Future[bool]]
    ) -> asyncio.Future[bool]:
        """The same for the fields of an edit."""
        said = {name: edit[name] for name in TEXTS if name in edit}
        return self._pass(said, lambda changed: send({**edit, **changed}))

    async def settle(self) -> None:
        """Wait until nothing is on its way any more; what takes long is withheld."""
        if self._waiting:
            await asyncio.wait(self._waiting, timeout=GRACE)
        self._hurried = True
        while self._waiting:
            await asyncio.wait(self._waiting)

    def _pass(
        self, said: dict[str, Json], send: Callable[[dict[str, Json]], asyncio.Future[bool]]
    ) -> asyncio.Future[bool]:
        changed = self._soon(said)
        if changed is not None:
            return send(changed)
        loop = asyncio.get_running_loop()
        if self._pool is None:
            self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="redact")
        told: asyncio.Future[bool] = loop.create_future()
        looked = loop.run_in_executor(self._pool, self._surely, said, LONGEST)
        self._waiting.add(looked)
        looked.add_done_callback(partial(self._looked, send, told))
        return told

    def _looked(
        self,
        send: Callable[[dict[str, Json]], asyncio.Future[bool]],
        told: asyncio.Future[bool],
        looked: asyncio.Future[dict[str, Json]],
    ) -> None:
        self._waiting.discard(looked)

        def tell(sent: asyncio.Future[bool]) -> None:
            if not told.done():
                told.set_result(not sent.cancelled() and sent.result())

        send(looked.result()).add_done_callback(tell)

    def _soon(self, said: dict[str, Json]) -> dict[str, Json] | None:
        """What is to be said instead; None where that takes a thread, which tells why if it cannot be found out."""
        try:
            if _size(list(said.values())) > self._at_once:
                return None
            return self._changed(said, time.monotonic() + MOMENT)
        except Exception:
            return None

    def _surely(self, said: dict[str, Json], longest: float) -> dict[str, Json]:
        """What is to be said instead; nothing in full where that cannot be found out."""
        try:
            return self._changed(said, time.monotonic() + longest)
        except Exception as error:
            if not isinstance(error, Late):
                logger.error("a row is withheld, since it cannot be redacted: %s", type(error).__name__)
            return _withheld(said)

    def _changed(self, said: dict[str, Json], until: float) -> dict[str, Json]:
        changed = {}
        for name, value in said.items():
            if self._hurried:
                raise Late
            if (cleaned := self._redaction.clean(value, until, numbers=name in NUMBERED)) is not value:
                changed[name] = {**cleaned, **_entry(value)} if name == "notes" else cleaned
        return changed


def redact(settings: LogSettings) -> Redact | None:
    """What the configuration has redacted; None for nothing."""
    rules = settings.rules()
    return Redact(Redaction(rules)) if rules else None


def _withheld(said: Mapping[str, Json]) -> dict[str, Json]:
    """Each field without what it said, in its own type."""
    instead: dict[str, Json] = {}
    for name, value in said.items():
        if isinstance(value, str):
            instead[name] = f"({WITHHELD})"
        elif value is not None:
            instead[name] = {"redaction": WITHHELD, **_entry(value)} if name == "notes" else type(value)()
    return instead


def _entry(notes: Any) -> dict[str, Json]:
    """The name of a row's cache entry, which is the gateway's own: by it `log forget` finds the entry."""
    name = notes.get("entry")
    return {"entry": name} if isinstance(name, str) and ENTRY.fullmatch(name) else {}


def _size(values: list[Json]) -> int:
    """About how many characters there are, or more than `AT_ONCE`."""
    size, waiting = 0, values
    while waiting and size <= AT_ONCE:
        value = waiting.pop()
        if isinstance(value, str):
            size += len(value)
        elif isinstance(value, dict):
            waiting += value.values()
            size += 8 * len(value)
            waiting += value
        elif isinstance(value, list | tuple):
            waiting += value
            size += 8 * len(value)
    return size
