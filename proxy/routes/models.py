"""The models of the config as OpenAI's clients list them, and Anthropic's: one path, told apart by the header
`anthropic-version`, which only the latter send.

Listed is what can be asked for as it stands: the names of `model_list`, their aliases but for the hidden ones, and the
deployments as `deployment/<id>`, with their environments and versions where several are kept. Any `provider/model` can
be asked for besides. Whoever comes with a key of `keys` sees what that may call.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request

from proxy.caller import Caller
from proxy.config import Config
from proxy.errors import BadRequest, NotFound
from proxy.middleware.admit import listed
from proxy.middleware.resolve import DEPLOYMENT
from proxy.routes.strict import StrictRoute

Object = dict[str, Any]
Version = Annotated[str | None, Header(alias="anthropic-version", description="Asks for Anthropic's shape.")]


def router(config: Config) -> APIRouter:
    """`GET /models` and `GET /models/{id}`."""
    routes = APIRouter(tags=["models"], route_class=StrictRoute)
    owners = _owners(config)
    made = int(time.time())

    @routes.get("/models", summary="The models and deployments of the config")
    async def models(
        request: Request,
        anthropic_version: Version = None,
        limit: Annotated[int, Query(ge=1, le=1000, description="Anthropic only.")] = 20,
        after_id: Annotated[str | None, Query(description="Anthropic only.")] = None,
        before_id: Annotated[str | None, Query(description="Anthropic only.")] = None,
    ) -> Object:
        shown = [name for name in owners if callable_by(request, config, name)]
        if anthropic_version is not None:
            return _page([_anthropic(name, made) for name in shown], limit, after_id, before_id)
        return {"object": "list", "data": [_openai(name, owners[name], made) for name in shown]}

    @routes.get("/models/{model:name}", summary="One of them")
    async def model(request: Request, model: str, anthropic_version: Version = None) -> Object:
        if model not in owners or not callable_by(request, config, model):
            known = ", ".join(name for name in owners if callable_by(request, config, name)) or "none"
            raise NotFound(f"the model is not in the config (there are: {known})", param="model")
        return _anthropic(model, made) if anthropic_version is not None else _openai(model, owners[model], made)

    return routes


def callable_by(request: Request, config: Config, name: str) -> bool:
    """Whether who asks may call what is listed as `name`."""
    caller: Caller | None = request.scope.get("caller")
    return caller is None or caller.may_call(*listed(config, name))


def _owners(config: Config) -> dict[str, str]:
    """The providers of all names, that of a deployment being its model's."""
    owners = {name: targets[0].provider for name, targets in config.models.items()}
    for alias, name in config.router.aliases.items():
        if alias not in config.router.hidden:
            owners.setdefault(alias, owners.get(name) or "config")
    for name, versions in config.versions.items():
        asked = {name: versions.main}
        if versions.kept:
            asked |= {f"{name}:{one}": versions.heaviest(environment) for one, environment in versions.places().items()}
            asked |= {f"{name}@{number}": version for number, version in versions.versions.items()}
        for one, deployment in asked.items():
            owners.setdefault(DEPLOYMENT + one, deployment.provider or owners.get(deployment.model or "") or "config")
    return owners


def _openai(name: str, owner: str, made: int) -> Object:
    return {"id": name, "object": "model", "created": made, "owned_by": owner}


def _anthropic(name: str, made: int) -> Object:
    created = datetime.fromtimestamp(made, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"type": "model", "id": name, "display_name": name, "created_at": created}


def _page(listed: list[Object], limit: int, after: str | None, before: str | None) -> Object:
    """One of Anthropic's pages: the first `limit` models behind `after`, or the last ones ahead of `before`."""
    places = {model["id"]: place for place, model in enumerate(listed)}
    for param, cursor in (("after_id", after), ("before_id", before)):
        if cursor is not None and cursor not in places:
            raise BadRequest(f"{param}: no such model", param=param)
    behind = listed[places[after] + 1 :] if after else listed
    if before is not None and after is None:
        ahead = listed[: places[before]]
        page, more = ahead[-limit:], len(ahead) > limit
    else:
        page, more = behind[:limit], len(behind) > limit
    ends = (page[0]["id"], page[-1]["id"]) if page else (None, None)
    return {"data": page, "has_more": more, "first_id": ends[0], "last_id": ends[1]}
