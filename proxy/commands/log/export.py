"""`log export`: rows of the log in the forms that others read.

What must stay true: a file is there whole or not at all, and its owner's alone; rows are written as they are read.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from proxy.commands.log import watchdog
from proxy.commands.log.choice import PATIENCE, Choice, choosing

if TYPE_CHECKING:
    from proxy.config import Config
    from proxy.routes.forms import Name

FORMATS = ("jsonl", "openai", "parea", "humanloop", "csv")


@click.command()
@choosing
@click.option("--format", "form", type=click.Choice(FORMATS), default="jsonl", show_default=True, help="See above.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="The file; without it, stdout.")
def export(choice: Choice, form: Name, output: Path | None) -> None:
    """Write rows of the log, newest first.

    \b
    jsonl      every column, one row a line; `log import` reads it
    openai     examples for fine-tuning: chats that were answered whole, with their tools
    parea      trace logs as Parea's API has them, one a line; `log import` reads them
    humanloop  datapoints as Humanloop's API has them, one a line; `log import` reads them
    csv        every column; a text that a spreadsheet would take for a formula gets an apostrophe

    \b
    Examples:
      parea-proxy log export --since 30d --output log.jsonl
      parea-proxy log export --format openai --where "feedback_score = 1" --output examples.jsonl
    """
    from proxy.commands.log.progress import Progress
    from proxy.routes import forms
    from proxy.terminal import seen

    log = choice.reader()
    shown = forms.form(form, partial(_config, choice), choice.reader().projects)
    selection = choice.selection(shown.rows)
    written = read = 0
    with target(output) as out, Progress("exporting") as progress:
        out.write(shown.head)
        oldest = max(filter(None, (log.oldest(), selection.since)), default="")
        newest = ""
        for record in log.stream(selection, seconds=PATIENCE):
            read += 1
            newest = newest or record.start_timestamp
            if (line := shown.line(record)) is not None:
                out.write(seen(line, out))
                written += 1
            if read % 100 == 0:
                progress.tell(_share(record.start_timestamp, newest, oldest), read)
    if output is not None:
        passed = f", {read - written} passed over that are no such thing" if read > written else ""
        click.echo(f"{written} rows written to {output}{passed}", err=True)


def _config(choice: Choice) -> Config:
    from proxy.config import load

    return load(choice.config, os.environ)


@contextlib.contextmanager
def target(output: Path | None, option: str = "--output") -> Iterator[TextIO]:
    """Where to write: a file that takes its place once it is whole, or what is no file: stdout, a pipe, a device."""
    from proxy.errors import ConfigError

    if output is None:
        yield sys.stdout
        return
    try:
        if output.exists() and not output.is_file():
            with output.open("w", encoding="utf-8", newline="") as stream:
                yield stream
        else:
            # where it is a link, the file that it leads to
            with _replacing(output.resolve()) as file:
                yield file
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ConfigError(f"{option} {output}: cannot be written: {error.strerror}") from None


@contextlib.contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    """A file beside `path`, in its place once it is whole; else it is gone, unless nobody could do it (`kill -9`)."""
    with watchdog.leaving():
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with watchdog.unfinished(name), open(descriptor, "w", encoding="utf-8", newline="") as file:
                yield file
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise


def _share(at: str, newest: str, oldest: str) -> float:
    """How much of the time from the newest row to the oldest has been gone through."""
    try:
        began, now, end = (datetime.fromisoformat(one).astimezone(UTC).timestamp() for one in (newest, at, oldest))
    except ValueError:
        return 0.0
    return (began - now) / (began - end) if began > end else 0.0
