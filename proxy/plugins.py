"""Names to things: a short name is a module of one of the rooms, `package.module:attribute` is anything else."""

from __future__ import annotations

import importlib
from typing import Any

from proxy.errors import ConfigError, GatewayError
from proxy.protocols import CacheStore, TraceLog

KEYS = {"stores.log": "log.store", "stores.cache": "cache.store", "dialects": "server.dialects"}
"""The keys of the config file by which things of these rooms are named."""

_KINDS: dict[str, type] = {"cache_store": CacheStore, "trace_log": TraceLog}


def load(room: str, name: str, attribute: str) -> Any:
    """The thing called `name`: `attribute` of module `proxy.<room>.<name>`, or what `package.module:attribute` says.

    Raises `ConfigError` that tells a missing module from one that fails while it is imported.
    """
    key = KEYS.get(room, room)
    module_name, _, wanted = name.partition(":")
    if not wanted:
        module_name, wanted = f"proxy.{room}.{name}", attribute
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise ConfigError(f"{key}: no module {module_name!r} for {name!r}") from error
        raise ConfigError(f"{key}: {module_name!r} needs the package {error.name!r}, which is not installed") from error
    found: Any = module
    for part in wanted.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"{key}: {module_name!r} has no {wanted!r}")
        found = getattr(found, part)
    return found


def make(room: str, name: str, attribute: str, *arguments: Any) -> Any:
    """What the thing called `name` makes of `arguments`. Raises `ConfigError` when a stranger's thing fails to."""
    key = KEYS.get(room, room)
    try:
        made = load(room, name, attribute)(*arguments)
    except GatewayError:
        raise
    except Exception as error:
        if ":" not in name:
            raise
        raise ConfigError(f"{key}: {name!r} cannot be used: {type(error).__name__}: {error}") from error
    missing = [part for part in vars(_KINDS.get(attribute, object)) if part[0] != "_" and not hasattr(made, part)]
    if missing:
        raise ConfigError(f"{key}: {name!r} cannot be used: what it makes has no {', '.join(missing)}")
    return made
