"""The gateway's own administration: read the configuration again, and show it.

The guard asks for the master key here as everywhere, where there is one. What must stay true: no value of a secret is
shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import APIRouter
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


def router(reload: Callable[[], Awaitable[Mapping[str, Json]]], summary: Callable[[], Json]) -> APIRouter:
    """`POST /reload` and `GET /config`."""
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

    @routes.get("/config", summary="The effective configuration, as `check --json` prints it")
    async def config() -> dict[str, Any]:
        # in a thread, since it imports what only it needs
        shown: dict[str, Any] = await asyncio.to_thread(summary)
        return shown

    return routes
