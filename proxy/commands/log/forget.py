"""`log forget`: what was logged of a person goes, out of the log and the cache, and the files are searched for it.

What must stay true: the cache's entries go before the rows that tell them; nothing is said to be gone that was not
looked for; what keys have spent stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxy.commands import config_option, data_option, json_option, load, print_json
from proxy.places import config_path, data_folder

if TYPE_CHECKING:
    from proxy.config import Config
    from proxy.stores.forgetting import Chosen, Forgetting
    from proxy.stores.residue import Needles


@dataclass(slots=True)
class Proof:
    """What the search of all files came to. `left` is what was found, by files; `skipped` texts were not looked for;
    of `shared` pieces other rows have the same; `named` says that rows which stay have the person's id in them.
    """

    files: int = 0
    size: int = 0
    texts: int = 0
    skipped: int = 0
    shared: int = 0
    named: bool = False
    left: dict[str, int] = field(default_factory=dict)


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
    is searched for the person's id and for the texts that only these rows had. Exits with 1 if anything is found.

    \b
    Examples:
      parea-proxy log forget --end-user alice@example.com --check
      parea-proxy log forget --end-user alice@example.com --yes
      parea-proxy log forget --id 0190d3f2-...
    """
    import asyncio

    from proxy.stores.forgetting import Asked, Forgetting

    if sum(meant[name] is not None for name in ("end_user", "trace_id", "session", "where")) != 1:
        raise click.UsageError("say whose rows: one of --end-user, --id, --session and --where")
    if not next(value for name, value in meant.items() if name != "trees" and value is not None):
        raise click.UsageError("nobody has an empty id")
    path = config_path(path)
    config, folder = load(path), data_folder(data, path)
    asked = Asked(**meant)
    log = Forgetting(folder / "traces.db")
    chosen = log.choose(asked)
    told = {"rows": len(chosen.ids), "edits": len(chosen.edits), "rows_beside": chosen.beside}
    if only_check:
        _print(told, as_json, "would be removed")
        return
    if not yes:
        click.confirm(
            f"{_counted(len(chosen.ids), *WORDS['rows'])} will be removed for good. Go on?", abort=True, err=True
        )
    told["cache_entries"] = asyncio.run(_uncache(config, folder, _meant(chosen, folder)))
    messages = log.messages()
    told["rows"] = log.remove(chosen, asked)
    told["messages"] = max(0, messages - log.messages())
    proof = _prove(config, folder, log, chosen.needles)
    back = log.named(asked)
    if as_json:
        print_json(told | {"came_meanwhile": back, "proof": _proof(proof)})
    else:
        _print(told, False, "removed")
        _show(proof, config)
    if proof.left or back:
        click.echo(_trouble(proof, back), err=True)
        click.get_current_context().exit(1)


def _meant(chosen: Chosen, folder: Path) -> Callable[[bytes, bytes], bool]:
    """Which entries of the cache the rows made or read."""
    from proxy.middleware.entry import decode
    from proxy.middleware.fingerprint import entry_name
    from proxy.middleware.trace import output_of
    from proxy.stores.keyfile import load_key
    from proxy.stores.seal import SIZE

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
    from proxy.stores.purge import Forgetful

    if config.cache.store == "diskcache" and not (folder / "cache").is_dir():
        return 0
    store = plugins.make("stores", config.cache.store, "cache_store", folder, config.cache)
    try:
        return await store.forget(meant) if isinstance(store, Forgetful) else 0
    finally:
        await store.close()


def _prove(config: Config, folder: Path, log: Forgetting, needles: Needles) -> Proof:
    """Search all files; what lies in unused parts of the databases is removed by making them anew, once."""
    import asyncio

    proof = Proof(texts=needles.texts, skipped=needles.skipped)
    found = _search(folder, needles, proof)
    every = {place for places in found.values() for place in places}
    living = log.living(needles.among(every))
    proof.shared, proof.named = len(living - {needles.name}), needles.name in living
    needles.drop(living)
    if any(places - living for places in found.values()):
        residue = needles.among(every - living)
        if any(file.is_relative_to(folder / "cache") for file, places in found.items() if places - living):
            asyncio.run(_uncache(config, folder, lambda _, value: bool(residue.within(value))))
        if any(file.name.startswith("traces.db") for file, places in found.items() if places - living):
            log.rewrite()
        found = _search(folder, needles, proof)
    proof.left = {str(file.relative_to(folder)): len(places) for file, places in found.items() if places - living}
    return proof


def _search(folder: Path, needles: Needles, proof: Proof) -> dict[Path, set[bytes]]:
    from proxy.commands.log.progress import Progress
    from proxy.stores.residue import files

    found, every = {}, list(files(folder))
    total = sum(file.stat().st_size for file in every) or 1
    proof.files, proof.size = 0, 0
    with Progress("searching") as progress:
        for file in every:
            try:
                places, size = needles.search(file)
            except FileNotFoundError:  # another process's, for a moment
                continue
            proof.files, proof.size = proof.files + 1, proof.size + size
            progress.tell(min(proof.size / total, 1.0), proof.files)
            if places:
                found[file] = places
    return found


def _print(told: dict[str, int], as_json: bool, verb: str) -> None:
    if as_json:
        print_json(told)
        return
    parts = [_counted(told[name], *word) for name, word in WORDS.items() if told.get(name) or name == "rows"]
    click.echo(f"{verb}: {', '.join(parts)}")
    if told["rows_beside"]:
        click.echo(f"left in the same trees: {_counted(told['rows_beside'], *WORDS['rows'])}, which --trees takes too")


WORDS = {
    "rows": ("row", "rows"),
    "edits": ("edit without a row", "edits without a row"),
    "messages": ("message that nobody else said", "messages that nobody else said"),
    "cache_entries": ("cache entry", "cache entries"),
}


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _show(proof: Proof, config: Config) -> None:
    click.echo(
        f"searched: {proof.files} files, {proof.size:,} bytes, for {proof.texts:,} texts: "
        f"{sum(proof.left.values())} found"
    )
    if proof.skipped:
        click.echo(f"not looked for: {_counted(proof.skipped, 'text', 'texts')}, too short, or too many")
    if proof.shared:
        click.echo(f"{proof.shared:,} places of these texts are in rows that stay, since others said the same")
    if proof.named:
        click.echo("the id stands in rows that stay: parea-proxy log --search tells where")
    if config.cache.store == "memory":
        click.echo("cache.store is memory: a gateway that runs forgets its answers when it ends")


def _proof(proof: Proof) -> dict[str, Any]:
    return {
        "files": proof.files,
        "bytes": proof.size,
        "texts": proof.texts,
        "texts_not_looked_for": proof.skipped,
        "shared": proof.shared,
        "id_in_other_rows": proof.named,
        "found": proof.left,
    }


def _trouble(proof: Proof, back: int) -> str:
    lines = [f"{count} of the texts are still in {file}" for file, count in proof.left.items()]
    if back:
        lines.append(f"{back} rows are there that came meanwhile, or could not be removed: run it again")
    return "\n".join(lines)
