"""The process around a gateway, or around several that share a port: its start, its limits, its signals.

What must stay true: all that is kept is the owner's alone, a crash writes down no key, and a worker, which only has the
environment to go by, is the gateway that its parent was told to be.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from proxy.app import Gateway
from proxy.asgi import App
from proxy.config import Config, load
from proxy.http.connection import Connection
from proxy.http.door import Door, Limits, room
from proxy.http.guard import check_key
from proxy.http.server import run
from proxy.live import call

if TYPE_CHECKING:
    from proxy.middleware.cassette import Player

GRACE = 30
"""Seconds that running answers have to finish after a signal."""

BACKLOG = 2048
"""Connections that may wait to be accepted."""

CALL = "reload"
"""The file of the data folder by which one worker, or their parent, tells all to read the configuration again."""


def create() -> App:
    """The application of one of several workers, which only has the environment to go by; `serve` has filled it."""
    prepare()
    path, data = os.environ.get("PAREA_PROXY_CONFIG"), Path(os.environ["PAREA_PROXY_DATA"])
    read = partial(load, Path(path) if path else None, os.environ)
    gateway = Gateway(read(), data, host=os.environ["PAREA_PROXY_HOST"], load=read, call=data / CALL)
    settle()
    return gateway.app


def serve(
    config: Config,
    *,
    path: Path | None,
    host: str,
    port: int,
    data: Path,
    workers: int = 1,
    log_level: str = "info",
    player: Player | None = None,
) -> None:
    """Serve until told to stop; `path` is where `config` was read, None for the built-in one. Only one worker can have
    a `player`.

    SIGTERM and SIGINT let running answers finish for `GRACE` seconds; a second one does not. Raises `ConfigError` when
    `host` is not loopback and no key is configured.
    """
    check_key(host, config.closed)
    prepare()
    server = config.server
    connections = room(server.max_connections)
    door = Door(Limits(connections, receive=server.receive_timeout, send=server.send_timeout))
    options: dict[str, Any] = {
        "host": host,
        "port": port,
        "loop": "uvloop",
        "http": partial(Connection, door=door),
        # what is accepted at one go is open before it can be refused
        "backlog": min(BACKLOG, connections),
        "ws": "none",
        "lifespan": "on",
        "log_level": log_level,
        "access_log": False,
        "server_header": False,
        # no answer is anything but what it says it is, whatever a browser takes its text for
        "headers": [("x-content-type-options", "nosniff")],
        "proxy_headers": False,
        "timeout_graceful_shutdown": GRACE,
    }
    if workers == 1:
        gateway = Gateway(config, data, host=host, load=partial(load, path, os.environ), player=player)
        settle()
        run(gateway.app, **options)
        return
    settle()
    os.environ.update({"PAREA_PROXY_DATA": str(data), "PAREA_PROXY_HOST": host})
    if path is not None:
        os.environ["PAREA_PROXY_CONFIG"] = str(path)
    run("proxy.process:create", hup=partial(call, data / CALL), factory=True, workers=workers, **options)


def prepare() -> None:
    """What holds for the whole process: files are the owner's alone; a crash leaves no core, which would hold every
    key; nothing is collected before `settle`.
    """
    os.umask(0o077)
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    gc.disable()
    logging.getLogger("uvicorn.error").addFilter(_expected)


def settle() -> None:
    """All that there is stays: the collector leaves it alone, and looks for cycles in the rest less often."""
    gc.freeze()
    # A request makes many objects and few cycles; looking for them every 700 objects costs 2 % of a cached answer.
    gc.set_threshold(20_000, 50, 100)
    gc.enable()


def _expected(record: logging.LogRecord) -> bool:
    """A stream that is cut because its provider broke off is told to the client and in the trace, not as a server's
    fault.
    """
    return "without completing response" not in record.getMessage()
