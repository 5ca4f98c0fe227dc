"""Programs that `make collectors` installs, each in a process of its own: on loopback, in a folder of the test's.

They are large, so `make test` does without: a test whose program is not there is skipped, and says so.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

COLLECTORS = Path(__file__).parents[2] / ".collectors"
PATIENCE = 120.0
"""Seconds for a start: they make their databases, on a machine that has other work."""


def program(environment: str, name: str) -> Path:
    """An executable of an environment."""
    path = COLLECTORS / environment / name
    if not (COLLECTORS / environment / ".installed").exists():
        pytest.skip(f"{path.relative_to(COLLECTORS.parent)} is not there: `make collectors` installs it")
    return path


def free() -> int:
    """A port that nobody has."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def served(argv: Sequence[str | Path], folder: Path, port: int, ready: str, **environ: str) -> Iterator[str]:
    """A server at 127.0.0.1 and `port` while it is held, which is up when `ready` answers; its address."""
    url, log = f"http://127.0.0.1:{port}", folder / "log"
    environ = {"PATH": f"{Path(argv[0]).parent}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder), **environ}
    with log.open("wb") as output, subprocess.Popen(argv, cwd=folder, env=environ, stdout=output, stderr=output) as one:
        try:
            until(lambda: one.poll() is not None or _answers(url + ready), PATIENCE)
            assert one.poll() is None, log.read_text("utf-8", "replace")[-2000:]
            yield url
        finally:
            one.terminate()


def until(true: Callable[[], bool], patience: float = 30.0) -> None:
    """Wait until it is."""
    end = time.monotonic() + patience
    while not true():
        assert time.monotonic() < end, f"it is not so after {patience} s"
        time.sleep(0.1)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code < 500
    except httpx.TransportError:
        return False
