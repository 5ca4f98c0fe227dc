"""FastAPI routes that read their bodies as strictly as the completion routes do, and names in paths as they are."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query as Parameter
from fastapi.routing import APIRoute
from starlette.convertors import PathConvertor, register_url_convertor

from proxy.body import loads
from proxy.config.hint import nearest
from proxy.errors import BadRequest

LONGEST, TOLD = 40, 5
"""Characters of an unknown name, and how many of them, that a refusal tells."""


class Name(PathConvertor):
    """The rest of a path, as `{id:name}`, whatever characters it has: Starlette's own `path` knows no line breaks."""

    regex = "(?s:.*)"


register_url_convertor("name", Name())


class StrictRequest(Request):
    """A request whose JSON is read like that of a completion, to the depth that the application's state names."""

    async def json(self) -> Any:
        return loads(await self.body(), self.app.state.max_depth)


class StrictRoute(APIRoute):
    """The class of every route here."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def strict(request: Request) -> Response:
            return await handler(StrictRequest(request.scope, request.receive))

        return strict


class ExactRoute(StrictRoute):
    """Refuses words in a query that it does not know: without a filter that was misspelt everything would be found."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()
        known = [one.alias for one in get_flat_params(self.dependant) if isinstance(one.field_info, Parameter)]

        async def exact(request: Request) -> Response:
            unknown = [name for name in request.query_params if name not in known]
            if unknown:
                told = ", ".join(
                    f"there is no {name[:LONGEST]!r}{nearest(name[:LONGEST], known)}" for name in unknown[:TOLD]
                )
                raise BadRequest(f"query: {told}", param="query")
            return await handler(request)

        return exact
