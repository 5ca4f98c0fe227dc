"""Datapoints: logged from elsewhere, found again, completed later."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, BeforeValidator, PlainValidator

from proxy import timestamps
from proxy.caller import Caller
from proxy.config import Config
from proxy.dialects.humanloop.request import parent_of, session_of
from proxy.errors import NotFound
from proxy.ids import datapoint_id
from proxy.middleware.omit import omit_fields
from proxy.models import Json, LogPolicy
from proxy.protocols import Filter, TraceLog, TraceQuery
from proxy.record import Record
from proxy.routes.humanloop import configs, log_request, samples
from proxy.routes.humanloop.body import Amount, Id, Moment, Page, PageNumber, PageSize, Sent, Wire, sent
from proxy.routes.humanloop.directory import Directory
from proxy.routes.humanloop.log_request import LogRequest
from proxy.routes.humanloop.log_response import LogResponse, moments, to_log
from proxy.routes.signature import Signature, caller_of
from proxy.routes.traces import Update, Write

DAY = re.compile(r"\d{4}-\d\d-\d\d")


class UpdateLogRequest(Wire):
    output: str | None = None
    error: str | None = None
    duration: Amount | None = None


class CreateLogResponse(BaseModel):
    id: str
    project_id: str
    session_id: str | None = None


def _whole_day(value: Any) -> Any:
    """A day that is the end of a range ends at midnight."""
    return f"{value}T23:59:59.999999" if isinstance(value, str) and DAY.fullmatch(value) else value


LogBody = Annotated[
    Sent[LogRequest],
    PlainValidator(lambda body: sent(LogRequest, body), json_schema_input_type=LogRequest | list[LogRequest]),
    Body(),
]
ProjectId = Annotated[str, Query(min_length=1)]
VersionStatus = Annotated[
    Literal["uncommitted", "committed", "deleted"] | None,
    Query(description="committed: made with a deployment of the config; uncommitted: with anything else"),
]
Start = Annotated[Moment | None, Query(description="A day or a time")]
End = Annotated[Moment | None, BeforeValidator(_whole_day), Query(description="A day, which counts, or a time")]


def add(routes: APIRouter, config: Config, directory: Directory, log: TraceLog, write: Write, update: Update) -> None:
    """The routes under `/logs`."""
    _add_writing(routes, config, directory, log, write)
    _add_reading(routes, config, directory, log)
    _add_changing(routes, config, directory, log, update)


def _add_writing(routes: APIRouter, config: Config, directory: Directory, log: TraceLog, write: Write) -> None:
    signature = Signature(config, log)

    async def made(item: LogRequest, raw: Json, caller: Caller | None) -> Record:
        record = log_request.to_record(item, raw, configs.deployment_with(config, item.config_id), datetime.now(UTC))
        # Whatever project a log names, a key's own is the one that it is of.
        own = caller.project if caller is not None and not caller.log else None
        named = (own, None) if own else (item.project, item.project_id)
        record.project_name, record.project_uuid = await directory.named(*named)
        await _place(record, item, log, caller, signature)
        return await signature.sign(caller, record)

    @routes.post("/logs", summary="Log datapoints", response_model=CreateLogResponse | list[CreateLogResponse])
    async def post_logs(body: LogBody, request: Request) -> JSONResponse:
        log_request.check(body.items, several=body.several)
        # All of them are read before any is written, so a body is logged as a whole or refused as one.
        caller = caller_of(request)
        records = [await made(item, raw, caller) for item, raw in zip(body.items, body.raw, strict=True)]
        logged = await asyncio.gather(*[write(record) for record in records])
        answers = [
            {"id": record.trace_id, "project_id": record.project_uuid, "session_id": record.session_id}
            for record in records
        ]
        return body.answer(answers, logged=all(logged))


def _add_reading(routes: APIRouter, config: Config, directory: Directory, log: TraceLog) -> None:
    @routes.get("/logs", summary="Search the datapoints of a project, newest first", response_model=Page[LogResponse])
    async def list_logs(
        project_id: ProjectId,
        search: Annotated[str | None, Query(description="A part of any text in inputs, messages or output")] = None,
        metadata_search: Annotated[str | None, Query(description="A part of any value of the metadata")] = None,
        version_status: VersionStatus = None,
        start_date: Start = None,
        end_date: End = None,
        page: PageNumber = 1,
        size: PageSize = 50,
    ) -> JSONResponse:
        filters = [
            *([Filter("content", "like", search)] if search else []),
            *([Filter("metadata", "like", metadata_search)] if metadata_search else []),
            *([Filter("start_timestamp", "greater_than_or_equal", timestamps.text(start_date))] if start_date else []),
            *([Filter("start_timestamp", "less_than_or_equal", timestamps.text(end_date))] if end_date else []),
            *([Filter("deployment_id", VERSIONS[version_status], "")] if version_status else []),
        ]
        name = await directory.name_of(project_id)
        number = max(page, 1)
        query = TraceQuery(
            project_name=name,
            project_id=project_id,
            rows="calls",
            filters=tuple(filters),
            page=number,
            page_size=size,
        )
        found = await log.search(query)
        records = [await to_log(record, config, directory) for record in found.roots]
        return JSONResponse({"page": number, "size": size, "total": found.total, "records": records})

    @routes.get("/logs/{id}", summary="A datapoint", response_model=LogResponse)
    async def get_log(id: str) -> JSONResponse:
        record, index = await _found(log, id, "id")
        return JSONResponse(await to_log(record, config, directory, index))


def _add_changing(routes: APIRouter, config: Config, directory: Directory, log: TraceLog, update: Update) -> None:
    async def changed(data_id: str, body: UpdateLogRequest, param: str) -> JSONResponse:
        record, index = await _found(log, data_id, param)
        fields = samples.change(record, index, omit_fields(_changes(body, record), _policy(record)))
        logged = await update(record.trace_id, fields) if fields else True
        record, index = await _found(log, data_id, param)
        shown = await to_log(record, config, directory, index)
        return JSONResponse(shown, headers={} if logged else {"x-logged": "false"})

    @routes.patch("/logs", summary="Complete a datapoint by the caller's own id of it", response_model=LogResponse)
    async def patch_by_reference(reference_id: Annotated[Id, Query()], body: UpdateLogRequest) -> JSONResponse:
        return await changed(datapoint_id(reference_id), body, "reference_id")

    @routes.patch("/logs/{id}", summary="Complete a datapoint", response_model=LogResponse)
    async def patch_log(id: str, body: UpdateLogRequest) -> JSONResponse:
        return await changed(id, body, "id")


VERSIONS = {"committed": "exists", "uncommitted": "is_null", "deleted": "equals"}
"""What a version's status means for `deployment_id`; no deployment of a row is called nothing, so none is deleted."""


async def _place(record: Record, item: LogRequest, log: TraceLog, caller: Caller | None, signature: Signature) -> None:
    """Where it stands: under its parent, in its session's tree; without a session in its parent's tree, as far as
    `caller` may know of it.
    """
    session = session_of(item.session_id, item.session_reference_id)
    parent = parent_of(item.parent_id, item.parent_reference_id)
    root = session
    above = await log.get(parent) if parent and not session and await signature.owns(caller, parent) else None
    if above is not None:
        root, session = above.root_trace_id, above.session_id
    record.session_id = session
    record.parent_trace_id = parent or session
    record.root_trace_id = root or parent or record.trace_id


async def _found(log: TraceLog, data_id: str, param: str) -> tuple[Record, int]:
    """The row that a datapoint is in, and which sample of it the datapoint is."""
    record, index = await samples.find(log, data_id)
    if record is None or record.trace_id == record.session_id or samples.view(record, index) is None:
        raise NotFound(f"{param}: no datapoint has it, or the log did not keep it", param=param)
    return record, index


def _policy(record: Record) -> LogPolicy:
    """What may be written of a row that is there: what was omitted then is omitted now."""
    omitted = record.notes.get("omitted") or ()
    return LogPolicy(inputs="inputs" not in omitted, outputs="outputs" not in omitted)


def _changes(body: UpdateLogRequest, record: Record) -> dict[str, Json]:
    fields: dict[str, Json] = {}
    if body.output is not None:
        fields |= {"output": body.output, "status": record.status or "success"}
    if body.error:
        fields |= {"error": body.error, "status": "error"}
    if body.duration is not None:
        began = datetime.fromisoformat(moments(record)[0])
        fields |= {
            "latency": body.duration,
            "end_timestamp": timestamps.text(began + timedelta(seconds=body.duration)),
        }
    return fields
