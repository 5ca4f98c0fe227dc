"""Plain functions as a layer: each completes or changes the call, in order, before the handler below sees it."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from proxy.models import Call, Event
from proxy.protocols import Handler, Middleware, Step


def steps(*functions: Step) -> Middleware:
    """Apply `functions` to each call; what they raise ends the call.

    There is nothing to wait for and nothing to close, so the handler is no generator: it gives the one below.
    """

    def middleware(inner: Handler) -> Handler:
        def handler(call: Call) -> AsyncGenerator[Event, None]:
            for function in functions:
                function(call)
            return inner(call)

        return handler

    return middleware
