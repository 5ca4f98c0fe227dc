"""Imports a heavy module on the event loop's own thread, in slices, so that requests are served meanwhile.

The import runs in a greenlet. A finder at the head of `sys.meta_path` is asked before every module that is imported;
it finds nothing, but once a slice of time is used up it switches back to the loop, which serves whatever waits and
resumes the import a moment later. A thread would not do: the two would fight for the interpreter lock, and requests
stall for seconds.

What must stay true:

* Only imports of the loading greenlet are sliced. Everybody else's pass the finder untouched.
* The finder is gone from `sys.meta_path` when `load` returns, raises or is cancelled, and the collector is as it was.
* Import locks belong to threads, not greenlets: while a load is under way, the code that the loop runs must not
  import a module that is just being imported. The loaded package is not touched by anyone before `load` has returned.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import sys
import time
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from greenlet import GreenletExit, getcurrent, greenlet

PAUSE = 0.001
"""Seconds that the loop has to itself between two slices: a request takes several turns of the loop, not one."""


class _Slicer(MetaPathFinder):
    """A finder that finds nothing and gives the thread back to the loop when a slice is over."""

    def __init__(self, names: Sequence[str], slice: float) -> None:
        self._slice = slice
        self._loop = getcurrent()
        self._until = 0.0
        self._import = greenlet(lambda: [importlib.import_module(name) for name in names][0])

    @property
    def finished(self) -> bool:
        return bool(self._import.dead)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        if getcurrent() is self._import and time.perf_counter() >= self._until:
            self._loop.switch()
        return None

    def advance(self) -> ModuleType | None:
        """Import for one slice; the module when that was the last one. Raises what the import raises."""
        self._loop = getcurrent()
        self._until = time.perf_counter() + self._slice
        module: ModuleType | None = self._import.switch()
        return module

    def stop(self) -> None:
        """Unwind an import that is not to be finished; modules half imported leave `sys.modules` on the way out."""
        if not self.finished:
            self._until = float("inf")
            self._import.throw(GreenletExit)


async def load(name: str, *others: str, slice: float = 0.002) -> ModuleType:
    """The module called `name`, imported in slices of about `slice` seconds, and then the others.

    A single large module can take longer than a slice. Raises what an import raises. At the end everything alive is
    frozen out of garbage collection: a full collection over what was imported would cost more than any slice.
    """
    collecting = gc.isenabled()
    slicer = _Slicer((name, *others), slice)
    sys.meta_path.insert(0, slicer)
    gc.disable()
    try:
        module = slicer.advance()
        while not slicer.finished:
            await asyncio.sleep(PAUSE)
            module = slicer.advance()
    finally:
        slicer.stop()
        sys.meta_path.remove(slicer)
        if collecting:
            gc.enable()
    gc.freeze()
    assert module is not None
    return module
