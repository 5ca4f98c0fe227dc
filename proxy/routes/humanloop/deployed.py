"""What the config has deployed, as the clients read it: projects, their environments, experiments and variants.

An experiment has no single configuration: where the API wants one, a variant is drawn by the shares, and where it may
have none, it has none. Beside it stands the experiment itself, which the last clients no longer read.
"""

from __future__ import annotations

from typing import Any

from proxy.config import Config
from proxy.config.project import Environment, Project
from proxy.errors import NotFound
from proxy.ids import derived_id, new_id
from proxy.middleware.assign import draw
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
        self._deployments = config.deployments

    def project(self, entry: Entry) -> Shown:
        """A project with what its default environment has deployed."""
        active: Shown = {}
        if entry.project is not None:
            environment = entry.project.environments[entry.project.default]
            if environment.experiment:
                active = {"active_experiment": self._experiment(entry, environment)}
            else:
                active = {"active_config": self._used(entry, environment.variants[0].deployment)}
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
        variant = draw(environment, new_id())
        shown = self._used(entry, variant.deployment) | {"environment_id": environment.id}
        if environment.experiment:
            experiment = self._experiment(entry, environment)
            shown |= {"experiment_id": experiment["id"], "experiment": experiment}
        return shown

    def environments(self, entry: Entry) -> list[Shown]:
        """What each environment of a project has deployed; nothing where the config does not know the project."""
        if entry.project is None:
            return []
        return [self._environment(entry, one, entry.project) for one in entry.project.environments.values()]

    def configs(self, entry: Entry) -> list[Shown]:
        """Every deployment of a project, once."""
        environments = entry.project.environments.values() if entry.project else ()
        names = dict.fromkeys(variant.deployment for one in environments for variant in one.variants)
        return [self._used(entry, name) for name in names]

    def _environment(self, entry: Entry, environment: Environment, project: Project) -> Shown:
        shown: Shown = {
            "project_id": entry.id,
            "project_name": entry.name,
            "environment_id": environment.id,
            "environment_name": environment.name,
            "environment_tag": "default" if environment.name == project.default else "other",
        }
        if environment.experiment:
            experiment = self._experiment(entry, environment)
            more = {"experiment_id": experiment["id"], "experiment_name": experiment["name"], "experiment": experiment}
            return shown | more
        deployment = self._deployments[environment.variants[0].deployment]
        return shown | {"model_config_id": deployment.config_id, "model_config_name": deployment.name}

    def _used(self, entry: Entry, deployment: str) -> Shown:
        return {
            "project_id": entry.id,
            "project_name": entry.name,
            "created_at": entry.use.created_at,
            "updated_at": entry.updated_at,
            "last_used": entry.updated_at,
            "config": configs.of_deployment(self._deployments[deployment]),
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
                    "display_name": deployment.name,
                    "active": True,
                    "weight": variant.weight,
                    "config": configs.of_deployment(deployment),
                }
                for variant in environment.variants
                for deployment in [self._deployments[variant.deployment]]
            ],
        }


def _configured(entry: Entry) -> Project:
    if entry.project is None:
        raise NotFound("id: nothing is deployed in this project: name it under `projects` of the config", param="id")
    return entry.project
