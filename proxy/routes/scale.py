"""Scale's lists of models: the names of the config's `model_list`, as `scale-gp-beta` reads them.

`GET /v5/models` has objects with an id, which here is the name, and pages of them; `GET /v5/chat/completions/models`
has definitions. What they list can be asked for as it stands, and as `vendor/model_name`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict

from proxy.config import Config
from proxy.errors import BadRequest, NotFound
from proxy.routes.models import callable_by
from proxy.routes.strict import StrictRoute
from proxy.target import Target
from proxy.vendors import asked

NAMES = {
    "vertexai": "vertex_ai",
    "aws_bedrock": "bedrock",
    "fireworks": "fireworks_ai",
}
"""The gateway's providers by Scale's names, where they differ."""

ModelType = Literal["generic", "completion", "chat_completion"]


class ModelDefinition(BaseModel):
    model_config = ConfigDict(protected_namespaces=())

    model_name: str
    model_type: ModelType
    model_vendor: str
    model_availability: Literal["unknown", "available", "unavailable"] = "available"


class ModelDefinitions(BaseModel):
    object: Literal["list"] = "list"
    items: list[ModelDefinition]
    has_more: bool


class InferenceModel(BaseModel):
    model_config = ConfigDict(protected_namespaces=())

    id: str
    object: Literal["model"] = "model"
    name: str
    model_type: ModelType
    model_vendor: str
    model_availability: Literal["unknown", "available", "unavailable"] = "available"
    status: Literal["failed", "ready", "deploying", "deployment_timeout"] = "ready"
    created_at: datetime
    created_by_identity_type: Literal["user", "service_account"] = "service_account"
    created_by_user_id: str = "config"


class InferenceModels(BaseModel):
    object: Literal["list"] = "list"
    items: list[InferenceModel]
    has_more: bool


class Paging(BaseModel):
    """Which part of a list is wanted; a cursor is the name of a model."""

    model_config = ConfigDict(protected_namespaces=())

    model_vendor: str | None = None
    name: str | None = None
    limit: Annotated[int, Query(ge=1, le=1000)] = 100
    starting_after: str | None = None
    ending_before: str | None = None
    sort_by: str | None = None
    sort_order: Literal["asc", "desc"] = "asc"


Item = TypeVar("Item", ModelDefinition, InferenceModel)


def router(config: Config) -> APIRouter:
    """The lists, in the config's order unless a client asks for them by name."""
    routes = APIRouter(tags=["models"], route_class=StrictRoute)
    definitions = {name: _definition(name, targets[0]) for name, targets in config.models.items()}
    loaded = datetime.now(UTC)
    models = {
        name: InferenceModel(id=name, name=name, created_at=loaded, **one.model_dump(exclude={"model_name"}))
        for name, one in definitions.items()
    }

    def shown(request: Request, listed: dict[str, Item]) -> dict[str, Item]:
        return {name: one for name, one in listed.items() if callable_by(request, config, name)}

    @routes.get("/chat/completions/models", summary="Scale: the models that can be asked for")
    async def chat_models(request: Request, paging: Annotated[Paging, Query()]) -> ModelDefinitions:
        items, more = _page(shown(request, definitions), paging)
        return ModelDefinitions(items=items, has_more=more)

    @routes.get("/models", summary="Scale: the models of the config")
    async def list_models(request: Request, paging: Annotated[Paging, Query()]) -> InferenceModels:
        items, more = _page(shown(request, models), paging)
        return InferenceModels(items=items, has_more=more)

    @routes.get("/models/{model_id:name}", summary="Scale: one model of the config")
    async def one_model(request: Request, model_id: str) -> InferenceModel:
        if model_id not in shown(request, models):
            raise NotFound("no such model in the config: GET /v5/models lists those there are", param="model_id")
        return models[model_id]

    return routes


def _definition(name: str, target: Target) -> ModelDefinition:
    kind: ModelType = "completion" if asked(target, "text") == "text" else "chat_completion"
    if target.mode is not None and target.mode not in ("chat", "completion", "responses"):
        kind = "generic"
    return ModelDefinition(model_name=name, model_type=kind, model_vendor=NAMES.get(target.provider, target.provider))


def _page(known: dict[str, Item], paging: Paging) -> tuple[list[Item], bool]:
    """The part of the list that is wanted, and whether there is more of it in that direction."""
    names = [
        name
        for name, model in known.items()
        if paging.model_vendor in (None, model.model_vendor) and paging.name in (None, name)
    ]
    if paging.sort_by in ("name", "model_name"):
        names.sort()
    if paging.sort_order == "desc":
        names.reverse()
    start, end = 0, len(names)
    if paging.starting_after is not None:
        start = _place(names, paging.starting_after, "starting_after") + 1
    if paging.ending_before is not None:
        end = _place(names, paging.ending_before, "ending_before")
    page = names[start:end]
    if paging.ending_before is not None and paging.starting_after is None:
        kept = page[-paging.limit :]
    else:
        kept = page[: paging.limit]
    return [known[name] for name in kept], len(kept) < len(page)


def _place(names: list[str], cursor: str, param: str) -> int:
    if cursor not in names:
        raise BadRequest(f"{param}: no model of this list has that name", param=param)
    return names.index(cursor)
