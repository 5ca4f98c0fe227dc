"""Runs what a user of a client writes, in that client's own environment and with nothing else of this one.

`make clients` makes the environments. A script gets only what such a user would set, and prints, as its last line, one
JSON object of what it saw: a value for each flow, or the text of the error that the flow should not have raised.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.upstreams.connection import Request

HERE = Path(__file__).parent
CLIENTS = HERE.parents[1] / ".clients"
DEVELOPMENT = ""
"""The environment that these tests run in, where the newest clients are."""


@dataclass(frozen=True)
class Session:
    """What a client saw, and what reached the vendors meanwhile."""

    seen: dict[str, Any]
    sent: list[Request]


def program(environment: str, name: str) -> Path:
    """An executable of an environment."""
    path = CLIENTS / environment / "bin" / name
    assert path.exists(), f"{path} is missing: run `make clients`"
    return path


def run(environment: str, script: str, *arguments: str, home: Path, **environ: str) -> str:
    """What a script of this folder prints; it must succeed."""
    if script.endswith(".mjs"):
        # read from standard input, so that it finds its packages in the current folder
        command = [str(program(environment, "node")), "--input-type=module", "-", *arguments]
        text, folder = (HERE / script).read_text("utf-8"), CLIENTS / environment
    else:
        python = program(environment, "python") if environment else Path(sys.executable)
        command, text, folder = [str(python), str(HERE / script), *arguments], "", home
    return output(command, text, folder, {"HOME": str(home), **environ})


def seen(environment: str, script: str, *arguments: str, home: Path, **environ: str) -> dict[str, Any]:
    """What a script saw. The clients themselves may print as well, before it."""
    found: dict[str, Any] = json.loads(run(environment, script, *arguments, home=home, **environ).splitlines()[-1])
    return found


def output(command: list[str], text: str, folder: Path, environ: dict[str, str]) -> str:
    """What a command prints that reads `text`, in `folder`; it must succeed."""
    environ = {"PATH": os.environ["PATH"], **environ}
    done = subprocess.run(command, input=text, cwd=folder, env=environ, capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout
