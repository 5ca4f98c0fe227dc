"""`check`: is the config valid, and what comes of it?"""

from __future__ import annotations

from pathlib import Path

import click

from proxy.commands import config_option, json_option, load, print_json
from proxy.errors import ConfigError
from proxy.places import config_path


@click.command()
@config_option
@json_option
def check(path: Path | None, as_json: bool) -> None:
    """Validate the config and print where each model name leads.

    Keys are named by where they come from and never shown. The exit code is 0 if the config is valid and 2 if not; keys
    that have no effect and targets without a key are told, but are no errors.
    """
    from proxy import report

    try:
        config = load(config_path(path))
    except ConfigError as error:
        if as_json:
            print_json({"valid": False, "error": error.message})
            raise click.exceptions.Exit(2) from None
        raise
    if as_json:
        print_json(report.summary(config))
    else:
        report.show(config)
