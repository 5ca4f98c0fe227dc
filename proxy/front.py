"""The front of the house: a table of plain ASGI routes, and behind it the application for everything else.

A completion finds its endpoint with one look-up and never waits for the rest: the application behind is loaded once
the server has started, and only a request for it waits for that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from proxy.asgi import App, Receive, Scope, Send, answer
from proxy.errors import NotAllowed
from proxy.protocols import Refuse

logger = logging.getLogger("proxy")

Routes = Mapping[str, Mapping[str, App]]
"""Path -> method -> application."""


class Front:
    """An ASGI application: `routes` first, then what `load` gives.

    `prefix` may stand twice at the head of a path (Parea's published curl has it so); it counts once. `start` runs
    when the server does and `stop` before it ends; neither failure nor slowness of loading keeps the port from
    opening.
    """

    def __init__(
        self,
        routes: Routes,
        *,
        prefix: str,
        refuse: Refuse,
        load: Callable[[], Awaitable[App]],
        start: Callable[[], Awaitable[None]],
        stop: Callable[[], Awaitable[None]],
    ) -> None:
        self._routes = routes
        self._doubled = prefix + prefix
        self._prefix = prefix
        self._refuse = refuse
        self._load = load
        self._start = start
        self._stop = stop
        self._rest: asyncio.Task[App] | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """What answers a request, for the caller to await: a layer less to pass with every step of the answer."""
        if scope["type"] == "lifespan":
            return self._lifespan(receive, send)
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
        await (await self.rest())(scope, receive, send)

    async def rest(self) -> App:
        """The application behind, loaded at most once at a time; who stops waiting does not stop the loading."""
        if self._rest is None or (self._rest.done() and (self._rest.cancelled() or self._rest.exception())):
            self._rest = asyncio.ensure_future(self._load())
        return await asyncio.shield(self._rest)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        begin = asyncio.create_task(self._begin())
        await send({"type": "lifespan.startup.complete"})
        await receive()
        begin.cancel()
        if self._rest is not None:
            self._rest.cancel()
        await asyncio.wait({begin})
        await self._stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _begin(self) -> None:
        try:
            await self.rest()
        except Exception as error:
            # Whoever asks for it tries again and hears of it; completions are served all the same.
            logger.error("the routes besides completions could not be loaded: %s", error)
        await self._start()
