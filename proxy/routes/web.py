"""Everything that is not a completion: ordinary FastAPI, with its documents.

It is loaded after the port is open and imported by nobody at module level; a completion never passes through it.
Bodies are read as strictly here as on the completion routes, and a 422 never repeats what was sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import _lru_cache_wrapper
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.dependencies import models as dependencies
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from proxy import __version__
from proxy.body import MAX_DEPTH
from proxy.errors import BadRequest, GatewayError, NotAllowed, NotServed, RequestError, Unprocessable, shown
from proxy.protocols import Answer, Refuse, Surface
from proxy.routes import openapi
from proxy.routes.pages import confined
from proxy.routes.strict import StrictRoute

DESCRIPTION = (
    "A local LLM gateway: the APIs of OpenAI, Anthropic, Parea, Humanloop and Scale in front of every provider that"
    " LiteLLM can call."
)


def build(
    routers: Iterable[tuple[str, APIRouter]],
    *,
    prefix: str,
    refuse: Refuse,
    surfaces: Iterable[Surface] = (),
    max_depth: int = MAX_DEPTH,
) -> FastAPI:
    """The FastAPI application of `routers`, each under its own prefix; Parea's is `prefix`.

    `refuse` makes the answers to what is refused. The document tells of the completion routes of `surfaces` too.
    """
    _forget()
    app = FastAPIOffline(title="parea-proxy", version=__version__, description=DESCRIPTION)
    for route in app.routes:
        if isinstance(route, APIRoute):
            route.app = confined(route.app)
    app.state.max_depth = max_depth
    app.state.refuse = refuse
    for place, router in routers:
        for route in router.routes:
            assert isinstance(route, StrictRoute), "make the router with route_class=StrictRoute"
        shape = openapi.DETAIL if place == prefix else {"type": "object"}
        app.include_router(router, prefix=place, responses=openapi.refusals(openapi.REFUSALS, shape))
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(GatewayError, _failed)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(Exception, _failed)
    document = app.openapi

    def documented() -> dict[str, Any]:
        if app.openapi_schema is None:
            openapi.extend(document(), prefix, surfaces)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = documented  # type: ignore[method-assign]
    return app


def _forget() -> None:
    """Let go of applications that are no more: FastAPI remembers what thousands of functions are, and with the
    functions all that they can reach.
    """
    for known in vars(dependencies).values():
        if isinstance(known, _lru_cache_wrapper):
            known.cache_clear()


async def _refused(request: Request, error: Exception) -> Response:
    # FastAPI wraps what reading the body raised; the cause is what the client should hear.
    if isinstance(error.__cause__, GatewayError):
        return await _failed(request, error.__cause__)
    assert isinstance(error, HTTPException)
    response = await _failed(request, _known(request, error))
    response.headers.update(error.headers or {})
    return response


async def _failed(request: Request, error: Exception) -> Response:
    known = shown(error)
    refused: Answer = request.app.state.refuse(request.scope["path"], known)
    headers = {"x-should-retry": "true" if known.retryable else "false", **refused.headers}
    return Response(refused.body, refused.status, headers, refused.media_type)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    detail = [{"type": item["type"], "loc": list(item["loc"]), "msg": item["msg"]} for item in error.errors()]
    return await _failed(request, Unprocessable(detail))


def _known(request: Request, error: HTTPException) -> RequestError:
    """What Starlette itself refuses, in our words."""
    if error.status_code == 404:
        return NotServed(request.method, request.scope["path"])
    return (NotAllowed if error.status_code == 405 else BadRequest)(str(error.detail))
