"""The values in a file of JSON, one a line or in one list or object, and the rows in a CSV.

What must stay true: one value is in memory at a time, however long a list is; a value that is wrong raises when it is
asked for, and the next one can still be read, where there are lines.
"""

from __future__ import annotations

import codecs
import csv
import json
import os
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import BinaryIO

import orjson

from proxy.body import loads
from proxy.errors import ConfigError
from proxy.models import Json

LARGEST = 64 * 2**20
"""Bytes of an item, or of a file that is one JSON object."""

DEEPEST = 1000
"""Levels of JSON: a tree of logs has two for each of its own."""

CROWD = 2**20
"""Objects and lists of an item: a page of logs has more of them than a request."""

STEP = 2**18
"""Bytes that are read at a time of a file that is one JSON list."""

_SOLID = re.compile(r"[^ \t\r\n]")

Value = tuple[str, float, Callable[[], Json]]
"""Where a value stands, for people, how much of the file was read with it, and the value, which is read when asked for.
"""


def values(path: Path) -> Iterator[Value]:
    """The JSON values of a file, or the rows of a CSV, each with its place and how much of the file was read."""
    size = max(os.stat(path).st_size, 1)
    with path.open("rb") as file:
        # Windows' own programs begin a text with a mark.
        start = len(BOM_UTF8) if file.read(len(BOM_UTF8)) == BOM_UTF8 else 0
        file.seek(start)
        begins = file.read(STEP).lstrip()[:1]
        file.seek(start)
        if begins == b"[":
            yield from _list(file, size)
            return
        first = file.readline(LARGEST)
        file.seek(start)
        if is_table(first):
            yield from _table(file, size)
        elif not _is_document(first):
            yield from _lines(file, size)
        elif size > LARGEST:
            raise ConfigError(f"{path}: one JSON object of {size:,} bytes: give one log a line instead, or a list")
        else:
            text = file.read()
            yield "", 1.0, lambda: _loaded(text)


def _lines(file: BinaryIO, size: int) -> Iterator[Value]:
    done = number = 0
    while text := file.readline(LARGEST + 1):
        number, done = number + 1, done + len(text)
        if len(text) > LARGEST:
            raise ConfigError(f"{file.name}: line {number} has more than {LARGEST:,} bytes")
        if text.strip():
            yield f"line {number}: ", done / size, lambda text=text: _loaded(text)  # type: ignore[misc]


def _table(file: BinaryIO, size: int) -> Iterator[Value]:
    """The rows of a CSV, as objects; an empty cell says nothing."""
    csv.field_size_limit(LARGEST)
    with TextIOWrapper(file, "utf-8", newline="") as text:
        reader = csv.DictReader(text, restkey="")
        try:
            for row in reader:
                said = {name: cell for name, cell in row.items() if cell != ""}
                yield f"line {reader.line_num}: ", file.tell() / size, lambda said=said: said  # type: ignore[misc]
        except (csv.Error, UnicodeDecodeError) as error:
            raise ConfigError(f"{file.name}: line {reader.line_num + 1}: is no CSV in UTF-8: {error}") from None


def _list(file: BinaryIO, size: int) -> Iterator[Value]:
    """The elements of a JSON list, one by one."""
    elements = _Elements(file)
    for number, text in enumerate(elements, 1):
        yield f"item {number}: ", min(elements.read / size, 1.0), lambda text=text: _loaded(text)  # type: ignore[misc]


class _Elements:
    """The texts of the objects in a list of JSON, or in several; as much is in memory as the largest of them takes."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._text = ""
        self._at = 0
        self._bytes = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._json = json.JSONDecoder()
        self._number = 0
        self.read = 0

    def __iter__(self) -> Iterator[bytes]:
        while self._next():
            self._take("[")
            if self._next() != "]":
                yield self._element()
                while self._next() == ",":
                    self._take(",")
                    yield self._element()
            self._take("]")

    def _element(self) -> bytes:
        self._number += 1
        if self._next() not in ("{", "["):
            raise self._wrong("should be an object")
        step = STEP
        while True:
            try:
                _, end = self._json.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                short = isinstance(error, ValueError) and len(self._text) - self._at <= LARGEST
                if short and self._more(step):
                    step *= 2  # so that a large one is not looked at again and again
                    continue
                raise self._wrong("is not valid JSON, or too large") from None
            found, self._at = self._text[self._at : end], end
            return found.encode("utf-8", "surrogateescape")

    def _next(self) -> str:
        """The next character that is no space, which stays; "" at the end."""
        while True:
            if found := _SOLID.search(self._text, self._at):
                self._at = found.start()
                return found[0]
            self._at = len(self._text)
            if not self._more(STEP):
                return ""

    def _take(self, character: str) -> None:
        if self._next() != character:
            raise self._wrong(f"{character} is missing, behind it or before")
        self._at += 1

    def _more(self, size: int) -> bool:
        piece = self._file.read(size)
        self.read += len(piece)
        self._text, self._at = self._text[self._at :] + self._bytes.decode(piece, not piece), 0
        return bool(piece)

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(f"{self._file.name}: item {self._number}: {what}")


def _is_document(first: bytes) -> bool:
    """Whether a first line is the beginning of a JSON value that goes on behind it."""
    try:
        orjson.loads(first)
    except orjson.JSONDecodeError as error:
        return error.msg.startswith(("unexpected end", "input data is empty", "input is a zero-length"))
    return False


def is_table(first: bytes) -> bool:
    """Whether a first line is the head of a CSV."""
    return b"," in first and first.removeprefix(BOM_UTF8).lstrip(b'" \t')[:1].isalpha()


def _loaded(text: bytes) -> Json:
    return loads(text, DEEPEST, CROWD)
