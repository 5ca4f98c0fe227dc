"""The files of a log that is open: whether they are still those at their paths.

SQLite writes on into a file that was deleted or replaced, and into a WAL that was, and says nothing. What must stay
true: a row that is said to be on disk is in the file at the path, and the WAL beside it is the one that is written.

While a file is open its number is not given to another, so two numbers that are equal mean the same file.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

COMPANIONS = ("-wal", "-shm")

INTERVAL = 0.1
"""Seconds between two looks at the companions: what a deleted WAL holds is not lost while it is open."""

Identity = tuple[int, int] | None


def identity(path: str | Path) -> Identity:
    """Which file is at `path`; None when none is, or nobody may know."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


class Files:
    """The database at `path` and its companions, as they were when they were last remembered."""

    def __init__(self, path: Path) -> None:
        self._path = str(path.absolute())
        self._database: Identity = None
        self._companions: dict[str, Identity] = {}
        self._looked = 0.0

    def remember(self) -> None:
        """Those at their paths are those that are open."""
        self._database = identity(self._path)
        # SQLite follows a link, and puts the companions where it leads.
        real = os.path.realpath(self._path)
        self._companions = {real + suffix: identity(real + suffix) for suffix in COMPANIONS}

    def database_in_place(self) -> bool:
        """Whether the database is at its path. A look costs a microsecond or two."""
        return identity(self._path) == self._database is not None

    def in_place(self) -> bool:
        """Whether all of them are."""
        return self.database_in_place() and self._companions_in_place()

    def seem_in_place(self) -> bool:
        """Whether the companions were, a moment ago."""
        now = time.monotonic()
        if now - self._looked < INTERVAL:
            return True
        self._looked = now
        return self._companions_in_place()

    def remove_companions(self) -> None:
        """Remove those that are still ours from beside a database that is not, for which SQLite would take them.

        One process after the other: what another puts in their place must not be taken for ours.
        """
        with contextlib.suppress(OSError), _locked(os.path.dirname(self._path)):
            for path, known in self._companions.items():
                if known is not None and identity(path) == known:
                    with contextlib.suppress(FileNotFoundError):
                        os.unlink(path)

    def _companions_in_place(self) -> bool:
        return all(identity(path) == known for path, known in self._companions.items())


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
