"""S13: what the gateway is made of: pinned, told in a bill of materials, quiet when imported, the same wheel twice.

That no unknown file runs when Python starts stands in tests/test_repo.py, the form of the locks in tests/test_locks.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from locks import sbom
from tests.faults.plugin import Figure
from tests.test_locks import CLIENTS, COLLECTORS, LOCKS, PEERS, PINNED, pins
from tests.test_repo import files

pytestmark = pytest.mark.fault("S13")

ROOT = Path(__file__).parents[2]
STOLEN = ("1.82.7", "1.82.8")
"""Versions of LiteLLM that stole credentials (MAL-2026-2144)."""


def built(source: Path, into: Path, **environ: str) -> Path:
    """The wheel of a copy of the source, made in an environment that names no index and finds no network."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(into)]
    known = {"PATH": os.environ["PATH"], "HOME": str(into), "no_proxy": "", "https_proxy": "http://127.0.0.1:9"}
    subprocess.run([*alone(), *command], cwd=source, env=known | environ, check=True, capture_output=True)
    (wheel,) = into.glob("*.whl")
    return wheel


def alone() -> list[str]:
    """The beginning of a command that has no network, where that may be had."""
    command = ["unshare", "--net", "--map-root-user"]
    try:
        allowed = subprocess.run([*command, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return []
    return command if allowed else []


def copied(folder: Path, mode: int) -> Path:
    """The files of the repository as another checkout has them, with times and modes of their own."""
    for number, path in enumerate(files()):
        there = folder / path.relative_to(ROOT)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, there)
        there.chmod(mode)
        os.utime(there, (1_000_000_000 + number, 1_000_000_000 + number))
    return folder


def test_s13_a_wheel_built_twice_is_the_same(tmp_path: Path, figure: Figure) -> None:
    first = built(copied(tmp_path / "here", 0o644), tmp_path / "first", TZ="UTC", LC_ALL="C")
    elsewhere = copied(tmp_path / "a place elsewhere", 0o600)
    second = built(elsewhere, tmp_path / "second", TZ="Pacific/Chatham", PYTHONHASHSEED="7", LC_ALL="C.UTF-8")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()
    dated = built(elsewhere, tmp_path / "third", SOURCE_DATE_EPOCH="1700000000")
    assert {one.date_time[0] for one in zipfile.ZipFile(dated).infolist()} == {2023}
    names = set(zipfile.ZipFile(first).namelist())
    assert {one.partition("/")[0] for one in names} == {"proxy", "parea_proxy-0.1.0.dist-info"}
    assert {"proxy/app.py", "proxy/config/schema.json", "proxy/config/litellm.keys.json"} <= names
    figure("a wheel built twice, elsewhere", f"the same {len(first.read_bytes()):,} bytes")


def test_s13_nothing_is_asked_for_by_importing_and_starting(tmp_path: Path, figure: Figure) -> None:
    command = [*alone(), sys.executable, "-m", "tests.faults.quiet", str(tmp_path / "data")]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=55)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["tried"] == []
    where = "without a network" if alone() else "watched only: unshare is not allowed here"
    figure("connections, names and programs asked for", f"0 while {told['modules']:,} modules are imported ({where})")


def test_s13_what_is_quiet_would_be_heard(tmp_path: Path) -> None:
    """The list has what is tried, so that an empty one means something."""
    loud = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"
    program = f"import sys; from tests.faults import quiet; sys.argv[1:] = [{str(tmp_path)!r}]\n"
    program += f"quiet.start = lambda data: __import__('asyncio').sleep(0, exec({loud!r}))\n"
    program += "sys.modules['litellm'] = sys\nquiet.main()"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "('127.0.0.1', 9)" in json.loads(done.stdout)["tried"][0]


def test_s13_the_stolen_versions_of_litellm_cannot_be_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = next(Requirement(one) for one in project["dependencies"] if one.startswith("litellm"))
    assert "1.109.1" in asked.specifier
    for version in STOLEN:
        assert version not in asked.specifier
    for lock in [*LOCKS, *CLIENTS, *COLLECTORS, *PEERS]:
        assert pins(lock).get("litellm") not in STOLEN, lock


def test_s13_every_pin_has_hashes(figure: Figure) -> None:
    texts = {lock: lock.read_text("utf-8") for lock in [*LOCKS, *CLIENTS, *COLLECTORS, *PEERS]}
    pinned = {lock: len(PINNED.findall(text)) for lock, text in texts.items()}
    assert pinned == {lock: len(re.findall(r"^\S+==", text, re.M)) for lock, text in texts.items()}
    figure(
        "packages pinned with hashes", f"{sum(pinned.values()):,} of {sum(pinned.values()):,} in {len(pinned)} locks"
    )


def bill() -> dict[str, Any]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return sbom.bill(project, "0.1.0", (ROOT / "locks" / "requirements.lock").read_text("utf-8"))


def test_s13_the_bill_of_materials_holds_the_lock(figure: Figure) -> None:
    told = bill()
    lock = ROOT / "locks" / "requirements.lock"
    assert {one["name"]: one["version"] for one in told["components"]} == pins(lock)
    hashes = [one["content"] for part in told["components"] for one in part["externalReferences"][0]["hashes"]]
    assert hashes == re.findall(r"sha256:(\w+)", lock.read_text("utf-8"))
    assert len({one["bom-ref"] for one in told["components"]}) == len(told["components"])
    assert {"pkg:pypi/litellm@1.109.1", "pkg:pypi/fastapi-offline@1.7.7"} <= set(told["dependencies"][0]["dependsOn"])
    optional = {one["name"] for one in told["components"] if one.get("scope") == "optional"}
    assert {"colorama", "uvloop"} <= optional
    figure("the bill of materials", f"{len(told['components'])} packages, {len(hashes):,} hashes, CycloneDX 1.6")


def test_s13_the_bill_of_materials_is_the_same_bytes_wherever_it_is_made(tmp_path: Path) -> None:
    """And is made by what `make sbom` runs, with nothing of the environment's packages."""
    made = []
    for folder, seed in ((ROOT, "1"), (copied(tmp_path / "elsewhere", 0o600), "2")):
        command = [sys.executable, "-S", "locks/sbom.py", "pyproject.toml", "locks/requirements.lock"]
        done = subprocess.run(command, cwd=folder, env={"PYTHONHASHSEED": seed}, check=True, capture_output=True)
        made.append(done.stdout)
    assert hashlib.sha256(made[0]).digest() == hashlib.sha256(made[1]).digest()
    assert json.loads(made[0]) == bill()
    assert b"://" not in made[0]
