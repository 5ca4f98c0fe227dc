"""Projects as the config file has them: what each of them has deployed, environment by environment.

What must stay true: ids are derived from names, so that they are the same in every process without being kept, and a
project that was read is whole: its default is one of its environments, and its variants are deployments that there are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Discriminator, Field, Tag

from proxy.config.block import Block
from proxy.config.fields import Name, Weight
from proxy.config.hint import nearest
from proxy.ids import derived_id, project_uuid


def _some(value: object) -> object:
    if value == {}:
        raise ValueError("needs at least one")
    return value


def _deployed(value: object) -> object:
    if not isinstance(value, str | dict):
        raise ValueError("should be a deployment, or {experiment: {a deployment: its weight, ...}}")
    return value


class Experiment(Block):
    """Several deployments, each with its share: 90 and 10 are nine calls of ten and one."""

    experiment: Annotated[dict[Name, Weight], Field(min_length=1), BeforeValidator(_some)]


Deployed = Annotated[
    Annotated[
        Annotated[Name, Tag("str")] | Annotated[Experiment, Tag("dict")],
        Discriminator(lambda value: "str" if isinstance(value, str) else "dict"),
    ],
    BeforeValidator(_deployed),
]


class ProjectKeys(Block):
    """One project as the file has it."""

    id: Name | None = None
    default: Name | None = None
    environments: Annotated[dict[Name, Deployed], Field(min_length=1), BeforeValidator(_some)]


@dataclass(slots=True, frozen=True)
class Variant:
    """A deployment and its weight beside the others of its environment."""

    deployment: str
    weight: float = 1.0


@dataclass(slots=True, frozen=True)
class Environment:
    """What is deployed under one name. `experiment` says that it was declared as one, be it with a single variant."""

    name: str
    id: str
    variants: tuple[Variant, ...]
    experiment: bool = False


@dataclass(slots=True, frozen=True)
class Project:
    """A project; `default` is the environment meant where none is named."""

    name: str
    id: str
    default: str
    environments: dict[str, Environment]


DEFAULT = "default"
"""The project of what names none: Parea's API gives it where its client says nothing."""


def ids_of(name: str) -> tuple[str, ...]:
    """The ids by which clients may know the project called `name`, besides one of its own: Humanloop's and Parea's."""
    return derived_id("pr", name), project_uuid(name)


def projects(blocks: Mapping[str, ProjectKeys]) -> dict[str, Project]:
    """The projects by name."""
    return {name: _project(name, block) for name, block in blocks.items()}


def problems(
    blocks: Mapping[str, ProjectKeys], wrong: Callable[[str], str | None]
) -> list[tuple[tuple[str, ...], str]]:
    """What only the whole file can tell to be wrong: where it stands, and what it is. `wrong` judges a deployment."""
    found: list[tuple[tuple[str, ...], str]] = []
    ids: dict[str, str] = {}
    for name, project in projects(blocks).items():
        place = ("projects", name)
        if project.default not in project.environments:
            hint = nearest(project.default, project.environments)
            found.append(((*place, "default"), f"no such environment of this project{hint}"))
        if project.id in ids:
            found.append(((*place, "id"), f"is the id of project {ids[project.id]}, too"))
        ids.setdefault(project.id, name)
        for environment in project.environments.values():
            here = (*place, "environments", environment.name, *(["experiment"] if environment.experiment else []))
            for variant in environment.variants:
                if message := wrong(variant.deployment):
                    found.append(((*here, variant.deployment) if environment.experiment else here, message))
    return found


def _project(name: str, block: ProjectKeys) -> Project:
    return Project(
        name=name,
        id=block.id or derived_id("pr", name),
        default=block.default or next(iter(block.environments)),
        environments={one: _environment(name, one, deployed) for one, deployed in block.environments.items()},
    )


def _environment(project: str, name: str, deployed: str | Experiment) -> Environment:
    experiment = isinstance(deployed, Experiment)
    weights = deployed.experiment if isinstance(deployed, Experiment) else {deployed: 1.0}
    return Environment(
        name=name,
        id=derived_id("env", project, name),
        variants=tuple(Variant(deployment, weight) for deployment, weight in weights.items()),
        experiment=experiment,
    )
