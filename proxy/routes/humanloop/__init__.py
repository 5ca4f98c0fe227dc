"""What Humanloop's clients call around a completion, version 4: feedback, logs, sessions and projects.

    POST  /feedback                                 a person's verdict on a datapoint, or a list of them
    POST  /logs                                     a datapoint that was made elsewhere, or a list of them
    GET   /logs   /logs/{id}                        datapoints, whichever API they came by
    PATCH /logs/{id}   /logs?reference_id=          what became of one
    POST  /sessions   GET /sessions   /sessions/{id}
    GET   /projects   /projects/{id}   /projects/{id}/configs   /active-config   /deployed-configs

A datapoint is a row of the trace log, or one of several samples in a row (`middleware/route/samples.py`), a session the
row that its datapoints hang under, and a project is one of the config or a name that something was logged under. No
state is kept besides: ids follow from names and references, as they do on the completion routes. A row that could not
be stored is answered like any other, and `x-logged: false` tells.
"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from proxy.config import Config
from proxy.protocols import TraceLog
from proxy.routes import openapi
from proxy.routes.humanloop import feedback, logs, projects, sessions
from proxy.routes.humanloop.directory import Directory
from proxy.routes.strict import StrictRoute
from proxy.routes.traces import Update, Write

MEANINGS = {**openapi.REFUSALS, "503": "The trace log cannot be read now"}

ERROR = {
    "type": "object",
    "properties": {
        "detail": {
            "type": "object",
            "properties": {
                "type": {"type": "string"},
                "message": {"type": "string"},
                "code": {"type": "integer"},
                "origin": {"type": "string"},
            },
            "required": ["type", "message", "code", "origin"],
        }
    },
    "required": ["detail"],
}


def router(config: Config, log: TraceLog, write: Write, update: Update) -> APIRouter:
    """The routes, without a prefix. `write` and `update` put the log's processors in front of `log`."""
    responses: dict[int | str, dict[str, Any]] = {
        status: {"description": meaning, "content": {"application/json": {"schema": ERROR}}}
        for status, meaning in MEANINGS.items()
    }
    routes = APIRouter(tags=["humanloop"], route_class=StrictRoute, responses=responses)
    directory = Directory(config, log)
    feedback.add(routes, log, update)
    logs.add(routes, config, directory, log, write, update)
    sessions.add(routes, directory, log, write)
    projects.add(routes, config, directory)
    return routes
