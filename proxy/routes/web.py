"""Everything that is not a completion: ordinary FastAPI, with its documents.

It is loaded after the port is open and imported by nobody at module level; a completion never passes through it.
Bodies are read as strictly here as on the completion routes, and a 422 never repeats what was sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from proxy import __version__
from proxy.body import MAX_DEPTH
from proxy.dialects.parea_schema import CompletionResponse, CompletionsSchema
from proxy.errors import GatewayError, Unprocessable, shown
from proxy.routes.strict import StrictRoute

DESCRIPTION = "A local LLM gateway: the Parea completion API in front of every provider LiteLLM can call."
VALIDATION: dict[str, Any] = {
    "HTTPValidationError": {
        "title": "HTTPValidationError",
        "type": "object",
        "properties": {
            "detail": {"title": "Detail", "type": "array", "items": {"$ref": "#/components/schemas/ValidationError"}}
        },
    },
    "ValidationError": {
        "title": "ValidationError",
        "type": "object",
        "properties": {
            "loc": {
                "title": "Location",
                "type": "array",
                "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            },
            "msg": {"title": "Message", "type": "string"},
            "type": {"title": "Error Type", "type": "string"},
        },
        "required": ["loc", "msg", "type"],
    },
}
"""What a 422 holds: FastAPI's shape without the values, which FastAPI's own component has."""

REF = "#/components/schemas/{model}"

EXAMPLE = {
    "llm_configuration": {
        "model": "default",
        "messages": [{"role": "user", "content": "What is the weather in {{city}}?"}],
    },
    "llm_inputs": {"city": "New York"},
}

EVENT = {
    "title": "Event",
    "description": "Each event of the stream.",
    "type": "object",
    "properties": {
        "data": {
            "description": 'A piece of the answer: `{"chunk": "..."}`.',
            "type": "string",
            "contentMediaType": "application/json",
        }
    },
    "required": ["data"],
}

REFUSALS = {
    "400": "The request cannot be carried out",
    "401": "The gateway's key is missing or wrong",
    "403": "Refused",
    "404": "There is no such thing",
    "413": "The body is too large",
    "415": "The body is not JSON",
}
"""What any route may answer besides what FastAPI knows of: the guard stands before all of them."""

FAILURES = {
    "401": "The gateway's key, or before a stream's first piece the provider's, is wrong",
    "402": "The provider asks for payment",
    "404": "No such deployment or model",
    "429": "The provider limits the rate",
    "502": "The provider failed or broke off",
    "503": "The provider is overloaded",
    "504": "The provider took too long",
}
"""What a completion may answer besides."""


def build(prefix: str, routers: Iterable[APIRouter], *, max_depth: int = MAX_DEPTH) -> FastAPI:
    """The FastAPI application of `routers`, each under `prefix`; its document tells of the completion routes too."""
    app = FastAPIOffline(title="parea-proxy", version=__version__, description=DESCRIPTION)
    app.state.max_depth = max_depth
    for router in routers:
        for route in router.routes:
            assert isinstance(route, StrictRoute), "make the router with route_class=StrictRoute"
        app.include_router(router, prefix=prefix, responses=_refusals(REFUSALS))
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(GatewayError, _failed)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _failed)
    document = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _add_completions(document(), prefix)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]
    return app


async def _refused(request: Request, error: Exception) -> Response:
    # FastAPI wraps what reading the body raised; the cause is what the client should hear.
    if isinstance(error.__cause__, GatewayError):
        return await _failed(request, error.__cause__)
    assert isinstance(error, HTTPException)
    return JSONResponse({"detail": error.detail}, error.status_code, error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    known = shown(error)
    detail = known.detail if isinstance(known, Unprocessable) else known.message
    return JSONResponse({"detail": detail}, known.status)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    detail = [{"type": item["type"], "loc": list(item["loc"]), "msg": item["msg"]} for item in error.errors()]
    return JSONResponse({"detail": detail}, 422)


def _add_completions(document: dict[str, Any], prefix: str) -> None:
    _, definitions = models_json_schema(
        [(CompletionsSchema, "validation"), (CompletionResponse, "serialization")], ref_template=REF
    )
    components: dict[str, Any] = document.setdefault("components", {}).setdefault("schemas", {})
    components.update(definitions.get("$defs", {}), **VALIDATION)
    whole = {"application/json": {"schema": {"$ref": REF.format(model="CompletionResponse")}}}
    stream = {"text/event-stream": {"schema": EVENT}}
    paths: dict[str, Any] = document["paths"]
    paths[f"{prefix}/completion"] = {"post": _operation("Completion", "completion", whole)}
    paths[f"{prefix}/completion/stream"] = {"post": _operation("Stream Completion", "stream_completion", stream)}


def _refusals(meanings: Mapping[str, str]) -> dict[int | str, dict[str, Any]]:
    error = {"schema": {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]}}
    return {
        status: {"description": meaning, "content": {"application/json": error}} for status, meaning in meanings.items()
    }


def _operation(summary: str, name: str, content: dict[str, Any]) -> dict[str, Any]:
    invalid = {"application/json": {"schema": {"$ref": REF.format(model="HTTPValidationError")}}}
    return {
        "tags": ["completion"],
        "summary": summary,
        "operationId": name,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": REF.format(model="CompletionsSchema")}, "example": EXAMPLE}
            },
        },
        "responses": {
            "200": {"description": "Successful Response", "content": content},
            **_refusals({**REFUSALS, **FAILURES}),
            "422": {"description": "Validation Error", "content": invalid},
        },
    }
