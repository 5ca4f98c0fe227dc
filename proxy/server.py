"""uvicorn's server, alone or as the parent of several: the first signal lets answers finish, a second ends at once.

uvicorn itself heeds a second signal in one process only, and only if it is SIGINT.
"""

from __future__ import annotations

import contextlib
import sys
import time
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

LOOK = 0.05
"""Seconds from one look at workers that are ending to the next."""


def run(app: Any, **options: Any) -> None:
    """Serve `app`, which is the name of a factory where `options` ask for several workers; what uvicorn.run does."""
    config = uvicorn.Config(app, **options)
    if config.workers > 1:
        Workers(config, sockets=[config.bind_socket()]).run()
        return
    server = Server(config)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()
    if not server.started:
        sys.exit(STARTUP_FAILURE)


class Server(uvicorn.Server):
    """One process."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.force_exit or self.should_exit
        super().handle_exit(sig, frame)


class Workers(Multiprocess):
    """The parent of several; a worker has uvicorn's own server, since one Ctrl-C reaches it twice."""

    hurried = False
    """A second signal has come."""

    def handle_int(self) -> None:
        self.hurried = self.should_exit.is_set()
        super().handle_int()

    def handle_term(self) -> None:
        self.hurried = self.should_exit.is_set()
        super().handle_term()

    def join_all(self) -> None:
        while any(process.process.is_alive() for process in self.processes):
            self.handle_signals()
            if self.hurried:
                for process in self.processes:
                    process.process.kill()
            time.sleep(LOOK)
        super().join_all()
