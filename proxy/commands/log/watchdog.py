"""The end of a command that does not come to its own: by a signal, or in a question that SQLite cannot be stopped in.

Only the process can be ended then. What must stay true: it is told in the words and with the exit code that any other
question has whose time is over, and no file is left that is half written.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator

ENDINGS = {signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}
"""What ends a program that does not ask for it; not every system has the second."""

_unfinished: set[str] = set()


@contextlib.contextmanager
def leaving() -> Iterator[None]:
    """As long as this lasts a signal ends the process as an exception does, so that all is tidied up."""
    before = {one: signal.signal(one, _leave) for one in ENDINGS}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


def _leave(number: int, _: object) -> None:
    raise SystemExit(128 + number)


@contextlib.contextmanager
def unfinished(name: str) -> Iterator[None]:
    """As long as this lasts a file is gone when the process ends."""
    _unfinished.add(name)
    try:
        yield
    finally:
        _unfinished.discard(name)


def end(message: str) -> None:
    """End this process, from a thread of its own, with `message`."""
    for name in tuple(_unfinished):
        with contextlib.suppress(OSError):
            os.unlink(name)
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    with contextlib.suppress(OSError, ValueError):
        # a bar has hidden the cursor
        sys.stderr.write(f"\r\x1b[K\x1b[?25h{message}\n" if sys.stderr.isatty() else f"{message}\n")
        sys.stderr.flush()
    os._exit(2)
