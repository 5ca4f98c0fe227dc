"""The proof of `log forget`: every file of the data folder is searched, and what was not looked for is told.

What must stay true: nothing is said to be gone that was not looked for, and nothing to be there that is somebody
else's. What nobody can tell is told as that, and proves nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from proxy.stores.erasure.forgetting import Forgetting
    from proxy.stores.erasure.residue import Find, Needles

Uncache = Callable[[Callable[[bytes, bytes], bool]], Awaitable[int]]
"""Drops entries of the cache."""

LOG = ("traces.db", "traces.db-wal", "traces.db-shm")
OWN = ("plans.json", "board", "cache.key")
"""The gateway's own besides, in which a short id is a number or a word like any other."""

NAMED = 3
"""Files of a kind that are named."""


@dataclass(slots=True)
class Left:
    """What a file has: so many texts, the id, or bytes that may be part of a longer word or code."""

    texts: int = 0
    name: bool = False
    perhaps: bool = False

    def __bool__(self) -> bool:
        return bool(self.texts or self.name or self.perhaps)


@dataclass(slots=True)
class Proof:
    """What the search came to: what is `left`, by files. Texts were `short` or `beyond` the limit; `shared` ones are
    all in rows that stay, `rows` of which have the id, `some` by their ids. The id is `hidden` in unused parts of files
    where what stays has it in it, and a command removes them. `unsaid` are files in which it is too short to be told,
    `closed` those that nobody could look into.
    """

    files: int = 0
    size: int = 0
    name: bool = False
    texts: int = 0
    short: int = 0
    beyond: int = 0
    shared: int = 0
    rows: int = 0
    some: list[str] = field(default_factory=list)
    hidden: dict[str, str] = field(default_factory=dict)
    name_size: int = 0
    unsaid: list[str] = field(default_factory=list)
    closed: dict[str, str] = field(default_factory=dict)
    left: dict[str, Left] = field(default_factory=dict)
    unread: bool = False
    """Whether one of those could not be read, though it should."""
    trouble: str | None = None

    @property
    def holds(self) -> bool:
        return not (self.left or self.trouble or self.unread)


async def prove(folder: Path, log: Forgetting, needles: Needles, uncache: Uncache) -> Proof:
    """Search all files; what lies in unused parts of the databases is removed by making them anew, once."""
    from proxy.commands.log.progress import Progress

    proof = Proof(name=needles.name is not None, short=needles.short, beyond=needles.beyond)
    proof.name_size = needles.name.size if needles.name else 0
    found = _search(folder, needles, proof)
    with Progress("comparing with the rows that stay") as progress:
        living = log.living(needles, progress.tell)
    proof.texts = needles.count_without(living.places)
    proof.shared, proof.rows, proof.some = needles.texts - proof.texts, living.rows, living.some
    needles.drop(living.places)
    known = Known(living.places, living.part)
    left = [file for file, find in found.items() if _left(file, find, known, needles)]
    anew = False
    if left:
        residue = needles.among({place for find in found.values() for place in find.places} - living.places)
        try:
            if any(map(_cached, left)):
                known.cached = await _uncached(uncache, residue)
            if any(file in LOG for file in left):
                with Progress("making the file anew") as progress:
                    progress.begin()
                    anew = log.rewrite()
        except (sqlite3.Error, OSError) as error:
            proof.trouble = f"what lies unused in the databases could not be removed: {error}"
        found = _search(folder, needles, proof)
    proof.left = {file: rest for file, find in found.items() if (rest := _left(file, find, known, needles))}
    with_it = [file for file, find in found.items() if find.part]
    if known.logged and not anew and any(file in LOG for file in with_it):
        proof.hidden["traces.db"] = "log vacuum"
    if known.cached and any(map(_cached, with_it)):
        proof.hidden["the cache"] = "cache clear"
    return proof


@dataclass(slots=True)
class Known:
    """What need not be the person's: `places` in rows that stay, and whether rows, or entries of the cache, have the
    id's bytes in them. Nobody can tell then whose they are elsewhere in the same file.
    """

    places: set[bytes]
    logged: bool
    cached: bool = False


async def _uncached(uncache: Uncache, residue: Needles) -> bool:
    """Drop the entries that have the texts, or the id as a word; whether others have the id in a longer one."""
    name, longer = residue.name, False

    def meant(_: bytes, value: bytes) -> bool:
        nonlocal longer
        if residue.within(value) or (name is not None and not name.short and name.whole(value)):
            return True
        longer = longer or (name is not None and name.part(value))
        return False

    await uncache(meant)
    return longer


def _cached(file: str) -> bool:
    return file.startswith("cache/")


def _left(file: str, find: Find, known: Known, needles: Needles) -> Left:
    texts = needles.count(find.places - known.places)
    if file in LOG:
        # Its records have no blanks between texts. Rows were compared by their values, and tell whose the bytes are.
        return Left(texts, (find.name or find.part) and not known.logged)
    if _cached(file) and known.cached:
        return Left(texts)
    perhaps = find.part and not find.name and not (file in OWN and needles.name is not None and needles.name.short)
    return Left(texts, find.name, perhaps)


def _search(folder: Path, needles: Needles, proof: Proof) -> dict[str, Find]:
    """What the files have, by their names in the folder."""
    from proxy.commands.log.progress import Progress
    from proxy.stores.erasure.residue import files, links

    found: dict[str, Find] = {}
    every = list(files(folder))
    total = sum(file.stat().st_size for file in every) or 1
    proof.files, proof.size, proof.unsaid = 0, 0, []
    proof.closed = {str(link.relative_to(folder)): "is a link to elsewhere" for link in links(folder)}
    with Progress("searching", "MB") as progress:
        for file in every:
            told = str(file.relative_to(folder))
            try:
                find = needles.search(
                    file, lambda size: progress.tell((proof.size + size) / total, (proof.size + size) >> 20)
                )
            except FileNotFoundError:  # another process's, for a moment
                continue
            except OSError as error:
                proof.closed[told], proof.unread = f"cannot be read: {error.strerror}", True
                continue
            proof.files, proof.size = proof.files + 1, proof.size + find.size
            if find.packed:
                proof.closed[told] = "is compressed"
            if find.unsaid and find.size:
                proof.unsaid.append(told)
            if find.places or find.name or find.part:
                found[told] = find
    return found


def show(proof: Proof) -> None:
    """Print what was searched, and what was not."""
    texts = counted(proof.texts, "text", "texts")
    sought = " and ".join(["the id"] * proof.name + [texts] * (proof.texts > 0 or not proof.name))
    outcome = f"found in {counted(len(proof.left), 'file', 'files')}" if proof.left else "0 found"
    click.echo(f"searched: {proof.files} files, {proof.size:,} bytes, for {sought}: {outcome}")
    for line in _limits(proof):
        click.echo(line)
    if proof.shared:
        click.echo(f"{counted(proof.shared, 'other text is', 'other texts are')} in rows that stay as well")
    if proof.rows:
        more = ", ..." if proof.rows > len(proof.some) else ""
        rows = counted(proof.rows, "row that stays", "rows that stay")
        click.echo(f"the id stands in {rows}: {', '.join(proof.some)}{more}")


def _limits(proof: Proof) -> list[str]:
    from proxy.stores.erasure.residue import MOST, SHORTEST

    lines = []
    if proof.short:
        texts = counted(proof.short, "text", "texts")
        lines.append(f"not looked for: {texts} without {SHORTEST} bytes in one piece, which anybody may say")
    if proof.beyond:
        lines.append(f"not looked for: {counted(proof.beyond, 'text', 'texts')} beyond the first {MOST:,} pieces")
    if proof.unsaid:
        lines.append(
            f"not looked for: the id, too short with {proof.name_size} bytes, in files that are no text"
            f" ({_named(proof.unsaid)}): the values of the log's rows were compared, and parea-proxy log vacuum removes"
            " what lies unused beside them"
        )
    lines += [
        f"not looked for: the id in unused parts of {file}, since what stays there has it in it: parea-proxy {command}"
        " removes what lies there"
        for file, command in proof.hidden.items()
    ]
    lines += [f"not looked into: {file}, which {why}" for file, why in proof.closed.items()]
    return lines


def _named(files: list[str]) -> str:
    return ", ".join(files[:NAMED]) + (f" and {len(files) - NAMED} others" if len(files) > NAMED else "")


def told(proof: Proof) -> dict[str, Any]:
    """The proof for JSON."""
    return {
        "holds": proof.holds,
        "files": proof.files,
        "bytes": proof.size,
        "id": proof.name,
        "texts": proof.texts,
        "texts_too_short": proof.short,
        "texts_beyond_limit": proof.beyond,
        "id_not_looked_for": proof.unsaid + [f"unused parts of {file}" for file in proof.hidden],
        "not_looked_into": proof.closed,
        "shared": proof.shared,
        "rows_with_id": proof.rows,
        "found": {
            file: {"id": left.name, "texts": left.texts, "perhaps": left.perhaps} for file, left in proof.left.items()
        },
        "trouble": proof.trouble,
    }


def complaints(proof: Proof) -> list[str]:
    """What is left, and what to do about it."""
    lines = [proof.trouble] if proof.trouble else []
    for file, left in proof.left.items():
        what = ["the id"] * left.name + [counted(left.texts, "of the texts", "of the texts")] * (left.texts > 0)
        if what:
            lines.append(f"still in {file}: {' and '.join(what)}. {_advice(file)}")
        else:
            lines.append(f"may be in {file}: the id, or the same bytes of something else: look at it. {_advice(file)}")
    return lines


def _advice(file: str) -> str:
    if file in LOG[1:]:
        return "Close what reads the log, then run parea-proxy log vacuum, which empties it"
    if file in LOG:
        return "What came meanwhile may say the same: run parea-proxy log vacuum, and look for it with log --search"
    if _cached(file):
        return "Run parea-proxy cache clear"
    if file in OWN or file.startswith("tally."):
        return "It has names of models, projects and keys: where it is the person's, stop the gateway and remove it"
    return "It is none of the gateway's files: remove it yourself"


def counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
