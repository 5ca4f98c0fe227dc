"""The composition root: the only place that knows everybody.

    guard -> a table of plain ASGI routes: completions, /health, /ready
          -> else FastAPI: logs, deployments, documents

The pipeline of a completion, outermost first:

    place -> trace -> enroll -> assign -> resolve -> render -> admit -> cache -> route -> provider

The port opens before FastAPI and LiteLLM are imported; both are loaded in slices between requests, and only who needs
them waits.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from proxy import plugins
from proxy.asgi import App
from proxy.config import Config, load
from proxy.connection import Connection
from proxy.door import Door, Limits, room
from proxy.endpoint import Endpoint
from proxy.errors import ConfigError
from proxy.front import Front
from proxy.guard import LOOPBACK, Guard, check_key, fenced, is_loopback
from proxy.loader import load as load_module
from proxy.middleware.admit import admit, enroll
from proxy.middleware.assign import assign
from proxy.middleware.balance import Balance
from proxy.middleware.cache import cache
from proxy.middleware.names import Names
from proxy.middleware.omit import omit, omit_fields, restrict
from proxy.middleware.place import place
from proxy.middleware.render import render
from proxy.middleware.resolve import resolve
from proxy.middleware.route import route
from proxy.middleware.sample import sample
from proxy.middleware.session import Sessions
from proxy.middleware.steps import steps
from proxy.middleware.trace import trace
from proxy.models import ALL, Json, LogPolicy
from proxy.protocols import CacheStore, Handler, Middleware, Provider, Step, Surface, TraceLog, refusal
from proxy.providers.pricelist import PriceList
from proxy.record import Record
from proxy.routes.status import about, health, ready
from proxy.server import run
from proxy.stores.board import Board
from proxy.stores.keyfile import any_key

PAREA = "/api/parea/v1"
OPENAI = "/v1"
HUMANLOOP = "/v4"
GRACE = 30
"""Seconds that running answers have to finish after a signal."""

BACKLOG = 2048
"""Connections that may wait to be accepted."""

OMIT = {
    "none": ALL,
    "inputs": LogPolicy(inputs=False),
    "outputs": LogPolicy(outputs=False),
    "all": LogPolicy(inputs=False, outputs=False),
}

logger = logging.getLogger("proxy")


def chain(handler: Handler, *layers: Middleware) -> Handler:
    """`handler` inside `layers`, the first of which is the outermost."""
    for layer in reversed(layers):
        handler = layer(handler)
    return handler


class Gateway:
    """One gateway: its stores, its providers, its pipeline, and the ASGI application around them."""

    def __init__(self, config: Config, data: Path, *, host: str = "127.0.0.1") -> None:
        self.config = config
        self.policy = OMIT[config.log.omit]
        self.sample_rate = config.log.sample_rate
        self.sessions = Sessions()
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log: TraceLog = plugins.make("stores", config.log.store, "trace_log", data, config.log)
        self.cache: CacheStore = plugins.make("stores", config.cache.store, "cache_store", data, config.cache)
        self.board = Board(data / "board")
        echo = plugins.load("providers", "echo", "provider")()
        lite = plugins.load("providers", "litellm", "provider")(
            strict_params=config.litellm.strict_params,
            max_response=config.server.max_response,
            timeout=config.router.timeout,
            plans=data / "plans.json",
        )
        self.providers: Mapping[str, Provider] = {"echo": echo, "": lite}
        names, prices = Names(config), PriceList()
        self.balance = Balance(self.board, config.router, prices.price)
        self.handler = chain(
            route(self.providers, config.router, names.group, self.balance),
            place(self.log),
            trace(self.write),
            steps(restrict(self.policy), *self._enrolled(), assign(config), resolve(config, names), render),
            *self._admitted(names),
            cache(self.cache, any_key(data / "cache.key")),
        )
        self.surfaces: list[Surface] = [
            plugins.make("dialects", name, "surface", config.server.max_depth) for name in config.server.dialects
        ]
        self.refuse = refusal(self.surfaces)
        self.app: App = Guard(
            Front(
                self._table(),
                prefix=PAREA,
                refuse=self.refuse,
                load=self._load_web,
                start=self._start,
                stop=self._stop,
            ),
            hosts=_hosts(config, host),
            key=config.master_key,
            max_body=config.server.max_body,
            refuse=self.refuse,
            callers=config.keys,
        )

    def _enrolled(self) -> list[Step]:
        """Without keys nothing is to be looked at."""
        return [enroll(self.config)] if self.config.keys else []

    def _admitted(self, names: Names) -> list[Middleware]:
        return [admit(self.config, names, self.log, self.board)] if self.config.keys else []

    def write(self, record: Record) -> asyncio.Future[bool]:
        """Take a finished record through the processors to the log."""
        record.policy = record.policy.narrowed(self.policy)
        record.sample_rate = min(record.sample_rate, self.sample_rate)
        if (session := self.sessions.missing(record)) is not None:
            self.log.append(omit(sample(session))).add_done_callback(partial(self._settle, session.trace_id))
        return self.log.append(omit(sample(record)))

    def _settle(self, session: str, written: asyncio.Future[bool]) -> None:
        if written.cancelled() or not written.result():
            self.sessions.forget(session)

    def update(self, trace_id: str, fields: Mapping[str, Json]) -> asyncio.Future[bool]:
        """Take an edit of a record to the log, without what may not be written down."""
        return self.log.update(trace_id, omit_fields(fields, self.policy))

    def _table(self) -> dict[str, dict[str, App]]:
        table: dict[str, dict[str, App]] = {
            "/": {"GET": about},
            "/health": {"GET": health(self.log)},
            "/ready": {"GET": ready(self.log, self.providers)},
        }
        for one in (operation for surface in self.surfaces for operation in surface.operations):
            if one.path in table:
                raise ConfigError(f"server.dialects: two of them serve {one.path}")
            table[one.path] = {"POST": Endpoint(one.dialect, self.handler, stream=one.stream, paced=one.paced)}
        return table

    async def _load_web(self) -> App:
        await load_module("proxy.routes.web")
        from proxy.routes import anthropic, humanloop, models, prompts, scale, traces, web

        routers = [
            (PAREA, traces.router(self.log, self.write, self.update)),
            (PAREA, prompts.router(self.config)),
        ]
        if "openai" in self.config.server.dialects:
            routers.append((OPENAI, models.router(self.config)))
        if "anthropic" in self.config.server.dialects:
            routers.append(("/v1/messages", anthropic.router()))
        if "humanloop" in self.config.server.dialects:
            routers.append((HUMANLOOP, humanloop.router(self.config, self.log, self.write, self.update)))
        if "scale" in self.config.server.dialects:
            routers.append(("/v5", scale.router(self.config)))
        app = web.build(
            routers,
            prefix=PAREA,
            refuse=self.refuse,
            surfaces=self.surfaces,
            max_depth=self.config.server.max_depth,
        )
        return fenced(app, self.refuse) if self.config.keys else app

    async def _start(self) -> None:
        for provider in self.providers.values():
            provider.start()

    async def _stop(self) -> None:
        for provider in self.providers.values():
            await provider.close()
        self.board.close()
        await self.cache.close()
        await self.log.close()


def _hosts(config: Config, host: str) -> frozenset[str] | None:
    """The names this server answers to; any, where it is bound to a network and so has a key."""
    if is_loopback(host):
        return LOOPBACK | {host} | {name.lower() for name in config.server.allowed_hosts}
    return None


def create() -> App:
    """The application of one of several workers, which only has the environment to go by; `serve` has filled it."""
    prepare()
    path = os.environ.get("PAREA_PROXY_CONFIG")
    config = load(Path(path) if path else None, os.environ)
    gateway = Gateway(config, Path(os.environ["PAREA_PROXY_DATA"]), host=os.environ["PAREA_PROXY_HOST"])
    settle()
    return gateway.app


def serve(
    config: Config, *, path: Path | None, host: str, port: int, data: Path, workers: int = 1, log_level: str = "info"
) -> None:
    """Serve until told to stop; `path` is where `config` was read, None for the built-in one.

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
        gateway = Gateway(config, data, host=host)
        settle()
        run(gateway.app, **options)
        return
    settle()
    os.environ.update({"PAREA_PROXY_DATA": str(data), "PAREA_PROXY_HOST": host})
    if path is not None:
        os.environ["PAREA_PROXY_CONFIG"] = str(path)
    run("proxy.app:create", factory=True, workers=workers, **options)


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
