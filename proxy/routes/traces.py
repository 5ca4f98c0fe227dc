"""Parea's routes around the trace log: projects, logs in, logs out, feedback. Thin: translate, hand over, wait for the
commit.

A log that could not be stored is still answered with 200: the clients would only send it twice more. `logged` tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from proxy import timestamps
from proxy.body import validated
from proxy.config import Config
from proxy.dialects.archives import langchain
from proxy.dialects.archives.trace_log import Rate, Text, TraceLog, TraceLogFields, to_columns, to_record, to_tree
from proxy.errors import NotFound, Unprocessable
from proxy.protocols import TraceLog as Log
from proxy.protocols import TraceQuery
from proxy.record import Record
from proxy.routes.signature import Signature, caller_of, owner_of
from proxy.routes.strict import StrictRoute

Write = Callable[[Record], Awaitable[bool]]
"""Takes a record through the processors to the log."""


class Update(Protocol):
    def __call__(self, trace_id: str, fields: Mapping[str, Any], key: str | None = None) -> Awaitable[bool]:
        """Set fields of a row, with a `key` of one that bears it or of none."""
        ...


class _Body(BaseModel):
    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)


class Project(_Body):
    name: str = "default"


class UpdateLog(_Body):
    trace_id: Annotated[str, Field(min_length=1)]
    field_name_to_value_map: dict[str, Any]
    root_trace_id: str | None = None


class Feedback(_Body):
    score: Annotated[float, Field(ge=0, le=1)]
    trace_id: str | None = None
    inference_id: str | None = None
    name: Text = None
    target: Text = None
    comment: Text = None


class Query(_Body):
    project_name: str | None = None
    filter_field: str | None = None
    filter_key: str | None = None
    filter_operator: str | None = None
    filter_value: Any = None
    time_range: str | None = None
    status: str | None = None
    page: int = 1
    page_size: int = 20


class Run(_Body):
    """A run of LangChain's tracer; see `dialects/archives/langchain.py` for the keys that are read."""

    id: Annotated[str, Field(min_length=1)]
    log_sample_rate: Annotated[Rate, Field(alias="_log_sample_rate")] = None


def router(config: Config, log: Log, write: Write, update: Update) -> APIRouter:
    """The routes, without a prefix. `write` and `update` put the log's processors in front of `log`."""
    routes = APIRouter(tags=["traces"], route_class=StrictRoute)
    signature = Signature(config, log)
    _add_project(routes, log)
    _add_writing(routes, write, update, signature)
    _add_feedback(routes, update, signature)
    _add_reading(routes, log)
    return routes


def _add_project(routes: APIRouter, log: Log) -> None:
    @routes.post("/project", summary="Create or get a project")
    async def project(body: Project, request: Request) -> dict[str, Any]:
        caller = caller_of(request)
        own = caller.project if caller is not None and not caller.log else None
        name = own or body.name or "default"
        uuid, created_at, was_created = await log.project(name)
        return {"name": name, "uuid": uuid, "created_at": created_at, "was_created": was_created}


def _add_writing(routes: APIRouter, write: Write, update: Update, signature: Signature) -> None:
    @routes.post("/trace_log", summary="Log a traced function or call")
    async def post_log(body: TraceLog, request: Request) -> dict[str, Any]:
        record = await signature.sign(caller_of(request), to_record(body, _now()))
        return {"trace_id": body.trace_id, "logged": await write(record)}

    @routes.put("/trace_log", summary="Set fields of a log, logged already or still to come")
    async def put_log(body: UpdateLog, request: Request) -> dict[str, Any]:
        wire = validated(TraceLogFields, body.field_name_to_value_map, "field_name_to_value_map")
        fields = to_columns(wire)
        if body.root_trace_id:
            fields["root_trace_id"] = body.root_trace_id
        allowed = await signature.edit(caller_of(request), body.trace_id, fields)
        return {"trace_id": body.trace_id, "logged": await update(body.trace_id, allowed, owner_of(request))}

    @routes.post("/trace_log/{vendor}", summary="Log a run of another library's tracer; `langchain` is supported")
    async def post_vendor_log(vendor: str, body: Run, request: Request) -> dict[str, Any]:
        if vendor != "langchain":
            raise NotFound("vendor: unknown; supported: langchain", param="vendor")
        made = langchain.to_records(body.model_dump(by_alias=True), _now())
        # All are signed before any is written, so a run is logged as a whole or refused as one.
        records = [await signature.sign(caller_of(request), record) for record in made]
        logged = await asyncio.gather(*[write(record) for record in records])
        return {"trace_id": body.id, "logged": all(logged)}


def _add_feedback(routes: APIRouter, update: Update, signature: Signature) -> None:
    @routes.post("/feedback", summary="Record a person's feedback on a log")
    async def feedback(body: Feedback, request: Request) -> dict[str, Any]:
        trace_id = body.trace_id or body.inference_id
        if not trace_id:
            raise Unprocessable([{"loc": ["body", "trace_id"], "msg": "Field required", "type": "missing"}])
        score = {"name": body.name or "feedback", "score": body.score}
        fields: dict[str, Any] = {
            "feedback_score": body.score,
            "scores": [score if body.comment is None else {**score, "reason": body.comment}],
        }
        if body.target is not None:
            fields["target"] = body.target
        allowed = await signature.edit(caller_of(request), trace_id, fields)
        return {"trace_id": trace_id, "logged": await update(trace_id, allowed, owner_of(request))}


def _add_reading(routes: APIRouter, log: Log) -> None:
    @routes.get("/trace_log/{trace_id:name}", summary="A log with those below it, as a tree")
    async def get_log(trace_id: str) -> JSONResponse:
        record = await log.get(trace_id)
        if record is None:
            raise NotFound("trace_id: no log has this id", param="trace_id")
        return JSONResponse(to_tree(record, await log.descendants(trace_id)))

    @routes.post("/get_trace_logs", summary="Search the logs; a page of trees, newest first")
    async def get_logs(body: Query) -> JSONResponse:
        query = TraceQuery(**{name: getattr(body, name) for name in Query.model_fields})
        page = await log.search(query)
        trees = [to_tree(root, await log.descendants(root.trace_id)) for root in page.roots]
        return JSONResponse(
            {
                "total": page.total,
                "page": query.page,
                "total_pages": -(-page.total // query.page_size),
                "page_size": query.page_size,
                "results": trees,
            }
        )


def _now() -> str:
    return timestamps.text(datetime.now(UTC))
