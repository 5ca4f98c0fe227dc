"""A real browser, spoken to in the DevTools protocol over two pipes: no library, no port, no waiting by the clock.

The caller's thread reads the pipe, so whatever the browser has told stands in `dialogs` and `violations` as soon as a
method returns.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

Message = dict[str, Any]

PATIENCE = 40.0
"""Seconds for any one step; a cold start on a busy machine takes some."""

LAUNCH = (
    "import fcntl, os, sys; ends = [fcntl.fcntl(int(end), fcntl.F_DUPFD, 10) for end in sys.argv[1:3]];"
    " [os.dup2(end, place) for end, place in zip(ends, (3, 4))]; os.execv(sys.argv[3], sys.argv[3:])"
)
"""Puts the pipes' ends where Chromium looks for them."""

OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--remote-debugging-pipe",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    # a page's way to this machine, which newer versions ask their user about; others have no such question
    "--disable-features=LocalNetworkAccessChecks,BlockInsecurePrivateNetworkRequests,HttpsUpgrades",
)


def installed() -> str:
    """The browser's path; without one the test is skipped."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if found := shutil.which(name):
            return found
    pytest.skip("chromium is not installed")


class Browser:
    """One headless Chromium with one tab. `rules` say where names lead: `MAP evil.test 127.0.0.1:80`."""

    def __init__(self, folder: Path, rules: str = "") -> None:
        self._command = [installed(), *OPTIONS, f"--user-data-dir={folder}", f"--host-resolver-rules={rules}"]
        self._number = 0
        self._unread = b""
        self._answers: dict[int, Message] = {}
        self._loaded = False
        self.dialogs: list[str] = []
        """What pages have said in dialogs."""
        self.violations: list[str] = []
        """What a page's policy has kept it from."""

    def __enter__(self) -> Browser:
        theirs, self._out = os.pipe()
        self._in, said = os.pipe()
        command = [sys.executable, "-c", LAUNCH, str(theirs), str(said), *self._command, "about:blank"]
        self._process = subprocess.Popen(
            command,
            pass_fds=(theirs, said),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(theirs)
        os.close(said)
        try:
            self._session = ""
            target = self.ask("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log"):
                self.ask(f"{domain}.enable")
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        os.close(self._out)
        os.close(self._in)
        # its helpers are in its own process group, and nobody else is
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(20)

    def open(self, url: str) -> None:
        """Go to a page and wait until it is loaded, or cannot be."""
        self._loaded = False
        told = self.ask("Page.navigate", url=url)
        if "errorText" not in told or told["errorText"] == "net::ERR_ABORTED":
            self._until(lambda: self._loaded or told.get("isDownload", False), f"{url} was not loaded")
        # what the page itself had still to do in this turn, dialogs included
        self.evaluate("new Promise(done => setTimeout(done, 30))")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page; of a promise, what it becomes."""
        told = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in told:
            raise RuntimeError(json.dumps(told["exceptionDetails"])[:1000])
        return told["result"].get("value")

    def ask(self, method: str, **params: Any) -> Any:
        """The answer to a command of the protocol."""
        number = self._send(method, params)
        self._until(lambda: number in self._answers, f"{method} was not answered")
        answer = self._answers.pop(number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def _send(self, method: str, params: Message) -> int:
        self._number += 1
        message: Message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._out, json.dumps(message).encode() + b"\0")
        return self._number

    def _until(self, met: Any, otherwise: str) -> None:
        end = time.monotonic() + PATIENCE
        while not met():
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._in], [], [], left)[0]:
                raise TimeoutError(otherwise)
            read = os.read(self._in, 2**20)
            if not read:
                raise RuntimeError("the browser has ended")
            *messages, self._unread = (self._unread + read).split(b"\0")
            for message in messages:
                self._take(json.loads(message))

    def _take(self, message: Message) -> None:
        if "id" in message:
            self._answers[message["id"]] = message
            return
        params = message.get("params", {})
        match message["method"]:
            case "Page.loadEventFired":
                self._loaded = True
            case "Page.javascriptDialogOpening":
                self.dialogs.append(f"{params['url']}: {params['message']}")
                self._send("Page.handleJavaScriptDialog", {"accept": True})
            case "Log.entryAdded" if "Content Security Policy" in params["entry"]["text"]:
                self.violations.append(params["entry"]["text"])
