"""`doctor`: whether the data folder is sound, private and what it should be.

What must stay true: it reads alone, beside a gateway that runs; it never shows a secret, but only where one stands; it
says of everything that is not well what to do about it.
"""

from __future__ import annotations

from pathlib import Path

import click

from proxy.commands import config_option, data_option, json_option, load, print_json
from proxy.places import config_path, data_folder, private

STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command()
@config_option
@data_option
@json_option
@click.option(
    "--canary",
    is_flag=True,
    help="Prove that what is to be omitted is written nowhere: make calls with marked words, answered here and by no"
    " vendor, and search every byte for them.",
)
@click.option("--full", is_flag=True, help="Look at everything, however long it takes: every index and every row.")
def doctor(path: Path | None, data: Path | None, as_json: bool, canary: bool, full: bool) -> None:
    """Check the data folder, and what is in it.

    Whether its files are sound and private, whether the cache is this gateway's own, whether keys stand in rows: read
    alone, also while a gateway runs on it. The exit code is 1 if something fails, else 0.

    \b
    Examples:
      parea-proxy doctor
      parea-proxy doctor --canary
      parea-proxy doctor --full --json | jq '.[] | select(.state != "ok")'
    """
    if canary:
        from proxy.commands.doctor.canary import prove

        proof = prove(load(config_path(path)), private(data_folder(data, config_path(path))))
        if as_json:
            print_json(proof.told())
        else:
            click.echo("\n".join(proof.lines()))
        raise click.exceptions.Exit(0 if proof.holds else 1)
    from proxy.commands.doctor.checks import findings

    found = findings(config_path(path), data_folder(data, config_path(path)), full=full)
    if as_json:
        print_json([one.told() for one in found])
    else:
        from rich.text import Text

        from proxy.terminal import console, table, text

        rows = table("", "what", "how it is", "what to do")
        for one in found:
            rows.add_row(Text(one.state, style=STYLES[one.state]), text(one.name), text(one.said), text(one.fix))
        console().print(rows)
    raise click.exceptions.Exit(1 if any(one.state == "fail" for one in found) else 0)
