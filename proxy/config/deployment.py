"""Deployments: deployed prompts, each with all the versions of it that are kept, and what an id of one leads to.

A version is the hash of its content, and a number to say it by. What must stay true: the same content has the same
version in whichever form it is written, and an id leads to one deployment or is refused with those there are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, Discriminator, Field, Tag

from proxy.config.block import Block
from proxy.config.fields import Name, Weight
from proxy.config.hint import nearest
from proxy.config.project import Environment, Variant
from proxy.config.prompt import Prompt
from proxy.errors import NotFound
from proxy.functions import as_tools
from proxy.ids import derived_id
from proxy.models import Json, Message

CURRENT = "current"
"""What a bare name means, beside the environments."""

SHORTEST = 6
"""Digits of a hash that are enough to name a version."""


def _number(value: object) -> object:
    digits = value[1:] if isinstance(value, str) and value[:1] == "v" else ""
    if not (digits.isascii() and digits.isdigit() and digits[0] != "0" and len(digits) < 7):
        raise ValueError("should be a version's number: v1, v2, v3 ...")
    return value


def _share(value: object) -> object:
    if not isinstance(value, str | dict) or value == {}:
        raise ValueError("should be a version, like v2, or versions with weights: {v1: 90, v2: 10}")
    return value


def _some(value: object) -> object:
    if value == {}:
        raise ValueError("needs at least one")
    return value


Number = Annotated[str, Field(pattern=r"^v[1-9][0-9]{0,5}$"), BeforeValidator(_number)]
Share = Annotated[
    Annotated[
        Annotated[Number, Tag("str")] | Annotated[dict[Number, Weight], Tag("dict")],
        Discriminator(lambda value: "str" if isinstance(value, str) else "dict"),
    ],
    BeforeValidator(_share),
]


class Settings(Block):
    """Which version is used where. `previous` is what stood there before, for `rollback`."""

    name: Name | None = None
    current: Share | None = None
    environments: dict[Name, Share] = {}
    previous: dict[Name, Share] = {}


class Kept(Settings):
    """A deployment of which several versions are kept."""

    versions: Annotated[dict[Number, Prompt], Field(min_length=1), BeforeValidator(_some)]


def kind(value: object) -> str:
    """Which of the two forms an entry has."""
    return "Kept" if isinstance(value, Kept) or (isinstance(value, dict) and "versions" in value) else "Prompt"


Entry = Annotated[Annotated[Prompt, Tag("Prompt")] | Annotated[Kept, Tag("Kept")], Discriminator(kind)]
"""A deployment as the file has it."""


@dataclass(slots=True, frozen=True, kw_only=True)
class Deployment:
    """One version of a deployed prompt. `version` is the one given, else `digest`: 12 hex digits of a hash of its
    content. `number` is `v1` for the only one.

    `prompt` is its text, if it was written as one; `messages` then has it as the user's one message. `config_id` is its
    id as a Humanloop model configuration, another one for each version. `where` is the file it stands in, for people.
    """

    id: str
    name: str
    version: str
    number: str = "v1"
    digest: str = ""
    model: str | None = None
    provider: str | None = None
    messages: list[Message] = field(default_factory=list)
    prompt: str | None = None
    params: dict[str, Json] = field(default_factory=dict)
    functions: list[dict[str, Json]] = field(default_factory=list)
    function_call: str | dict[str, Json] | None = None
    config_id: str = ""
    where: str = field(default="", compare=False)

    def request_params(self) -> dict[str, Json]:
        """The parameters of a request to this prompt: `params`, with the functions as tools."""
        return {**self.params, **as_tools(self.functions, self.function_call)}


@dataclass(slots=True, frozen=True, kw_only=True)
class Versions:
    """A deployment: its versions by number, and what `current` and each environment have of them.

    `kept` says that the file keeps versions of it, be it a single one. `path` is the file where `current` and the
    environments stand, or would, and `place` is where in it.
    """

    id: str
    versions: dict[str, Deployment]
    current: Environment
    environments: dict[str, Environment] = field(default_factory=dict)
    previous: dict[str, Environment] = field(default_factory=dict)
    kept: bool = False
    path: Path | None = None
    place: tuple[str | int, ...] = ()

    @property
    def where(self) -> str:
        """The file that declares it, for people: of several that of its first version."""
        return next(iter(self.versions.values())).where

    @property
    def main(self) -> Deployment:
        """The version that a bare name means, of several the heaviest."""
        return self.heaviest(self.current)

    def heaviest(self, environment: Environment) -> Deployment:
        """The version that most get in `current` or an environment."""
        return self.versions[max(environment.variants, key=lambda variant: variant.weight).deployment]

    def places(self) -> dict[str, Environment]:
        """`current` and every environment."""
        return {CURRENT: self.current, **self.environments}

    def label(self, version: Deployment) -> str:
        """A version's name, for people."""
        return f"{version.name} {version.number}" if self.kept else version.name


def versions(
    name: str, entry: Prompt | Kept, path: Path | None, place: tuple[str | int, ...], where: Mapping[str, str]
) -> Versions:
    """The deployment that an entry declares; the rest says where, `where` by version."""
    if isinstance(entry, Prompt):
        only, current = _deployment(name, entry, "v1", None, where["v1"]), _environment(name, CURRENT, "v1")
        return Versions(id=name, versions={"v1": only}, current=current, path=path, place=place)
    numbers = sorted(entry.versions, key=lambda number: int(number[1:]))
    prompts = {number: entry.versions[number] for number in numbers}
    return Versions(
        id=name,
        versions={one: _deployment(name, prompt, one, entry.name, where[one]) for one, prompt in prompts.items()},
        current=_environment(name, CURRENT, entry.current or numbers[-1]),
        environments={one: _environment(name, one, share) for one, share in entry.environments.items()},
        previous={one: _environment(name, one, share) for one, share in entry.previous.items()},
        kept=True,
        path=path,
        place=place,
    )


def problems(entry: Prompt | Kept) -> Iterator[tuple[tuple[str, ...], str]]:
    """What only the whole entry can tell to be wrong: where it stands below the entry, and what it is."""
    if isinstance(entry, Prompt):
        return
    contents: dict[str, str] = {}
    labels: dict[str, str] = {}
    for number, prompt in entry.versions.items():
        first = contents.setdefault(_digest(prompt), number)
        namesake = labels.setdefault(prompt.version or number, number)
        if first != number:
            yield ("versions", number), f"has the content of {first}, and so is that version: name {first} instead"
        elif namesake != number:
            yield ("versions", number, "version"), f"is the version of {namesake}, too"
    shares: list[tuple[tuple[str, ...], str | dict[str, float] | None]] = [((CURRENT,), entry.current)]
    for block in ("environments", "previous"):
        shares += [((block, name), share) for name, share in getattr(entry, block).items()]
    for place, share in shares:
        for number in [share] if isinstance(share, str) else share or ():
            if number not in entry.versions:
                there = place if isinstance(share, str) else (*place, number)
                yield there, f"no such version (there are: {', '.join(entry.versions)})"
    if CURRENT in entry.environments:
        yield ("environments", CURRENT), "is a key beside environments, and no environment's name"
    for name in entry.previous.keys() - entry.environments.keys() - {CURRENT}:
        yield ("previous", name), f"no such environment{nearest(name, [CURRENT, *entry.environments])}"


def find(known: Mapping[str, Versions], deployment_id: str) -> tuple[Versions, Environment]:
    """The deployment that an id names, and what it means of it: an environment's variants, or one version alone.

    An id is a name, `name@version`, with the number or the hash (or its first six digits and more), `name:environment`,
    or a version's `config_id`. Raises `NotFound` that names those there are.
    """
    if (found := known.get(deployment_id)) is not None:
        return found, found.current
    name, _, wanted = deployment_id.rpartition("@")
    if (found := known.get(name)) is not None:
        return found, _pinned(found, _version(found, wanted))
    name, _, wanted = deployment_id.rpartition(":")
    if (found := known.get(name)) is not None:
        places = found.places()
        if wanted not in places:
            raise _missing(found, "environment", wanted, places)
        return found, places[wanted]
    for one in known.values():
        for version in one.versions.values():
            if version.config_id == deployment_id:
                return one, _pinned(one, version)
    there = ", ".join(sorted(known)) or "none"
    raise NotFound(f"no deployment {_short(deployment_id)} in the config (there are: {there})", param="deployment_id")


def _version(found: Versions, wanted: str) -> Deployment:
    if (numbered := found.versions.get(wanted) or found.versions.get(f"v{wanted}")) is not None:
        return numbered
    every = found.versions.values()
    named = [one for one in every if one.version == wanted]
    if not named and len(wanted) >= SHORTEST:
        named = [one for one in every if one.digest.startswith(wanted.lower())]
    if len(named) == 1:
        return named[0]
    raise _missing(found, "version", wanted, (f"{one.number} {one.version}" for one in every))


def _missing(found: Versions, what: str, wanted: str, there: Iterator[str] | Mapping[str, object]) -> NotFound:
    known = ", ".join(there)
    return NotFound(
        f"deployment {_short(found.id)} has no {what} {_short(wanted)} (there are: {known})", param="deployment_id"
    )


def _pinned(found: Versions, version: Deployment) -> Environment:
    return _environment(found.id, version.number, version.number)


def _environment(deployment: str, name: str, share: str | Mapping[str, float]) -> Environment:
    weights = {share: 1.0} if isinstance(share, str) else share
    return Environment(
        name=name,
        id=derived_id("env", "deployment", deployment, name),
        variants=tuple(Variant(number, weight) for number, weight in weights.items()),
        experiment=not isinstance(share, str),
    )


def _content(prompt: Prompt) -> dict[str, Json]:
    content = prompt.model_dump(exclude_none=True, exclude={"name", "version", "messages", "functions"})
    content["messages"] = [message.model_dump(exclude_unset=True) for message in prompt.messages]
    content["functions"] = [function.model_dump(exclude_unset=True) for function in prompt.functions]
    return content


def _digest(prompt: Prompt) -> str:
    canonical = json.dumps(_content(prompt), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def _deployment(name: str, prompt: Prompt, number: str, label: str | None, where: str) -> Deployment:
    content, digest = _content(prompt), _digest(prompt)
    version = prompt.version or digest
    if prompt.prompt is not None:
        content["messages"] = [{"role": "user", "content": prompt.prompt}]
    return Deployment(
        **content,
        id=name,
        name=prompt.name or label or name,
        version=version,
        number=number,
        digest=digest,
        config_id=derived_id("config", name, version),
        where=where,
    )


def _short(name: str) -> str:
    """A name as a message tells it: whole, unless it is no name at all."""
    return repr(name if len(name) <= 100 else name[:100] + "...")
