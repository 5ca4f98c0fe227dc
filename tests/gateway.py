"""Whole gateways for tests: one in a thread of this process, one as its users start it."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from proxy.app import PAREA, Gateway
from proxy.config import Config, load
from proxy.middleware.cassette import Player
from tests.live import Server


def written(folder: Path, config: dict[str, Any] | None) -> Path | None:
    """The config as a file in `folder`."""
    if config is None:
        return None
    path = folder / "gateway.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


class Local:
    """A gateway in a thread. Its environment is empty: what it may use is in the config alone."""

    def __init__(
        self,
        folder: Path,
        config: dict[str, Any] | Config | None = None,
        path: Path | None = None,
        player: Player | None = None,
    ) -> None:
        self.data = folder / "data"
        if isinstance(config, Config):
            self._config, again = config, lambda: config
        else:
            file = path or written(folder, config)
            self._config, again = load(file, {}), lambda: load(file, {})
        self._server = Server(lambda: Gateway(self._config, self.data, load=again, player=player).app)

    def __enter__(self) -> Local:
        self._server.__enter__()
        self.url = self._server.url
        self.parea = self.url + PAREA
        self.client = httpx.Client(base_url=self.parea, timeout=20)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.client.close()
        self._server.__exit__(kind, error, tb)

    def wait_until_ready(self) -> None:
        """Until `/ready` is 200: while LiteLLM is loaded it is 503, as it should be."""
        end = time.monotonic() + 30
        while httpx.get(f"{self.url}/ready").status_code != 200:
            assert time.monotonic() < end, "the gateway never became ready"
            time.sleep(0.05)

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """The answer of `POST /completion`."""
        response = self.client.post("/completion", json=body)
        assert response.status_code == 200, response.text
        answered: dict[str, Any] = response.json()
        return answered

    def stream(self, body: dict[str, Any]) -> str:
        """The text of `POST /completion/stream`."""
        response = self.client.post("/completion/stream", json=body)
        assert response.status_code == 200, response.text
        events = [event for event in response.text.split("\r\n\r\n") if event]
        return "".join(json.loads(event.removeprefix("data: "))["chunk"] for event in events)

    def row(self, trace_id: str) -> dict[str, Any]:
        """One row of the log, as it is on disk now."""
        (row,) = rows(self.data, "trace_id = ?", trace_id)
        return row


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for what is done in the background."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.02)


def rows(data: Path, where: str = "1", *values: Any) -> list[dict[str, Any]]:
    """Rows of the trace table, JSON columns read."""
    connection = sqlite3.connect(f"file:{data / 'traces.db'}?mode=ro", uri=True)
    try:
        connection.row_factory = sqlite3.Row
        found = connection.execute(f"SELECT * FROM traces WHERE {where}", values).fetchall()
    finally:
        connection.close()
    return [{name: _read(row[name]) for name in row.keys()} for row in found]  # noqa: SIM118


def _read(cell: Any) -> Any:
    if isinstance(cell, str) and cell[:1] in ("{", "["):
        try:
            return json.loads(cell)
        except ValueError:
            return cell
    return cell


def _controlled() -> None:
    """Make the terminal on stdin that of the process."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Process:
    """`parea-proxy serve` as a process of its own, in an environment of its own."""

    terminal: int | None = None
    """What it is started from, if it is set before."""

    def __init__(self, folder: Path, config: dict[str, Any] | None = None, **environ: str) -> None:
        self.data = folder / "data"
        self.output = folder / "output"
        path = written(folder, config)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.parea = self.url + PAREA
        self._command = [sys.executable, "-m", "proxy", "serve", "--port", str(self.port), "--data", str(self.data)]
        self._command += ["--config", str(path)] if path else []
        self._environ = {"PATH": os.environ["PATH"], "HOME": str(folder), **environ}

    def __enter__(self) -> Self:
        with self.output.open("ab") as output:
            self.process = subprocess.Popen(
                self._command,
                env=self._environ,
                stdin=self.terminal,
                stdout=output,
                stderr=output,
                cwd=Path(__file__).parents[1],
                start_new_session=self.terminal is not None,
                preexec_fn=_controlled if self.terminal is not None else None,
            )
        self.wait_for("/health")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)

    def wait_for(self, path: str) -> None:
        """Until a GET of `path` is 200."""
        end = time.monotonic() + 30
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"the gateway ended: {self.output.read_text()}")
            try:
                if httpx.get(self.url + path, timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.02)
        raise RuntimeError(f"{path} never answered 200: {self.output.read_text()}")
