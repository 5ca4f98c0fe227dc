"""uvicorn's server, alone or as the parent of several: the first signal lets answers finish, a second ends at once.

uvicorn itself heeds a second signal in one process only, and only if it is SIGINT. On SIGHUP it would start other
workers; here they stay, and read their configuration again.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import time
from collections.abc import Callable
from socket import socket
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors import Multiprocess

from proxy import hangup

LOOK = 0.05
"""Seconds from one look at workers that are ending to the next."""


logger = logging.getLogger("uvicorn.error")


def run(app: Any, *, hup: Callable[[], None] | None = None, **options: Any) -> None:
    """Serve `app`, which is the name of a factory where `options` ask for several workers; what uvicorn.run does. `hup`
    tells the workers that SIGHUP has come; it may raise `OSError`.
    """
    config = uvicorn.Config(app, **options)
    if config.workers > 1:
        Workers(config, [config.bind_socket()], hup).run()
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

    def __init__(self, config: uvicorn.Config, sockets: list[socket], hup: Callable[[], None] | None = None) -> None:
        super().__init__(config, sockets)
        self._hup = hup

    def handle_hup(self) -> None:
        if hangup.closed():
            self.handle_term()
            return
        try:
            if self._hup is not None:
                self._hup()
        except OSError as error:
            logger.error("the workers cannot be told to reload: %s", error)

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
