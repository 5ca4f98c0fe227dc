"""`log show`: one row, the tree it stands in, when each part of it ran, and all that was said.

What must stay true: nothing that is printed steers a terminal; every line of a text is told, in `--json` as it stands.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from proxy.commands import json_option, print_json
from proxy.commands.log.choice import Choice, reading
from proxy.record import REPLAY

if TYPE_CHECKING:
    from rich.text import Text

    from proxy.record import Record
    from proxy.stores.log.reader import Reader
    from proxy.tree import Branch

WIDTH = 24
"""Columns of a bar."""

BEGINNING = 10
"""Columns of a name that are shown at least, behind the lines that lead to it."""

AT_ONCE = 1_000
"""Rows of a tree that stand under each other whatever comes further down."""


UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
"""In which is told how much later something ran."""


@click.command()
@click.argument("trace_id")
@reading
@json_option
def show(choice: Choice, trace_id: str, as_json: bool) -> None:
    """Show a row with those below it, and what was said.

    The beginning of an id will do where no other begins so. The id of a session shows all of it. A call of a deployment
    is compared with the version that the config has under its name.
    """
    from proxy import report

    rows = _rows(choice.reader(), trace_id)
    named = rows[0].trace_id.startswith(trace_id)
    compared = _compared(choice, rows[0]) if named else None
    if as_json:
        shown = [report.row(record) for record in rows]
        print_json(shown if compared is None else [shown[0] | {"deployment_diff": compared}, *shown[1:]])
        return
    _show_tree(choice.reader(), rows, None if named else trace_id)
    if named:
        for line in _told(rows[0]):
            click.echo(line)
        if compared is not None:
            _show_diff(rows[0], compared)


def _rows(log: Reader, trace_id: str) -> list[Record]:
    """The row and those below it, or all of a tree or session without a row of its own. Raises `ConfigError`."""
    from proxy.stores.log.family import family

    with _named(trace_id):
        record, below = family(log, trace_id)
    return below if record is None else [record, *below]


def found(log: Reader, trace_id: str) -> Record:
    """The row with this id, or the one whose id begins so. Raises `ConfigError`."""
    from proxy.stores.log import family

    with _named(trace_id):
        return family.found(log, trace_id)


@contextmanager
def _named(trace_id: str) -> Iterator[None]:
    """What is said of an id here repeats it."""
    from proxy.errors import ConfigError, NotFound
    from proxy.selection import Several
    from proxy.terminal import clean

    try:
        yield
    except Several as error:
        ids = ", ".join(map(clean, error.ids))
        raise ConfigError(f"several ids begin with {clean(trace_id)!r}: {ids} ...") from None
    except NotFound:
        raise ConfigError(f"there is no trace {clean(trace_id)!r}: parea-proxy log lists them") from None


def _show_tree(log: Reader, rows: list[Record], name: str | None) -> None:
    """Each row under its parent, beside a bar for when it ran; a tree without a row of its own is told by its name."""
    from proxy.commands.log.rows import beginnings, cached
    from proxy.commands.log.table import Column
    from proxy.commands.log.table import show as show_table
    from proxy.report import levels_of
    from proxy.terminal import console
    from proxy.tree import drawn

    branches = list(drawn(rows, rooted=name is None, levels=levels_of(console(), 4)))
    columns = [
        Column("name", least=max(len(one.stem) for one in branches) + BEGINNING),
        Column("when", leaves=5, brief=_halved),
        Column("model", least=10, leaves=3),
        Column("latency", leaves=4),
        Column("cost", leaves=2),
        Column("tokens", leaves=1),
        Column("status", least=9, brief=lambda states: [cached(one) for one in states]),
        Column("trace", brief=beginnings(log)),
    ]
    show_table(columns, _cells(branches, name), at_once=AT_ONCE)


def _cells(branches: list[Branch], name: str | None) -> Iterator[list[Text | str]]:
    """The rows as those of a table."""
    from rich.text import Text

    from proxy.report import figures_of, status_of
    from proxy.terminal import text

    rows = [one.record for one in branches]
    spans = {record.trace_id: _span(record) for record in rows}
    # what was called again days later would leave nothing of the others' bars, nor of its own
    later = {record.trace_id for record in rows[name is None :] if REPLAY in record.notes}
    scale = [span for trace_id, span in spans.items() if span and trace_id not in later]
    began = min((first for first, _ in scale), default=0.0)
    lasted = max((last for _, last in scale), default=0.0) - began
    if name is not None:
        yield [text(f"{name}  no row of its own"), *[""] * 7]
    for one in branches:
        record = one.record
        span = spans[record.trace_id]
        yield [
            Text(one.stem).append_text(text(record.name or record.trace_id)),
            bar(span, began, lasted) if record.trace_id not in later else _after(span, began if scale else None),
            text(record.model or "-"),
            *figures_of(record),
            status_of(record),
            text(record.trace_id),
        ]


def bar(span: tuple[float, float] | None, began: float, lasted: float) -> str:
    """When a row ran, of the time that the whole took; however short, it is seen."""
    if span is None:
        return ""
    if lasted <= 0:
        return "\u2501" * WIDTH
    first = min(int((span[0] - began) / lasted * WIDTH), WIDTH - 1)
    last = min(max(round((span[1] - began) / lasted * WIDTH), first + 1), WIDTH)
    return " " * first + "\u2501" * (last - first) + " " * (WIDTH - last)


def _halved(cells: list[str]) -> list[str]:
    from proxy.commands.log.stats import halved

    return [cell.removeprefix("replay, ") if cell.startswith("replay") else halved([cell])[0] for cell in cells]


def _after(span: tuple[float, float] | None, began: float | None) -> str:
    """How long after the rest a replay began, in the largest unit that it fills."""
    if span is None or began is None:
        return "replay"
    seconds = max(span[0] - began, 0.0)
    size, unit = next((one for one in UNITS if seconds >= one[0]), UNITS[-1])
    return f"replay, +{seconds / size:.0f} {unit}"


def _span(record: Record) -> tuple[float, float] | None:
    try:
        began = datetime.fromisoformat(record.start_timestamp).timestamp()
    except ValueError:
        return None
    return began, began + (record.latency or 0.0)


def _told(record: Record) -> Iterator[str]:
    """All that was said in a row, under headings."""
    from proxy.report import said_of

    messages = (record.configuration or {}).get("messages")
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, dict):
            yield from _heading(str(message.get("role") or "message"))
            yield from _lines(_content(message))
    if record.inputs and not messages:
        yield from _heading("inputs")
        yield from _lines(json.dumps(record.inputs, indent=2, ensure_ascii=False, default=str))
    if record.output is not None:
        yield from _heading("output")
        yield from _lines(record.output)
    if record.error:
        yield from _heading("error")
        yield from _lines(record.error)
    if scores := [told for score in record.scores if (told := said_of(score)) is not None]:
        yield from _heading("scores")
        yield from scores
    if attempts := list(_attempts(record)):
        yield from _heading("attempts")
        yield from attempts
    if record.notes.get("omitted"):
        yield from _lines(f"\nomitted: {', '.join(map(str, record.notes['omitted']))}")


def _heading(name: str) -> Iterator[str]:
    from proxy.terminal import clean

    yield ""
    yield click.style(clean(name), bold=True)


def _lines(text: str) -> list[str]:
    from proxy.terminal import lines

    return lines(text)


def _content(message: dict[str, Any]) -> str:
    """What a message says, its tool calls included."""
    content = message.get("content")
    if isinstance(content, list):
        parts = [part if isinstance(part, dict) else {} for part in content]
        content = "\n".join(str(part.get("text") or f"[{part.get('type') or 'part'}]") for part in parts)
    said = [content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)] if content else []
    calls = message.get("tool_calls") or [message.get("function_call")]
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function", call) if isinstance(call, dict) else None
        if isinstance(function, dict):
            said.append(f"{function.get('name')}({function.get('arguments') or ''})")
    return "\n".join(said)


def _attempts(record: Record) -> Iterator[str]:
    """Each call of a provider, and why it ended; of a single one without trouble nothing is noted."""
    from proxy.terminal import clean

    attempts = record.notes.get("attempts")
    for number, one in enumerate(attempts if isinstance(attempts, list) else [], 1):
        if isinstance(one, dict):
            status = f" ({one['status']})" if one.get("status") else ""
            yield clean(f"{number}. {one.get('target')}  {one.get('ended')}{status}  {one.get('seconds')} s")


def _compared(choice: Choice, record: Record) -> list[str] | None:
    """What was said beyond the messages of the row's version of its deployment, as a unified diff; None without one."""
    from proxy.config import load

    messages = (record.configuration or {}).get("messages")
    if not record.deployment_id or not isinstance(messages, list):
        return None
    known = load(choice.config, os.environ).versions.get(record.deployment_id)
    version = (
        next((one for one in known.versions.values() if one.version == record.deployment_version), None)
        if known
        else None
    )
    if version is None:
        return None
    deployed = [line for message in version.messages for line in _script(message)]
    said = [line for message in messages if isinstance(message, dict) for line in _script(message)]
    names = f"{record.deployment_id}@{version.number}", record.trace_id
    return list(difflib.unified_diff(deployed, said, *names, lineterm=""))


def _script(message: dict[str, Any]) -> list[str]:
    return [f"{message.get('role')}:", *(f"  {line}" for line in _content(message).split("\n"))]


def _show_diff(record: Record, lines: list[str]) -> None:
    from proxy.commands.deployments import show_diff

    for line in _heading(f"beside deployment {record.deployment_id}, version {record.deployment_version}"):
        click.echo(line)
    if not lines:
        click.echo("the same messages")
    show_diff([text for line in lines for text in _lines(line)])
