"""A real server around an ASGI application, in a thread: streaming, first bytes and disconnects exist only there."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Any

import uvicorn

from proxy.http.connection import Connection
from proxy.http.door import Door


class Server:
    """Serves `make()`, which is called in the server's thread, on a free port of 127.0.0.1 while it is held.

    `host` and `port` say where; leaving waits until the application has shut down. `options` are uvicorn's.
    """

    host = "127.0.0.1"

    def __init__(self, make: Callable[[], Any], **options: Any) -> None:
        self._socket = socket.socket()
        self._socket.bind((self.host, 0))
        self.port: int = self._socket.getsockname()[1]
        self.url = f"http://{self.host}:{self.port}"
        self._started = threading.Event()
        config = uvicorn.Config(
            make,
            factory=True,
            lifespan="on",
            loop="uvloop",
            ws="none",
            log_level="critical",
            access_log=False,
            timeout_graceful_shutdown=5,
            **{"http": partial(Connection, door=Door()), **options},
        )
        self._server = _Announcing(config, self._started)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True)

    def __enter__(self) -> Server:
        self._thread.start()
        if not self._started.wait(20):
            raise RuntimeError("the server did not start")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        self._socket.close()
        assert not self._thread.is_alive(), "the server did not stop"


class _Announcing(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: threading.Event) -> None:
        super().__init__(config)
        self._announce = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._announce.set()
