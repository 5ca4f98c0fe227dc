"""What is read twice and is no file that can be: standard input, a pipe, a file that is packed.

What must stay true: it is whole on the disk while it is read, its owner's alone, and gone afterwards.
"""

from __future__ import annotations

import contextlib
import gzip
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, BinaryIO, cast

from proxy.commands.log import watchdog

PACKED = b"\x1f\x8b"
"""How gzip's files begin."""

STDIN = Path("-")


def name_of(path: Path) -> str:
    """What a file is called, for people."""
    return "stdin" if path == STDIN else str(path)


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """The file at `path`, or a copy of what comes there, unpacked. Raises `ConfigError`, by the name that was given."""
    from proxy.errors import ConfigError

    if path != STDIN and path.is_file():
        with path.open("rb") as file:
            if file.read(len(PACKED)) != PACKED:
                yield path
                return
    with contextlib.ExitStack() as held:
        held.enter_context(watchdog.leaving())
        copy = held.enter_context(tempfile.NamedTemporaryFile(prefix="parea-proxy-import-"))
        held.enter_context(watchdog.unfinished(copy.name))
        try:
            _fill(copy, path)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ConfigError(f"{name_of(path)}: cannot be unpacked: {error}") from None
        except OSError as error:
            raise ConfigError(f"{name_of(path)}: cannot be copied to {copy.name}: {error.strerror}") from None
        try:
            yield Path(copy.name)
        except ConfigError as error:
            raise ConfigError(error.message.replace(copy.name, name_of(path))) from None


def _fill(copy: IO[bytes], path: Path) -> None:
    with contextlib.ExitStack() as opened:
        source: BinaryIO = sys.stdin.buffer if path == STDIN else opened.enter_context(path.open("rb"))
        first = source.read(len(PACKED))
        if first == PACKED:
            packed = cast(BinaryIO, _Again(first, source))
            source = cast(BinaryIO, opened.enter_context(gzip.GzipFile(fileobj=packed)))
        else:
            copy.write(first)
        shutil.copyfileobj(source, copy)
        copy.flush()


class _Again:
    """A stream that has been begun to read, from its beginning."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        self._first = first
        self._rest = rest

    def read(self, size: int) -> bytes:
        """The next bytes, `size` at most."""
        first, self._first = self._first, b""
        return first or self._rest.read(size)
