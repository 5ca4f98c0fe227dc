"""What `serve` says when it starts: what it was told, where it keeps things, and who answers.

What must stay true: an answer that is made up is never mistaken for a provider's, and no secret is said.
"""

from __future__ import annotations

from pathlib import Path

from proxy.config import Config

_MOST = 5


def banner(config: Config, *, host: str, port: int, data: Path) -> list[str]:
    """Two lines."""
    place = f"[{host}]" if ":" in host else host
    address = f"http://{place}:{port}" if port else f"{place} at a free port"
    names = sorted({route.name: None for route in config.routes}, key=lambda name: name != "default")
    told = [_told(config, name) for name in names[:_MOST]]
    if len(names) > _MOST:
        told.append(f"{len(names) - _MOST} more (parea-proxy check)")
    models = "; ".join(told) or "no model_list: requests name a provider and its model"
    return [_clean(line) for line in (f"parea-proxy on {address} | config: {config.name} | data: {data}", models)]


def _told(config: Config, name: str) -> str:
    """Where a model name leads."""
    used = [route.source.target for route in config.routes if route.name == name and route.reason is None]
    if not used:
        reason = next(route.reason for route in config.routes if route.name == name)
        return f"{name} -> nothing ({reason})"
    target = used[0]
    made_up = target.provider == "echo" and any(
        route.name == name and route.source.target.provider != "echo" for route in config.routes
    )
    offline = " (offline: no provider's key was found; it repeats what it is told)" if made_up else ""
    others = f" and {len(used) - 1} more" if len(used) > 1 else ""
    return f"{name} -> {target.provider}/{target.model}{others}{offline}"


def _clean(text: str) -> str:
    """Text for one line of a terminal."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)
