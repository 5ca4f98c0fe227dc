"""The forms in which rows of the log are given to others: on the command line and by HTTP the same.

What must stay true: a line is made of one row, and waits for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar, cast

from proxy.record import FLAGS, Record

if TYPE_CHECKING:
    from proxy.config import Config
    from proxy.protocols import ProjectUse, TraceLog

    Projects = Callable[[], list[ProjectUse]]

COLUMNS = tuple(name for name in Record.__dataclass_fields__ if name not in FLAGS)

Name = Literal["jsonl", "openai", "parea", "humanloop", "csv"]
T = TypeVar("T")

NDJSON = "application/x-ndjson"


class Form(NamedTuple):
    """`line` makes the line, or lines, that a row becomes; None where it has no place in this form."""

    rows: Literal["all", "calls"]
    file: str
    line: Callable[[Record], str | None]
    media_type: str = NDJSON
    head: str = ""


def form(name: Name, config: Callable[[], Config], projects: Projects) -> Form:
    """A form by its name; `config` and `projects` are asked only where it needs them."""
    match name:
        case "jsonl":
            return Form("all", "log.jsonl", _row)
        case "openai":
            return Form("calls", "examples.jsonl", _example)
        case "parea":
            return Form("all", "parea.jsonl", _log)
        case "humanloop":
            return Form("calls", "datapoints.jsonl", _datapoints(config(), projects))
        case "csv":
            from proxy.dialects.archives.spreadsheet import line

            return Form("all", "log.csv", _cells, "text/csv; charset=utf-8", line(COLUMNS))


# What follows needs a terminal's whole toolbox for its lines of JSON, and so is imported when it is asked for.


def _row(record: Record) -> str:
    from proxy.terminal import line

    return line({name: getattr(record, name) for name in COLUMNS}) + "\n"


def _example(record: Record) -> str | None:
    from proxy.dialects.archives.finetune import example
    from proxy.terminal import line

    made = example(record)
    return None if made is None else line(made) + "\n"


def _log(record: Record) -> str:
    from proxy.dialects.archives.archive import completed, records
    from proxy.dialects.archives.trace_log import to_log
    from proxy.terminal import line

    return line(completed(to_log(record), record, records)) + "\n"


def _cells(record: Record) -> str:
    from proxy.dialects.archives.spreadsheet import line

    return line([getattr(record, name) for name in COLUMNS])


class _Projects:
    """As much of a log as a directory asks."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects

    async def projects(self) -> list[ProjectUse]:
        return self._projects()


def _datapoints(config: Config, projects: Projects) -> Callable[[Record], str]:
    """The same translation as that of Humanloop's routes, with its projects by name."""
    from proxy.dialects.archives.archive import completed
    from proxy.routes.humanloop.archive import Archive
    from proxy.routes.humanloop.directory import Directory
    from proxy.routes.humanloop.log_response import to_log

    directory = Directory(config, cast("TraceLog", _Projects(projects)))

    def datapoint(record: Record) -> str:
        from proxy.terminal import line

        shown = _at_once(to_log(record, config, directory))
        # An archive remembers what it has read.
        return line(completed(shown, record, Archive(config).records)) + "\n"

    return datapoint


def _at_once(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns that waits for nothing."""
    try:
        work.send(None)
    except StopIteration as done:
        return cast(T, done.value)
    raise RuntimeError("it waits for something")
