"""The gateway's own administration: read the configuration again, show it, and read the log.

The guard asks for the master key here as everywhere, where there is one. What must stay true: no value of a secret is
shown, and nothing that is asked of the log changes it or holds it for long.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from proxy.errors import NotFound
from proxy.models import Json
from proxy.protocols import TraceLog
from proxy.record import FLAGS, Record
from proxy.routes.strict import StrictRoute
from proxy.selection import Pages, Selection, moment


class Configuration(BaseModel):
    """How the configuration stands, as `/ready` tells it, too."""

    generation: int = Field(description="1 at the start, and one more for each configuration that was taken since.")
    loaded_at: str
    files: list[str] = Field(description="The files and folders it was read from, which are watched.")
    problem: str | None = Field(description="Why the files cannot be used as they are; what serves is the one before.")
    needs_restart: list[str] = Field(description="Keys whose new values hold from the next start on.")


Text = Annotated[str | None, Query(max_length=10_000)]


def chosen(
    project: Text = None,
    model: Annotated[str | None, Query(description="A % stands for anything.")] = None,
    status: Literal["success", "error", "cancelled"] | None = None,
    since: Annotated[str | None, Query(description="2h or 7d ago, or a day or time.")] = None,
    search: Annotated[str | None, Query(description="A part of any text in inputs, messages or output.")] = None,
    where: Annotated[str | None, Query(description="A condition of SQL on the columns of a row.")] = None,
    rows: Annotated[Literal["all", "calls", "tops"], Query(description="tops: those of trees.")] = "calls",
) -> Selection:
    """The same filters as those of `parea-proxy log`."""
    return Selection(project, model, status, moment(since) if since else None, search, where, rows)


def router(
    reload: Callable[[], Awaitable[Mapping[str, Json]]], summary: Callable[[], Json], log: TraceLog
) -> APIRouter:
    """`POST /reload`, `GET /config`, and the log: `GET /log`, `/log/{id}` and `/stats`."""
    routes = APIRouter(tags=["administration"], route_class=StrictRoute)
    if isinstance(log, Pages):
        _add_log(routes, log, log)

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


def _add_log(routes: APIRouter, log: TraceLog, pages: Pages) -> None:
    @routes.get("/log", summary="Rows of the log, newest first; `after` of one page begins the next")
    async def rows(
        selection: Annotated[Selection, Depends(chosen)],
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> JSONResponse:
        found = await pages.page(selection, after, limit)
        return JSONResponse({"rows": [_row(record) for record in found.records], "after": found.after})

    @routes.get("/log/{id:name}", summary="A row of the log, and those below it, oldest first")
    async def row(id: str) -> JSONResponse:
        record = await log.get(id)
        if record is None:
            raise NotFound("id: no row of the log has it", param="id")
        below = await log.descendants(record.trace_id)
        return JSONResponse({"row": _row(record), "below": [_row(one) for one in below]})

    @routes.get("/stats", summary="Calls, errors, hits, cost, tokens and latency, by any column")
    async def stats(
        selection: Annotated[Selection, Depends(chosen)],
        by: Annotated[str | None, Query(description="Such as model, project, day or metadata.team.")] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 20,
    ) -> JSONResponse:
        found = await pages.figures(selection, by, limit)
        return JSONResponse({"by": by, "groups": [dataclasses.asdict(one) for one in found]})


def _row(record: Record) -> dict[str, Json]:
    names = [name for name in Record.__dataclass_fields__ if name not in FLAGS]
    return {name: getattr(record, name) for name in names}
