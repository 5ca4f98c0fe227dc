"""The command line. What a command needs is imported inside it, so `--version` and `--help` answer at once.

What must stay true: no command but `serve`, `replay` and `check --request` imports LiteLLM, and no output shows the
value of a key.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click
from click.core import ParameterSource

from proxy import __version__
from proxy.commands import config_option, data_option, load
from proxy.errors import ConfigError, GatewayError
from proxy.places import check_port, config_path, data_folder, private

if TYPE_CHECKING:
    from proxy.middleware.cassette import Player
    from proxy.recording import Mode

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
"""Why a file takes no more."""

COMMANDS = ("cache", "check", "deployments", "doctor", "init", "keys", "log", "replay", "traces")
"""The commands with a file or a folder of their own in `commands/`, which has one of the same name."""


class _Group(click.Group):
    """Tells what went wrong in one message instead of a traceback, with exit code 2. A reader that has seen enough, as
    `head` has, is no error.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *COMMANDS})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return super().get_command(ctx, name)
        command: click.Command = getattr(importlib.import_module(f"proxy.commands.{name}"), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        _speak()
        try:
            done = super().invoke(ctx)
            if sys.stdout is not None:
                sys.stdout.flush()
            return done
        except GatewayError as error:
            click.echo(error.message, err=True)
            ctx.exit(2)
        except BrokenPipeError:
            _fall_silent()
            ctx.exit(0)
        except OSError as error:
            if error.errno not in FULL or error.filename is not None:
                raise
            _fall_silent()
            click.echo(f"the output cannot be written: {error.strerror}", err=True)
            ctx.exit(2)


def _speak() -> None:
    """Whatever the locale, a pipe or file gets UTF-8, as JSON has to be, and a terminal what it can show."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace") if sys.stdout.isatty() else sys.stdout.reconfigure(encoding="utf-8")


def _fall_silent() -> None:
    """What is still to be written goes nowhere, also when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, "--version", "-V", prog_name="parea-proxy", message="%(prog)s %(version)s")
def main() -> None:
    """A local LLM gateway: the APIs of OpenAI, Anthropic, Parea, Humanloop and Scale, for every provider of LiteLLM's.

    It runs without any configuration: every provider whose key is in the environment (OPENAI_API_KEY, ...) can be
    called, and the model `default` is the first of them, or the offline provider `echo` if there is none.

    \b
    Examples:
      parea-proxy serve                       serve on http://127.0.0.1:4000
      parea-proxy init && parea-proxy check   write a config.yaml, and see what comes of it
      parea-proxy traces                      the latest trees of calls
      parea-proxy log --since 2h              every call of the last two hours
      parea-proxy log show 0190d3f2           one call and everything below it
      parea-proxy log stats --by model        what each model cost, and how fast it was
      parea-proxy replay 0190d3f2 --model B   call again what was logged, and compare
      parea-proxy cache stats                 what the cache holds
      parea-proxy deployments list --stats    the deployed prompts, and how each version does
      parea-proxy keys list                   what each key may spend, and has
      parea-proxy doctor                      whether the data folder is sound and private
    """


@main.command()
@config_option
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    envvar="PAREA_PROXY_HOST",
    show_envvar=True,
    help="The address to listen on. Any but this machine's own needs a master_key in the config.",
)
@click.option(
    "--port",
    default=4000,
    type=click.IntRange(0, 65535),
    show_default=True,
    envvar="PAREA_PROXY_PORT",
    show_envvar=True,
    help="The port to listen on.",
)
@data_option
@click.option(
    "--workers",
    default=1,
    type=click.IntRange(1, 64),
    show_default=True,
    envvar="PAREA_PROXY_WORKERS",
    show_envvar=True,
    help="How many processes share the port.",
)
@click.option(
    "--mode",
    default="live",
    type=click.Choice(["live", "record", "replay", "auto"]),
    show_default=True,
    envvar="PAREA_PROXY_MODE",
    show_envvar=True,
    help="Record every call in the cassette, replay it without calling anybody, or record what it does not have yet.",
)
@click.option(
    "--cassette",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="PAREA_PROXY_CASSETTE",
    show_envvar=True,
    help="The folder of recorded calls.",
)
@click.option(
    "--pace",
    default="at-once",
    type=click.Choice(["at-once", "recorded"]),
    show_default=True,
    envvar="PAREA_PROXY_PACE",
    show_envvar=True,
    help="How fast a recorded answer is replayed.",
)
@click.option(
    "--log-level",
    default="info",
    type=click.Choice(["critical", "error", "warning", "info", "debug"]),
    show_default=True,
    envvar="PAREA_PROXY_LOG_LEVEL",
    show_envvar=True,
    help="How much to say on stderr.",
)
def serve(
    path: Path | None,
    host: str,
    port: int,
    data: Path | None,
    workers: int,
    mode: str,
    cassette: Path | None,
    pace: str,
    log_level: str,
) -> None:
    """Serve the gateway until Ctrl-C.

    \b
    Examples:
      parea-proxy serve --port 8080
      PAREA_PROXY_KEY=secret parea-proxy serve --host 0.0.0.0
      parea-proxy serve --config gateway.yaml --data /var/lib/parea-proxy --workers 2
      parea-proxy serve --mode auto --cassette tests/cassettes
    """
    gc.disable()  # until it serves: all that is imported stays, and looking for cycles in it takes a tenth of the start
    click.get_current_context().call_on_close(gc.enable)
    path = config_path(path)
    config = load(path)
    from proxy.http.guard import check_key

    check_key(host, config.closed)
    check_port(host, port)
    if mode == "live" and cassette is not None and not _given("mode"):
        raise ConfigError("--cassette: needs --mode record, replay or auto (PAREA_PROXY_MODE)")
    player = None if mode == "live" else _player(mode, cassette, pace, workers)
    folder = private(data_folder(data, path))
    told = [
        f"{one.file or config.name}, line {one.line}: {one.key} {one.message}"
        for one in config.warnings
        if one.kind == "key"
    ]
    if log_level in {"info", "debug"}:
        from proxy.banner import banner

        told += banner(config, host=host, port=port, data=folder)
    if player is not None and log_level in {"info", "debug"}:
        told.append(f"--mode {mode}: {cassette}{' (nobody is called)' if mode == 'replay' else ''}")
    if player is None and cassette is not None:
        told.append("--cassette is not used with --mode live")
    # Where this goes to a file on a full disk, the gateway serves all the same.
    with contextlib.suppress(OSError):
        click.echo("\n".join(told), err=True, nl=bool(told))
    from proxy import process

    process.serve(
        config, path=path, host=host, port=port, data=folder, workers=workers, log_level=log_level, player=player
    )


def _given(option: str) -> bool:
    return click.get_current_context().get_parameter_source(option) is not ParameterSource.DEFAULT


def _player(mode: str, cassette: Path | None, pace: str, workers: int) -> Player:
    """What records and replays. Raises `ConfigError`."""
    if cassette is None:
        raise ConfigError(f"--mode {mode}: needs --cassette (PAREA_PROXY_CASSETTE), the folder of recorded calls")
    if workers > 1:
        raise ConfigError(f"--mode {mode}: needs --workers 1, since equal requests are counted in one process")
    from proxy.middleware.cassette import Player
    from proxy.stores.cassette import Folder

    return Player(Folder(cassette, make=mode != "replay"), cast("Mode", mode), paced=pace == "recorded")
