"""Who may come in, and how long a connection may keep the gateway waiting: what uvicorn has no limits for.

    connections   at most so many at a time, and fewer where the process may have few files open; where there are more,
                  one that is idle makes room, else the newcomer is told so (503) and let go
    receive       for the whole of a request; longer for a long body, as long as it comes at `SLOWEST`
    send          in which a client has to read what waits for it, longer for a lot of it in the same way
    idle          between two requests

What must stay true: a request costs the door nothing. One timer looks at all connections; between two looks a
connection only notes `now`, which is as old as the last look.
"""

from __future__ import annotations

import asyncio
import logging
import math
import resource
from dataclasses import dataclass
from typing import Protocol

logger = logging.getLogger("proxy")

MOST_WAITING = 64
"""Requests that may wait on one connection for the answer to the first."""

SLOWEST = 8 * 1024
"""Bytes a second that count as coming, or going."""

LINGER = 5.0
"""Seconds in which a client that is still sending may read why nobody listens any more."""

SETTLED = 0.2
"""Seconds after which a connection that says nothing counts as idle."""

LOOK = 1.0
"""Seconds between two looks at all connections, or less where a limit is short."""

REPEAT = 60.0
"""Seconds between two lines of the log that say the same."""

RESERVED = 40
"""Files that the gateway has open for itself: the log, the cache, the loop, and some to spare."""

EACH = 3
"""Files for one connection: its own, its provider's, and one that waits to be accepted."""


@dataclass(frozen=True)
class Limits:
    """Times in seconds."""

    connections: int = 1000
    receive: float = 10.0
    send: float = 60.0
    idle: float = 5.0


class Caller(Protocol):
    """A connection, as far as the door needs it."""

    since: float
    """When it began to do what it does."""

    @property
    def idle(self) -> bool:
        """Whether nothing would be lost without it."""
        ...

    def look(self, now: float) -> None:
        """End it, if it has had its time."""
        ...

    def drop(self) -> None:
        """End it at once."""
        ...


class Door:
    """The open connections of one server."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.step = min(LOOK, min(self.limits.receive, self.limits.send, self.limits.idle) / 4)
        """Seconds between two looks."""
        self.now = 0.0
        """The loop's time, at the last look or the last arrival."""
        self._open: dict[Caller, None] = {}
        """In the order of their arrival."""
        self._timer: asyncio.TimerHandle | None = None
        self._told = -math.inf

    def enter(self, caller: Caller) -> bool:
        """Whether there is room for `caller`, who then has it until `leave`."""
        loop = asyncio.get_running_loop()
        caller.since = self.now = loop.time()
        if len(self._open) >= self.limits.connections and not self._make_room():
            return False
        self._open[caller] = None
        if self._timer is None:
            self._wait(loop)
        return True

    def leave(self, caller: Caller) -> None:
        """Has no effect on who has left already."""
        self._open.pop(caller, None)

    def _make_room(self) -> bool:
        if self.now - self._told > REPEAT:
            self._told = self.now
            logger.warning(
                "%d connections are open, which is the most (server.max_connections, and the limit on open files):"
                " idle ones make room, others are refused",
                len(self._open),
            )
        idle = [caller for caller in self._open if self.now - caller.since > SETTLED and caller.idle]
        if not idle:
            return False
        longest = min(idle, key=lambda caller: caller.since)
        del self._open[longest]
        longest.drop()
        return True

    def _wait(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(self.step, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self.now = loop.time()
        self._timer = None
        if self._open:
            self._wait(loop)
        for caller in list(self._open):
            caller.look(self.now)


def room(wanted: int) -> int:
    """How many connections there may be of the `wanted`. Raises the process's limit on open files for them, as far as
    it may.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = RESERVED + EACH * wanted
    if soft != resource.RLIM_INFINITY and soft < needed:
        more = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (more, hard))
            soft = more
        except (OSError, ValueError) as error:
            # some systems have a limit below the one they tell
            logger.debug("the limit on open files stays at %d: %s", soft, error)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    return max(1, (soft - RESERVED) // EACH)
