"""The live configuration: which generation answers a request, and how the next one comes.

    a file has changed, SIGHUP, POST /admin/reload  ->  read (in a thread)  ->  build  ->  the current generation

A generation is a configuration and the application that was built from it, and neither ever changes. What must stay
true:

* A request is answered by the generation that is current when it arrives, from its head to its last byte.
* A configuration that cannot be used changes nothing: the generation before goes on, and `problem` says why.
* An old generation goes with its last request; nothing here holds it.
* No value of a secret is in what is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import signal
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from proxy import hangup, timestamps
from proxy.asgi import App, Receive, Scope, Send
from proxy.config import Config
from proxy.errors import shown
from proxy.watch import Stamp, Watch, read_since

logger = logging.getLogger("proxy")
server = logging.getLogger("uvicorn.error")
"""For what is no trouble: it says so where the server says that it has started."""

AGAIN = 10.0
"""Seconds after which files that cannot be used are read again: what is missing may be nowhere that is watched."""

FIXED = {
    "cache": ("store", "ttl", "max_size"),
    "log": ("store", "synchronous", "keep"),
    "server": ("max_connections", "receive_timeout", "send_timeout"),
}
"""The keys of what is made once in a process."""


@dataclass(slots=True, frozen=True)
class Generation:
    """One configuration while it serves. `warm` loads what `app` would load with the first request for it."""

    number: int
    config: Config
    app: App
    warm: Callable[[], Awaitable[object]]


Build = Callable[[Config], tuple[App, Callable[[], Awaitable[object]]]]
"""The application of a configuration, and its `warm`. Raises `ConfigError`."""


class Live:
    """An ASGI application: that of the current generation, and the life of the process around all of them.

    `load` reads the configuration anew; it runs in a thread. `start` runs when the server does, and `stop` before it
    ends. `call` is a file that gateways with the same configuration watch, too, to be told to read it again.
    """

    def __init__(
        self,
        config: Config,
        *,
        build: Build,
        load: Callable[[], Config],
        start: Callable[[], Awaitable[None]],
        stop: Callable[[], Awaitable[None]],
        call: Path | None = None,
    ) -> None:
        self.current = Generation(1, config, *build(config))
        self.problem: str | None = None
        """Why the files cannot be used as they are now."""
        self.refused = 0
        """How often files were read that could not be used."""
        self.restarts: tuple[str, ...] = ()
        """The keys that say something else in the files than what holds until the next start."""
        self._build = build
        self._load = load
        self._start = start
        self._stop = stop
        self._call = call
        self._read_at = config.read_at
        self._watch = Watch()
        self._watch.follow(read_since(self._files(config), {}, config.read_at))
        self._one = asyncio.Lock()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._gone = False
        """An old generation has gone, and left what only the collector finds."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await self.current.app(scope, receive, send)

    def status(self) -> dict[str, Any]:
        """What is told of the configuration, without any value of it."""
        return {
            "generation": self.current.number,
            "loaded_at": timestamps.at(self._read_at),
            "files": [str(path) for path in self.current.config.files],
            "problem": self.problem,
            "needs_restart": list(self.restarts),
        }

    async def demand(self) -> None:
        """Read the configuration again, here and in every gateway that has the same. Afterwards `problem` says whether
        it is in use.
        """
        if self._call is not None:
            try:
                await asyncio.to_thread(call, self._call)
            except OSError as error:
                logger.warning("the other workers are not told to reload: %s: %s", self._call, error.strerror)
        await self._reload()

    async def _reload(self, *, again: bool = False) -> None:
        """`again` is for what is known not to be usable: the same problem is not told twice."""
        async with self._one:
            before = await asyncio.to_thread(self._watch.look)
            try:
                config, read = await asyncio.to_thread(self._read, before)
                self._take(config)
                self._watch.follow(read)
            except Exception as error:  # a stranger's store or dialect may raise anything
                self._watch.follow(before)
                self._refuse(error, again=again)

    def _read(self, before: Mapping[Path, Stamp]) -> tuple[Config, Mapping[Path, Stamp]]:
        config = self._load()
        return config, read_since(self._files(config), before, config.read_at)

    def _files(self, config: Config) -> list[Path]:
        return [*config.files, *([self._call] if self._call is not None else [])]

    def _take(self, read: Config) -> None:
        """Let `read` be the current configuration, but for what needs a restart. Raises `ConfigError`."""
        old = self.current
        config, restarts = _kept(read, old.config)
        if config != old.config:
            self.current = Generation(old.number + 1, config, *self._build(config))
            weakref.finalize(old.app, self._left).atexit = False
            server.info("%s was read again: configuration %d serves", config.name, self.current.number)
            for one in config.warnings:
                if one.kind == "key" and one not in old.config.warnings:
                    logger.warning("%s, line %d: %s %s", config.name, one.line, one.key, one.message)
        elif self.problem is not None:
            server.info("%s can be used again: configuration %d serves", config.name, old.number)
        if restarts and restarts != self.restarts:
            logger.warning("%s: %s: needs a restart, and has its old value until then", read.name, ", ".join(restarts))
        self.problem, self.restarts, self._read_at = None, restarts, read.read_at

    def _refuse(self, error: Exception, *, again: bool) -> None:
        problem = shown(error).message
        self.refused += 1
        if not (again and problem == self.problem):
            logger.error("configuration %d serves on, since the files cannot be used: %s", self.current.number, problem)
        self.problem = problem

    def _left(self) -> None:
        self._gone = True

    async def _follow(self) -> None:
        """Read the configuration again whenever its files have changed."""
        while True:
            try:
                changed = await self._watch.changed(AGAIN if self.problem is not None else None)
                await self._reload(again=not changed)
            except Exception as error:  # such as no thread to be had
                logger.error("the configuration's files cannot be watched just now: %s", shown(error).message)
                await asyncio.sleep(AGAIN)

    async def _sweep(self) -> None:
        """Collect what old generations leave: the routes besides completions are full of cycles, and a collector that
        runs as seldom as this process's would let many generations pass.
        """
        while True:
            await asyncio.sleep(1)
            if self._gone:
                self._gone = False
                gc.collect()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        heeding = self._heed()
        tasks = [asyncio.create_task(work) for work in (self._begin(), self._follow(), self._sweep())]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        if heeding:
            asyncio.get_running_loop().remove_signal_handler(signal.SIGHUP)
        for task in (*tasks, *self._tasks):
            task.cancel()
        await asyncio.wait({*tasks, *self._tasks})
        await self._stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _begin(self) -> None:
        try:
            await self.current.warm()
        except Exception as error:
            # Whoever asks for it tries again and hears of it; completions are served all the same.
            logger.error("the routes besides completions could not be loaded: %s", error)
        await self._start()

    def _heed(self) -> bool:
        """Reload on SIGHUP, where this is the thread that hears signals."""
        if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGHUP"):
            return False
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._hup)
        return True

    def _hup(self) -> None:
        if hangup.closed():
            signal.raise_signal(signal.SIGTERM)
            return
        task = asyncio.create_task(self.demand())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _kept(read: Config, running: Config) -> tuple[Config, tuple[str, ...]]:
    """`read` with the values that `running` has of what is made once, and the keys that differ."""
    restarts = ["otel"] if read.otel != running.otel else []
    blocks: dict[str, Any] = {"otel": running.otel}
    for block, names in FIXED.items():
        new, old = getattr(read, block), getattr(running, block)
        restarts += [f"{block}.{name}" for name in names if getattr(new, name) != getattr(old, name)]
        blocks[block] = new.model_copy(update={name: getattr(old, name) for name in names})
    return replace(read, **blocks), tuple(restarts)


def call(path: Path) -> None:
    """Tell every gateway that watches `path` to read its configuration again. Raises `OSError`."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    now = time.time_ns()
    os.utime(path, ns=(now, now))
