"""Imports a heavy module on the event loop's own thread, in slices, so that requests are served meanwhile.

The import runs in a greenlet. Before every module that it imports, and every pydantic model that it makes, it looks at
the clock: once a slice of time is used up it switches back to the loop, which serves whatever waits and resumes the
import a moment later. A thread would not do: the two would fight for the interpreter lock, and requests stall for
seconds. Only reading a list of certificates, which lasts longer than a slice and needs no lock, has one.

What must stay true:

* Only imports of a loading greenlet are sliced. Everybody else's pass the breaks untouched.
* The breaks are gone when the last `load` returns, raises or is cancelled, and the collector is as it was.
* Import locks belong to threads, not greenlets: while a load is under way, the code that the loop runs must not
  import a module that is just being imported. The loaded package is not touched by anyone before `load` has returned.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import ssl
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from greenlet import GreenletExit, getcurrent, greenlet
from pydantic import BaseModel

PAUSE = 0.001
"""Seconds that the loop has to itself between two slices: a request takes several turns of the loop, not one."""

MODELS: Any = type(BaseModel)
"""pydantic's class of models: one module can make hundreds."""


class _Slicer:
    """Work that gives the thread back to the loop when a slice is over."""

    def __init__(self, work: Callable[[], ModuleType], slice: float) -> None:
        self._slice = slice
        self._loop = getcurrent()
        self._until = 0.0
        self.work = greenlet(work)

    @property
    def finished(self) -> bool:
        return bool(self.work.dead)

    def look(self) -> None:
        """In the work: give the thread back if it is time to."""
        if time.perf_counter() >= self._until:
            self._loop.switch()

    def aside(self, make: Callable[[], Any]) -> Any:
        """In the work: what `make` gives, in a thread, while the loop goes on."""
        with ThreadPoolExecutor(max_workers=1) as thread:
            made = thread.submit(make)
            while not made.done():
                self._loop.switch()
        return made.result()

    def advance(self) -> ModuleType | None:
        """Work for one slice; the result when that was the last one. Raises what the work raises."""
        self._loop = getcurrent()
        self._until = time.perf_counter() + self._slice
        module: ModuleType | None = self.work.switch()
        return module

    def stop(self) -> None:
        """Unwind work that is not to be finished; modules half imported leave `sys.modules` on the way out, and with
        them all below them: a package that is imported again would not know those that are there already.
        """
        if not self.finished:
            self._until = float("inf")
            before = [name for name in sys.modules if not _orphaned(name)]
            self.work.throw(GreenletExit)
            for name in before:
                if name in sys.modules and _orphaned(name):
                    del sys.modules[name]


def _orphaned(name: str) -> bool:
    """Whether a module's package, or one above it, is not there."""
    parts = name.split(".")
    return any(".".join(parts[:length]) not in sys.modules for length in range(1, len(parts)))


class _Breaks(MetaPathFinder):
    """Where the works under way look at the clock. One for the process, in place while there is any."""

    def __init__(self) -> None:
        self._works: dict[Any, _Slicer] = {}
        self._were: tuple[Any, Any] = (None, None)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        """A finder that finds nothing."""
        self.look()
        return None

    def add(self, slicer: _Slicer) -> None:
        if not self._works:
            self._were = vars(MODELS)["__prepare__"], ssl.create_default_context
            sys.meta_path.insert(0, self)
            MODELS.__prepare__ = classmethod(self._prepare)
            ssl.create_default_context = self._context
        self._works[slicer.work] = slicer

    def remove(self, slicer: _Slicer) -> None:
        del self._works[slicer.work]
        if not self._works:
            sys.meta_path.remove(self)
            MODELS.__prepare__, ssl.create_default_context = self._were

    def look(self) -> None:
        slicer = self._works.get(getcurrent())
        if slicer is not None:
            slicer.look()

    def _prepare(self, metaclass: Any, *args: Any, **named: Any) -> Any:
        """Before a model's class is made, whose making looks at the frames that it is called in: this is none."""
        self.look()
        return self._were[0].__get__(None, metaclass)(*args, **named)

    def _context(self, *args: Any, **named: Any) -> ssl.SSLContext:
        """OpenSSL reads certificates for 30 ms, without the interpreter lock."""
        slicer, make = self._works.get(getcurrent()), self._were[1]
        made: ssl.SSLContext = make(*args, **named) if slicer is None else slicer.aside(lambda: make(*args, **named))
        return made


_breaks = _Breaks()


def pause() -> None:
    """For what knows a good place: give the loop its turn, if this is the work of a load and its slice is over."""
    _breaks.look()


async def load(
    name: str, *others: str, slice: float = 0.002, then: Callable[[ModuleType], None] | None = None
) -> ModuleType:
    """The module called `name`, imported in slices of about `slice` seconds, and then the others; what `then` does with
    the module is sliced too.

    A single large module can take longer than a slice. Raises what an import raises. At the end everything alive is
    frozen out of garbage collection: a full collection over what was imported would cost more than any slice.
    """

    def work() -> ModuleType:
        module, *_ = [importlib.import_module(each) for each in (name, *others)]
        if then is not None:
            then(module)
        return module

    collecting = gc.isenabled()
    slicer = _Slicer(work, slice)
    _breaks.add(slicer)
    gc.disable()
    try:
        module = slicer.advance()
        while not slicer.finished:
            await asyncio.sleep(PAUSE)
            module = slicer.advance()
    finally:
        slicer.stop()
        _breaks.remove(slicer)
        if collecting:
            gc.enable()
    gc.freeze()
    assert module is not None
    return module
