"""The programs of the benchmark that are in C: compiled once for each version of their source, into .bench/bin.

Where there is no compiler the same program in Python stands in, and the report says so: it answers the same, but may be
what is measured.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.bench.server import ROOT

BIN = ROOT / ".bench/bin"
SOURCES = Path(__file__).parent
FLAGS = ("-std=c11", "-O2")

WITHOUT = "No C compiler here: the upstream and the load generator are in Python, and may be the limit."


def compiler() -> str | None:
    """The C compiler: `CC`, or one of the usual names."""
    names = (os.environ.get("CC", ""), "cc", "gcc", "clang")
    return next((found for name in names if name and (found := shutil.which(name))), None)


def program(name: str, *, native: bool = True) -> Sequence[str]:
    """The command of `name`: compiled if it can be, in Python otherwise or if not `native`."""
    binary = compiled(name) if native else None
    return [str(binary)] if binary else [sys.executable, "-m", f"tests.bench.{name}"]


def compiled(name: str) -> Path | None:
    """The binary of `name`.c; None when there is no compiler, or none that knows this system's calls."""
    source = SOURCES / f"{name}.c"
    text = b"".join(path.read_bytes() for path in (source, *sorted(SOURCES.glob("*.h"))))
    binary = BIN / f"{name}-{hashlib.blake2b(text, digest_size=8).hexdigest()}"
    if binary.exists():
        return binary
    cc = compiler()
    if cc is None:
        return None
    BIN.mkdir(parents=True, exist_ok=True)
    made = binary.with_suffix(f".{os.getpid()}")
    done = subprocess.run([cc, *FLAGS, "-o", str(made), str(source)], stdin=subprocess.DEVNULL, capture_output=True)
    if done.returncode != 0:
        return None
    made.rename(binary)
    return binary
