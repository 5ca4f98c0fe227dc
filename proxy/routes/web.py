"""Everything that is not a completion: ordinary FastAPI, with its documents.

It is loaded after the port is open and imported by nobody at module level; a completion never passes through it.
Bodies are read as strictly here as on the completion routes, and a 422 never repeats what was sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from proxy import __version__
from proxy.body import MAX_DEPTH
from proxy.errors import GatewayError, Unprocessable, shown
from proxy.routes import openapi
from proxy.routes.strict import StrictRoute

DESCRIPTION = "A local LLM gateway: the Parea completion API in front of every provider LiteLLM can call."


def build(prefix: str, routers: Iterable[APIRouter], *, max_depth: int = MAX_DEPTH) -> FastAPI:
    """The FastAPI application of `routers`, each under `prefix`; its document tells of the completion routes too."""
    app = FastAPIOffline(title="parea-proxy", version=__version__, description=DESCRIPTION)
    app.state.max_depth = max_depth
    for router in routers:
        for route in router.routes:
            assert isinstance(route, StrictRoute), "make the router with route_class=StrictRoute"
        app.include_router(router, prefix=prefix, responses=openapi.refusals(openapi.REFUSALS))
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(GatewayError, _failed)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _failed)
    document = app.openapi

    def documented() -> dict[str, Any]:
        if app.openapi_schema is None:
            openapi.extend(document(), prefix)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = documented  # type: ignore[method-assign]
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
