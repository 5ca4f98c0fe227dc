"""The pages that a browser shows: FastAPI's documents, and what they may do there.

What must stay true: a page runs the scripts that it was made with and no others, fetches from this gateway alone, and
stands in no other page's frame.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import MutableMapping
from hashlib import sha256
from typing import Any

from starlette.datastructures import MutableHeaders

from proxy.asgi import App, Receive, Scope, Send

SCRIPT = re.compile(rb"<script>(.*?)</script>", re.DOTALL)
POLICY = (
    "default-src 'self'; script-src 'self'{hashes}; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " worker-src blob:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Styles stand in the pages' elements; ReDoc searches in a worker that it writes itself."""


def confined(app: App) -> App:
    """`app`, whose pages are given a policy that names their inline scripts by hash."""

    async def page(scope: Scope, receive: Receive, send: Send) -> None:
        start: MutableMapping[str, Any] = {}

        async def confine(message: MutableMapping[str, Any]) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start:
                MutableHeaders(scope=start)["content-security-policy"] = policy(message.get("body", b""))
                await send(start)
                start = {}
            await send(message)

        await app(scope, receive, confine)

    return page


def policy(body: bytes) -> str:
    """The policy of one page."""
    digests = [b64encode(sha256(script).digest()).decode() for script in SCRIPT.findall(body)]
    return POLICY.format(hashes="".join(f" 'sha256-{digest}'" for digest in digests))
