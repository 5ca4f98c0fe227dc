"""Names to things: a short name is a module of one of the rooms, `package.module:attribute` is anything else."""

from __future__ import annotations

import importlib
from typing import Any

from proxy.errors import ConfigError


def load(room: str, name: str, attribute: str) -> Any:
    """The thing called `name`: `attribute` of module `proxy.<room>.<name>`, or what `package.module:attribute` says.

    Raises `ConfigError` that tells a missing module from one that fails while it is imported.
    """
    module_name, _, wanted = name.partition(":")
    if not wanted:
        module_name, wanted = f"proxy.{room}.{name}", attribute
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise ConfigError(f"{room}: no module {module_name!r} for {name!r}") from error
        raise ConfigError(
            f"{room}: {module_name!r} needs the package {error.name!r}, which is not installed"
        ) from error
    found: Any = module
    for part in wanted.split("."):
        if not hasattr(found, part):
            raise ConfigError(f"{room}: {module_name!r} has no {wanted!r}")
        found = getattr(found, part)
    return found
