"""The index of full-text search for rows that came in by themselves: a gateway that runs would come to them in time."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import click

from proxy.commands.log.progress import Progress
from proxy.stores.index.finding import unindexed
from proxy.stores.index.gathered import SPAN
from proxy.stores.index.indexer import index, prepare
from proxy.stores.schema.database import open_writer


def complete(path: Path) -> None:
    """Make the index of all full blocks, beside whoever else does. Without it everything is found as well, later."""
    try:
        with closing(open_writer(path)) as connection, Progress("indexing") as progress:
            prepare(connection)
            rows, done = unindexed(connection), 0
            while index(connection):
                done = min(done + SPAN, rows)
                progress.tell(done / max(rows, 1), done)
    except sqlite3.Error as error:
        click.echo(f"the rows are there, and their search index is not ({error}): a running gateway makes it", err=True)
