"""Files of logs, whichever program wrote them: what they hold, item by item, each with its place and its rows.

What must stay true: one item is in memory at a time, and not the file; what a file is, is told by what is in it; an
item that is wrong raises when its rows are asked for, and the next one can still be read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proxy.commands.log.reading import STEP, is_table, values
from proxy.errors import BadRequest, ConfigError, TooLarge

if TYPE_CHECKING:
    from proxy.config import Config
    from proxy.models import Json
    from proxy.record import Record

FORMATS = {
    "jsonl": "log export",
    "parea": "Parea",
    "humanloop": "Humanloop",
    "litellm": "LiteLLM",
    "llm": "llm",
    "otlp": "OTLP",
}
"""The formats, and whose they are."""

SQLITE = b"SQLite format 3\0"
PAGES = ("results", "records", "data")
Rows = Callable[["Json"], "Iterator[Record]"]


@dataclass(slots=True, frozen=True)
class Item:
    """A part of a file: where it stands, for people, how much of the file was read with it, and its rows, which raise
    `RequestError` where it is wrong.
    """

    where: str
    share: float
    records: Iterator[Record]


@dataclass(slots=True)
class Source:
    """A file. `form` is the format; `skipped` counts, by the reason, what the last reading passed over."""

    path: Path
    form: str
    rows: Rows | None
    skipped: Counter[str] = field(default_factory=Counter)

    def items(self) -> Iterator[Item]:
        """What there is. Raises `ConfigError` where the file cannot be read on."""
        self.skipped.clear()
        if self.rows is None:
            yield from _calls(self.path)
        else:
            for where, share, load in values(self.path):
                yield Item(where, share, _records(self.rows, load))


def source(path: Path, form: str | None, config: Config) -> Source:
    """The file at `path`, in the format that is said or else found. Raises `ConfigError` where it is in none."""
    found = form or _found(path)
    made = Source(path, found, None)
    if found == "humanloop":
        from proxy.routes.humanloop.archive import Archive

        made.rows = Archive(config).records
    elif found == "litellm":
        from proxy.dialects.archives import spend_log

        made.rows = spend_log.records
    elif found == "otlp":
        from proxy.dialects.archives import otlp

        def skip(why: str) -> None:
            made.skipped[why] += 1

        made.rows = lambda value: otlp.records(value, skip)
    elif found != "llm":
        from proxy.dialects.archives import archive

        made.rows = archive.records
    return made


def _found(path: Path) -> str:
    with path.open("rb") as file:
        first = file.readline(STEP)
    if first.startswith(SQLITE):
        return "llm"
    if is_table(first):
        if not {b"request_id", b"startTime"} <= set(re.findall(rb"\w+", first)):
            raise ConfigError(f"{path}: a CSV can be read of LiteLLM's spend logs only, by the names of their columns")
        return "litellm"
    for _, _, load in values(path):
        try:
            value = load()
        except (BadRequest, TooLarge):
            continue
        return _kind(value)
    return "jsonl"  # whatever it is, what is wrong with it is told by its lines


def _kind(value: Json) -> str:
    """The format of an item, by the names of its fields."""
    while isinstance(value, list) and value:
        value = value[0]
    if not isinstance(value, dict):
        return "jsonl"
    page = next((value[name] for name in PAGES if isinstance(value.get(name), list) and "trace_id" not in value), None)
    if page:
        return _kind(page)
    if value.keys() & {"resourceSpans", "resourceLogs", "resourceMetrics"}:
        return "otlp"
    if "request_id" in value and "startTime" in value:
        return "litellm"
    if "id" in value and value.keys() & {"config", "observability_status", "evaluator_logs"}:
        return "humanloop"
    return "jsonl"


def _records(rows: Rows, load: Callable[[], Json]) -> Iterator[Record]:
    yield from rows(load())


def _calls(path: Path) -> Iterator[Item]:
    from proxy.dialects.archives import llm_log
    from proxy.stores.llm import Calls

    def one(call: dict[str, Any]) -> Iterator[Record]:
        yield llm_log.record(call)

    with Calls(path) as calls:
        total = calls.count()
        for number, call in enumerate(calls.read(), 1):
            yield Item(f"call {call['id']}: ", number / max(total, 1), one(call))
