"""What this is, whether it lives and whether it can work: `/`, `/health` and `/ready`.

`/health` answers as long as the process does. `/ready` is 200 when a request for any provider could be served now,
else 503 with the reasons. What is wrong with the configuration's files is told there, too, and is no such reason: what
serves is the one before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from proxy import __version__
from proxy.asgi import App, Receive, Scope, Send, answer
from proxy.protocols import Answer, Provider, TraceLog


async def about(scope: Scope, receive: Receive, send: Send) -> None:
    """`GET /`: what this is, for whoever opens the address in a browser."""
    body = {"name": "parea-proxy", "version": __version__, "docs": "/docs", "health": "/health", "ready": "/ready"}
    await answer(send, Answer(200, orjson.dumps(body)))


def health(log: TraceLog) -> App:
    """`GET /health`: alive, and what the log had to drop."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = {"status": "ok", "version": __version__, "log": await log.health()}
        await answer(send, Answer(200, orjson.dumps(body)))

    return app


def ready(log: TraceLog, providers: Mapping[str, Provider], config: Callable[[], Mapping[str, Any]]) -> App:
    """`GET /ready`: the reasons why not, by what they concern; `config` says how the configuration stands."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        reasons = {name or "litellm": reason for name, one in providers.items() if (reason := await one.ready())}
        state = await log.health()
        if not state["writable"]:
            reasons["log"] = state["reason"]
        body = {"status": "not ready" if reasons else "ready", "reasons": reasons, "config": config()}
        await answer(send, Answer(503 if reasons else 200, orjson.dumps(body)))

    return app
