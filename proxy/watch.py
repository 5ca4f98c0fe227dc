"""Whether files have changed: by looking at them, now and then.

A look asks the file system for times, sizes and inodes, so it sees what an editor renames into place, a symbolic link
that leads elsewhere, and a change on a network's file system, of which no kernel tells. What must stay true: looks run
in a thread, since a disk may be slow; a file that is being written is left alone until two looks in a row are equal.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

Entry = tuple[str, int, int, int, int, int]
"""A name, the times of the last change of content and of anything, the size, the inode and the device."""

Stamp = tuple[Entry, ...]
"""What a look sees of a file, or of the files in a folder; nothing where there is none."""

UNREAD: Stamp = (("", 0, 0, 0, 0, 0),)
"""The stamp of what was not looked at before it was read: no look finds it."""


def stamps(paths: Iterable[Path]) -> dict[Path, Stamp]:
    """What a look at each of them sees."""
    return {path: _stamp(path) for path in paths}


class Watch:
    """The files and folders that something was read from. `follow` says which; `changed` waits.

    It looks `every` so many seconds; what has changed must be `still` for as many before it counts as written.
    """

    def __init__(
        self,
        *,
        every: float = 1.0,
        still: float = 0.2,
        look: Callable[[Iterable[Path]], Mapping[Path, Stamp]] = stamps,
    ) -> None:
        self._every = every
        self._still = still
        self._look = look
        self._read: dict[Path, Stamp] = {}

    def look(self) -> Mapping[Path, Stamp]:
        """The stamps of now."""
        return self._look(self._read)

    def follow(self, read: Mapping[Path, Stamp]) -> None:
        """Wait for changes of these, which were read when they had these stamps."""
        self._read = dict(read)

    async def changed(self, patience: float | None = None) -> bool:
        """Wait until something is other than when it was read, and still. False when nothing was for `patience`
        seconds.
        """
        loop = asyncio.get_running_loop()
        end = None if patience is None else loop.time() + patience
        seen: Mapping[Path, Stamp] | None = None
        while True:
            await asyncio.sleep(self._every if seen is None else self._still)
            found = await asyncio.to_thread(self.look)
            if found == self._read:
                seen = None
            elif found == seen:
                return True
            else:
                seen = found
            if seen is None and end is not None and loop.time() >= end:
                return False


def read_since(files: Iterable[Path], before: Mapping[Path, Stamp], began: float) -> dict[Path, Stamp]:
    """The stamps that `files` were read with: those of `before`, a look before reading. What nobody had looked at was
    read as it is now, if it has not changed since reading `began`.
    """
    found = {}
    for path in files:
        now = before[path] if path in before else _stamp(path)
        late = path not in before and any(max(changed, touched) > began * 1e9 for _, changed, touched, *_ in now)
        found[path] = UNREAD if late else now
    return found


def _stamp(path: Path) -> Stamp:
    try:
        found = path.stat()
        if not stat.S_ISDIR(found.st_mode):
            return (_entry("", found),)
        with os.scandir(path) as folder:
            names = sorted(entry.name for entry in folder if not entry.name.startswith("."))
    except OSError:
        return ()
    return tuple(entry for name in names for entry in _of(path / name, name))


def _of(path: Path, name: str) -> Stamp:
    """One file of a folder; a folder in it counts as a name, and one that leads nowhere as none."""
    try:
        found = path.stat()
    except OSError:
        return ()
    return ((name, 0, 0, 0, 0, 0),) if stat.S_ISDIR(found.st_mode) else (_entry(name, found),)


def _entry(name: str, found: os.stat_result) -> Entry:
    return name, found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev
