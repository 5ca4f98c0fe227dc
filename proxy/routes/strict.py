"""FastAPI routes that read their bodies as strictly as the completion routes do, and names in paths as they are."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.convertors import PathConvertor, register_url_convertor

from proxy.body import loads


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
