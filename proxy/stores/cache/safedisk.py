"""How diskcache turns rows into values and back, for a folder that somebody else may have written.

What must stay true: of a row's columns only the value's bytes are used, and those are for the caller to check. No mode
but bytes is read, nothing is unpickled, and a file name leads to a regular file inside the folder or nowhere.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
import stat
from typing import Any

import diskcache
from diskcache.core import MODE_BINARY, MODE_RAW, UNKNOWN

NAME = re.compile(r"[0-9a-f]{2}[/\\][0-9a-f]{2}[/\\][0-9a-f]{28}\.val")
"""The file names that `diskcache.Disk.filename` makes."""

LARGEST_FILE = 65 * 2**20
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
NO_WAIT = getattr(os, "O_NONBLOCK", 0)


class Refused(Exception):
    """A row that this gateway cannot have written."""


class SafeDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache has no types
    """Bytes in, bytes out. Every public method of `Disk` that reads or writes is replaced."""

    def put(self, key: bytes) -> tuple[memoryview, bool]:
        if type(key) is not bytes:
            raise TypeError("a cache key is bytes")
        return sqlite3.Binary(key), True

    def get(self, key: Any, raw: Any) -> bytes:
        if not raw or type(key) is not bytes:
            raise Refused("a key that is not bytes")
        return key

    def store(self, value: bytes, read: bool, key: Any = UNKNOWN) -> tuple[int, int, str | None, memoryview | None]:
        if type(value) is not bytes or read:
            raise TypeError("a cache value is bytes")
        if len(value) < self.min_file_size:
            return 0, MODE_RAW, None, sqlite3.Binary(value)
        filename, path = self.filename(key, value)
        _write(path, value)
        return len(value), MODE_BINARY, filename, None

    def fetch(self, mode: Any, filename: Any, value: Any, read: bool) -> bytes:
        if read:
            raise Refused("values are not handed out as files")
        if mode == MODE_RAW and type(value) is bytes:
            return value
        if mode == MODE_BINARY and value is None:
            return _read(self._inside(filename))
        raise Refused("a value that is not bytes")

    def remove(self, file_path: Any) -> None:
        # Called after the transaction: the row that named a foreign file is gone, and the file stays.
        with contextlib.suppress(Refused):
            self._inside(file_path)
            super().remove(file_path)

    def _inside(self, filename: Any) -> str:
        """The path of a value file, or `Refused` if the name, or a link on its way, leads anywhere else."""
        if not isinstance(filename, str) or NAME.fullmatch(filename) is None:
            raise Refused("a file name that is not ours")
        path = os.path.join(self._directory, filename)
        if os.path.realpath(path) != os.path.join(os.path.realpath(self._directory), filename):
            raise Refused("a file name that leads elsewhere")
        return path


def _read(path: str) -> bytes:
    """The bytes of a regular file: a pipe would block the event loop for ever. A missing file is an `OSError`."""
    try:
        handle = os.open(path, os.O_RDONLY | NO_FOLLOW | NO_WAIT)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise Refused("a value file that cannot be opened") from error
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode) or found.st_size > LARGEST_FILE:
            raise Refused("a value file that is not ours")
        with open(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def _write(path: str, value: bytes) -> None:
    for attempt in range(10):
        for directory in (os.path.dirname(os.path.dirname(path)), os.path.dirname(path)):
            with contextlib.suppress(FileExistsError, FileNotFoundError):
                os.mkdir(directory, 0o700)
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | NO_FOLLOW, 0o600)
            break
        except FileNotFoundError:
            # Another process removed a directory, empty for a moment, before the file was in it.
            if attempt == 9:
                raise
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(value)
    except OSError:
        os.unlink(path)
        raise
