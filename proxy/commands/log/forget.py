"""`log forget`: what was logged of a person goes, out of the log and the cache, and the files are searched for it.

What must stay true: the cache's entries go before the rows that tell them; nothing is said to be gone that was not
looked for; what keys have spent stays.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from proxy.commands import config_option, data_option, json_option, load, print_json
from proxy.commands.log import proof as proofs
from proxy.commands.log.proof import Proof, counted, prove
from proxy.errors import ConfigError
from proxy.places import config_path, data_folder

if TYPE_CHECKING:
    from proxy.config import Config
    from proxy.stores.erasure.forgetting import Asked, Chosen, Forgetting


@click.command()
@click.option("--end-user", metavar="ID", help="All rows that name this person, and what hangs below them.")
@click.option("--id", "trace_id", metavar="ID", help="This row and what hangs below it; a tree by its id.")
@click.option("--session", metavar="ID", help="All rows of this session, and what hangs below them.")
@click.option("--where", metavar="SQL", help="All rows of which this holds, and what hangs below them.")
@click.option("--trees", is_flag=True, help="All of each tree with such a row: also what is above and beside.")
@click.option("--check", "only_check", is_flag=True, help="Only tell what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@data_option
@json_option
def forget(only_check: bool, yes: bool, path: Path | None, data: Path | None, as_json: bool, **meant: Any) -> None:
    """Remove what was logged of a person, for good, and prove it.

    Rows go with their messages, edits and cached answers; a gateway may be running. Then every file of the data folder
    is searched for the person's id and for the texts that only these rows had. Exits with 1 if anything is found, and
    if there is nobody of this id.

    \b
    Examples:
      parea-proxy log forget --end-user alice@example.com --check
      parea-proxy log forget --end-user alice@example.com --yes
      parea-proxy log forget --id 0190d3f2-...
    """
    import asyncio

    from proxy.stores.erasure.forgetting import Asked, Forgetting

    _check(meant)
    path = config_path(path)
    config, folder = load(path), data_folder(data, path)
    asked = Asked(**meant)
    with _explained(folder, lambda: 0):
        log = Forgetting(folder / "traces.db")
        chosen = log.choose(asked)
    told = {"rows": len(chosen.ids), "edits": len(chosen.edits), "rows_beside": chosen.beside}
    if not chosen:
        _nobody(config, folder, log, asked, chosen, as_json, only_check)
    if only_check:
        _print(told, as_json, "would be removed")
        return
    if not yes:
        click.confirm(
            f"{counted(len(chosen.ids), *WORDS['rows'])} will be removed for good. Go on?", abort=True, err=True
        )
    told |= _remove(config, folder, log, chosen, asked)
    with _explained(folder, lambda: told["rows"]):
        proof = asyncio.run(prove(folder, log, chosen.needles, partial(_uncache, config, folder)))
        back = log.named(asked)
    _report(config, told, proof, back, as_json)


def _check(meant: dict[str, Any]) -> None:
    if sum(meant[name] is not None for name in ("end_user", "trace_id", "session", "where")) != 1:
        raise click.UsageError("say whose rows: one of --end-user, --id, --session and --where")
    if not next(value for name, value in meant.items() if name != "trees" and value is not None):
        raise click.UsageError("nobody has an empty id")
    if any("\ud800" <= one <= "\udfff" for value in meant.values() if isinstance(value, str) for one in value):
        raise click.UsageError("an id is text in UTF-8")


def _report(config: Config, told: dict[str, int], proof: Proof, back: int, as_json: bool) -> None:
    """Print what came of it; exits with 1 if that is no proof."""
    if as_json:
        print_json(told | {"came_meanwhile": back, "proof": proofs.told(proof)})
    else:
        _print(told, False, "removed")
        proofs.show(proof)
        if config.cache.store == "memory":
            click.echo("cache.store is memory: a gateway that runs forgets its answers when it ends")
    trouble = proofs.complaints(proof)
    if back:
        trouble.append(f"{back} rows are there that came meanwhile, or could not be removed: run it again")
    if trouble or not proof.holds:
        click.echo("\n".join(trouble), err=True, nl=bool(trouble))
        click.get_current_context().exit(1)


def _remove(config: Config, folder: Path, log: Forgetting, chosen: Chosen, asked: Asked) -> dict[str, int]:
    """Remove what was chosen; how much that was."""
    import asyncio

    from proxy.commands.log.progress import Progress

    removed = 0
    with _explained(folder, lambda: removed), Progress("removing") as progress:

        def tell(rows: int) -> None:
            nonlocal removed
            removed = rows
            progress.tell(rows / max(len(chosen.ids), 1), rows)

        entries = asyncio.run(_uncache(config, folder, _meant(chosen, folder)))
        messages = log.messages()
        rows = log.remove(chosen, asked, tell)
        return {"cache_entries": entries, "rows": rows, "messages": max(0, messages - log.messages())}


@contextmanager
def _explained(folder: Path, removed: Callable[[], int]) -> Iterator[None]:
    """What SQLite or the disk does not let be done is told in a line, and how many rows had gone by then."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        reason = getattr(error, "strerror", None) or error
        gone = f"{counted(removed(), *WORDS['rows'])} had been removed" if removed() else "no row was removed"
        advice = ": make room, and run it again" if "full" in str(reason) or "space" in str(reason) else ""
        raise ConfigError(f"the trace log in {folder}: {reason}; {gone}{advice}") from error


def _nobody(
    config: Config, folder: Path, log: Forgetting, asked: Asked, chosen: Chosen, as_json: bool, only_check: bool
) -> NoReturn:
    """Tell that no row is meant, which proves nothing; files are searched for the id of a person all the same."""
    import asyncio

    context = click.get_current_context()
    what = {
        "no row is of this person": asked.end_user,
        "no row has this id": asked.trace_id,
        "no row is of this session": asked.session,
        "no row meets this condition": asked.where,
    }
    said = "; ".join(f"{words}: {value}" for words, value in what.items() if value is not None)
    alike = log.alike(asked.end_user) if asked.end_user is not None else []
    proof = None
    if asked.end_user is not None and not only_check:

        async def uncache(meant: Callable[[bytes, bytes], bool]) -> int:
            return await _uncache(config, folder, lambda key, value: meant(key, value) and False)

        proof = asyncio.run(prove(folder, log, chosen.needles, uncache))
    if as_json:
        print_json({"rows": 0, "nobody": True, "alike": alike, "proof": proofs.told(proof) if proof else None})
    elif proof:
        proofs.show(proof)
    lines = proofs.complaints(proof) if proof else []
    lines.append(f"{said}. Nothing was removed, and nothing is proved")
    if alike:
        lines.append(f"there is {', '.join(alike[:3])}, which differs in the case of letters only")
    click.echo("\n".join(lines), err=True)
    context.exit(1)


def _meant(chosen: Chosen, folder: Path) -> Callable[[bytes, bytes], bool]:
    """Which entries of the cache the rows made or read."""
    from proxy.middleware.entry import decode
    from proxy.middleware.fingerprint import entry_name
    from proxy.middleware.trace import output_of
    from proxy.stores.cache.seal import SIZE
    from proxy.stores.keyfile import load_key

    secret = load_key(folder / "cache.key")

    def meant(key: bytes, value: bytes) -> bool:
        name = entry_name(key, secret)
        if name in chosen.entries:
            return True
        entry = decode(value[SIZE:]) if chosen.answers else None
        return entry is not None and output_of(entry.completion.choices) in chosen.answers

    return meant


async def _uncache(config: Config, folder: Path, meant: Callable[[bytes, bytes], bool]) -> int:
    from proxy import plugins
    from proxy.stores.cache.purge import Forgetful

    if config.cache.store == "diskcache" and not (folder / "cache").is_dir():
        return 0
    store = plugins.make("stores.cache", config.cache.store, "cache_store", folder, config.cache)
    try:
        return await store.forget(meant) if isinstance(store, Forgetful) else 0
    finally:
        await store.close()


def _print(told: dict[str, int], as_json: bool, verb: str) -> None:
    if as_json:
        print_json(told)
        return
    parts = [counted(told[name], *word) for name, word in WORDS.items() if told.get(name) or name == "rows"]
    click.echo(f"{verb}: {', '.join(parts)}")
    if told["rows_beside"]:
        click.echo(f"left in the same trees: {counted(told['rows_beside'], *WORDS['rows'])}, which --trees takes too")


WORDS = {
    "rows": ("row", "rows"),
    "edits": ("edit without a row", "edits without a row"),
    "messages": ("message that nobody else said", "messages that nobody else said"),
    "cache_entries": ("cache entry", "cache entries"),
}
