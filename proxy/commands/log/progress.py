"""How far long work has come, on stderr, where somebody looks at it and it takes long enough to be asked."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from rich.progress import Progress as Bar

LONG = 0.5
"""Seconds after which work is long."""

EACH = 0.1
"""Seconds between two looks at the bar."""


class Progress:
    """A bar for work whose share that is done is told from time to time. What it prints is gone at the end."""

    def __init__(self, what: str, of: str = "rows") -> None:
        self._what = what
        self._of = of
        self._bar: Bar | None = None
        self._next = time.monotonic() + LONG if sys.stderr.isatty() else float("inf")

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self) -> None:
        """Show that it goes on, of work of which nobody knows how far it has come."""
        if sys.stderr.isatty():
            self._bar = _bar()
            self._bar.add_task(self._what, total=None)
            self._bar.start()

    def tell(self, share: float, rows: int, more: str = "") -> None:
        """`share` of the work, from 0 to 1, is done, which was so many rows; `more` is said behind that."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EACH
        if self._bar is None:
            self._bar = _bar()
            self._bar.add_task(self._what, total=1.0)
            self._bar.start()
        task = self._bar.task_ids[0]
        self._bar.update(
            task, completed=min(max(share, 0.0), 1.0), description=f"{self._what}, {rows:,} {self._of}{more}"
        )


def _bar() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Made

    shown = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    return Made(*shown, console=Console(stderr=True), transient=True)
