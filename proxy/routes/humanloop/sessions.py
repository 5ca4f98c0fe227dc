"""Sessions: the rows that several datapoints hang under, see `middleware/session.py`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from proxy import timestamps
from proxy.errors import NotFound
from proxy.ids import derived_id, new_id
from proxy.models import Json
from proxy.protocols import TraceLog, TraceQuery
from proxy.record import SESSION, Record
from proxy.routes.humanloop.body import Page, PageNumber, PageSize
from proxy.routes.humanloop.directory import Directory
from proxy.routes.humanloop.log_response import moments
from proxy.routes.traces import Write


class CreateSessionResponse(BaseModel):
    id: str


class SessionProject(BaseModel):
    id: str
    name: str
    type: str


class SessionResponse(BaseModel):
    id: str
    projects: list[SessionProject]
    datapoints_count: int
    created_at: datetime
    updated_at: datetime
    reference_id: str | None = None
    first_inputs: dict[str, Any] | None = None
    last_output: str | None = None


def add(routes: APIRouter, directory: Directory, log: TraceLog, write: Write) -> None:
    """The routes under `/sessions`."""

    async def told(record: Record) -> dict[str, Json]:
        calls = await log.descendants(record.trace_id)
        projects = dict([await directory.of(call) for call in calls])
        return _shown(record, calls, projects)

    @routes.post("/sessions", summary="Begin a session", status_code=201, response_model=CreateSessionResponse)
    async def post_session() -> JSONResponse:
        session = derived_id("sesh", new_id())
        now = timestamps.text(datetime.now(UTC))
        logged = await write(
            Record(session, session, session_id=session, name=SESSION, start_timestamp=now, stand_in=True)
        )
        return JSONResponse({"id": session}, 201, headers={} if logged else {"x-logged": "false"})

    @routes.get(
        "/sessions",
        summary="The sessions that have datapoints of a project, newest first",
        response_model=Page[SessionResponse],
    )
    async def list_sessions(
        project_id: Annotated[str, Query(min_length=1)], page: PageNumber = 1, size: PageSize = 10
    ) -> JSONResponse:
        name = await directory.name_of(project_id)
        number = max(page, 1)
        query = TraceQuery(project_name=name, project_id=project_id, rows="sessions", page=number, page_size=size)
        found = await log.search(query)
        records = [await told(record) for record in found.roots]
        return JSONResponse({"page": number, "size": size, "total": found.total, "records": records})

    @routes.get("/sessions/{id}", summary="A session", response_model=SessionResponse)
    async def get_session(id: str) -> JSONResponse:
        record = await log.get(id)
        if record is None or record.session_id != record.trace_id:
            raise NotFound("id: no session has it, or the log did not keep it", param="id")
        return JSONResponse(await told(record))


def _shown(record: Record, calls: list[Record], projects: dict[str, str]) -> dict[str, Json]:
    created_at, updated_at = moments(record)
    shown = {
        "id": record.trace_id,
        "projects": [{"id": id, "name": name, "type": "prompt"} for name, id in projects.items()],
        "datapoints_count": len(calls),
        "created_at": min([created_at, *(moments(call)[0] for call in calls)]),
        "updated_at": max([updated_at, *(moments(call)[1] for call in calls)]),
        "reference_id": record.extra.get("session_reference_id"),
        "first_inputs": calls[0].inputs if calls else None,
        "last_output": calls[-1].output if calls else None,
    }
    return {name: value for name, value in shown.items() if value is not None}
