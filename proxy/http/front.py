"""The front of the house: a table of plain ASGI routes, and behind it the application for everything else.

A completion finds its endpoint with one look-up and never waits for the rest: the application behind is loaded once
the server has started, and only a request for it waits for that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

from proxy.asgi import App, Receive, Scope, Send, answer
from proxy.errors import NotAllowed
from proxy.protocols import Refuse

T = TypeVar("T")

Routes = Mapping[str, Mapping[str, App]]
"""Path -> method -> application."""


class Once(Generic[T]):
    """What `make` makes, when it is first needed and at most once at a time; after a failure it is made again."""

    def __init__(self, make: Callable[[], Awaitable[T]]) -> None:
        self._make = make
        self._task: asyncio.Future[T] | None = None

    async def made(self) -> T:
        """It; who stops waiting does not stop the making."""
        if self._task is None or (self._task.done() and (self._task.cancelled() or self._task.exception())):
            self._task = asyncio.ensure_future(self._make())
        return await asyncio.shield(self._task)

    def cancel(self) -> None:
        """Stop making it."""
        if self._task is not None:
            self._task.cancel()


class Front:
    """An ASGI application: `routes` first, then what is `behind`.

    `prefix` may stand twice at the head of a path (Parea's published curl has it so); it counts once.
    """

    def __init__(self, routes: Routes, *, prefix: str, refuse: Refuse, behind: Once[App]) -> None:
        self._routes = routes
        self._doubled = prefix + prefix
        self._prefix = prefix
        self._refuse = refuse
        self._rest = behind

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """What answers a request, for the caller to await: a layer less to pass with every step of the answer."""
        path: str = scope["path"]
        if path.startswith(self._doubled):
            path = path.removeprefix(self._prefix)
            scope = {**scope, "path": path, "raw_path": path.encode()}
        methods = self._routes.get(path)
        if methods is None:
            return self._behind(scope, receive, send)
        if (app := methods.get(scope["method"])) is not None:
            return app(scope, receive, send)
        refused = self._refuse(path, NotAllowed("Method Not Allowed"))
        headers = [(b"allow", ", ".join(methods).encode()), (b"x-should-retry", b"false")]
        return answer(send, refused, headers)

    async def _behind(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._rest.made())(scope, receive, send)
