"""ASGI on one page: the types, and the two things every route of ours does with them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from proxy.protocols import Answer

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


async def read(receive: Receive) -> bytes | None:
    """The request's whole body; None when the client left while sending it."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


async def answer(send: Send, whole: Answer, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    """Send a whole answer, with `headers` besides its own."""
    start = [
        (b"content-type", whole.media_type.encode("latin-1")),
        (b"content-length", b"%d" % len(whole.body)),
        *(headers or ()),
    ]
    if whole.headers:
        start += [(name.encode("latin-1"), value.encode("latin-1")) for name, value in whole.headers.items()]
    await send({"type": "http.response.start", "status": whole.status, "headers": start})
    await send({"type": "http.response.body", "body": whole.body, "more_body": False})
