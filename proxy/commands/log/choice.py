"""Which rows a verb is about: the options that all of them share."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from proxy.commands import config_option, data_option
from proxy.places import config_path, data_folder

if TYPE_CHECKING:
    from proxy.selection import Selection
    from proxy.stores.log.reader import Reader

PATIENCE = 60.0
"""Seconds for each page of what is found: a condition that hardly a row meets reads them all."""


class _Seconds(click.FloatRange):
    """A time that ends: `nan` is within any range."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        return seconds


@dataclass(slots=True, frozen=True)
class Choice:
    """What the options say."""

    config: Path | None
    path: Path
    said: dict[str, str | None]

    def reader(self) -> Reader:
        """Raises `ConfigError` where there is no log."""
        from proxy.commands.log import watchdog
        from proxy.stores.log.reader import open_readonly

        return open_readonly(self.path, watchdog.end)

    def selection(self, rows: Literal["all", "calls", "tops"] = "calls") -> Selection:
        """Raises `BadRequest` for a time that is none."""
        from proxy.selection import Selection, beginning

        return Selection(**(self.said | {"since": beginning(self.said["since"], local=True)}), rows=rows)


def reading(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--config` and `--data`, which a command gets as `choice`."""

    @config_option
    @data_option
    @functools.wraps(command)
    def chosen(path: Path | None, data: Path | None, **others: Any) -> Any:
        said = {name: others.pop(name, None) for name in ("project", "model", "status", "since", "search", "where")}
        config = config_path(path)
        return command(choice=Choice(config, data_folder(data, config) / "traces.db", said), **others)

    return chosen


def choosing(command: Callable[..., Any], model: str = "--model") -> Callable[..., Any]:
    """Those, and the options that say which rows; `model` is what the one for the model is called."""
    options = (
        click.option("--project", help="Only those of this project."),
        click.option(model, "model", help="Only those of this model; a % stands for anything."),
        click.option(
            "--status", type=click.Choice(["success", "error", "cancelled"]), help="Only those that ended so."
        ),
        click.option("--since", help="Only what began since then: 30m, 2h, 7d ago, a local day or time, or all."),
        click.option("--search", metavar="TEXT", help='Only those with all these words, "phrases", begin*.'),
        click.option("--where", metavar="SQL", help="Only those of which this holds, a condition on the columns."),
    )
    command = reading(command)
    for option in reversed(options):
        command = option(command)
    return command


def limit_option(default: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """`--limit`."""
    kind = click.IntRange(1, 10**9)
    return click.option("--limit", default=default, type=kind, show_default=True, help="How many at most.")


timeout_option = click.option(
    "--timeout", default=10.0, type=_Seconds(0.01), show_default=True, help="Seconds to think."
)
"""`--timeout`."""
