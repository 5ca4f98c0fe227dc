"""What a model name stands for: the group of targets that a call to it may go to.

A name is looked up in this order:

1. with a provider: the targets of that provider listed under the name, else that provider's own entry with the name as
its model; 2. without one: the targets listed under the name; else `provider/model` or `provider:model`, the listed
models of that provider first; else the provider that the name's form belongs to.

Listed under a name are those of the name that it is an alias of, else those of its `model_name`, else those of the most
exact `model_name` with a `*` that it fits. An alias comes first, as in LiteLLM.

What must stay true: equal names give the same group, whose targets are in the file's order and never none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from pydantic import SecretStr

from proxy.caller import Caller
from proxy.config import Config
from proxy.config.router import GroupSettings
from proxy.errors import BadRequest, NotFound
from proxy.target import Group, Target
from proxy.vendors import UNREACHED, VENDORS, infer, named

ANY = ""
"""The name under which a request's key stands that is meant for whichever provider is called."""

REMEMBERED = 1024
"""Groups of names that are not listed; clients may make up any number of these."""

LONGEST = 512
"""Characters of a name that is remembered, or that may fit a pattern."""

PLAIN = GroupSettings()


class Names:
    """The groups of one configuration."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._patterns = [(form(each.pattern), each.targets) for each in config.wildcards]
        listed = {name: targets for name, targets in config.models.items() if name not in config.router.aliases}
        self._known = {name: self._group(name, name, targets) for name, targets in listed.items()}
        self._found: dict[tuple[str, str | None], Group] = {}

    def group(self, name: str | None, provider: str | None = None, caller: Caller | None = None) -> Group:
        """What `name` stands for. Raises `BadRequest` without a name, and `NotFound` for one that means nothing, which
        tells those that `caller` may call.
        """
        if not name:
            raise BadRequest("no model is named: give a model, or a deployment that has one", param="model")
        if provider is None and (known := self._known.get(name)) is not None:
            return known
        found = self._found.get((name, provider))
        if found is None:
            # An alias keeps its own name, which is the one that fallbacks and rows know.
            real = self._config.router.aliases.get(name, name)
            found = self._group(name, real, self._targets(real, provider, caller))
            if len(self._found) >= REMEMBERED:
                self._found.clear()
            if len(name) <= LONGEST:
                self._found[name, provider] = found
        return found

    def why(self, name: str, provider: str | None = None) -> str:
        """Why a name stands for what it does."""
        config = self._config
        real = config.router.aliases.get(name, name)
        if provider is None and real in config.models:
            return "a model_name of the config" if real == name else f"an alias of {real}"
        if any(pattern.fullmatch(real) for pattern, _ in self._patterns if len(real) <= LONGEST):
            return "fits a model_name with a *"
        if provider is not None:
            return f"the request names the provider {provider}"
        return "named as provider/model" if named(real) is not None else "its provider is told from its form"

    def _group(self, name: str, real: str, targets: tuple[Target, ...]) -> Group:
        router, groups = self._config.router, self._config.groups
        own = groups.get(name) or groups.get(real) or PLAIN
        if own.timeout is not None:
            # The provider goes by its target's, or else by what holds for all names.
            targets = tuple(replace(each, timeout=each.timeout or own.timeout) for each in targets)
        return Group(
            name=name,
            targets=targets,
            strategy=own.strategy or router.strategy,
            timeout=own.timeout or router.timeout,
            first_token_timeout=own.first_token_timeout or router.first_token_timeout,
            idle_timeout=own.idle_timeout or router.idle_timeout,
            num_retries=_first(own.num_retries, router.num_retries, len(targets) - 1),
        )

    def _targets(self, model: str, provider: str | None, caller: Caller | None) -> tuple[Target, ...]:
        listed = self._listed(model)
        if provider is None:
            if listed:
                return listed
            provider, own = self._provider_of(model, caller)
            listed = self._config.models.get(own, ())
        else:
            written = named(model)
            own = written[1] if written is not None and written[0] == provider else model
            listed = listed or self._listed(f"{provider}/{own}")
        if matching := tuple(target for target in listed if target.provider == provider):
            return matching
        if provider == "litellm" and not self._has_base("litellm"):
            provider, own = _named_by_prefix(own)
        configured = self._config.providers.get(provider) or Target(provider=provider, model="")
        return (replace(configured, model=own),)

    def _listed(self, model: str) -> tuple[Target, ...]:
        if listed := self._config.models.get(model):
            return listed
        for pattern, targets in self._patterns if len(model) <= LONGEST else ():
            if (match := pattern.fullmatch(model)) is not None:
                return tuple(replace(each, model=_filled(each.model, match.groups())) for each in targets)
        return ()

    def _provider_of(self, model: str, caller: Caller | None) -> tuple[str, str]:
        written = named(model)
        if written is not None:
            return written
        known = ", ".join(self._told(caller)) or "none"
        if model.partition("/")[0] in UNREACHED:
            raise NotFound(
                f"model {short(model)} is not in the config (there are: {known}), and only a line of model_list can say"
                " where this vendor's models are",
                param="model",
            )
        provider = infer(model)
        if provider is None:
            raise NotFound(
                f"model {short(model)} is not in the config (there are: {known}) and its provider cannot be told from"
                " its name: write provider/model",
                param="model",
            )
        return provider, model

    def _told(self, caller: Caller | None) -> list[str]:
        """The names there are, of which a key is told its own."""
        aliases = self._config.router.aliases
        names = {*self._config.models, *aliases, *(each.pattern for each in self._config.wildcards)}
        return sorted(one for one in names if caller is None or caller.may_call(one, aliases.get(one, one)))

    def _has_base(self, provider: str) -> bool:
        target = self._config.providers.get(provider)
        return target is not None and target.api_base is not None


def keyed(group: Group, keys: Mapping[str, SecretStr]) -> Group:
    """The group as it is for a request that brought `keys`: each replaces the configured one of its provider."""
    if not keys:
        return group
    return replace(group, targets=tuple(_keyed(target, keys) for target in group.targets))


def short(name: str) -> str:
    """A name as a message tells it: whole, unless it is no name at all."""
    return repr(name if len(name) <= 100 else name[:100] + "...")


def _keyed(target: Target, keys: Mapping[str, SecretStr]) -> Target:
    key = keys.get(target.provider) or keys.get(ANY)
    return target if key is None or target.provider == "echo" else target.with_key(key)


def form(text: str) -> re.Pattern[str]:
    """The names that one with a `*` stands for."""
    return re.compile("(.*)".join(map(re.escape, text.split("*"))), re.DOTALL)


def _filled(model: str, parts: tuple[str, ...]) -> str:
    """The target's model with what the asked name has in the place of each `*`."""
    for part in parts:
        model = model.replace("*", part, 1)
    return model


def _first(*numbers: int | None) -> int:
    return next(number for number in numbers if number is not None)


def _named_by_prefix(model: str) -> tuple[str, str]:
    """Provider `litellm` without a LiteLLM proxy of its own: any model of LiteLLM's that is written with its prefix."""
    provider, own = named(model) or (None if "/" in model else infer(model), model)
    if provider is None or provider == "litellm":
        raise BadRequest(
            "provider 'litellm' needs providers.litellm.api_base (a LiteLLM proxy), or a model written provider/model "
            f"with one of: {', '.join(sorted(VENDORS))}",
            param="model",
        )
    return provider, own
