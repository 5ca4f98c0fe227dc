"""A request as a cassette knows it: what is asked, whichever API it came by, and which names lead to an answer.

Much as for the cache (`fingerprint`), with one difference: a model is known by the name that it was asked for, or that
the deployment has. Where it leads is left open, since a recording is replayed where there are no keys, and without keys
it may lead nowhere. A name that the configuration has, be it as one of a form (`up/*`), stays as it is; any other has
one form for all the ways to write it (`gpt-4o`, `openai:gpt-4o`).

What is not part of it: keys, addresses, ids, tags, metadata, the log policy, the cache, streaming, retries, timeouts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher

from proxy.config import Config
from proxy.middleware.fingerprint import number
from proxy.middleware.names import LONGEST, form
from proxy.middleware.veil import veiled
from proxy.models import Call, CompletionRequest, Json
from proxy.recording import Recording
from proxy.target import Group
from proxy.vendors import asked, infer, named

SHOWN = 12
"""Differences that are told."""

WIDTH = 120
"""Characters that are shown of a value."""

ALIKE = 500
"""Recordings whose texts are compared, of those that have the most in common with a request."""


class Canon:
    """The requests of one configuration."""

    def __init__(self, config: Config) -> None:
        self._providers: dict[str, set[str]] = {}
        for wildcard in config.wildcards:
            self._providers.setdefault(wildcard.pattern, set()).update(each.provider for each in wildcard.targets)
        for route in config.routes:
            self._providers.setdefault(route.name, set()).add(route.source.target.provider)
        for name, targets in config.models.items():
            self._providers.setdefault(name, set()).update(target.provider for target in targets)
        self._forms = [(form(name), providers) for name, providers in self._providers.items() if "*" in name]
        self._aliases = config.router.aliases

    def request(self, call: Call) -> dict[str, Json]:
        """What `call`, which is resolved, asks for."""
        return self._request(call, self._name)

    def former(self, call: Call) -> dict[str, Json]:
        """The same as it was written in format 1, where a name that is not listed was what it led to."""
        return self._request(call, self._led)

    def _request(self, call: Call, name: Callable[[Group, str | None], str]) -> dict[str, Json]:
        request = call.request
        params = {
            name: number(value) if type(value) is float else value for name, value in veiled(request.params).items()
        }
        tools = params.pop("tools", None)
        found = {
            "kind": asked(call.targets[0], request.kind),
            "model": name(call.groups[0], request.provider),
            "fallbacks": [name(group, None) for group in call.groups[1:]],
            "messages": _messages(request),
            "params": params,
            "tools": tools,
        }
        return {name: value for name, value in found.items() if value not in (None, [], {})}

    def _name(self, group: Group, provider: str | None) -> str:
        providers = self._listed(group.name)
        if providers is None:
            return _plain(group.name, provider)
        return group.name if provider is None or len(providers) == 1 else f"{provider}/{group.name}"

    def _led(self, group: Group, provider: str | None) -> str:
        if self._aliases.get(group.name, group.name) in self._providers:
            return self._name(group, provider)
        return f"{group.targets[0].provider}/{group.targets[0].model}"

    def _listed(self, name: str) -> set[str] | None:
        """The providers of a name that the configuration has, with keys or without."""
        real = self._aliases.get(name, name)
        if (providers := self._providers.get(real)) is not None:
            return providers
        fitting = (providers for pattern, providers in self._forms if pattern.fullmatch(real) is not None)
        return next(fitting, None) if len(real) <= LONGEST else None


def _plain(name: str, provider: str | None) -> str:
    """The one form of a name that the configuration does not have."""
    written = named(name)
    if provider is None:
        provider, name = written or (infer(name), name)
    elif written is not None and written[0] == provider:
        name = written[1]
    if provider == "litellm":  # any of LiteLLM's models, by its own name
        provider, name = named(name) or (infer(name), name)
    return name if provider is None else f"{provider}/{name}"


def _messages(request: CompletionRequest) -> list[Json]:
    """The conversation; of several texts to complete each is one by itself."""
    messages = request.messages or []
    if request.kind == "text" and len(messages) > 1:
        return [[*request.history, message] for message in messages]
    return [*request.history, *messages]


def difference(request: Mapping[str, Json], recordings: Sequence[Recording]) -> str:
    """How `request` differs from the recorded one that is nearest to it, of which there is at least one."""
    mine = dict(_leaves(request))
    theirs = [(one, dict(_leaves(one.request))) for one in recordings]

    def near(one: tuple[Recording, dict[str, str]]) -> tuple[bool, int]:
        # the same words come first, however much stands beside them: a list of tools is more than a sentence
        return one[0].request.get("messages") == request.get("messages"), _common(mine, one[1])

    theirs.sort(key=near, reverse=True)
    nearest, recorded = max(theirs[:ALIKE], key=lambda one: (*near(one), _likeness(mine, one[1])))
    told = [f"--- {nearest.name}", "+++ this request"]
    apart = [path for path in {**recorded, **mine} if recorded.get(path, ...) != mine.get(path, ...)]
    for path in apart[:SHOWN]:
        old, new = recorded.get(path), mine.get(path)
        same = _shared(old, new) if old is not None and new is not None else 0
        told += [f"-{path}: {_cut(old, same)}"] if old is not None else []
        told += [f"+{path}: {_cut(new, same)}"] if new is not None else []
    if len(apart) > SHOWN:
        told.append(f"... and {len(apart) - SHOWN} more")
    return "\n".join(told)


def _leaves(value: Json, path: str = "") -> Iterator[tuple[str, str]]:
    """Each value that is no object and no list, as JSON, by where it stands."""
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{index}]")
    else:
        yield path, json.dumps(value, ensure_ascii=False)


def _common(mine: dict[str, str], theirs: dict[str, str]) -> int:
    """How much is equal, less what only one of them has."""
    equal = len(mine.items() & theirs.items())
    return 2 * equal - len(mine.keys() ^ theirs.keys())


def _likeness(mine: dict[str, str], theirs: dict[str, str]) -> float:
    """How near the texts are that stand in one place and differ."""
    pairs = [(mine[path], theirs[path]) for path in mine.keys() & theirs.keys() if mine[path] != theirs[path]]
    return sum(SequenceMatcher(None, one[:400], other[:400]).quick_ratio() for one, other in pairs)


def _shared(one: str, other: str) -> int:
    """How many characters two texts begin with in common."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _cut(text: str, same: int) -> str:
    """The part of a long text in which it begins to differ."""
    begin = max(0, same - WIDTH // 3) if len(text) > WIDTH else 0
    end = begin + WIDTH
    return ("..." if begin else "") + text[begin:end] + ("..." if end < len(text) else "")
