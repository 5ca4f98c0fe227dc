"""`check`: is the config valid, and what comes of it, or of one request?"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from proxy.commands import config_option, json_option, load, print_json
from proxy.errors import ConfigError
from proxy.models import Json
from proxy.places import config_path

if TYPE_CHECKING:
    from proxy.config import Config


@click.command()
@config_option
@json_option
@click.option(
    "--request",
    type=click.File("rb"),
    help="A file with the body of a request, or - for stdin: say what would become of it, without calling anybody.",
)
@click.option("--path", "route", help="Where that request would be sent. Default: told from its body.")
@click.option("--key", help="The name of the key of `keys` that it would come with.")
def check(path: Path | None, as_json: bool, request: BinaryIO | None, route: str | None, key: str | None) -> None:
    """Validate the config; print what comes of it, or of a request.

    Keys are named by where they come from and never shown. The exit code is 0 if the config is valid and 2 if not, or
    if the request would be refused; keys that have no effect and targets without a key are told, but are no errors.
    What a gateway knows that serves, such as the health of targets and what is cached, POST /admin/explain tells.

    \b
    Examples:
      parea-proxy check --json | jq .models
      parea-proxy check --request body.json
    """
    from proxy import report

    try:
        config = load(config_path(path))
    except ConfigError as error:
        if as_json:
            print_json({"valid": False, "error": error.message})
            raise click.exceptions.Exit(2) from None
        raise
    if request is not None:
        told = _explained(config, request.read(), route, key)
        print_json(told) if as_json else _show(told)
        raise click.exceptions.Exit(2 if told["refused"] else 0)
    if as_json:
        print_json(report.summary(config))
    else:
        report.show(config)


def _explained(config: Config, body: bytes, path: str | None, key: str | None) -> dict[str, Json]:
    """The only place but `serve` that imports LiteLLM, which knows what each provider is sent."""
    from proxy.app import explained

    return asyncio.run(explained(config, body, path=path, key=key))


def _show(told: dict[str, Any]) -> None:
    """What would become of a request: a line for each thing that is decided, and one for each target."""
    from proxy.terminal import console, table, text

    rows = table("", "")
    rows.add_row("api", text(f"{told['dialect']}, {told['path']}" + (f", key {told['key']}" if told["key"] else "")))
    if told["refused"]:
        refused = told["refused"]
        rows.add_row("refused", text(f"{refused['status']} {refused['message']}"))
    if "groups" not in told:
        console().print(rows)
        return
    if (deployment := told["deployment"]) is not None:
        rows.add_row("deployment", text(f"{deployment['id']}, version {deployment['version']}"))
    for group in told["groups"]:
        rows.add_row("model", text(f"{group['name']}: {group['why']}; {group['strategy']}"))
        for target in group["targets"]:
            rows.add_row("", text(f"  {_target(target)}"))
    for kind, names in told["fallbacks"].items():
        if names:
            rows.add_row(kind.replace("_", " "), text(", ".join(names)))
    cached, logged = told["cache"], told["log"]
    rows.add_row("cache", text(f"{cached['key'] or 'no key'}; {cached['why']}"))
    kept = [word for word in ("inputs", "outputs") if logged[word]]
    said = f"{' and '.join(kept) or 'no content'}, {logged['sample_rate']:.0%} of traces; {logged['why']}"
    said += f"; redacted: {', '.join(logged['redact'])}" if logged["redact"] else ""
    rows.add_row("log", text(said))
    console().print(rows)


def _target(target: dict[str, Any]) -> str:
    share = f"{target['share']:.0%}" if target["share"] is not None else f"order {target['order']}"
    if target["refused"]:
        return f"{target['target']}, {share}: refused: {target['refused']['message']}"
    sent = {name: value for name, value in target["sent"].items() if name not in ("stream", "stream_options")}
    words = [f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in sent.items()]
    dropped = [f"without {name}: {why}" for name, why in target["dropped"].items()]
    return f"{target['target']}, {share}, {target['state']}: {', '.join([*words, *dropped]) or 'no parameters'}"
