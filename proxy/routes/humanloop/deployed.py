"""What the config has deployed, as the clients read it: projects, their environments, experiments and variants.

An experiment has no single configuration: where the API wants one, a variant is drawn by the shares, and where it may
have none, it has none. Beside it stands the experiment itself, which the last clients no longer read.
"""

from __future__ import annotations

from typing import Any

from proxy.config import Config
from proxy.config.deployment import Deployment, Versions, find
from proxy.config.project import Environment, Project
from proxy.errors import NotFound
from proxy.ids import derived_id, new_id
from proxy.middleware.assign import draw
from proxy.middleware.resolve import drawn
from proxy.routes.humanloop import configs
from proxy.routes.humanloop.directory import Entry

TEAM = derived_id("tm", "parea-proxy")
"""There is one team: whoever may use this gateway."""

FEEDBACK_TYPES: list[dict[str, Any]] = [
    {
        "type": "rating",
        "values": [{"value": "good", "sentiment": "positive"}, {"value": "bad", "sentiment": "negative"}],
    },
    *({"type": name} for name in ("action", "issue", "correction", "comment")),
]

Shown = dict[str, Any]


class Deployed:
    """The deployments of `config`, by project."""

    def __init__(self, config: Config) -> None:
        self._versions = config.versions

    def project(self, entry: Entry) -> Shown:
        """A project with what its default environment has deployed."""
        active: Shown = {}
        if entry.project is not None:
            environment = entry.project.environments[entry.project.default]
            if self._several(environment):
                active = {"active_experiment": self._experiment(entry, environment)}
            else:
                ((versions, deployment, _),) = self._variants(environment)
                active = {"active_config": self._used(entry, versions, deployment)}
        return {
            "id": entry.id,
            "name": entry.name,
            "users": [],
            "data_count": entry.use.calls,
            "feedback_types": FEEDBACK_TYPES,
            "team_id": TEAM,
            "created_at": entry.use.created_at,
            "updated_at": entry.updated_at,
            "config_type": "model",
            "active_evaluators": [],
            **active,
        }

    def active(self, entry: Entry, name: str | None) -> Shown:
        """What one environment has deployed. Raises `NotFound` where there is nothing."""
        project = _configured(entry)
        environment = project.environments.get(name or project.default)
        if environment is None:
            known = ", ".join(sorted(project.environments))
            raise NotFound(
                f"environment: no such environment of this project (there are: {known})", param="environment"
            )
        subject = new_id()
        versions, inner = find(self._versions, draw(environment, subject).deployment)
        shown = self._used(entry, versions, drawn(versions, inner, subject)) | {"environment_id": environment.id}
        if self._several(environment):
            experiment = self._experiment(entry, environment)
            shown |= {"experiment_id": experiment["id"], "experiment": experiment}
        return shown

    def environments(self, entry: Entry) -> list[Shown]:
        """What each environment of a project has deployed; nothing where the config does not know the project."""
        if entry.project is None:
            return []
        return [self._environment(entry, one, entry.project) for one in entry.project.environments.values()]

    def configs(self, entry: Entry) -> list[Shown]:
        """Every version of the deployments of a project, once."""
        environments = entry.project.environments.values() if entry.project else ()
        found = {versions.id: versions for one in environments for versions, _, _ in self._variants(one)}
        return [self._used(entry, one, version) for one in found.values() for version in one.versions.values()]

    def _environment(self, entry: Entry, environment: Environment, project: Project) -> Shown:
        shown: Shown = {
            "project_id": entry.id,
            "project_name": entry.name,
            "environment_id": environment.id,
            "environment_name": environment.name,
            "environment_tag": "default" if environment.name == project.default else "other",
        }
        if self._several(environment):
            experiment = self._experiment(entry, environment)
            more = {"experiment_id": experiment["id"], "experiment_name": experiment["name"], "experiment": experiment}
            return shown | more
        ((versions, deployment, _),) = self._variants(environment)
        return shown | {"model_config_id": deployment.config_id, "model_config_name": versions.label(deployment)}

    def _several(self, environment: Environment) -> bool:
        """Whether the clients are to see an experiment: the project's own, or the versions of a canary."""
        return environment.experiment or len(self._variants(environment)) > 1

    def _variants(self, environment: Environment) -> list[tuple[Versions, Deployment, float]]:
        """The versions that an environment has, each with its weight, of which a deployment's versions share one."""
        found = []
        for variant in environment.variants:
            versions, inner = find(self._versions, variant.deployment)
            whole = sum(one.weight for one in inner.variants)
            found += [
                (versions, versions.versions[one.deployment], variant.weight * one.weight / whole)
                for one in inner.variants
            ]
        return found

    def _used(self, entry: Entry, versions: Versions, deployment: Deployment) -> Shown:
        return {
            "project_id": entry.id,
            "project_name": entry.name,
            "created_at": entry.use.created_at,
            "updated_at": entry.updated_at,
            "last_used": entry.updated_at,
            "config": configs.of_deployment(versions, deployment),
        }

    def _experiment(self, entry: Entry, environment: Environment) -> Shown:
        return {
            "id": derived_id("exp", entry.id, environment.name),
            "project_id": entry.id,
            "name": environment.name,
            "status": "In progress",
            "configs": [
                {
                    "id": deployment.config_id,
                    "display_name": versions.label(deployment),
                    "active": True,
                    "weight": weight,
                    "config": configs.of_deployment(versions, deployment),
                }
                for versions, deployment, weight in self._variants(environment)
            ],
        }


def _configured(entry: Entry) -> Project:
    if entry.project is None:
        raise NotFound("id: nothing is deployed in this project: name it under `projects` of the config", param="id")
    return entry.project
