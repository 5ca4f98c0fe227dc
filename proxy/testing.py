"""A gateway for tests: recorded calls instead of a vendor's, on a free port, for any client (docs/testing.md).

In the `conftest.py` at the top of a project:

    pytest_plugins = ["proxy.testing"]

Then a test that takes the fixture `gateway` has one, and nothing happens in any other. The fixtures need pytest, which
the package does not bring; without it `Gateway` is there for other frameworks.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import yaml

from proxy import caretaker
from proxy.protocols import TraceQuery
from proxy.record import Record
from proxy.stores.log.sqlite import open_readonly

Mode = Literal["live", "record", "replay", "auto"]

PATIENCE = 30.0
"""Seconds that a gateway has to start, and to end."""

KEPT = "plans.json"
"""The file in the data folder that says how calls are written: neither keys nor what was said."""

OPTIONS = frozenset(
    f"PAREA_PROXY_{option}"
    for option in ("CONFIG", "HOST", "PORT", "DATA", "WORKERS", "MODE", "CASSETTE", "PACE", "LOG_LEVEL")
)
"""The options of `serve` that an environment may have, and that are a test's to say."""

_ADDRESS = re.compile(r"running on (http://127\.0\.0\.1:\d+)")


class Gateway:
    """`parea-proxy serve` as a process of its own, while it is held; all of it goes with it but the cassette, and
    `plans`: a file in which the next one finds how calls are written, so that it need not wait for LiteLLM.

    `config` is the text of a config file or what it says, a path, or None for the built-in one. `PAREA_PROXY_MODE` goes
    before `mode`, so that a build server can ask for `replay` whatever a test says. `environ` is added to the
    environment, where keys are looked for.
    """

    def __init__(
        self,
        config: str | Mapping[str, Any] | Path | None = None,
        *,
        cassette: Path | str | None = None,
        mode: Mode = "auto",
        pace: Literal["at-once", "recorded"] = "at-once",
        environ: Mapping[str, str] | None = None,
        plans: Path | None = None,
    ) -> None:
        self.mode = os.environ.get("PAREA_PROXY_MODE") or mode
        self.url = ""
        self._config = config
        self._plans = plans
        self._process: subprocess.Popen[bytes] | None = None
        self._caretaker: subprocess.Popen[bytes] | None = None
        self._options = ["--mode", self.mode, "--pace", pace]
        self._options += (
            ["--cassette", str(Path(cassette).absolute())] if cassette is not None and self.mode != "live" else []
        )
        given = {name: value for name, value in os.environ.items() if name not in OPTIONS}
        self._environ = {**given, **(environ or {})}

    @property
    def openai(self) -> str:
        """The base URL of OpenAI's clients."""
        return f"{self.url}/v1"

    @property
    def anthropic(self) -> str:
        return self.url

    @property
    def parea(self) -> str:
        return f"{self.url}/api/parea/v1"

    @property
    def humanloop(self) -> str:
        return f"{self.url}/v4"

    @property
    def scale(self) -> str:
        return self.url

    def rows(self) -> list[Record]:
        """The log's rows of calls, oldest first; that of an answer is there before the answer is."""
        log, found = open_readonly(self._folder / "data" / "traces.db"), list[Record]()
        while True:
            page = log.search(TraceQuery(rows="calls", page=len(found) // 100 + 1, page_size=100))
            found += page.roots
            if not page.roots or len(found) >= page.total:
                return found[::-1]

    def __enter__(self) -> Self:
        self._temporary = tempfile.TemporaryDirectory(prefix="parea-proxy-")
        self._folder = Path(self._temporary.name)
        try:
            self._fetch()
            self.url = self._address(self._start())
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop()

    def _fetch(self) -> None:
        """Bring the plans. A file of other versions, or that is damaged, is none to the gateway."""
        if self._plans is not None and self._plans.is_file():
            (self._folder / "data").mkdir()
            shutil.copyfile(self._plans, self._folder / "data" / KEPT)

    def _hand_on(self) -> None:
        """Leave the plans to the next one. Of several that do at once one does."""
        learnt = self._folder / "data" / KEPT
        if self._plans is not None and learnt.is_file():
            with contextlib.suppress(OSError), tempfile.TemporaryDirectory(dir=self._plans.parent) as folder:
                os.replace(shutil.copy(learnt, folder), self._plans)

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "proxy", "serve", "--port", "0", "--data", str(self._folder / "data")]
        if self._config is not None:
            command += ["--config", str(self._written(self._config))]
        with (self._folder / "output").open("wb") as output:
            # in a folder that has no config.yaml but the one that was given
            self._process = subprocess.Popen(
                [*command, *self._options],
                env=self._environ,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        self._caretaker = self._guarded(self._process.pid)
        return self._process

    def _guarded(self, pid: int) -> subprocess.Popen[bytes]:
        """What ends it and clears up if this process is killed; a signal for its whole group does not reach it."""
        command = [sys.executable, "-IS", str(Path(caretaker.__file__)), str(pid), str(self._folder), str(PATIENCE)]
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=self._folder.parent,
            start_new_session=True,
        )

    def _written(self, config: str | Mapping[str, Any] | Path) -> Path:
        if isinstance(config, Path):
            return config.absolute()
        path = self._folder / "config.yaml"
        path.write_text(config if isinstance(config, str) else yaml.safe_dump(dict(config)), "utf-8")
        return path

    def _address(self, process: subprocess.Popen[bytes]) -> str:
        """Where it serves, once it does."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            ended = process.poll() is not None
            told = (self._folder / "output").read_text("utf-8", "replace")
            if (found := _ADDRESS.search(told)) is not None:
                return found[1]
            if ended:
                raise RuntimeError(f"parea-proxy did not start:\n{told}")
            time.sleep(0.01)
        raise RuntimeError(f"parea-proxy did not start within {PATIENCE:g} s:\n{told}")

    def _stop(self) -> None:
        if (process := self._process) is not None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            self._hand_on()
        if (caretaker := self._caretaker) is not None:
            caretaker.kill()
            caretaker.communicate()
        self._temporary.cleanup()


if find_spec("pytest") is not None:
    import pytest

    @pytest.fixture(scope="module")
    def gateway_options(request: pytest.FixtureRequest) -> dict[str, Any]:
        """What `Gateway` is made with; a module or a conftest.py may have one of its own that says something else.

        This one: the project's config.yaml if it has one, and a cassette beside the tests, a folder for each module.
        """
        config = request.config.rootpath / "config.yaml"
        cassette = request.path.parent / "cassettes" / request.path.stem
        return {"config": config if config.is_file() else None, "cassette": cassette}

    @pytest.fixture(scope="module")
    def gateway(request: pytest.FixtureRequest, gateway_options: dict[str, Any]) -> Iterator[Gateway]:
        """A gateway for the tests of a module. The n-th equal request of the module gets the n-th answer."""
        cache = getattr(request.config, "cache", None)  # None with `-p no:cacheprovider`
        plans = None if cache is None else cache.mkdir("parea-proxy") / KEPT
        with Gateway(**{"plans": plans, **gateway_options}) as running:
            yield running
