"""`log import`: rows from files into the log.

What must stay true: a file is taken whole or, where a line of it is wrong, not at all; a row keeps its id, so that
taking it again changes nothing; what the config omits is not written, wherever it comes from; a line is in memory, and
not the file.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from proxy.commands import config_option, data_option
from proxy.places import config_path, data_folder, private

if TYPE_CHECKING:
    from proxy.models import LogPolicy
    from proxy.record import Record

AT_ONCE = 500
"""Rows that are on their way to the disk at a time."""

TOLD = 10
"""Lines at fault that are told before the rest is only counted."""

LARGEST = 64 * 2**20
"""Bytes of a line, or of a file that is one JSON document."""

DEEPEST = 1000
"""Levels of JSON: a tree of logs has two for each of its own."""


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@config_option
@data_option
@click.option("--check", "only_check", is_flag=True, help="Read and check the file, and write nothing.")
def intake(file: Path, path: Path | None, data: Path | None, only_check: bool) -> None:
    """Take rows from FILE into the log, which a gateway may be using.

    Read are the rows of `log export`, one a line, and Parea's trace logs: one a line or in one JSON document, as trees
    or page by page, as its API gives them. Rows that are there already, by their ids, are the same afterwards.
    """
    from proxy.commands import load

    path = config_path(path)
    config = load(path)
    omit = config.log.omit
    total = _check(file)
    if not only_check:
        from proxy.models import LogPolicy

        policy = LogPolicy(inputs=omit in ("none", "outputs"), outputs=omit in ("none", "inputs"))
        asyncio.run(_write(file, private(data_folder(data, path)) / "traces.db", policy))
    click.echo(f"{total} rows {'can be read' if only_check else 'imported'} from {file}")


def _check(file: Path) -> int:
    """How many rows a file has. Raises `ConfigError` with the lines that are wrong, and why."""
    from proxy.commands.log.progress import Progress
    from proxy.errors import ConfigError, RequestError
    from proxy.terminal import clean

    total, wrong, told = 0, 0, []
    with Progress("checking") as progress:
        for number, text, share in _lines(file):
            try:
                total += sum(1 for _ in _records(text))
            except RequestError as error:
                wrong += 1
                where = f"line {number}: " if number else ""
                told += [clean(f"  {where}{error.message.removeprefix('the body ')}")] if wrong <= TOLD else []
            progress.tell(share, total)
    if wrong:
        more = f"\n  and {wrong - TOLD} more" if wrong > TOLD else ""
        raise ConfigError(f"{file}: nothing was imported\n" + "\n".join(told) + more)
    return total


async def _write(file: Path, path: Path, policy: LogPolicy) -> None:
    from proxy.commands.log.progress import Progress
    from proxy.errors import ConfigError
    from proxy.middleware.omit import omit
    from proxy.stores.sqlite import SQLiteLog

    log = SQLiteLog(path)
    written, waiting = 0, []
    try:
        with Progress("importing") as progress:
            for _, text, share in _lines(file):
                for record in _records(text):
                    record.policy = policy
                    waiting.append(log.append(omit(record)))
                    if len(waiting) < AT_ONCE:
                        continue
                    written += sum(await asyncio.gather(*waiting))
                    waiting.clear()
                    progress.tell(share, written)
            await asyncio.gather(*waiting)
        health = await log.health()
    finally:
        await log.close()
    if health["dropped"]:
        raise ConfigError(f"{health['dropped']} rows could not be written: {health['reason']}; import the file again")


def _lines(file: Path) -> Iterator[tuple[int, bytes, float]]:
    """Each line with its number and how much of the file was read with it; a file that is one document as a whole, with
    no number.
    """
    from proxy.errors import ConfigError

    if not file.is_file():
        raise ConfigError(f"{file}: is read twice, and so has to be a file: write what comes into one first")
    if not (size := os.stat(file).st_size):
        return  # what an export without a row writes
    with file.open("rb") as lines:
        if _is_document(lines.readline(LARGEST)):
            if size > LARGEST:
                raise ConfigError(f"{file}: one JSON document of {size:,} bytes: give one log a line instead")
            lines.seek(0)
            yield 0, lines.read(), 1.0
            return
        lines.seek(0)
        done = number = 0
        while text := lines.readline(LARGEST + 1):
            number, done = number + 1, done + len(text)
            if len(text) > LARGEST:
                raise ConfigError(f"{file}: line {number} has more than {LARGEST:,} bytes")
            if text.strip():
                yield number, text, done / size


def _is_document(first: bytes) -> bool:
    """Whether a first line is the beginning of a JSON value that goes on behind it."""
    try:
        orjson.loads(first)
    except orjson.JSONDecodeError as error:
        return (
            error.msg.startswith(("unexpected end", "input data is empty", "input is a zero-length"))
            or not first.strip()
        )
    return False


def _records(text: bytes) -> Iterator[Record]:
    """The rows in a line. Raises `RequestError`."""
    from proxy.body import loads
    from proxy.dialects.archive import records

    return records(loads(text, DEEPEST))
