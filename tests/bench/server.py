"""A server under measurement: its own process, its own session, its log in a file, and gone whatever happens.

It gets a small environment: no keys, no proxies, and nothing that keeps Python from writing bytecode, which a user's
second start would find.
"""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

HOST = "127.0.0.1"
ROOT = Path(__file__).parents[2]
ITS_LOG = "; its log ends:"
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR")


class BenchError(Exception):
    """Nothing can be measured; the message says why, its first line in short."""

    @property
    def short(self) -> str:
        return str(self).splitlines()[0].removesuffix(ITS_LOG)


class Server:
    """One server, running while it is held. `argv` may hold its `{port}`; `ready` is a path that then answers `status`.

    A server that chooses its port by itself tells it in its log, where the first group of `announced` is the port.
    """

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        log: Path,
        ready: str,
        status: int = 200,
        announced: str | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.ready = ready
        self.status = status
        self.log = log
        self._port = free_port()
        self._announced = announced
        self._said_before = 0
        self._argv = [part.replace("{port}", str(self._port)) for part in argv]
        self._environ = {key: os.environ[key] for key in KEPT if key in os.environ} | dict(environ or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """Where it listens, or will: nobody does as long as it has not announced its port."""
        if self._announced is not None and (found := re.search(self._announced, self._said())):
            self._port, self._announced = int(found[1]), None
        return self._port

    @property
    def pid(self) -> int:
        """The session's leader."""
        assert self._process is not None
        return self._process.pid

    def __enter__(self) -> Server:
        with self.log.open("ab") as log:
            self._said_before = log.tell()
            self._process = subprocess.Popen(
                self._argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=ROOT, env=self._environ, start_new_session=True,
            )  # fmt: skip
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.stop()

    def wait(self, seconds: float = 90) -> Server:
        """Return once the server is ready. Raises `BenchError`, with the end of its log, when it is not in time."""
        deadline = time.monotonic() + seconds
        while self.get(self.ready)[0] != self.status:
            if not self.alive:
                raise self.broken("ended before it was ready")
            if time.monotonic() > deadline:
                raise self.broken(f"is not ready after {seconds:.0f} s ({self.get(self.ready)[1][:200]!r})")
            time.sleep(0.05)
        return self

    @property
    def alive(self) -> bool:
        assert self._process is not None
        return self._process.poll() is None

    def get(self, path: str) -> tuple[int, bytes]:
        """Status and body of a GET; (0, b"") when nobody answers."""
        return self._ask("GET", path, None, {})

    def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Status and body of a POST of JSON; (0, b"") when nobody answers."""
        return self._ask("POST", path, body, {"content-type": "application/json", **headers})

    def _ask(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        try:
            connection.request(method, path, body, dict(headers))
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException):
            return 0, b""
        finally:
            connection.close()

    def broken(self, what: str) -> BenchError:
        """The error that says what is wrong with this server, and how its log ends."""
        lines = self._said().splitlines()[-15:]
        return BenchError("\n  | ".join([f"{self.name} {what}{ITS_LOG}", *lines]))

    def _said(self) -> str:
        return self.log.read_bytes()[self._said_before :].decode(errors="replace")

    def kill(self) -> None:
        """SIGKILL to every process of the server, now."""
        assert self._process is not None
        self._signal(signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Ask it to end, and kill what is left of it."""
        if self._process is None:
            return
        try:
            self._signal(signal.SIGTERM)
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()

    def _signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return  # all of it has ended


def free_port() -> int:
    with socket.socket() as one:
        one.bind((HOST, 0))
        return int(one.getsockname()[1])


def interruptible() -> None:
    """Have SIGTERM and SIGINT raise `KeyboardInterrupt`, which ends every `with` on its way out.

    A shell starts what it puts in the background with SIGINT ignored; here it counts.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
