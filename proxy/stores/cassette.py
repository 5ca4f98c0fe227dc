"""A cassette: a folder of recorded calls, one JSON file each, made to be read, edited and kept in version control.

    what-is-the-weather-in-rome-3f2a9c1b07.json      the first answer to a request
    what-is-the-weather-in-rome-3f2a9c1b07.2.json    the second one to an equal request

What must stay true: a file is there whole or not at all; a file is found by the request that it holds, whatever it is
called; one that cannot be used is told by its name before anything is served.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from proxy.errors import ConfigError
from proxy.models import Json
from proxy.recording import Recording, key, read

WORDS, LONGEST = 6, 48
"""Words and characters of a request that its file is named after."""

NUMBER = re.compile(r"\.(\d+)$")

NUMBERS = re.compile(r"\[\n\s+(-?\d[\d.eE+-]*(?:,\n\s+-?\d[\d.eE+-]*)*)\n\s+\]")
"""A list of numbers, such as a vector, each on a line of its own. In no text of JSON's is a line's end."""


class Folder:
    """The recordings in `path`, as they are when it is made, and what is kept later. Raises `ConfigError`."""

    def __init__(self, path: Path, *, make: bool) -> None:
        self.name = path.name
        self._path = path
        self._lock = threading.Lock()
        self._found: dict[str, dict[int, Recording]] = {}
        try:
            if make:
                path.mkdir(parents=True, exist_ok=True)
            files = sorted(each for each in path.iterdir() if each.suffix == ".json")
        except OSError as error:
            hint = "" if make or path.is_dir() else ": record first, with --mode record"
            raise ConfigError(f"--cassette {path}: {error.strerror}{hint}") from None
        if wrong := [problem for file in files if (problem := self._load(file)) is not None]:
            raise ConfigError("\n".join([f"--cassette {path}: restore, mend or delete what cannot be used", *wrong]))

    def find(self, key: str) -> Sequence[Recording]:
        """See `Cassette`."""
        with self._lock:
            found = self._found.get(key, {})
            return [found[number] for number in sorted(found)]

    def all(self) -> Sequence[Recording]:
        """See `Cassette`."""
        with self._lock:
            return [recording for found in self._found.values() for recording in found.values()]

    def keep(self, recording: dict[str, Json], number: int) -> None:
        """See `Cassette`."""
        asked = key(recording["request"])
        name = f"{_slug(recording['request'])}-{asked[:10]}{f'.{number}' if number > 1 else ''}.json"
        _write(self._path / name, recording)
        with self._lock:
            self._found.setdefault(asked, {})[number] = read(recording, name)

    def _load(self, file: Path) -> str | None:
        """Take in a file; returns what is wrong with it."""
        try:
            recording = read(json.loads(file.read_text("utf-8"), object_pairs_hook=_once), file.name)
        except OSError as error:
            return f"  {file.name}: cannot be read: {error.strerror}"
        except json.JSONDecodeError as error:
            return f"  {file.name}, line {error.lineno}: is no JSON: {error.msg}"
        except (ValueError, RecursionError) as error:
            return f"  {file.name}: {error}"
        found = self._found.setdefault(key(recording.request), {})
        number = int(match[1]) if (match := NUMBER.search(file.stem)) else 1
        # a copy under another name comes after what is there
        found[number if number not in found else max(found) + 1] = recording
        return None


def _once(pairs: list[tuple[str, Json]]) -> Json:
    """An object, each key of which is there once: of two nobody could say which is meant."""
    if len(found := dict(pairs)) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)}: is there more than once")
    return found


def _write(file: Path, document: Json) -> None:
    """Write a file whole: another process may be reading it, or writing one of the same name."""
    try:
        told = _text(document, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a surrogate pair has no UTF-8, but an escape
        told = _text(document, ensure_ascii=True).encode()
    handle, temporary = tempfile.mkstemp(prefix=f".{file.stem[:40]}", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as out:
            out.write(told)
        os.replace(temporary, file)
    except BaseException:
        os.unlink(temporary)
        raise


def _text(document: Json, *, ensure_ascii: bool) -> str:
    text = json.dumps(document, indent=2, sort_keys=True, ensure_ascii=ensure_ascii)
    return NUMBERS.sub(lambda found: "[" + " ".join(found[1].split()) + "]", text) + "\n"


def _slug(request: Json) -> str:
    """The first words of what is asked last."""
    words = re.findall(r"[a-z0-9]+", next(_texts(request.get("messages")), "").lower())
    return "-".join(words[:WORDS])[:LONGEST].strip("-") or "call"


def _texts(messages: Json) -> Iterator[str]:
    """The texts of the messages, from the last one of a user's on."""
    flat = [each for one in messages or [] for each in (one if isinstance(one, list) else [one])]
    flat.sort(key=lambda one: one.get("role") == "user")
    for message in reversed(flat):
        content = message.get("content")
        for part in content if isinstance(content, list) else [{"text": content}]:
            if isinstance(part, dict) and isinstance(part.get("text"), str):
                yield part["text"]
