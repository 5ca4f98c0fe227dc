"""A file of a fixed size that processes map into their memory, as it is before it is mapped.

What must stay true: the file is its owner's alone; all of its bytes are on the disk, since a full disk ends the
process that finds out by a page; one that somebody has mapped is never made shorter, which would end him: what cannot
be used is taken out of the folder, and another one put there.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
import time
from pathlib import Path
from typing import Final

if sys.platform != "win32":
    import fcntl

TAKEN: Final = frozenset({errno.EAGAIN, errno.EACCES, errno.EWOULDBLOCK})
"""What `flock` says where another process holds the lock."""


def opened(path: Path, size: int, magic: bytes, patience: float) -> int:
    """The file at `path`, open and locked: zeros of this machine's present start but for its head, or what others of it
    have written since. It is made anew where it is anything else. Raises `OSError`, also where the lock cannot be had
    within `patience` seconds.
    """
    head = magic + hashlib.blake2b(_boot(), digest_size=8).digest()
    for _ in range(10):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        try:
            if _usable(file, path, size, head, patience):
                return file
        except BaseException:
            os.close(file)
            raise
        os.close(file)
    raise OSError("it is replaced again and again")


def _usable(file: int, path: Path, size: int, head: bytes, patience: float) -> bool:
    found = os.fstat(file)
    if not stat.S_ISREG(found.st_mode):
        raise OSError("it is no regular file")
    os.fchmod(file, 0o600)
    _lock(file, patience)
    # whoever held the lock before may have put another file in its place
    try:
        if not os.path.samestat(found, path.stat()):
            return False
    except FileNotFoundError:
        return False
    if os.fstat(file).st_size == 0:
        _fill(file, size, head)
    if os.fstat(file).st_size == size and os.pread(file, len(head), 0) == head:
        return True
    path.unlink()
    return False


def _lock(file: int, patience: float) -> None:
    end = time.monotonic() + patience
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno not in TAKEN or time.monotonic() >= end:
                raise
            time.sleep(0.001)


def _fill(file: int, size: int, head: bytes) -> None:
    try:
        rest = memoryview(bytes(size))
        while rest:
            rest = rest[os.pwrite(file, rest, size - len(rest)) :]
        os.pwrite(file, head, 0)
    except OSError:
        os.ftruncate(file, 0)
        raise


def _boot() -> bytes:
    """What names this start of the machine, where the system says; monotonic times are of one start."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        return b""
