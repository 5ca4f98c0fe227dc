"""`init`: a config to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from proxy.errors import ConfigError


@click.command()
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path), default="config.yaml")
@click.option("--force", is_flag=True, help="Overwrite the file if it exists.")
def init(path: Path, force: bool) -> None:
    """Write a commented starter config to PATH (config.yaml)."""
    from proxy.config import STARTER

    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(STARTER.read_text(encoding="utf-8"))
    except FileExistsError:
        raise ConfigError(f"{path} exists already: --force overwrites it") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from None
    click.echo(f"{path} is written; next: parea-proxy check")
