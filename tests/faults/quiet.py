"""Imports and starts everything, and prints every connection, name and program that was asked for meanwhile.

    python -m tests.faults.quiet <data folder>

Run without a network it shows that nothing is needed; the list shows that nothing is tried.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import pkgutil
import sys
from pathlib import Path
from typing import Any

WATCHED = (
    *("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg"),
    *("urllib.Request", "http.client.connect", "ftplib.connect", "smtplib.connect"),
    *("subprocess.Popen", "os.system", "os.posix_spawn", "os.exec"),
)
"""Beginnings of the names of Python's own audit events."""


async def start(data: Path) -> None:
    """A gateway from its start until LiteLLM and the routes behind are loaded, and to its end."""
    from proxy.app import Gateway
    from proxy.config import load

    app = Gateway(load(None, {}), data).app
    news: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    said: asyncio.Queue[Any] = asyncio.Queue()
    news.put_nowait({"type": "lifespan.startup"})
    life = asyncio.ensure_future(app({"type": "lifespan"}, news.get, said.put))
    assert (await said.get())["type"] == "lifespan.startup.complete"
    answered: list[Any] = []
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/ready",
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
    }

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        answered.append(message)

    while not answered or answered[0]["status"] != 200:
        answered.clear()
        await app(dict(scope), receive, send)
        await asyncio.sleep(0.05)
    news.put_nowait({"type": "lifespan.shutdown"})
    await life


def main() -> None:
    tried: list[str] = []
    sys.addaudithook(lambda event, told: tried.append(f"{event} {told!r}"[:300]) if event.startswith(WATCHED) else None)
    import proxy

    for module in pkgutil.walk_packages(proxy.__path__, "proxy."):
        if module.name != "proxy.__main__":
            importlib.import_module(module.name)
    asyncio.run(start(Path(sys.argv[1])))
    assert "litellm" in sys.modules
    print(json.dumps({"tried": tried, "modules": len(sys.modules)}))


if __name__ == "__main__":
    main()
