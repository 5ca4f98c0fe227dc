"""The gateway's own administration: read the configuration again, and show it.

The guard asks for the master key here as everywhere, where there is one. What must stay true: no value of a secret is
shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from proxy.models import Json
from proxy.routes.strict import StrictRoute


class Configuration(BaseModel):
    """How the configuration stands, as `/ready` tells it, too."""

    generation: int = Field(description="1 at the start, and one more for each configuration that was taken since.")
    loaded_at: str
    files: list[str] = Field(description="The files and folders it was read from, which are watched.")
    problem: str | None = Field(description="Why the files cannot be used as they are; what serves is the one before.")
    needs_restart: list[str] = Field(description="Keys whose new values hold from the next start on.")


class Explain(Protocol):
    """What would become of a request; see `explanation.py`."""

    async def __call__(
        self, body: bytes, headers: Mapping[bytes, bytes], *, path: str | None, key: str | None
    ) -> dict[str, Json]: ...


def router(
    reload: Callable[[], Awaitable[Mapping[str, Json]]], summary: Callable[[], Json], explain: Explain
) -> APIRouter:
    """`POST /reload`, `POST /explain` and `GET /config`."""
    routes = APIRouter(tags=["administration"], route_class=StrictRoute)

    @routes.post(
        "/reload",
        summary="Read the configuration again; 422 with the problem where it cannot be used",
        response_model=Configuration,
    )
    async def reload_config() -> JSONResponse:
        told = await reload()
        if told["problem"] is None:
            return JSONResponse(dict(told))
        return JSONResponse({"detail": told["problem"], **told}, 422, {"x-should-retry": "false"})

    @routes.post(
        "/explain",
        summary="What would become of a completion request with this body, without calling anybody",
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": {}}}}},
    )
    async def explain_request(request: Request, path: str | None = None, key: str | None = None) -> dict[str, Any]:
        """`path` is where the request would be sent, if the body does not tell; `key` the name of the key it would come
        with. Its headers count, too.
        """
        return await explain(await request.body(), dict(request.scope["headers"]), path=path, key=key)

    @routes.get("/config", summary="The effective configuration, as `check --json` prints it")
    async def config() -> dict[str, Any]:
        # in a thread, since it imports what only it needs
        shown: dict[str, Any] = await asyncio.to_thread(summary)
        return shown

    return routes
