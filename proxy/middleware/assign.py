"""Assignment: which deployment a call gets that asks for whatever its project has in an environment.

Of an experiment's variants each session gets one, or each end user where there is no session, and gets it again with
every call, from every process and after a restart: it is drawn by a hash, and nothing is kept. What must stay true:
draws are spread as the weights say, and a weight that is raised, or a variant that is added, draws from the others and
moves nobody between them.
"""

from __future__ import annotations

import hashlib
import math

from proxy.config import Config
from proxy.config.project import DEFAULT, Environment, Project, Variant, ids_of
from proxy.errors import BadRequest, NotFound
from proxy.ids import derived_id
from proxy.models import Call, TraceContext
from proxy.protocols import Step

DRAWS = 2**52
"""How many draws there are: halves of these are whole floats, so none is 0 or 1."""


def assign(config: Config) -> Step:
    """A step that names the deployment of a call that gives a project and an environment."""
    ids = {one: project for project in config.projects.values() for one in ids_of(project.name)}
    ids |= {project.id: project for project in config.projects.values()}

    def step(call: Call) -> None:
        request, place = call.request, call.request.trace
        if request.environment is None:
            _complete(config, ids, place)
            return
        project = _project(config, ids, place)
        environment = _environment(project, request.environment)
        variant = draw(environment, subject(place))
        request.deployment_id = variant.deployment
        place.project_name, place.project_uuid = project.name, project.id
        call.remarks["environment"] = environment.name
        if environment.experiment:
            experiment_id = derived_id("exp", project.id, environment.name)
            call.remarks["experiment"] = {"id": experiment_id, "variant": variant.deployment}

    return step


def _complete(config: Config, ids: dict[str, Project], place: TraceContext) -> None:
    """Name and id of a project of the config, whichever of its ids it goes by; another is fine as it is."""
    if place.project_uuid is None and (known := config.projects.get(place.project_name or "")) is not None:
        place.project_uuid = known.id
    elif place.project_name in (None, DEFAULT) and (known := ids.get(place.project_uuid or "")) is not None:
        place.project_name, place.project_uuid = known.name, known.id


def subject(place: TraceContext) -> str:
    """Who gets the same with every call: a session, else an end user, else the call alone."""
    return place.session_id or place.end_user or place.trace_id


def draw(environment: Environment, subject: str) -> Variant:
    """The variant that `subject` gets: weighted rendezvous hashing, in which each variant draws a time to wait, the
    shorter the heavier it is, and the first one wins.
    """

    def wait(variant: Variant) -> float:
        written = "\0".join((environment.id, variant.deployment, subject)).encode("utf-8", "surrogatepass")
        number = int.from_bytes(hashlib.blake2b(written, digest_size=8).digest()) % DRAWS
        return -math.log((number + 0.5) / DRAWS) / variant.weight

    return min(environment.variants, key=wait) if len(environment.variants) > 1 else environment.variants[0]


def _project(config: Config, ids: dict[str, Project], place: TraceContext) -> Project:
    """The project that a call names: by its id, by its name, or by both."""
    if place.project_uuid is None and place.project_name is None:
        raise BadRequest("no project is named: give project or project_id", param="project")
    found: dict[str, Project | None] = {}
    if place.project_name is not None:
        found["project"] = config.projects.get(place.project_name)
    if place.project_uuid is not None:
        found["project_id"] = ids.get(place.project_uuid)
    for param, project in found.items():
        if project is None:
            known = ", ".join(sorted(config.projects)) or "none"
            raise NotFound(f"no such project in the config (there are: {known})", param=param)
    project, *others = [one for one in found.values() if one is not None]
    if others and others != [project]:
        raise BadRequest("project and project_id are those of two projects: give one of them", param="project_id")
    return project


def _environment(project: Project, name: str) -> Environment:
    environment = project.environments.get(name or project.default)
    if environment is None:
        known = ", ".join(sorted(project.environments))
        raise NotFound(f"project {project.name!r} has no such environment (there are: {known})", param="environment")
    return environment
