"""Plain functions as a layer: each completes or changes the call, in order, before the handler below sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from proxy.models import Call, Event
from proxy.protocols import Handler, Middleware, Step


def steps(*functions: Step) -> Middleware:
    """Apply `functions` to each call; what they raise ends the call."""

    def middleware(inner: Handler) -> Handler:
        async def handler(call: Call) -> AsyncGenerator[Event, None]:
            for function in functions:
                function(call)
            async with aclosing(inner(call)) as events:
                async for event in events:
                    yield event

        return handler

    return middleware
