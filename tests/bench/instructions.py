"""Instructions of a cached answer, counted, beside the figure that is kept in the repository.

Seconds on a shared machine say nothing of a few percent; instructions do. `tests.bench.hit` answers so many requests in
process; the difference between two numbers of requests is theirs, without the start. A growth of more than `TOLERANCE`
over instructions.json fails `make bench`; `--accept` writes the new figure. The figure holds for the versions beside
it, and is not compared with what others make.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.bench.server import ROOT

KEPT = Path(__file__).with_name("instructions.json")
TOLERANCE = 0.05
FEW, MANY = 320, 1920
"""Requests of the two runs."""

VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
PERF = ("perf", "stat", "-e", "instructions:u", "--")
COUNTED = re.compile(r"I\s+refs:\s+([\d,]+)|([\d,]+)\s+instructions:u")

PACKAGES = ("uvicorn", "uvloop", "httptools", "orjson", "pydantic", "diskcache")


class Uncounted(Exception):
    """Nothing was counted; the message says why."""


@dataclass(frozen=True, slots=True)
class Instructions:
    """Instructions of one cached answer, counted with `tool`, on these versions."""

    hit: int
    tool: str
    versions: Mapping[str, str]

    def growth(self, kept: Instructions) -> float | None:
        """The share by which this is more than `kept`; None if the two cannot be compared."""
        if (self.tool, self.versions) != (kept.tool, kept.versions):
            return None
        return self.hit / kept.hit - 1


def count() -> Instructions:
    """Counts, with the first tool that can. Raises `Uncounted`."""
    tool = _tool()
    command = [sys.executable, "-m", "tests.bench.hit"]
    with ThreadPoolExecutor(2) as both:
        few, many = both.map(lambda requests: _count([*tool, *command, str(requests)]), (FEW, MANY))
    return Instructions(round((many - few) / (MANY - FEW)), _version(tool[0]), _versions())


def kept() -> Instructions | None:
    return Instructions(**json.loads(KEPT.read_text())) if KEPT.exists() else None


def keep(counted: Instructions) -> None:
    KEPT.write_text(json.dumps(asdict(counted), indent=1) + "\n")


def _tool() -> Sequence[str]:
    if shutil.which("perf"):
        try:
            _count([*PERF, "true"])
        except Uncounted:
            pass  # a virtual machine may not let it count
        else:
            return PERF
    if shutil.which("valgrind"):
        return VALGRIND
    raise Uncounted("neither perf nor valgrind can count instructions here")


def _count(argv: Sequence[str]) -> int:
    environ = os.environ | {"PYTHONHASHSEED": "0", "LC_ALL": "C"}
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT, env=environ)
    found = COUNTED.search(done.stderr)
    if done.returncode != 0 or found is None:
        words = [line for line in done.stderr.splitlines() if not line.startswith(("==", "--"))][-2:]
        raise Uncounted(f"{argv[0]} did not count: {' '.join(words)[:300]}")
    return int((found[1] or found[2]).replace(",", ""))


def _version(tool: str) -> str:
    said = subprocess.run([tool, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    return said.replace(" version ", "-")


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version(), "machine": platform.machine(), "sqlite": sqlite3.sqlite_version}
    return versions | {name: importlib.metadata.version(name) for name in PACKAGES}
