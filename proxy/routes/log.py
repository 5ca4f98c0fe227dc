"""The log by HTTP, as `parea-proxy log` has it: rows page by page, one row with those below it, and figures.

It stands under `/admin`, so the guard asks for the master key, where there is one. What must stay true: nothing that is
asked changes the log, or holds it for long.
"""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from proxy.config import Config
from proxy.errors import NotFound
from proxy.models import Json
from proxy.protocols import TraceLog
from proxy.record import FLAGS, Record
from proxy.routes import export
from proxy.routes.filters import Text, chosen, unquoted
from proxy.routes.strict import ExactRoute
from proxy.selection import Asked, Pages, Selection, Table

Number = Annotated[int, Query(ge=1, le=500)]


def router(log: TraceLog, config: Config) -> APIRouter:
    """`GET /log/{id}` and, where the log can be asked so, `/log`, `/stats`, `/sql` and `/export`."""
    routes = APIRouter(tags=["administration"], route_class=ExactRoute)
    if isinstance(log, Asked):
        _add_pages(routes, log.answers)
        _add_question(routes, log.answers)
        export.add(routes, log, log.answers, config)
    _add_row(routes, log)
    return routes


def _add_pages(routes: APIRouter, log: Pages) -> None:
    @routes.get("/log", summary="Rows of the log, newest first; what a page tells as `after` begins the next")
    async def rows(
        selection: Annotated[Selection, Depends(chosen)], after: str | None = None, limit: Number = 50
    ) -> JSONResponse:
        with unquoted():
            found = await log.page(selection, after, limit)
        return JSONResponse({"rows": [_row(record) for record in found.records], "after": found.after})

    @routes.get("/stats", summary="Calls, errors, hits, cost, tokens and latency of rows, by any column")
    async def stats(
        request: Request,
        selection: Annotated[Selection, Depends(chosen)],
        by: Annotated[Text, Query(description="Such as model, project, day or metadata.team.")] = None,
        limit: Number = 20,
    ) -> JSONResponse:
        """Of a log with more than 200,000 rows the last 7 days, unless `since` says otherwise."""
        if "since" not in request.query_params:
            selection = await log.lately(selection)
        with unquoted():
            found = await log.figures(selection, by, limit)
        return JSONResponse({"by": by, "since": selection.since, "groups": [dataclasses.asdict(one) for one in found]})


def _add_question(routes: APIRouter, log: Pages) -> None:
    @routes.get("/sql", summary="Any question to the log, in SQL; it is only read")
    async def sql(
        query: Annotated[str, Query(max_length=10_000, description="Such as a SELECT from traces.")],
        limit: Annotated[int, Query(ge=1, le=10_000)] = 1_000,
    ) -> Response:
        """Bytes are hex digits. `more` says that there are more rows than `limit`."""
        with unquoted("query"):
            found = await log.ask(query, limit)
        return Response(await asyncio.to_thread(_table, found), media_type="application/json")


def _table(found: Table) -> bytes:
    rows = [dict(zip(found.columns, row, strict=True)) for row in found.rows]
    return orjson.dumps({"columns": found.columns, "rows": rows, "more": found.more}, default=bytes.hex)


def _add_row(routes: APIRouter, log: TraceLog) -> None:
    @routes.get("/log/{id:name}", summary="A row of the log, and those below it, oldest first")
    async def row(id: str) -> JSONResponse:
        """The beginning of an id will do where no other begins so. Of a session without a row of its own `row` is null,
        and all its rows are `below`.
        """
        record, below = await (log.answers.family(id) if isinstance(log, Asked) else _exactly(log, id))
        return JSONResponse({"row": record and _row(record), "below": [_row(one) for one in below]})


async def _exactly(log: TraceLog, id: str) -> tuple[Record, list[Record]]:
    """The row with this id, of a log that knows nothing else."""
    record = await log.get(id)
    if record is None:
        raise NotFound("id: no row of the log has it", param="id")
    return record, await log.descendants(record.trace_id)


def _row(record: Record) -> dict[str, Json]:
    names = [name for name in Record.__dataclass_fields__ if name not in FLAGS]
    return {name: getattr(record, name) for name in names}
