"""The effective routing, as plain data: what each model name stands for, and how its targets are asked.

What must stay true: every entry of `model_list` is in it, used or not, and no secret is: an address is without the
parts of it that may be one.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from proxy.config import Config
from proxy.config.route import Route
from proxy.config.routing import EVERY
from proxy.target import Target

KINDS = {
    "fallbacks": "fallbacks",
    "context_window_fallbacks": "too long",
    "content_policy_fallbacks": "refused",
}
"""The kinds of fallbacks, and the words that people read before the last two."""


def targets(config: Config) -> dict[str, list[dict[str, Any]]]:
    """Each entry of `model_list` by its name: what it is, what it may take, and its share of what it is asked for."""
    found: dict[str, list[dict[str, Any]]] = {}
    for route in config.routes:
        found.setdefault(route.name, []).append(_target(config, route))
    return found


def groups(config: Config) -> dict[str, dict[str, Any]]:
    """How the targets of each name are asked, what is asked after them, and by which other names."""
    return {name: _group(config, name) for name in dict.fromkeys(route.name for route in config.routes)}


def routing(config: Config) -> dict[str, Any]:
    """What holds for all names."""
    words = ("retry_after", "allowed_fails", "cooldown_time", "max_fallbacks", "continue_streams")
    return {
        **{name: getattr(config.router, name) for name in words},
        "wildcards": [one.pattern for one in config.wildcards],
        "aliases": dict(config.router.aliases),
        "hidden_aliases": sorted(config.router.hidden),
    }


def told(config: Config) -> str:
    """What holds for all names, in a sentence or two."""
    router = config.router
    cooled = f"A target that fails more than {router.allowed_fails} times a minute rests for {router.cooldown_time:g} s"
    said = [cooled if router.cooldown_time else "No target rests, however often it fails"]
    said += [f"a call is repeated after {router.retry_after:g} s at the earliest"] if router.retry_after else []
    said += (
        [f"at most {router.max_fallbacks} fallbacks are asked"] if any(getattr(router, kind) for kind in KINDS) else []
    )
    said += ["streams that break off are continued elsewhere"] if router.continue_streams else []
    return "; ".join(said) + "."


def limits(target: dict[str, Any]) -> str:
    """A target's limits and its own timeouts in a few words."""
    said = [f"{target[name]} {name}" for name in ("rpm", "tpm") if target[name]]
    said += [f"{target['max_parallel']} at a time"] if target["max_parallel"] else []
    return ", ".join(said + times(target))


def times(holder: dict[str, Any]) -> list[str]:
    """The timeouts of a target or a name in a few words."""
    words = {"timeout": "in all", "first_token_timeout": "to the first token", "idle_timeout": "between two pieces"}
    return [f"{holder[name]:g} s {word}" for name, word in words.items() if holder[name] is not None]


def asked(group: dict[str, Any], target: dict[str, Any]) -> str:
    """When a target is asked: its share among those of its order, or its place in the row."""
    if not target["used"]:
        return ""
    place = f"order {target['order']}" if group["orders"] > 1 else ""
    share = f"{target['share']:.0%}" if target["share"] is not None else ""
    share = f"no. {target['place']}" if target["place"] is not None else share
    return ", ".join(word for word in (place, share) if word) or group["strategy"]


def fallen_back(group: dict[str, Any]) -> str:
    """A name's fallbacks of all kinds."""
    said = {word: ", ".join(group[kind]) for kind, word in KINDS.items() if group[kind]}
    return "; ".join(names if word == "fallbacks" else f"{word}: {names}" for word, names in said.items())


def address(base: str | None) -> str | None:
    """A URL without what may be secret in it: user, password and query."""
    if base is None:
        return None
    parts = urlsplit(base)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _strategy(config: Config, name: str) -> str:
    own = config.groups.get(name)
    return (own.strategy if own else None) or config.router.strategy


def _target(config: Config, route: Route) -> dict[str, Any]:
    target = route.source.target
    found = {
        "id": target.id,
        "target": f"{target.provider}/{target.model}",
        "key_from": route.source.key,
        "api_base": address(target.api_base),
        "used": route.reason is None,
        "order": target.order,
        "share": _share(config, route),
        "place": _place(config, route),
    }
    words = ("rpm", "tpm", "max_parallel", "timeout", "first_token_timeout", "idle_timeout")
    found |= {name: getattr(target, name) for name in words}
    found |= {"reason": route.reason} if route.reason else {}
    return found | {"line": route.line} | ({"file": route.file} if route.file else {})


def _share(config: Config, route: Route) -> float | None:
    """The part of the calls, among those that go to targets of its order, that a target is drawn for."""
    target = route.source.target
    if route.reason is not None or _strategy(config, route.name) != "weighted":
        return None
    whole = sum(one.weight for one in _row(config, route))
    return target.weight / whole if whole else None


def _place(config: Config, route: Route) -> int | None:
    """The place in the row of those of its order, where they are asked in their row."""
    if route.reason is not None or _strategy(config, route.name) != "ordered":
        return None
    return _row(config, route).index(route.source.target) + 1


def _row(config: Config, route: Route) -> list[Target]:
    """The targets of a name and an order that can be called."""
    found = [one.source.target for one in config.routes if one.name == route.name and one.reason is None]
    return [one for one in found if one.order == route.source.target.order]


def _group(config: Config, name: str) -> dict[str, Any]:
    router, own = config.router, config.groups.get(name)
    words = ("timeout", "first_token_timeout", "idle_timeout", "num_retries")
    found: dict[str, Any] = {"strategy": _strategy(config, name)}
    for word in words:
        said = getattr(own, word) if own else None
        found[word] = getattr(router, word) if said is None else said
    if found["num_retries"] is None:
        found["num_retries"] = max(len(config.models.get(name, ())) - 1, 0)
    for kind in KINDS:
        given = getattr(router, kind)
        found[kind] = [one for one in given.get(name, given.get(EVERY, ())) if router.aliases.get(one, one) != name]
    found["aliases"] = [alias for alias, meant in router.aliases.items() if meant == name]
    found["orders"] = len({one.source.target.order for one in config.routes if one.name == name and not one.reason})
    return found
