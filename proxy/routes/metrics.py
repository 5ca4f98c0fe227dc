"""`GET /metrics`: what was counted, for Prometheus. The guard lets the master key in, where there is one, and no other.

The page is put together in a thread, from the tally of all workers; the loop only tells how things stand now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from proxy.asgi import App, Receive, Scope, Send, answer
from proxy.tally import Tally

if TYPE_CHECKING:
    from proxy.routes.exposition import Health


def metrics(tally: Tally, page: Callable[[], Awaitable[Any]], now: Callable[[], Health]) -> App:
    """The route; `page` loads `exposition`; `now` brings the tally up to date and tells of the targets."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        exposition = await page()
        health = now()
        accept = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"accept"), "")
        put_together = partial(_page, exposition, tally, health, accept)
        await answer(send, await asyncio.to_thread(put_together))

    return app


def _page(exposition: Any, tally: Tally, health: Health, accept: str) -> Any:
    return exposition.expose(tally.read(), health, accept)
