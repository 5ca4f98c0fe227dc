"""`log import`: rows from files into the log, whichever program wrote them, and prompts into the deployments.

What must stay true: a file is taken whole or, where a part of it is wrong, not at all; a row keeps its id, or gets one
that is the same each time, so that taking it again changes nothing; what the config omits or redacts is not written,
wherever it comes from; an item is in memory, and not the file.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.commands import config_option, data_option
from proxy.commands.log.source import FORMATS
from proxy.places import config_path, data_folder, private

if TYPE_CHECKING:
    from proxy.commands.log.source import Source
    from proxy.config.settings import LogSettings
    from proxy.models import LogPolicy

AT_ONCE = 500
"""Rows that are on their way to the disk at a time."""

TOLD = 10
"""Items at fault that are told before the rest is only counted."""


@click.command("import")
@click.argument("file", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--format", "form", type=click.Choice([*FORMATS, "prompt"]), help="See above. Default: what the content says."
)
@config_option
@data_option
@click.option("--check", "only_check", is_flag=True, help="Read and check the file, and write nothing.")
def intake(file: Path, form: str | None, path: Path | None, data: Path | None, only_check: bool) -> None:
    """Take rows from FILE into the log, which a gateway may be using.

    \b
    jsonl      rows of `log export`, one a line
    parea      Parea's trace logs: one a line or in one JSON document, as trees or page by page, as its API gives them
    humanloop  Humanloop's logs, as the API of v4 or v5 gives them, or `log export`
    litellm    LiteLLM's spend logs: as its proxy gives them, or a dump of the table, as JSON or CSV
    llm        the logs.db of simonw/llm
    otlp       OpenTelemetry's traces as JSON, one request a line, as the collector writes them
    prompt     a folder of Humanloop's .prompt files, which are copied to the deployments of the config

    Rows that are there already, by their ids, are the same afterwards.

    \b
    Examples:
      parea-proxy log import "$(llm logs path)"
      parea-proxy log import spend.json --check
    """
    from proxy.commands import load
    from proxy.commands.log import indexing, prompts
    from proxy.commands.log.source import source
    from proxy.errors import ConfigError

    path = config_path(path)
    if form == "prompt" or (form is None and prompts.are(file)):
        prompts.copy(file, path, only_check)
        return
    if file.is_dir():
        raise ConfigError(f"{file}: is a folder; of folders, only such with Humanloop's .prompt files can be read")
    config = load(path)
    omit = config.log.omit
    found = source(file, form, config)
    counts = _check(found)
    if not only_check:
        from proxy.models import LogPolicy

        policy = LogPolicy(inputs=omit in ("none", "outputs"), outputs=omit in ("none", "inputs"))
        log = private(data_folder(data, path)) / "traces.db"
        asyncio.run(_write(found, log, policy, config.log))
        indexing.complete(log)
    failed = f", {counts['error']:,} of them failed" if counts["error"] else ""
    whose = f" ({FORMATS[found.form]})" if found.form not in ("jsonl", "parea") else ""
    click.echo(f"{counts.total()} rows {'can be read' if only_check else 'imported'} from {file}{whose}{failed}")
    for why, count in found.skipped.items():
        click.echo(f"{count} passed over: {why}")


def _check(found: Source) -> Counter[str]:
    """How many rows a file has, by their status. Raises `ConfigError` with the items that are wrong, and why."""
    from proxy.commands.log.progress import Progress
    from proxy.errors import ConfigError, RequestError
    from proxy.terminal import clean

    counts: Counter[str] = Counter()
    wrong, told = 0, []
    with Progress("checking") as progress:
        for item in found.items():
            try:
                for record in item.records:
                    counts[record.status or ""] += 1
            except RequestError as error:
                wrong += 1
                told += [clean(f"  {item.where}{error.message.removeprefix('the body ')}")] if wrong <= TOLD else []
            progress.tell(item.share, counts.total())
    if wrong:
        more = f"\n  and {wrong - TOLD} more" if wrong > TOLD else ""
        raise ConfigError(f"{found.path}: nothing was imported\n" + "\n".join(told) + more)
    return counts


async def _write(found: Source, path: Path, policy: LogPolicy, settings: LogSettings) -> None:
    from proxy.commands.log.progress import Progress
    from proxy.errors import ConfigError
    from proxy.middleware.omit import omit
    from proxy.middleware.redact import redact
    from proxy.stores.sqlite import SQLiteLog

    log, redacting = SQLiteLog(path), redact(settings)
    written, waiting = 0, []
    try:
        with Progress("importing") as progress:
            for item in found.items():
                for record in item.records:
                    record.policy = record.policy.narrowed(policy)
                    kept = omit(record)
                    waiting.append(log.append(kept if redacting is None else redacting.record(kept)))
                    if len(waiting) < AT_ONCE:
                        continue
                    written += sum(await asyncio.gather(*waiting))
                    waiting.clear()
                    progress.tell(item.share, written)
            await asyncio.gather(*waiting)
        health = await log.health()
    finally:
        await log.close()
    if health["dropped"]:
        raise ConfigError(f"{health['dropped']} rows could not be written: {health['reason']}; import the file again")
