"""`log tail`: what comes in, as it comes, whichever process writes it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import TYPE_CHECKING

import click

from proxy.commands.log.choice import Choice, choosing

if TYPE_CHECKING:
    from proxy.record import Record
    from proxy.stores.log.reader import Reader

PAUSE = 0.2
"""Seconds between two looks; each costs some microseconds when nothing came."""

WIDTHS = (36, 19, 20, 24, 10, 11, 8, 7)
"""Columns of a table whose rows are not known yet."""


@click.command()
@choosing
@click.option("-n", "--last", default=10, type=click.IntRange(0, 500), show_default=True, help="Begin with so many.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def tail(choice: Choice, last: int, as_json: bool) -> None:
    """Show rows as they are logged, until Ctrl-C.

    A row is shown once, when it is first written. The log may be vacuumed, moved aside or made anew meanwhile.
    """
    from proxy.commands.log import watchdog
    from proxy.errors import ConfigError, RequestError
    from proxy.stores.log.following import Following

    log = choice.reader()  # tells in one message why a log cannot be read
    log.close()
    if log.at_rest:
        raise ConfigError(
            f"the trace log {choice.path} cannot be followed where nothing can be made beside it: parea-proxy log lists"
            " what it holds"
        )
    show = _as_json if as_json else _as_lines(log)
    following = Following(choice.path, choice.selection(), last, watchdog.end)
    asked_to_end = threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        # What is raised while SQLite asks something of Python is an error of that question, and nothing more.
        asked_to_end.set()
        raise KeyboardInterrupt

    before = signal.getsignal(signal.SIGINT)
    if before is not signal.SIG_IGN:  # as it is where a shell runs this in the background
        signal.signal(signal.SIGINT, end)
    try:
        for record in following.begin():
            show(record)
        while not asked_to_end.is_set():
            for record in following.news():
                show(record)
            if not asked_to_end.is_set():
                time.sleep(PAUSE)
    except KeyboardInterrupt:
        return
    except RequestError:
        if not asked_to_end.is_set():
            raise
    finally:
        signal.signal(signal.SIGINT, before)
        following.close()


def _as_json(record: Record) -> None:
    from proxy.report import row
    from proxy.terminal import line

    click.echo(line(row(record)))


def _as_lines(log: Reader) -> Callable[[Record], None]:
    """What shows each row under the columns of all."""
    from proxy.commands.log.rows import columns
    from proxy.commands.log.table import Screen
    from proxy.report import line_of
    from proxy.terminal import console, piped

    out, every = console(), columns(log)
    screen, right = Screen(out, every, WIDTHS), [column.right for column in every]

    def show(record: Record) -> None:
        if out.is_terminal:
            screen.show([line_of(record)])
            log.close()  # another file may be there by the next row
        else:
            click.echo("".join(piped([line_of(record)], right, WIDTHS)), nl=False)

    return show
