"""How long rows are kept: a thread of the gateway removes the oldest trees, and gives their room back to the disk.

    too old, or too much  ->  whole trees, the oldest first  ->  free pages, as zeros  ->  the file gets shorter

What must stay true:

* Of the processes that share a folder one does it at a time; it ends with its process, and the next one goes on.
* A tree goes whole. A long one takes several strides, and its latest row is the last: after a crash the rest of it is
  as old as before, and goes next.
* Whoever writes waits for a stride at most (`strides.py`); no row waits for a disk because of this.
* What keys have spent is not forgotten; nor is a row that has no whole file to be removed from: trouble ends a pass.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from proxy import timestamps
from proxy.config.settings import Keep
from proxy.stores.retention.pruning import LAST, Tree, members, oldest, remove, remove_lost, remove_stray
from proxy.stores.retention.strides import Over, Strides
from proxy.stores.schema.database import code
from proxy.stores.schema.files import Files

logger = logging.getLogger(__name__)

INTERVAL = 60.0
"""Seconds between two passes."""

LOCK = "traces.keeping"
"""The file beside the log that says, by its lock, who removes rows."""

SPARE = 4 * 2**20
"""Bytes of free pages that are left to the rows to come, of a file that is not small."""


class Keeping:
    """Keeps the trace log at `path` as `keep` says, until `close`. `files` are those that the log has open."""

    def __init__(
        self,
        path: Path,
        files: Files,
        keep: Keep,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._path = path
        self._files = files
        self._keep = keep
        self._now = now
        self._over = threading.Event()
        self.turn = threading.Lock()
        """Held for each stride: who writes from another thread takes turns by it."""
        self._trouble: str | None = None
        self._thread: threading.Thread | None = None
        self.rules = keep.age is not None or keep.size is not None
        """Whether anything is ever removed."""

    def start(self) -> None:
        """Have the passes made, now that the log is open."""
        if self.rules:
            self._thread = threading.Thread(target=self._run, name="trace-log-keeping", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the pass that is under way after its stride."""
        self._over.set()
        if self._thread is not None:
            self._thread.join()

    def begin(self, connection: sqlite3.Connection) -> None:
        """Begin a transaction that writes; while another process makes the file anew, it waits for that."""
        while True:
            try:
                connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                if code(error) != sqlite3.SQLITE_BUSY or not taken(self._path):
                    raise

    def once(self) -> int:
        """One pass; how many rows were removed. Raises `sqlite3.Error` and `OSError`."""
        with alone(self._path, wait=False) as mine:
            if not mine or not self._files.in_place():
                return 0
            with contextlib.closing(Strides(self._path, self._rest, self.turn)) as strides:
                removed = 0
                try:
                    removed = self._remove(strides)
                    give_back(strides, spare(self._keep.size))
                    if removed:
                        strides.cut()
                except Over:
                    pass
                return removed

    def _run(self) -> None:
        while not self._over.wait(INTERVAL):
            try:
                removed = self.once()
            except (sqlite3.Error, OSError) as error:
                if self._trouble != str(error):
                    logger.warning("old rows of the trace log %s are not removed now: %s", self._path, error)
                self._trouble = str(error)
            else:
                self._trouble = None
                if removed:
                    logger.info("%d old rows of the trace log were removed", removed)

    def _rest(self, seconds: float) -> bool:
        # What is at the path may be another file by now: then this one is nobody's, or has been put away to be kept.
        return not self._over.wait(seconds) and self._files.in_place()

    def _remove(self, strides: Strides) -> int:
        age, size = self._keep.age, self._keep.size
        removed = 0
        if age is not None:
            before = timestamps.text(self._now() - timedelta(seconds=age))
            removed += remove_trees(strides, oldest(strides.connection, before), lambda: strides.amount)
            while strides.take(lambda: remove_lost(strides.connection, before, strides.amount)):
                pass
        if size is not None:
            more = partial(_rows_over, strides.connection, size - spare(size), _row_size(strides.connection))
            removed += remove_trees(strides, oldest(strides.connection, LAST), more)
        while strides.take(lambda: remove_stray(strides.connection, strides.amount)):
            pass
        return removed


def remove_trees(strides: Strides, trees: Iterator[Tree], more: Callable[[], int]) -> int:
    """Remove trees in their order as long as some rows `more` are to go; how many rows they had."""
    removed = gathered = 0
    batch: list[Tree] = []
    room = min(more(), strides.amount)
    for tree in trees:
        if room <= 0:
            return removed
        ids = members(strides.connection, tree)
        if len(ids) > strides.amount:
            removed += _remove_batch(strides, batch) + remove_rows(strides, ids)
            batch, gathered, room = [], 0, min(more(), strides.amount)
            continue
        batch.append(tree)
        gathered += len(ids)
        if gathered >= room:
            removed += _remove_batch(strides, batch)
            batch, gathered, room = [], 0, min(more(), strides.amount)
    return removed + _remove_batch(strides, batch)


def _remove_batch(strides: Strides, trees: list[Tree]) -> int:
    connection = strides.connection

    def work() -> int:
        # Asked again, where no row can come between.
        return remove(connection, [row for tree in trees for row in members(connection, tree)])

    return strides.take(work) if trees else 0


def remove_rows(strides: Strides, ids: list[str]) -> int:
    """Remove rows in their order, in as many strides as it takes; how many there were."""
    removed = place = 0
    while place < len(ids):
        part = ids[place : place + strides.amount]
        removed += strides.take(partial(remove, strides.connection, part))
        place += len(part)
    return removed


def _rows_over(connection: sqlite3.Connection, most: int, row: float) -> int:
    """How many rows there are too many, of about so many bytes each."""
    over = used(connection) - most
    return max(1, int(over / row)) if over > 0 else 0


def _row_size(connection: sqlite3.Connection) -> float:
    """Bytes that a row takes in the middle."""
    (rows,) = connection.execute("SELECT count(*) FROM traces").fetchone()
    return float(used(connection) / max(rows, 1))


def used(connection: sqlite3.Connection) -> int:
    """Bytes of the file that are in use."""
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    return int((pages - free) * size)


def spare(size: int | None) -> int:
    """Bytes of free pages that are not given back where the file may have `size` bytes."""
    return SPARE if size is None else min(SPARE, size // 8)


def give_back(strides: Strides, left: int) -> None:
    """Give free pages back to the disk, but for `left` bytes; a file that was not made for it keeps them to use."""
    connection = strides.connection
    (mode,) = connection.execute("PRAGMA auto_vacuum").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()

    def free() -> int:
        (pages,) = connection.execute("PRAGMA freelist_count").fetchone()
        return int(pages - left // size)

    def shorten() -> int:
        pages = min(free(), strides.amount)
        # Each step of the statement frees a page.
        connection.execute(f"PRAGMA incremental_vacuum({pages})").fetchall()
        return pages

    while mode == INCREMENTAL and free() > 0:
        strides.take(shorten)


INCREMENTAL = 2
"""What `PRAGMA auto_vacuum` tells of a file that gets shorter in steps."""


@contextlib.contextmanager
def alone(path: Path, *, wait: bool) -> Iterator[bool]:
    """Be the only one, of all processes, that removes rows of the log at `path`; False where another one is."""
    handle = os.open(path.with_name(LOCK), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield _locked(handle, wait=wait)
    finally:
        os.close(handle)


def taken(path: Path) -> bool:
    """Whether somebody is `alone` now."""
    try:
        handle = os.open(path.with_name(LOCK), os.O_RDWR)
    except OSError:
        return False
    try:
        return not _locked(handle, wait=False)
    finally:
        os.close(handle)


def _locked(handle: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    return True
