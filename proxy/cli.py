"""The command line. What a command needs is imported inside it, so `--version` and `--help` answer at once.

What must stay true: no command but `serve` imports LiteLLM, and no output shows the value of a key.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from proxy import __version__
from proxy.errors import ConfigError, GatewayError
from proxy.places import check_port, config_path, data_folder, private

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


class _Group(click.Group):
    """Tells what went wrong in one message instead of a traceback, with exit code 2. A reader that has seen enough, as
    `head` has, is no error.
    """

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except GatewayError as error:
            click.echo(error.message, err=True)
            ctx.exit(2)
        except BrokenPipeError:
            # what is still to be written goes nowhere, also when the interpreter ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(0)


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
      parea-proxy traces                      the latest calls
      parea-proxy traces 0190d3f2             one call and everything below it
      parea-proxy cache stats                 what the cache holds
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
    "--log-level",
    default="info",
    type=click.Choice(["critical", "error", "warning", "info", "debug"]),
    show_default=True,
    envvar="PAREA_PROXY_LOG_LEVEL",
    show_envvar=True,
    help="How much to say on stderr.",
)
def serve(path: Path | None, host: str, port: int, data: Path | None, workers: int, log_level: str) -> None:
    """Serve the gateway until Ctrl-C.

    \b
    Examples:
      parea-proxy serve --port 8080
      PAREA_PROXY_KEY=secret parea-proxy serve --host 0.0.0.0
      parea-proxy serve --config gateway.yaml --data /var/lib/parea-proxy --workers 2
    """
    gc.disable()  # until it serves: all that is imported stays, and looking for cycles in it takes a tenth of the start
    path = config_path(path)
    config = _load(path)
    from proxy.guard import check_key

    check_key(host, config.master_key)
    check_port(host, port)
    folder = private(data_folder(data, path))
    told = [f"{config.name}, line {one.line}: {one.key} {one.message}" for one in config.warnings if one.kind == "key"]
    if log_level in {"info", "debug"}:
        from proxy.banner import banner

        told += banner(config, host=host, port=port, data=folder)
    # Where this goes to a file on a full disk, the gateway serves all the same.
    with contextlib.suppress(OSError):
        click.echo("\n".join(told), err=True, nl=bool(told))
    from proxy import app

    app.serve(config, path=path, host=host, port=port, data=folder, workers=workers, log_level=log_level)


@main.command()
@config_option
@json_option
def check(path: Path | None, as_json: bool) -> None:
    """Validate the config and print where each model name leads.

    Keys are named by where they come from and never shown. The exit code is 0 if the config is valid and 2 if not; keys
    that have no effect and targets without a key are told, but are no errors.
    """
    from proxy import report

    try:
        config = _load(config_path(path))
    except ConfigError as error:
        if as_json:
            _print_json({"valid": False, "error": error.message})
            raise click.exceptions.Exit(2) from None
        raise
    if as_json:
        _print_json(report.summary(config))
    else:
        report.show(config)


@main.command()
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


@main.command()
@click.argument("trace_id", required=False)
@config_option
@data_option
@click.option("--limit", default=20, type=click.IntRange(1, 100), show_default=True, help="How many traces to list.")
@click.option("--status", type=click.Choice(["success", "error", "cancelled"]), help="Only those that ended so.")
@click.option("--project", help="Only those of this project.")
@json_option
def traces(
    trace_id: str | None,
    path: Path | None,
    data: Path | None,
    limit: int,
    status: str | None,
    project: str | None,
    as_json: bool,
) -> None:
    """List the latest traces, or show one as a tree.

    Without TRACE_ID, one line for each trace, newest first. With it, that row and every row below it, or every row of
    the session with that id; the beginning of an id will do if no other of the latest traces begins so.

    \b
    Examples:
      parea-proxy traces --status error --limit 5
      parea-proxy traces --json | jq '.[].cost'
    """
    from proxy import report
    from proxy.protocols import TraceQuery
    from proxy.stores.sqlite import open_readonly

    log = open_readonly(data_folder(data, config_path(path)) / "traces.db")
    if trace_id is None:
        page = log.search(TraceQuery(project_name=project, status=status, page_size=limit))
        rows, tree = page.roots, False
    else:
        rows, tree = report.tree_rows(log, trace_id), True
    if as_json:
        _print_json([report.row(record) for record in rows])
    elif tree:
        report.show_tree(rows, str(trace_id))
    else:
        report.show_list(rows, page.total)


@main.group()
def cache() -> None:
    """Look at the answer cache, or empty it."""


@cache.command()
@config_option
@data_option
@json_option
def stats(path: Path | None, data: Path | None, as_json: bool) -> None:
    """Print what the cache holds."""
    found = _on_cache(path, data, lambda store: store.stats()) or {}
    kept = {name: found.get(name, 0) for name in ("entries", "bytes")}
    if as_json:
        _print_json(kept)
    else:
        click.echo(f"{kept['entries']} entries, {kept['bytes']:,} bytes")


@cache.command()
@config_option
@data_option
@json_option
def clear(path: Path | None, data: Path | None, as_json: bool) -> None:
    """Drop every cached answer."""
    dropped = _on_cache(path, data, lambda store: store.clear()) or 0
    if as_json:
        _print_json({"dropped": dropped})
    else:
        click.echo(f"{dropped} entries dropped")


def _on_cache(path: Path | None, data: Path | None, ask: Callable[[Any], Any]) -> Any:
    """What the configured cache answers; None when nothing has been cached yet."""
    import asyncio

    from proxy import plugins

    path = config_path(path)
    config = _load(path)
    if config.cache.store == "memory":
        raise ConfigError("cache.store is memory: that cache lives and dies inside the serving process")
    folder = data_folder(data, path)
    if not (folder / "cache").is_dir() and config.cache.store == "diskcache":
        return None

    async def run() -> Any:
        store = plugins.make("stores", config.cache.store, "cache_store", folder, config.cache)
        try:
            return await ask(store)
        finally:
            await store.close()

    return asyncio.run(run())


def _load(path: Path | None) -> Config:
    from proxy.config import load

    return load(path, os.environ)


def _print_json(value: Any) -> None:
    from proxy import report

    click.echo(report.written(value))
