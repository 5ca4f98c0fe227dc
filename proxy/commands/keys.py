"""`keys`: make a key, and see what each may spend.

What must stay true: a key is printed once, when it is made, and written nowhere; no hash is printed but a new one's.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from proxy.commands import config_option, data_option, json_option, load, print_json
from proxy.errors import ConfigError
from proxy.places import config_path, data_folder

if TYPE_CHECKING:
    from proxy.caller import Caller
    from proxy.stores.log.reader import Reader


@click.group()
def keys() -> None:
    """Make keys for the config, and see what they have spent."""


@keys.command()
@click.argument("name")
@click.option("--models", multiple=True, help="A model name, a pattern with *, or deployment/ID; may be repeated.")
@click.option("--dialects", multiple=True, help="An API that it may use; may be repeated.")
@click.option("--project", help="The project that all its calls are of.")
@click.option("--budget", help="USD and the window they are for: 10/30d. Windows: 1d, 7d, 30d, month, total.")
@click.option("--rpm", type=int, help="Requests a minute.")
@click.option("--tpm", type=int, help="Tokens a minute.")
@click.option("--max-parallel", type=int, help="Calls at a time.")
@click.option("--expires", help="A day, from whose beginning on it is refused, or a time; UTC.")
@click.option(
    "--omit", type=click.Choice(["inputs", "outputs", "all"]), help="What of its calls is never written down."
)
@click.option("--sample-rate", type=float, help="The most of its traces that are kept, 0 to 1.")
@click.option("--log", is_flag=True, help="It may read and write the log, of all projects.")
@json_option
def new(name: str, as_json: bool, budget: str | None, **given: Any) -> None:
    """Print a new key called NAME, which is shown once, and the block for the config.

    \b
    Examples:
      parea-proxy keys new team-a --models default --budget 10/30d --rpm 60
      parea-proxy keys new ci --models 'openai/*' --expires 2027-01-31 --omit all
    """
    from hashlib import sha256
    from secrets import token_urlsafe

    key = f"parea-{token_urlsafe(32)}"
    block: dict[str, Any] = {"hash": f"sha256:{sha256(key.encode()).hexdigest()}"}
    block |= {name: list(value) if isinstance(value, tuple) else value for name, value in given.items() if _said(value)}
    if budget is not None:
        block |= {"budget": _budget(budget)}
    _check(block)
    if not name:
        raise ConfigError("NAME: should not be empty")
    if as_json:
        print_json({"name": name, "key": key, "block": {"keys": {name: block}}})
        return
    click.echo(
        f"# The key, which is shown only here; clients send it as Authorization: Bearer, or as x-api-key.\n{key}\n"
    )
    click.echo("# For the config:")
    click.echo(_written({"keys": {name: block}}), nl=False)


@keys.command(name="list")
@config_option
@data_option
@json_option
def list_(path: Path | None, data: Path | None, as_json: bool) -> None:
    """Print each key's limits, what it has spent in the current window, and what is left."""
    from proxy.stores.log.sqlite import open_readonly

    path = config_path(path)
    callers = load(path).keys.values()
    log = data_folder(data, path) / "traces.db"
    reader = open_readonly(log) if log.exists() else None
    told = [_told(caller, reader, time.time()) for caller in callers]
    if as_json:
        print_json(told)
    else:
        _show(told)


def _written(block: dict[str, Any]) -> str:
    """A block as YAML that the config's reader takes for the same: what that would take for a number is quoted, and
    what does not show, or would end a line, is escaped.
    """
    import json
    import re

    import yaml

    class Dumper(yaml.SafeDumper):
        """Knows the numbers of YAML 1.2, which need no dot."""

    Dumper.add_implicit_resolver(
        "tag:yaml.org,2002:float",
        re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"),
        [*"-+.0123456789"],
    )
    plain = json.dumps(block, ensure_ascii=False).isprintable()
    return yaml.dump(block, Dumper=Dumper, sort_keys=False, allow_unicode=plain, width=10**6)


def _said(value: object) -> bool:
    """Whether an option was given."""
    return value is not None and value is not False and value != ()


def _show(told: list[dict[str, Any]]) -> None:
    """The keys as a table, one a line."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    if not told:
        click.echo("There are no keys: parea-proxy keys new makes one.")
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("key", "models", "limits", "budget", "spent", "left", "until", "expires"):
        table.add_column(column, overflow="fold")
    for one in told:
        limits = [f"{one[name]} {name}" for name in ("rpm", "tpm", "max_parallel") if one[name] is not None]
        cells = [
            one["name"],
            ", ".join(one["models"]) or "any",
            ", ".join(limits) or "-",
            f"{one['budget']}/{one['window']}" if one["budget"] else "-",
            one["spent"],
            one["left"] or "-",
            (one["resets"] or "-")[:10],
            "expired" if one["expired"] else (one["expires"] or "-")[:16],
        ]
        table.add_row(*map(Text, cells))
    console = Console(highlight=False)
    # In a pipe a key is one line, however long.
    (console if console.is_terminal else Console(highlight=False, width=4096)).print(table)


def _told(caller: Caller, log: Reader | None, now: float) -> dict[str, Any]:
    """One key, without what would be it. What is spent is of the window, or of ever where there is no budget."""
    from proxy.caller import dollars
    from proxy.timestamps import at

    budget = caller.budget
    spent = log.spent(caller.name, budget.begins(now) if budget else "") if log is not None else 0
    ends = budget.ends(now) if budget else None
    return {
        "name": caller.name,
        "models": list(caller.models),
        "dialects": list(caller.dialects),
        "project": caller.project,
        "rpm": caller.rpm,
        "tpm": caller.tpm,
        "max_parallel": caller.max_parallel,
        "expires": at(caller.expires) if caller.expires is not None else None,
        "expired": caller.expired(now),
        "log": caller.log,
        "window": budget.window if budget else None,
        "budget": dollars(budget.amount) if budget else None,
        "spent": dollars(spent),
        "left": dollars(max(0, budget.amount - spent)) if budget else None,
        "resets": at(ends) if ends is not None else None,
    }


def _budget(text: str) -> dict[str, Any]:
    amount, _, window = text.partition("/")
    try:
        return {"amount": float(amount), "window": window or "total"}
    except ValueError:
        raise ConfigError("--budget: should be USD and a window, such as 10/30d") from None


def _check(block: dict[str, Any]) -> None:
    """Raises `ConfigError` for what the config would refuse."""
    from pydantic import ValidationError

    from proxy.config.keys import KeyBlock

    try:
        KeyBlock.model_validate(block)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        said = (f"--{'-'.join(map(str, one['loc'][:1])).replace('_', '-')}: {one['msg']}" for one in found)
        raise ConfigError("\n".join(text.replace("Value error, ", "") for text in said)) from None
