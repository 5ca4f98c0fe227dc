"""What LiteLLM itself makes of the files of `litellm/`: its Router's names, shares, fallbacks and aliases, as JSON.

python -m tests.config.litellm_router FOLDER < {"file": {"VARIABLE": "value"}}
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

KINDS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
GLOBALS = (*KINDS, "default_fallbacks", "num_retries", "allowed_fails")


async def merged(path: Path) -> dict[str, Any]:
    """The file with its includes, as LiteLLM's proxy merges them."""
    from litellm.proxy.common_utils.config_includes import resolve_include_file_path, resolve_includes

    async def read(location: str) -> Mapping[str, object]:
        return content(location)

    def resolve(entry: str, declared_in: str) -> str:
        return str(resolve_include_file_path(entry, declared_in, str(path)))

    config = content(path)
    found: dict[str, Any] = await resolve_includes(config=config, location=str(path), resolve=resolve, read=read)
    return found


def content(path: Path | str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(Path(path).read_text("utf-8"))
    return found


def shares(router: Any, name: str) -> list[float]:
    """The weights that LiteLLM draws by among the targets that it asks first."""
    from litellm.router_strategy.simple_shuffle import simple_shuffle
    from litellm.utils import get_order_filtered_deployments

    listed = [one for one in router.get_model_list(model_name=name) or [] if one["model_name"] == name]
    drawn: list[float] = []

    def choices(population: list[Any], weights: tuple[float, ...]) -> list[Any]:
        drawn.extend(weights)
        return list(population)

    first = get_order_filtered_deployments(listed)
    with mock.patch.object(random, "choices", choices):
        simple_shuffle(lambda model: None, first, name, None)
    return drawn or [1.0] * len(first)


async def told(path: Path) -> dict[str, Any]:
    import litellm
    from litellm.router import Router

    config = await merged(path)
    settings = config.get("router_settings") or {}
    for name in GLOBALS:
        setattr(litellm, name, (config.get("litellm_settings") or {}).get(name))
    litellm.default_fallbacks = (config.get("litellm_settings") or {}).get("default_fallbacks")
    arguments = {name: value for name, value in settings.items() if not name.startswith("redis_")}
    router = Router(model_list=config["model_list"], **arguments)
    names = list(dict.fromkeys(one["model_name"] for one in router.model_list))
    found: dict[str, Any] = {
        "targets": {name: sum(one["model_name"] == name for one in router.model_list) for name in names},
        "shares": {name: shares(router, name) for name in names if "*" not in name},
        "wildcards": list(router.pattern_router.patterns),
        "aliases": router.model_group_alias,
    }
    for kind in KINDS:
        entries: dict[str, list[str]] = {}
        for entry in getattr(router, kind) or []:
            for name, others in entry.items():
                entries.setdefault(name, others)
        found[kind] = entries
    return found


async def main() -> None:
    folder, environs = Path(sys.argv[1]), json.load(sys.stdin)
    answer = {}
    for name, environ in environs.items():
        with mock.patch.dict(os.environ, environ):
            answer[name] = await told(folder / f"{name}.yaml")
    print(json.dumps(answer))


if __name__ == "__main__":
    asyncio.run(main())
