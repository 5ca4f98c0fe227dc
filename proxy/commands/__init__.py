"""The commands besides `serve`, one file each, and what they share; `cli.py` imports a command's file when it is used.

What must stay true: none of them but `check --request` and `replay` imports LiteLLM, and no output shows the value
of a key.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from proxy.config import Config

Command = TypeVar("Command", bound=Callable[..., Any])

config_option = click.option(
    "--config",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="PAREA_PROXY_CONFIG",
    show_envvar=True,
    help="The config file. Default: config.yaml in the current directory if there is one, else the built-in config.",
)
data_option = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="PAREA_PROXY_DATA",
    show_envvar=True,
    help="The folder of the trace log and the cache. Default: ./data if the config file is in the current directory,"
    " else ~/.parea-proxy.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def load(path: Path | None) -> Config:
    """The configuration of a command. Raises `ConfigError`."""
    from proxy.config import load

    return load(path, os.environ)


def print_json(value: Any) -> None:
    from proxy.terminal import written

    click.echo(written(value))
