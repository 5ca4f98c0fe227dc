"""`log import`: rows from files into the log, whichever program wrote them, and prompts into the deployments.

What must stay true: a file is taken whole or, where a part of it is wrong, not at all; a row keeps its id, or gets one
that is the same each time, and what is there under that id stays, unless it is to be replaced; what the config omits or
redacts is not written, wherever it comes from, and whose config that is, is told; an item is in memory, and not the
file.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from proxy.commands import config_option, data_option
from proxy.commands.log.source import FORMATS
from proxy.places import config_of, config_path, data_folder, private

if TYPE_CHECKING:
    from proxy.commands.log.taking import Tally
    from proxy.config.settings import LogSettings


@dataclass(slots=True, frozen=True)
class _Wish:
    """What is to be done with a file, which is called `name`."""

    name: str
    form: str | None
    config: Path | None
    folder: Path
    replace: bool
    only_check: bool


@click.command("import")
@click.argument("file", type=click.Path(exists=True, allow_dash=True, path_type=Path))
@click.option(
    "--format", "form", type=click.Choice([*FORMATS, "prompt"]), help="See above. Default: what the content says."
)
@config_option
@data_option
@click.option("--replace", is_flag=True, help="Rows that are there already are changed to what the file says of them.")
@click.option("--check", "only_check", is_flag=True, help="Read and check the file, and write nothing.")
def intake(file: Path, form: str | None, path: Path | None, data: Path | None, replace: bool, only_check: bool) -> None:
    """Take rows from FILE into the log, which a gateway may be using. FILE may be packed by gzip; - is stdin.

    \b
    jsonl      rows of `log export`, one a line
    parea      Parea's trace logs: one a line or in one JSON document, as trees or page by page, as its API gives them
    humanloop  Humanloop's logs, as the API of v4 or v5 gives them, or `log export`
    litellm    LiteLLM's spend logs: as its proxy gives them, or a dump of the table, as JSON or CSV
    llm        the logs.db of simonw/llm
    otlp       OpenTelemetry's traces as JSON, one request a line, as the collector writes them
    prompt     a folder of Humanloop's .prompt files, which are copied to the deployments of the config

    Rows that are there already, by their ids, stay as they are, and are counted: a file may be imported again. Without
    --config, the config.yaml beside the folder that --data names tells what is omitted and redacted.

    \b
    Examples:
      parea-proxy log import "$(llm logs path)"
      parea-proxy log import spend.json --check
      parea-proxy log export --data there/data | parea-proxy log import -
    """
    from proxy.commands.log import prompts
    from proxy.commands.log.spool import name_of, whole
    from proxy.errors import ConfigError

    if form == "prompt" or (form is None and prompts.are(file)):
        prompts.copy(file, config_path(path), only_check)
        return
    if file.is_dir():
        raise ConfigError(f"{file}: is a folder; of folders, only such with Humanloop's .prompt files can be read")
    path = config_of(data, path)
    with whole(file) as readable:
        _take(readable, _Wish(name_of(file), form, path, data_folder(data, path), replace, only_check))


def _take(file: Path, wish: _Wish) -> None:
    """Check a file, import it if it is right, and tell what it was."""
    from proxy.commands import load
    from proxy.commands.log import indexing
    from proxy.commands.log.source import source
    from proxy.commands.log.taking import survey, take
    from proxy.models import LogPolicy

    config = load(wish.config)
    found, log = source(file, wish.form, config), wish.folder / "traces.db"
    tally = survey(found, log)
    click.echo(_rules(config.log, wish), err=True)
    if not wish.only_check:
        private(wish.folder)
        omit = config.log.omit
        policy = LogPolicy(inputs=omit in ("none", "outputs"), outputs=omit in ("none", "inputs"))
        tally = asyncio.run(take(found, log, policy, config.log, wish.replace))
        indexing.complete(log)
    for line in _told(tally, wish, found.form):
        click.echo(line)
    for why, count in found.skipped.items():
        click.echo(f"{count} passed over: {why}")


def _rules(settings: LogSettings, wish: _Wish) -> str:
    """What is not written, and whose word that is."""
    said = [f"omits {settings.omit}"] if settings.omit != "none" else []
    said += [f"redacts {', '.join(settings.redacted)}"] if settings.redact else []
    if wish.config is not None:
        return f"{wish.config} {' and '.join(said) or 'omits and redacts nothing'}"
    return f"no config.yaml is here or beside {wish.folder}: nothing is omitted or redacted, unless --config says so"


def _told(tally: Tally, wish: _Wish, form: str) -> Iterator[str]:
    """What became of the rows, or would."""
    whose = f" ({FORMATS[form]})" if form not in ("jsonl", "parea") else ""
    failed = f", {tally.failed:,} of them failed" if tally.failed else ""
    done = "can be read" if wish.only_check else "imported"
    yield f"{_rows(tally.taken)} {done} from {wish.name}{whose}{failed}"
    if tally.odd:
        yield f"{_rows(tally.odd)} with a status other than success, error and cancelled, which --status does not list"
    was = f"{_rows(tally.there)} {'was' if tally.there == 1 else 'were'} there already"
    if tally.there and wish.only_check:
        yield was
    elif tally.there and wish.replace:
        yield f"{was}, and changed to what the file says"
    elif tally.there:
        yield f"{was}, and nothing of them is changed: --replace does that"
    if tally.again:
        which = "last" if wish.replace else "first"
        yield f"{_rows(tally.again)} with an id that the file has had: the {which} of each id holds"


def _rows(count: int) -> str:
    return f"{count:,} row{'s' * (count != 1)}"
