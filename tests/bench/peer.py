"""The LiteLLM proxy in an environment of its own, made once from the package registries: the latest that installs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from tests.bench.server import ROOT

OVERRIDES = ROOT / "tests/bench/overrides.txt"
PACKAGE = "litellm[proxy]"


class Unavailable(Exception):
    """The proxy cannot be measured here; the message says why."""


def install(folder: Path) -> tuple[Path, str]:
    """The environment's `bin` and the version of LiteLLM in it; it is made if it is not there.

    Delete the folder to have it made anew. Raises `Unavailable` with the installer's last words.
    """
    made, bin = folder / "made", folder / "bin"
    if not made.exists():
        shutil.rmtree(folder, ignore_errors=True)
        uv = shutil.which("uv")
        steps = _with_uv(uv, folder) if uv else _with_pip(folder)
        for step in steps:
            done = subprocess.run(step, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=ROOT)
            if done.returncode != 0:
                words = (done.stderr or done.stdout).strip().splitlines()[-3:]
                raise Unavailable(f"{PACKAGE} does not install: {' '.join(words)}")
        made.touch()
    ask = "import importlib.metadata; print(importlib.metadata.version('litellm'))"
    return bin, subprocess.run([bin / "python", "-c", ask], check=True, capture_output=True, text=True).stdout.strip()


def _with_uv(uv: str, folder: Path) -> list[list[str]]:
    python = str(folder / "bin/python")
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", python]
    return [
        [uv, "venv", "--quiet", "--python", sys.executable, str(folder)],
        [*install, "--override", str(OVERRIDES), PACKAGE],
    ]


def _with_pip(folder: Path) -> list[list[str]]:
    """pip cannot override what a package asks for: it takes the latest version whose wishes can be met."""
    return [
        [sys.executable, "-m", "venv", str(folder)],
        [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", PACKAGE],
    ]
