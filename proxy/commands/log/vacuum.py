"""`log vacuum`: the log's file made anew, without what lies unused in it.

What must stay true: a gateway that runs loses no row by it; its rows, and so its answers, wait until it is done. Where
the WAL still has what was removed, that is told.
"""

from __future__ import annotations

import sqlite3

import click

from proxy.commands.log.choice import Choice, reading


@click.command()
@reading
def vacuum(choice: Choice) -> None:
    """Make the file anew: as short as it can be, and from then on shortened by the gateway as rows go.

    A file that was made without `log.keep` needs this once. It takes some ten seconds for each gigabyte, and as much
    room on the disk again for that time; whoever asks a gateway meanwhile waits, so choose a quiet moment.
    """
    from proxy.commands.log.progress import Progress
    from proxy.errors import ConfigError
    from proxy.stores.erasure.forgetting import Forgetting

    before = choice.path.stat().st_size if choice.path.exists() else 0
    try:
        with Progress("making the file anew") as progress:
            progress.begin()
            emptied = Forgetting(choice.path).rewrite()
    except (sqlite3.Error, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"the trace log {choice.path} cannot be made anew: {reason}") from error
    click.echo(f"{before:,} bytes before, {choice.path.stat().st_size:,} now")
    if not emptied:
        click.echo(
            f"{choice.path.name}-wal still has what was before: close what reads the log, and run it again", err=True
        )
        click.get_current_context().exit(1)
