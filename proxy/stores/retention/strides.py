"""Long work on the trace log in short strides: each is a transaction of some milliseconds, and then others write.

What must stay true: nobody who writes waits for more than a stride or two, whatever the work is; the WAL is written
back as it goes, and does not grow with the work.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from proxy.stores.schema.checkpoints import connected, write_back
from proxy.stores.schema.database import code, coded

AIM = 0.003
"""Seconds that a stride is to take."""

REST = 4.0
"""How many times as long others have after it."""

LEAST, MOST = 1, 1000
"""Of whatever a stride is counted in."""

BACKED = 48
"""Strides after which the WAL is written back, some 20 MB."""

LARGE = 4096
"""Pages of the WAL from which on it has to begin anew, though nobody can commit for that moment."""

WAITED = 5.0
"""Seconds in which whoever else writes lets a stride begin."""


class Strides:
    """Strides over the file at `path`, which exists. `rest` waits for so many seconds; False says that it is over.

    `turn` is held for each of them: a thread of this process that writes takes turns by it, where asking SQLite again
    and again would take longer.
    """

    def __init__(
        self, path: Path, rest: Callable[[float], bool], turn: AbstractContextManager[object] | None = None
    ) -> None:
        self._rest = rest
        self._turn = turn or contextlib.nullcontext()
        self._amount = 16
        self._left = BACKED
        self._path = path
        self.connection = connected(path, timeout=1.0)

    @property
    def amount(self) -> int:
        """How much the next stride is to do."""
        return self._amount

    def take(self, work: Callable[[], int]) -> int:
        """Do `work` in one transaction; what it returns is how much it was. Raises `Over` and `sqlite3.Error`."""
        deadline = time.monotonic() + WAITED
        while (outcome := self._try(work)) is None:
            if time.monotonic() > deadline:
                raise coded(sqlite3.OperationalError("others write without a pause"), sqlite3.SQLITE_BUSY)
            if not self._rest(0.002):
                raise Over
        done, took = outcome
        if done:
            factor = min(max(AIM / took, 0.3), 1.5)
            self._amount = max(LEAST, min(MOST, int(min(done, self._amount) * factor) + 1))
        self._pause(took)
        return done

    def _try(self, work: Callable[[], int]) -> tuple[int, float] | None:
        """What `work` came to, and how long others had to wait; None where somebody else is writing."""
        with self._turn:
            try:
                # Not to sleep beside whoever waits for this turn.
                self.connection.execute("PRAGMA busy_timeout = 0")
                self.connection.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                if code(error) != sqlite3.SQLITE_BUSY:
                    raise
                return None
            finally:
                self.connection.execute("PRAGMA busy_timeout = 1000")
            began = time.perf_counter()
            try:
                done = work()
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
            return done, time.perf_counter() - began

    def _pause(self, took: float) -> None:
        if not self._rest(max(took * REST, 0.001)):
            raise Over
        self._left -= 1
        if self._left <= 0:
            self._left = BACKED if self.write_back() else BACKED // 4

    def write_back(self) -> bool:
        """Bring what the WAL holds into the database, and have it begin anew where it has grown; whether it could."""
        with contextlib.suppress(sqlite3.OperationalError):
            return write_back(self.connection, self._path, least=LARGE)
        return False

    def cut(self, seconds: float = 1.0) -> bool:
        """Empty the WAL, in which removed rows can be read; False where somebody reads for longer than `seconds`."""
        deadline = time.monotonic() + seconds
        while not write_back(self.connection, self._path, cut=True):
            if time.monotonic() > deadline or not self._rest(0.05):
                return False
        return True

    def close(self) -> None:
        self.connection.close()


class Over(Exception):
    """There is no time for more."""
