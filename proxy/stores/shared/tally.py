"""The tally: what the workers of one machine have counted, each in a file that it alone writes, and all can read.

A file is a head and a table of `ROWS` rows: the name of a series as JSON, then its numbers. A worker holds the lock of
its file as long as it lives, so whoever finds a file unlocked knows that its worker has ended; the next one to start
takes the file over and counts on. So totals never fall when a worker ends, and there are never more files than there
were workers at a time. They begin at zero with the machine's start (see `mapping.py`).

What must stay true:

* Nothing raises, whatever is in a file, and counting takes no lock. Where no file can be had the tally is in the memory
  of this process, and one warning says so.
* The name of a series is whole before its row is counted as one.
* Series are bounded: what finds no room is counted in one row that nobody shows.
"""

from __future__ import annotations

import contextlib
import logging
import math
import mmap
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import orjson

from proxy.stores.shared.mapping import TAKEN, opened
from proxy.tally import WIDTH, Series

if sys.platform != "win32":
    import fcntl

logger = logging.getLogger(__name__)

MAGIC: Final = b"tally 01"
HEAD: Final = 1024
TEXT: Final = 512
"""Bytes of a series' name, which ends with the first zero."""

ROW: Final = TEXT + 8 * WIDTH
ROWS: Final = 2047
SIZE: Final = HEAD + ROWS * ROW
USED: Final = 3
"""The word of the head with the number of rows in use."""

FILES: Final = 64
"""Workers that may have a file at a time."""

LOST: Final = 8
"""Where what finds no room is counted: behind the words of the head."""


class Tally:
    """A `proxy.tally.Tally` in a file of the folder `data`; without one it is of this process alone."""

    def __init__(self, data: Path | None = None) -> None:
        self._data = data
        self._file = -1
        self._path: Path | None = None
        self._places: dict[tuple[str, ...], int] = {}
        if data is None or not self._open(data):
            self._map(mmap.mmap(-1, SIZE))
        self._adopt()

    def place(self, kind: str, *labels: str) -> int:
        name = (kind, *labels)
        found = self._places.get(name)
        if found is not None:
            return found
        used = int(self._words[USED])
        try:
            text = orjson.dumps(name)
        except TypeError:  # a lone surrogate
            return LOST
        if not 0 <= used < ROWS or len(text) >= TEXT:
            return LOST
        at = HEAD + used * ROW
        self._bytes[at : at + ROW] = text.ljust(ROW, b"\0")
        self._words[USED] = used + 1
        self._places[name] = place = (at + TEXT) // 8
        return place

    def read(self) -> Iterator[Series]:
        yield from _series(bytes(self._bytes), live=True)
        if self._file < 0 or self._data is None:
            return
        head = bytes(self._bytes[:16])
        for number in range(FILES):
            path = self._data / f"tally.{number}"
            if path != self._path and (content := _content(path, head)) is not None:
                yield from _series(*content)

    def close(self) -> None:
        """Let another take the file over; nothing is to be counted from then on."""
        if self._file < 0:
            return
        self._settle()
        self._map(mmap.mmap(-1, SIZE))
        self._places.clear()
        os.close(self._file)
        self._file, self._path = -1, None

    def _open(self, data: Path) -> bool:
        try:
            if sys.platform == "win32":
                raise OSError("this system has no flock")
            for number in range(FILES):
                path = data / f"tally.{number}"
                try:
                    self._file = self._fresh(path, opened(path, SIZE, MAGIC, 0))
                except OSError as error:
                    if error.errno in TAKEN:
                        continue
                    raise
                self._path = path
                self._map(mmap.mmap(self._file, SIZE))
                return True
            raise OSError(f"{FILES} processes have theirs")
        except (OSError, ValueError) as error:
            logger.warning("%s cannot be used (%s): /metrics tells of one worker only", data / "tally.*", error)
            if self._file >= 0:
                os.close(self._file)
                self._file = -1
            return False

    def _fresh(self, path: Path, file: int) -> int:
        """A file that is more than half full, perhaps of names that are no more, makes room for another."""
        (used,) = struct.unpack_from("=q", os.pread(file, 8, 8 * USED))
        if 0 <= used <= ROWS // 2:
            return file
        path.unlink()
        os.close(file)
        return opened(path, SIZE, MAGIC, 0)

    def _map(self, memory: mmap.mmap) -> None:
        self._bytes = memoryview(memory)
        self._words = self._bytes.cast("q")
        self.cells = self._bytes.cast("d")

    def _adopt(self) -> None:
        """Know the rows that are there already."""
        for index, name in _names(bytes(self._bytes)):
            self._places[name] = (HEAD + index * ROW + TEXT) // 8
        self._settle()

    def _settle(self) -> None:
        """How it stands now is nothing that outlasts a process."""
        for name, place in self._places.items():
            if name[0] == "now":
                self.cells[place] = 0.0


def _content(path: Path, head: bytes) -> tuple[bytes, bool] | None:
    """Another process's file, and whether that process still runs; None if it cannot be read."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        content = os.pread(file, SIZE, 0)
        if len(content) != SIZE or not content.startswith(head):
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return content, True
        return content, False
    except OSError:
        return None
    finally:
        os.close(file)


def _names(content: bytes) -> Iterator[tuple[int, tuple[str, ...]]]:
    (used,) = struct.unpack_from("=q", content, 8 * USED)
    for index in range(min(max(used, 0), ROWS)):
        at = HEAD + index * ROW
        with contextlib.suppress(ValueError, TypeError):
            name = tuple(orjson.loads(content[at : at + TEXT].rstrip(b"\0")))
            if name and all(isinstance(word, str) for word in name):
                yield index, name


def _series(content: bytes, live: bool) -> Iterator[Series]:
    for index, (kind, *labels) in _names(content):
        values = struct.unpack_from(f"={WIDTH}d", content, HEAD + index * ROW + TEXT)
        kept = tuple(value if math.isfinite(value) and value >= 0 else 0.0 for value in values)
        yield Series(kind, tuple(labels), kept, live)
