"""From what the file says of routing, in LiteLLM's words and in its own, to what holds for every name and for each.

What must stay true: a name that is fallen back to, or that another stands for, can be asked for; nothing falls back to
itself; what cannot be done as the file says is told by its key.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from proxy.config.document import Document, Place
from proxy.config.group import matches
from proxy.config.hint import nearest
from proxy.config.reliability import Alias, Fallbacks, Reliability, RetryPolicy
from proxy.config.route import Route
from proxy.config.router import GroupSettings, RouterSettings
from proxy.config.settings import File
from proxy.config.validation import ConfigWarning, warned
from proxy.target import Strategy
from proxy.vendors import infer, named

STRATEGIES: Mapping[str, Strategy] = {
    "weighted": "weighted",
    "ordered": "ordered",
    "least-busy": "least-busy",
    "lowest-latency": "lowest-latency",
    "lowest-cost": "lowest-cost",
    "simple-shuffle": "weighted",
    "usage-based-routing": "weighted",
    "usage-based-routing-v2": "weighted",
    "provider-budget-routing": "weighted",
    "latency-based-routing": "lowest-latency",
    "cost-based-routing": "lowest-cost",
}
"""The strategies by their names here and by LiteLLM's."""

INEXACT: Mapping[str, str] = {
    "usage-based-routing": "is taken as weighted: shares are by rpm or tpm, and limits are kept",
    "usage-based-routing-v2": "is taken as weighted: shares are by rpm or tpm, and limits are kept",
    "provider-budget-routing": "is taken as weighted: there are no budgets of providers",
}
"""Strategies of LiteLLM's that are not quite what stands for them here."""

FALLBACKS = ("fallbacks", "context_window_fallbacks", "content_policy_fallbacks")
BLOCKS = ("router_settings", "litellm_settings")
BOTH = (*Reliability.model_fields, "request_timeout")
"""The keys of the second block that the first has, too."""

UNKNOWN = "no model_name of model_list, and no provider can be told from it"

EVERY = "*"
"""Under this name stand the fallbacks of all names that have none of their own."""


_T = TypeVar("_T")


@dataclass(slots=True, frozen=True)
class Names:
    """What can be asked for by name: the names and patterns of `model_list`, their aliases, and any model whose
    provider can be told.
    """

    listed: frozenset[str]
    aliases: Mapping[str, str]

    def has(self, name: str) -> bool:
        known = name in self.listed or name in self.aliases or named(name) is not None or infer(name) is not None
        return known or any("*" in one and matches(one, name) for one in self.listed)

    def hint(self, name: str) -> str:
        return nearest(name, [*self.listed, *self.aliases])


def names(document: Document, file: File, found: Iterable[Route]) -> Names:
    """The names, with aliases of aliases followed. What an alias stands for and cannot be asked for is a problem."""
    given = file.router_settings.model_group_alias or {}
    direct = {alias: one if isinstance(one, str) else one.model for alias, one in given.items()}
    listed = frozenset(route.name for route in found)
    aliases = {}
    for alias in direct:
        seen, name = {alias}, direct[alias]
        while name in direct and name not in seen:
            seen.add(name)
            name = direct[name]
        if name in seen and name not in listed:
            document.problem(("router_settings", "model_group_alias", alias), "stands for itself")
        elif name != alias:
            aliases[alias] = name
    known = Names(listed, aliases)
    for alias, name in aliases.items():
        if not known.has(name):
            hint = nearest(name, listed)
            place = ("router_settings", "model_group_alias", alias)
            document.problem(place, f"is for a name that is {UNKNOWN}{hint}")
    return known


def router(document: Document, file: File, known: Names) -> RouterSettings:
    """What holds for every name; `router_settings` before `litellm_settings`. Problems go to the document."""
    keys, default = file.router_settings, RouterSettings()
    fallbacks = {word: _fallbacks(document, file, known, word) for word in FALLBACKS}
    general = keys.default_fallbacks or file.litellm_settings.default_fallbacks
    if general:
        fallbacks["fallbacks"][EVERY] = tuple(dict.fromkeys(general))
    cooldown = _first(file, "cooldown_time", default.cooldown_time)
    return RouterSettings(
        strategy=STRATEGIES[keys.routing_strategy] if keys.routing_strategy else default.strategy,
        num_retries=_policy(keys.retry_policy, _first(file, "num_retries", default.num_retries)),
        timeout=keys.timeout or file.litellm_settings.request_timeout or default.timeout,
        first_token_timeout=keys.stream_timeout,
        idle_timeout=keys.idle_timeout,
        retry_after=default.retry_after if keys.retry_after is None else keys.retry_after,
        allowed_fails=_first(file, "allowed_fails", default.allowed_fails),
        cooldown_time=0.0 if keys.disable_cooldowns else cooldown,
        **fallbacks,
        max_fallbacks=_first(file, "max_fallbacks", default.max_fallbacks),
        aliases=known.aliases,
        hidden=frozenset(alias for alias in known.aliases if _hidden(file, alias)),
        continue_streams=bool(keys.continue_streams or keys.enable_mid_stream_fallback_continuation),
    )


def groups(document: Document, file: File, known: Names) -> dict[str, GroupSettings]:
    """What names say for themselves, in `groups` or in `model_group_retry_policy`. Problems go to the document."""
    found = {}
    for name in file.groups:
        if name not in known.listed:
            document.problem(("groups", name), f"no model_name of model_list{nearest(name, known.listed)}")
    policies = file.router_settings.model_group_retry_policy or {}
    plain = _first(file, "num_retries", RouterSettings().num_retries)
    for name in dict.fromkeys((*file.groups, *(name for name in policies if name in known.listed))):
        own = file.groups[name].model_dump() if name in file.groups else {}
        if own.get("num_retries") is None and name in policies and _simple(policies[name], plain):
            own["num_retries"] = _policy(policies[name], plain)
        if any(value is not None for value in own.values()):
            found[name] = GroupSettings(**own)
    return found


def inexact(document: Document, file: File, known: Names) -> list[ConfigWarning]:
    """The keys that are taken for something that is not quite what they say."""
    keys, place = file.router_settings, ("router_settings",)
    found: dict[Place, str] = {}
    if keys.routing_strategy is not None and keys.routing_strategy in INEXACT:
        found[(*place, "routing_strategy")] = INEXACT[keys.routing_strategy]
    found |= _idle(file)
    for alias in known.aliases:
        if alias in known.listed:
            said = "is a model_name, too, in whose place it is called, as in LiteLLM"
            found[(*place, "model_group_alias", alias)] = said
    plain = _first(file, "num_retries", RouterSettings().num_retries)
    several = "says different numbers for failures that are tried again; num_retries holds"
    if keys.retry_policy and not _simple(keys.retry_policy, plain):
        found[(*place, "retry_policy")] = several
    for name, policy in (keys.model_group_retry_policy or {}).items():
        if name not in known.listed:
            hint = nearest(name, known.listed)
            found[(*place, "model_group_retry_policy", name)] = f"is of no model_name of model_list{hint}"
        elif not _simple(policy, plain):
            found[(*place, "model_group_retry_policy", name)] = several
    return [warned(document, where, text) for where, text in found.items()]


def _idle(file: File) -> dict[Place, str]:
    """What has no effect because the same stands elsewhere: a key in both blocks, a name's fallbacks twice in one."""
    first, second = file.router_settings, file.litellm_settings
    found: dict[Place, str] = {}
    for key in BOTH:
        other = "timeout" if key == "request_timeout" else key
        if getattr(second, key) is not None and getattr(first, other) not in (None, []):
            found[(BLOCKS[1], key)] = f"has no effect: {BLOCKS[0]}.{other} stands before it"
    for block in BLOCKS:
        for word in FALLBACKS:
            seen: set[str] = set()
            for i, entry in enumerate(getattr(getattr(file, block), word) or ()):
                for name in entry:
                    if name in seen and (block, word) not in found:
                        found[(block, word, i, name)] = "stands twice; the first holds, as in LiteLLM"
                seen |= entry.keys()
    return found


def _hidden(file: File, alias: str) -> bool:
    given = (file.router_settings.model_group_alias or {})[alias]
    return isinstance(given, Alias) and given.hidden


def _first(file: File, key: str, default: _T) -> _T:
    for block in (file.router_settings, file.litellm_settings):
        value: _T | None = getattr(block, key)
        if value is not None:
            return value
    return default


def _numbers(policy: RetryPolicy, plain: int | None) -> set[int | None]:
    """How often the failures that are ever tried again here are to be."""
    default = plain if policy.DefaultRetries is None else policy.DefaultRetries
    given = policy.model_dump(include=set(RetryPolicy.model_fields) - {"DefaultRetries"})
    return {default if number is None else number for number in given.values()}


def _simple(policy: RetryPolicy, plain: int | None) -> bool:
    return len(_numbers(policy, plain)) == 1


def _policy(policy: RetryPolicy | None, plain: int | None) -> int | None:
    return _numbers(policy, plain).pop() if policy and _simple(policy, plain) else plain


def _fallbacks(document: Document, file: File, known: Names, word: str) -> dict[str, tuple[str, ...]]:
    """The fallbacks of one kind. A name that stands twice has those that stand first, as in LiteLLM."""
    found: dict[str, tuple[str, ...]] = {}
    block = next((one for one in BLOCKS if getattr(getattr(file, one), word)), None)
    if block is not None:
        given: Fallbacks = getattr(getattr(file, block), word)
        for place, name in _spoken(block, word, given):
            if name != EVERY and not known.has(name):
                document.problem(place, f"{UNKNOWN}{known.hint(name)}")
        for entry in given:
            for name, others in entry.items():
                own = known.aliases.get(name, name)
                rest = [one for one in dict.fromkeys(others) if known.aliases.get(one, one) != own]
                found.setdefault(name, tuple(rest))
    general = "default_fallbacks"
    if word == "fallbacks":
        block = next((one for one in BLOCKS if getattr(getattr(file, one), general)), BLOCKS[0])
        for i, name in enumerate(getattr(getattr(file, block), general) or ()):
            if not known.has(name):
                document.problem(
                    (block, general, i),
                    f"{UNKNOWN}{known.hint(name)}",
                )
    return found


def _spoken(block: str, word: str, given: Fallbacks) -> Iterator[tuple[Place, str]]:
    """Each name in fallbacks, and where it stands."""
    for i, entry in enumerate(given):
        for name, others in entry.items():
            yield (block, word, i, name), name
            for j, other in enumerate(others):
                yield (block, word, i, name, j), other
