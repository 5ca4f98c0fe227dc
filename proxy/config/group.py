"""The targets of one model name among each other: their ids, their order and their shares.

What must stay true: an id is made of names, is nobody else's, and stays when an entry before it gets or loses its key;
shares are those that LiteLLM draws by.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from proxy.config.route import Route
from proxy.config.router import Wildcard
from proxy.config.settings import ModelEntry
from proxy.target import Target

Listed = tuple[Route, ModelEntry]
"""A route and the entry that it comes from; an entry with several organizations has several."""

_BY: tuple[Callable[[Listed], float | None], ...] = (
    lambda one: one[1].litellm_params.weight,
    lambda one: one[0].source.target.rpm,
    lambda one: one[0].source.target.tpm,
)
"""What a share is made of: the first of these that one of the targets has, of which those without it have none."""


def arranged(found: Sequence[Listed]) -> list[Route]:
    """The routes, in the file's order, with the ids, orders and weights of their targets.

    `echo` is used only where nothing else can be called: a made-up answer must not cover up a failing provider.
    """
    real = {route.name for route, _ in found if route.reason is None and not _made_up(route)}
    listed = [(_aside(route) if _made_up(route) and route.name in real else route, entry) for route, entry in found]
    ids, orders = _ids(listed), _orders(listed)
    weights = _weights(listed, orders)
    return [
        _with(route, replace(route.source.target, id=ids[i], order=orders[i], weight=weights[i]))
        for i, (route, _) in enumerate(listed)
    ]


def models(found: Sequence[Route]) -> dict[str, tuple[Target, ...]]:
    """The targets that can be called, by the names that are no patterns."""
    return {name: targets for name, targets in _named(found).items() if "*" not in name}


def wildcards(found: Sequence[Route]) -> tuple[Wildcard, ...]:
    """The names that are patterns, the longer ones first, as LiteLLM asks them."""
    patterns = [(name, targets) for name, targets in _named(found).items() if "*" in name]
    return tuple(Wildcard(*one) for one in sorted(patterns, key=lambda one: _exactness(one[0]), reverse=True))


def matches(pattern: str, name: str) -> bool:
    """Whether a name is of a pattern's form, as LiteLLM sees it: what comes behind the pattern's end is no matter."""
    return re.match(".*".join(map(re.escape, pattern.split("*"))), name) is not None


def _named(found: Sequence[Route]) -> dict[str, tuple[Target, ...]]:
    named: dict[str, tuple[Target, ...]] = {}
    for route in found:
        if route.reason is None:
            named[route.name] = (*named.get(route.name, ()), route.source.target)
    return named


def _exactness(pattern: str) -> tuple[int, int]:
    """LiteLLM's measure: the length of the regular expression, then how much of it is no plain text."""
    expression = re.escape(pattern).replace(r"\*", "(.*)")
    return len(expression), sum(expression.count(character) for character in r"*+?\^$|()")


def _made_up(route: Route) -> bool:
    return route.source.target.provider == "echo"


def _aside(route: Route) -> Route:
    return replace(route, reason=route.reason or "stands in only while no other target of this name can be used")


def _with(route: Route, target: Target) -> Route:
    return replace(route, source=replace(route.source, target=target))


def _ids(found: Sequence[Listed]) -> list[str]:
    """`model_info.id`, else `provider/model`, numbered from the second one on."""
    taken = {entry.model_info.id for _, entry in found if entry.model_info.id}
    count: Counter[str] = Counter()
    ids: list[str] = []
    for route, entry in found:
        label = f"{route.source.target.provider}/{route.source.target.model}"
        count[label] += 1
        given = entry.model_info.id
        if given and given not in ids:
            ids.append(given)
            continue
        base, number = (given, 2) if given else (label, count[label])
        while (made := base if number == 1 else f"{base}#{number}") in taken:
            number += 1
        taken.add(made)
        ids.append(made)
    return ids


def _orders(found: Sequence[Listed]) -> list[int]:
    """Whoever has no `order` comes after those of its name that have one."""
    last: dict[str, int] = {}
    for route, entry in found:
        if (order := entry.litellm_params.order) is not None:
            last[route.name] = max(order, last.get(route.name, order))
    return [
        entry.litellm_params.order if entry.litellm_params.order is not None else last.get(route.name, -1) + 1
        for route, entry in found
    ]


def _weights(found: Sequence[Listed], orders: Sequence[int]) -> list[float]:
    """The shares among the targets of one name and order that can be called; 1 where nothing gives one."""
    weights = [1.0] * len(found)
    groups: dict[tuple[str, int], list[int]] = {}
    for i, (route, _) in enumerate(found):
        if route.reason is None:
            groups.setdefault((route.name, orders[i]), []).append(i)
    for members in groups.values():
        for measure in _BY:
            shares = [measure(found[i]) or 0.0 for i in members]
            if any(shares):
                for i, share in zip(members, shares, strict=True):
                    weights[i] = float(share)
                break
    return weights
