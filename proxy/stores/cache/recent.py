"""What was read from the cache on disk not long ago, in memory: asked for again, it costs neither SQLite nor a seal.

What must stay true:

* Nothing is here that was not read from the disk and found sound there, and nothing longer than its entry lasts.
* Clearing the cache, in whichever process, empties it everywhere before `clear` returns: `clearings` is a file that
  every clearing makes longer, and it is looked at before every answer.
* The values held never exceed `LIMIT` bytes; those that came first go first.
* As long as `clearings` cannot be opened, nothing is kept.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

LIMIT = 16 * 2**20
OVERHEAD = 300
"""Bytes that an entry takes besides its value."""

LARGEST = 2**16
"""Bytes of a value; one that is larger costs little more from the disk."""


class Recent:
    """Values by key. `clearings` is a file of the data folder, made if need be, which processes share."""

    def __init__(self, clearings: Path, limit: int = LIMIT) -> None:
        self._limit = limit
        self._values: dict[bytes, tuple[float, bytes]] = {}
        self._size = 0
        self._clearings = clearings
        self._file = -1
        self.cleared = 0
        """How often the cache had been cleared at the last look."""
        self.look()

    def look(self) -> int:
        """How often the cache was cleared; forgets everything if that was since the last look."""
        try:
            cleared = os.lseek(self._file, 0, os.SEEK_END)
        except OSError:
            cleared = self._open()
        if cleared != self.cleared:
            self.cleared = cleared
            self.forget()
        return cleared

    def get(self, key: bytes) -> bytes | None:
        """The value, unless it has expired or the cache was cleared."""
        self.look()
        found = self._values.get(key)
        if found is None:
            return None
        if found[0] > time.time():
            return found[1]
        self.drop(key)
        return None

    def put(self, key: bytes, value: bytes, expires: float, cleared: int) -> None:
        """Keep a value until `expires`, unless the cache was cleared since `cleared`, a look before it was read."""
        if cleared != self.look() or len(value) > LARGEST or self._file < 0:
            return
        self.drop(key)
        self._values[key] = expires, value
        self._size += len(value) + OVERHEAD
        while self._size > self._limit:
            self.drop(next(iter(self._values)))

    def drop(self, key: bytes) -> None:
        """Forget one value, if it is here."""
        found = self._values.pop(key, None)
        if found is not None:
            self._size -= len(found[1]) + OVERHEAD

    def forget(self) -> None:
        """Forget every value."""
        self._values.clear()
        self._size = 0

    def clear(self) -> None:
        """Have every process forget every value."""
        size = self.look()
        try:
            os.write(self._file, b".")
        except OSError:
            # A full disk has no room for a byte; a file may still be longer than what is in it.
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, size + 1)
        self.look()

    def close(self) -> None:
        """Let go of the file; nothing may be asked any more."""
        self.forget()
        if self._file >= 0:
            os.close(self._file)

    def _open(self) -> int:
        """Open the file, if that can be done now; how often the cache was cleared."""
        try:
            self._file = os.open(self._clearings, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            return os.lseek(self._file, 0, os.SEEK_END)
        except OSError:
            return self.cleared
