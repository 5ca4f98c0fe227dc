"""The composition root: the only place that knows everybody.

    guard -> a table of plain ASGI routes: completions, /health, /ready
          -> else FastAPI: logs, deployments, documents

The pipeline of a completion, outermost first:

    place -> trace -> enroll -> assign -> resolve -> render -> admit -> cache (or cassette) -> route -> provider

What the configuration decides is made anew for each configuration (`Gateway.build`); stores, providers and what the
middleware remembers are made once and serve all of them (`live.py`).

The port opens before FastAPI and LiteLLM are imported; both are loaded in slices between requests, and only who needs
them waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from proxy import heap, plugins
from proxy.asgi import App
from proxy.config import Config
from proxy.config.prices import price
from proxy.endpoint import Endpoint
from proxy.errors import ConfigError
from proxy.explanation import Explainer
from proxy.http.front import Front, Once
from proxy.http.guard import LOOPBACK, Guard, check_key, fenced, is_loopback
from proxy.live import Live
from proxy.loader import load as load_module
from proxy.middleware.admit import Admission, admit, enroll
from proxy.middleware.assign import assign
from proxy.middleware.balance import Balance
from proxy.middleware.cache import cache
from proxy.middleware.meter import Meter
from proxy.middleware.names import Names
from proxy.middleware.omit import restrict
from proxy.middleware.place import place
from proxy.middleware.render import render
from proxy.middleware.resolve import resolve
from proxy.middleware.route import route
from proxy.middleware.session import Sessions
from proxy.middleware.steps import steps
from proxy.middleware.trace import trace
from proxy.middleware.write import Writer
from proxy.models import Json
from proxy.protocols import CacheStore, Handler, Middleware, Provider, Refuse, Surface, TraceLog, refusal
from proxy.pulse import Pulse
from proxy.routes.metrics import metrics
from proxy.routes.status import about, health, ready
from proxy.stores.keyfile import any_key
from proxy.stores.shared.board import Board
from proxy.stores.shared.tally import Tally
from proxy.tally import queue
from proxy.target import Target

if TYPE_CHECKING:
    from fastapi import APIRouter

    from proxy.middleware.cassette import Player

PAREA = "/api/parea/v1"
OPENAI = "/v1"
HUMANLOOP = "/v4"


def chain(handler: Handler, *layers: Middleware) -> Handler:
    """`handler` inside `layers`, the first of which is the outermost."""
    for layer in reversed(layers):
        handler = layer(handler)
    return handler


class Gateway:
    """One gateway: what is made once for all its configurations, and the ASGI application around them.

    `load` reads the configuration anew, `call` is the file by which other workers are told to; without them the gateway
    keeps `config`. With a `player` calls are recorded or replayed, and the cache is not used. `provider` is for all.
    """

    def __init__(
        self,
        config: Config,
        data: Path,
        *,
        host: str = "127.0.0.1",
        load: Callable[[], Config] | None = None,
        call: Path | None = None,
        player: Player | None = None,
        provider: Any = None,
    ) -> None:
        self._host, self._player = host, player
        self._silent = provider is not None or (player is not None and player.mode == "replay")
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.log: TraceLog = plugins.make("stores.log", config.log.store, "trace_log", data, config.log)
        self.cache: CacheStore = plugins.make("stores.cache", config.cache.store, "cache_store", data, config.cache)
        self.board = Board(data / "board")
        self.tally = Tally(data)
        self._meters: WeakSet[Meter] = WeakSet()
        self._sessions = Sessions()
        self._writers: WeakSet[Writer] = WeakSet()
        self._spans = plugins.make("stores.telemetry", "spans", "Spans", config.otel) if config.otel else None
        self._echo: Provider = provider or plugins.load("providers", "echo", "provider")()
        called = "silent" if self._silent else "litellm"
        self._lite = provider or plugins.load("providers", called, "provider")(plans=data / "plans.json")
        self.providers: Mapping[str, Provider] = {"echo": self._echo, "": self._lite}
        self._placed = place(self.log)
        self._secret = any_key(data / "cache.key")
        self._cached = cache(self.cache, self._secret)
        self._web = Once(partial(load_module, "proxy.routes.web"))
        self._page = Once(partial(load_module, "proxy.routes.exposition"))
        self.app = Live(
            config, build=self._build, load=load or (lambda: config), start=self._start, stop=self._stop, call=call
        )
        self._pulse = Pulse(
            self.tally,
            {
                "rows_dropped": lambda: queue(self.log)[1],
                "reload": lambda: self.app.current.number - 1,
                "reload_refused": lambda: self.app.refused,
                "span_sent": lambda: self._spans.sent if self._spans else 0,
                "span_dropped": lambda: self._spans.dropped if self._spans else 0,
            },
            {
                "busy": lambda: sum(meter.busy for meter in self._meters),
                "rows_waiting": lambda: queue(self.log)[0],
                "problem": lambda: self.app.problem is not None,
            },
        )
        self._pulsing: asyncio.Task[None] | None = None

    def _build(self, config: Config) -> tuple[App, Callable[[], Awaitable[object]]]:
        """All that depends on `config`, and how to load what is not needed for completions. Raises `ConfigError`."""
        check_key(self._host, config.closed)
        config = config.uncalled() if self._silent else config
        config = config if self._player is None else self._player.unspared(config)
        surfaces: list[Surface] = [
            plugins.make("dialects", name, "surface", config.server.max_depth) for name in config.server.dialects
        ]
        refuse = refusal(surfaces)
        self._writers.add(writer := Writer(config, self.log, self._sessions, self._spans))
        balance = Balance(self.board, config.router, _price)
        handler, explainer = self._pipeline(config, writer, surfaces, balance)
        table = self._table(surfaces, handler)
        if config.server.metrics:
            table["/metrics"] = {"GET": metrics(self.tally, self._page.made, partial(self._now, config, balance))}
        self.handler, self.explainer = handler, explainer
        behind = Once(partial(self._behind, config, surfaces, refuse, writer, explainer))
        guard = Guard(
            Front(table, prefix=PAREA, refuse=refuse, behind=behind),
            hosts=_hosts(config, self._host),
            key=config.master_key,
            max_body=config.server.max_body,
            refuse=refuse,
            callers=config.keys,
        )
        return guard if self._player is None else self._player.before(guard), behind.made

    def _pipeline(
        self, config: Config, writer: Writer, surfaces: list[Surface], balance: Balance
    ) -> tuple[Handler, Explainer]:
        """What carries a call out, and what tells how."""
        lite = self._lite.under(
            strict_params=config.litellm.strict_params,
            max_response=config.server.max_response,
            timeout=config.router.timeout,
        )
        names = Names(config)
        meter = Meter(config, self.tally) if config.server.metrics else None
        if meter is not None:
            self._meters.add(meter)
        # without keys nothing is to be looked at
        enrolled = [enroll(config)] if config.keys else []
        admission = Admission(config, names, self.log, self.board) if config.keys else None
        stepped = [restrict(writer.policy), *enrolled, assign(config), resolve(config, names), render]
        providers: dict[str, Provider] = {"echo": self._echo, "": lite}
        handler = chain(
            route(providers, config.router, names.group, balance),
            self._placed,
            trace(writer.write_call, meter),
            steps(*stepped),
            *([admit(admission)] if admission else []),
            self._cached if self._player is None else self._player.under(config),
        )
        served = {one.path: one for surface in surfaces for one in surface.operations}
        explainer = Explainer(config, served, stepped, names, balance, providers, self.cache, self._secret, admission)
        return handler, explainer

    def _table(self, surfaces: list[Surface], handler: Handler) -> dict[str, dict[str, App]]:
        table: dict[str, dict[str, App]] = {
            "/": {"GET": about},
            "/health": {"GET": health(self.log)},
            "/ready": {"GET": ready(self.log, self.providers, lambda: self.app.status())},
        }
        for one in (operation for surface in surfaces for operation in surface.operations):
            if one.path in table:
                raise ConfigError(f"server.dialects: two of them serve {one.path}")
            table[one.path] = {"POST": Endpoint(one.dialect, handler, stream=one.stream, paced=one.paced)}
        return table

    async def _behind(
        self, config: Config, surfaces: list[Surface], refuse: Refuse, writer: Writer, explainer: Explainer
    ) -> App:
        web = await self._web.made()
        routers = []
        for one in self._routers(config, writer, explainer):
            routers.append(one)
            await asyncio.sleep(0)  # a router takes some milliseconds, and others wait for the loop
        app: App = web.build(routers, prefix=PAREA, refuse=refuse, surfaces=surfaces, max_depth=config.server.max_depth)
        return fenced(app, refuse) if config.keys else app

    def _routers(self, config: Config, writer: Writer, explainer: Explainer) -> Iterator[tuple[str, APIRouter]]:
        """What is served besides completions, and where."""
        from proxy.routes import admin, anthropic, humanloop, log, models, prompts, scale, spans, traces

        yield PAREA, traces.router(config, self.log, writer.write_function, writer.update_function)
        yield PAREA, prompts.router(config)
        yield "/admin", admin.router(self._reload, partial(_summary, config), explainer.explain)
        yield "/admin", log.router(self.log, config)
        yield "/v1/traces", spans.router(writer.write, config.server.max_body)
        if "openai" in config.server.dialects:
            yield OPENAI, models.router(config)
        if "anthropic" in config.server.dialects:
            yield "/v1/messages", anthropic.router()
        if "humanloop" in config.server.dialects:
            yield HUMANLOOP, humanloop.router(config, self.log, writer.write_function, writer.update_function)
        if "scale" in config.server.dialects:
            yield "/v5", scale.router(config)

    async def _reload(self) -> Mapping[str, Json]:
        """Have the configuration read again; how it stands then."""
        await self.app.demand()
        return self.app.status()

    def _now(self, config: Config, balance: Balance) -> dict[str, dict[str, Any]]:
        """Bring the tally up to date; what is known of the targets."""
        self._pulse.beat()
        return balance.health(target for targets in config.models.values() for target in targets)

    async def close(self) -> None:
        """Let go of all that was made once; where it served, the end of serving does it."""
        await self._stop()

    async def _start(self) -> None:
        heap.give_back()
        self._pulsing = asyncio.create_task(self._pulse.run())
        for provider in self.providers.values():
            provider.start()

    async def _stop(self) -> None:
        self._web.cancel()
        self._page.cancel()
        if self._pulsing is not None:
            self._pulsing.cancel()
        for provider in self.providers.values():
            await provider.close()
        self.board.close()
        await self.cache.close()
        await asyncio.gather(*[writer.settle() for writer in self._writers])
        await self.log.close()
        if self._spans is not None:
            await asyncio.to_thread(self._spans.close)
        self._pulse.beat()
        self.tally.close()


async def explained(config: Config, body: bytes, *, path: str | None, key: str | None) -> dict[str, Json]:
    """What would become of a request in a gateway that has just been started with `config`. Raises `RequestError`."""
    with TemporaryDirectory() as folder:
        gateway = Gateway(config, Path(folder))
        try:
            return await gateway.explainer.explain(body, {}, path=path, key=key)
        finally:
            await gateway.close()


def _price(target: Target) -> float | None:
    """What a token to `target` and one from it cost together."""
    return None if (found := price(target)) is None else sum(found)


def _summary(config: Config) -> Json:
    """What `check --json` prints. Its module brings a terminal's whole toolbox."""
    from proxy.report import summary

    return summary(config)


def _hosts(config: Config, host: str) -> frozenset[str] | None:
    """The names this server answers to; any, where it is bound to a network and so has a key."""
    if is_loopback(host):
        return LOOPBACK | {host} | {name.lower() for name in config.server.allowed_hosts}
    return None
