"""A sheet of records in a file that the processes of one machine have in their memory at once.

The file is a head, a list of the processes that have it open (each has a lane there), and a table of `SLOTS` records of
`SLOT` words of 8 bytes, found by the hash of an id. Whoever changes a record holds the lock of the file; a single word
may be stored, and everything be read, without.

What must stay true:

* Nothing raises and nothing waits longer than `PATIENCE`, whatever is in the file. Where no file can be had, the sheet
  is in the memory of this process, and one warning says so.
* What a process has in its lane is gone after it has ended, however it ended.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import mmap
import os
import sys
import threading
import time
from pathlib import Path
from typing import Final

from proxy.stores.shared.census import alive, started
from proxy.stores.shared.mapping import TAKEN, opened

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger(__name__)

SLOTS: Final = 4096
SLOT: Final = 64
"""Words of a record: the first is the hash of its id, 0 where there is none, the last hold the lanes, four each."""

LANES: Final = 64
USED: Final = 1
"""The word of a record that says when it was last used."""

COUNTS: Final = SLOT - LANES // 4
HEAD: Final = 512
"""Words before the table: those of `opened`, and from `ROLL` on a pid and its start for each lane."""

ROLL: Final = 8
RUN: Final = 32
"""Records in which an id may be; where all of them are taken, the one that was used longest ago is given up."""

SIZE: Final = 8 * (HEAD + SLOTS * SLOT)
PATIENCE: Final = 0.005
"""Seconds that anybody waits for the lock, which is held for microseconds unless its holder lost the processor."""

STUCK: Final = 1.0
"""Seconds after which a lock that is never free is nobody's: its holder was stopped. The counts go on without it."""

CENSUS: Final = 1.0
"""Seconds between two looks at who of the others is still alive."""

LARGEST: Final = 2**16 - 1


class Sheet:
    """Records by id. `words`, `times` and `counts` are the same bytes as integers, as floats and as short integers.

    `with sheet as held` holds the lock; `held` is False where it could not be had in time.
    """

    def __init__(self, path: Path | None) -> None:
        self._threads = threading.Lock()
        self._file = -1
        self._stuck_since: float | None = None
        self._counted_at = 0.0
        self._known: dict[str, tuple[int, int]] = {}
        self.lane = 0
        self.fresh = True
        """Whether nobody else had it open when this process came."""
        if path is None or not self._open(path):
            self._map(mmap.mmap(-1, SIZE))

    def __enter__(self) -> bool:
        self._threads.acquire()
        return self._file < 0 or self._lock()

    def __exit__(self, *_: object) -> None:
        if self._file >= 0:
            with contextlib.suppress(OSError):
                fcntl.flock(self._file, fcntl.LOCK_UN)
        self._threads.release()

    def find(self, id: str) -> int:
        """The first word of the record of `id`; 0 if it has none. Needs no lock."""
        known = self._known.get(id)
        if known is not None and self.words[known[1]] == known[0]:
            return known[1]
        return self._search(id, hashed(id))

    def place(self, id: str) -> int:
        """The first word of the record of `id`, which is made, empty, if it has none. Needs the lock."""
        if base := self.find(id):
            return base
        key = hashed(id)
        run = [HEAD + (key + step) % SLOTS * SLOT for step in range(RUN)]
        free = (base for base in run if not self.words[base])
        base = next(free, 0) or min(run, key=lambda base: (self.busy(base) > 0, self._age(base)))
        self.words[base : base + SLOT] = memoryview(bytes(8 * SLOT)).cast("q")
        self.times[base + USED] = time.monotonic()
        self.words[base] = key
        self._known[id] = key, base
        return base

    def busy(self, base: int) -> int:
        """All that the lanes of a record hold together."""
        start = 4 * (base + COUNTS)
        return sum(self.counts[start : start + LANES])

    def add(self, base: int, count: int) -> int:
        """Add to this process's lane, which nobody else writes; returns what is there now."""
        at = 4 * (base + COUNTS) + self.lane
        self.counts[at] = now = min(max(self.counts[at] + count, 0), LARGEST)
        return now

    def clear(self, word: int) -> None:
        """Zero one word of every record."""
        self.words[HEAD + word :: SLOT] = memoryview(bytes(8 * SLOTS)).cast("q")

    def due(self) -> bool:
        """Whether it is time to look again who of the others is still alive."""
        return self._file >= 0 and time.monotonic() - self._counted_at >= CENSUS

    def census(self) -> None:
        """Empty the lanes of processes that have ended. Needs the lock."""
        self._counted_at = time.monotonic()
        for lane in range(LANES):
            pid, start = self._owner(lane)
            if pid and not alive(pid, start):
                self._vacate(lane)

    def close(self) -> None:
        """Give the lane back. What is told to the sheet from then on stays in this process."""
        if self._file < 0:
            return
        with self:
            self._vacate(self.lane)
        with self._threads:
            os.close(self._file)
            self._file, self.lane = -1, 0
            self._known.clear()
            self._map(mmap.mmap(-1, SIZE))

    def _map(self, memory: mmap.mmap) -> None:
        view = memoryview(memory)
        self.words = view.cast("q")
        self.times = view.cast("d")
        self.counts = view.cast("H")

    def _age(self, base: int) -> float:
        """When the record was last used; what cannot be a time is older than all."""
        used = self.times[base + USED]
        return used if 0 < used <= time.monotonic() else 0.0

    def _search(self, id: str, key: int) -> int:
        for step in range(RUN):
            base = HEAD + (key + step) % SLOTS * SLOT
            found = self.words[base]
            if found == key:
                if len(self._known) >= 2 * SLOTS:
                    self._known.clear()
                self._known[id] = key, base
                return base
            if not found:
                break
        return 0

    def _lock(self) -> bool:
        end = None
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                now = time.monotonic()
                end = end or now + PATIENCE
                if now >= end or error.errno not in TAKEN:
                    self._stuck_since = self._stuck_since or now
                    return error.errno not in TAKEN or now - self._stuck_since > STUCK
                time.sleep(0.00005)
            else:
                self._stuck_since = None
                return True

    def _open(self, path: Path) -> bool:
        try:
            if sys.platform == "win32":
                raise OSError("this system has no flock")
            self._file = opened(path, SIZE, b"board 01", STUCK)
            self._map(mmap.mmap(self._file, SIZE))
            self._enrol()
        except (OSError, ValueError) as error:
            logger.warning("%s cannot be used (%s): what workers share, each of them has for itself", path, error)
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
            return False
        # held since `opened`
        fcntl.flock(self._file, fcntl.LOCK_UN)
        return True

    def _enrol(self) -> None:
        """Take a lane, and empty all that nobody has."""
        free = []
        for lane in range(LANES):
            if not alive(*self._owner(lane)):
                self._vacate(lane)
                free.append(lane)
        if not free:
            raise OSError(f"{LANES} processes have it open")
        self.fresh = len(free) == LANES
        self.lane = free[0]
        pid = os.getpid()
        self.words[ROLL + 2 * self.lane + 1] = started(pid)
        self.words[ROLL + 2 * self.lane] = pid

    def _owner(self, lane: int) -> tuple[int, int]:
        return self.words[ROLL + 2 * lane], self.words[ROLL + 2 * lane + 1]

    def _vacate(self, lane: int) -> None:
        self.counts[4 * (HEAD + COUNTS) + lane :: 4 * SLOT] = memoryview(bytes(2 * SLOTS)).cast("H")
        self.words[ROLL + 2 * lane] = 0


def hashed(id: str) -> int:
    """A word for an id; never 0, and the same in every process."""
    digest = hashlib.blake2b(id.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little", signed=True) or 1
