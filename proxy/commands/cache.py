"""`cache`: what the answer cache holds, and how to empty it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from proxy.commands import config_option, data_option, json_option, load, print_json
from proxy.errors import ConfigError
from proxy.places import config_path, data_folder


@click.group()
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
        print_json(kept)
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
        print_json({"dropped": dropped})
    else:
        click.echo(f"{dropped} entries dropped")


def _on_cache(path: Path | None, data: Path | None, ask: Callable[[Any], Any]) -> Any:
    """What the configured cache answers; None when nothing has been cached yet."""
    import asyncio

    from proxy import plugins

    path = config_path(path)
    config = load(path)
    if config.cache.store == "memory":
        raise ConfigError("cache.store is memory: that cache lives and dies inside the serving process")
    folder = data_folder(data, path)
    if not (folder / "cache").is_dir() and config.cache.store == "diskcache":
        return None

    async def run() -> Any:
        store = plugins.make("stores.cache", config.cache.store, "cache_store", folder, config.cache)
        try:
            return await ask(store)
        finally:
            await store.close()

    return asyncio.run(run())
