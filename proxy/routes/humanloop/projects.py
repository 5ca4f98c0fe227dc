"""Projects and what is deployed in them. An experiment is told as one, with its variants and their shares.

Deployments change in the config only, so there are no routes that would change them here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from proxy.config import Config
from proxy.routes.humanloop.body import Page, PageNumber, PageSize
from proxy.routes.humanloop.deployed import Deployed
from proxy.routes.humanloop.directory import Directory, Entry


class Variant(BaseModel):
    id: str
    display_name: str
    active: bool
    weight: float
    config: dict[str, Any]


class Experiment(BaseModel):
    id: str
    project_id: str
    name: str
    status: str
    configs: list[Variant]


class ProjectConfigResponse(BaseModel):
    project_id: str
    project_name: str
    created_at: datetime
    updated_at: datetime
    last_used: datetime
    config: dict[str, Any]


class ActiveConfigResponse(ProjectConfigResponse):
    environment_id: str
    experiment_id: str | None = None
    experiment: Experiment | None = None


class EnvironmentConfigResponse(BaseModel):
    project_id: str
    project_name: str
    environment_id: str
    environment_name: str
    environment_tag: Literal["default", "other"]
    model_config_id: str | None = None
    model_config_name: str | None = None
    experiment_id: str | None = None
    experiment_name: str | None = None
    experiment: Experiment | None = None


class ProjectResponse(BaseModel):
    id: str
    name: str
    users: list[dict[str, Any]]
    data_count: int
    feedback_types: list[dict[str, Any]]
    team_id: str
    created_at: datetime
    updated_at: datetime
    config_type: str
    active_config: ProjectConfigResponse | None = None
    active_experiment: Experiment | None = None
    active_evaluators: list[dict[str, Any]]


SortBy = Literal["created_at", "updated_at", "name"]


def add(routes: APIRouter, config: Config, directory: Directory) -> None:
    """The routes under `/projects`."""
    deployed = Deployed(config)
    _add_projects(routes, deployed, directory)
    _add_deployed(routes, deployed, directory)


def _add_projects(routes: APIRouter, deployed: Deployed, directory: Directory) -> None:
    @routes.get("/projects", summary="The projects", response_model=Page[ProjectResponse])
    async def list_projects(
        page: PageNumber = 1,
        size: PageSize = 50,
        filter: Annotated[str | None, Query(description="A part of the name, in any case")] = None,
        user_filter: Annotated[
            str | None, Query(description="A part of a user's name; projects have none here")
        ] = None,
        sort_by: SortBy = "created_at",
        order: Literal["asc", "desc"] = "asc",
    ) -> JSONResponse:
        entries = [entry for entry in await directory.entries() if (filter or "").lower() in entry.name.lower()]
        if user_filter:
            entries = []
        entries.sort(key=lambda entry: _sorted_by(entry, sort_by), reverse=order == "desc")
        number = max(page, 1)
        shown = [deployed.project(entry) for entry in entries[(number - 1) * size : number * size]]
        return JSONResponse({"page": number, "size": size, "total": len(entries), "records": shown})

    @routes.get("/projects/{id}", summary="A project", response_model=ProjectResponse)
    async def get_project(id: str) -> JSONResponse:
        return JSONResponse(deployed.project(await directory.entry(id)))


def _add_deployed(routes: APIRouter, deployed: Deployed, directory: Directory) -> None:
    @routes.get(
        "/projects/{id}/active-config",
        summary="What an environment has deployed; of an experiment one variant, drawn by their shares",
        response_model=ActiveConfigResponse,
    )
    async def active_config(
        id: str, environment: Annotated[str | None, Query(description="Default: the default environment")] = None
    ) -> JSONResponse:
        return JSONResponse(deployed.active(await directory.configured(id), environment))

    @routes.get(
        "/projects/{id}/deployed-configs",
        summary="What each environment has deployed",
        response_model=list[EnvironmentConfigResponse],
    )
    async def deployed_configs(id: str) -> JSONResponse:
        return JSONResponse(deployed.environments(await directory.configured(id)))

    @routes.get(
        "/projects/{id}/configs",
        summary="Every model configuration that is deployed in a project",
        response_model=list[ProjectConfigResponse],
    )
    async def list_configs(id: str) -> JSONResponse:
        return JSONResponse(deployed.configs(await directory.configured(id)))


def _sorted_by(entry: Entry, name: SortBy) -> tuple[str, str]:
    return {"created_at": entry.use.created_at, "updated_at": entry.updated_at, "name": entry.name}[name], entry.name
