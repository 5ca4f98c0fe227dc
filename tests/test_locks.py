from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCKS = sorted((ROOT / "locks").glob("*.lock"))
PINNED = re.compile(
    r"^([a-z0-9][a-z0-9-]*)==([^\s;]+)((?: ;[^\\]+)?) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.M
)


def pins(path: Path) -> dict[str, str]:
    return {match[1]: match[2] for match in PINNED.finditer(path.read_text("utf-8"))}


def test_there_are_two_locks() -> None:
    assert [path.name for path in LOCKS] == ["development.lock", "requirements.lock"]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_a_lock_holds_pins_with_hashes_and_nothing_else(path: Path) -> None:
    """So it names no index, no host and no path."""
    assert PINNED.sub("", path.read_text("utf-8")).strip() == ""


def test_the_development_lock_has_the_same_versions() -> None:
    runtime, development = pins(ROOT / "locks" / "requirements.lock"), pins(ROOT / "locks" / "development.lock")
    assert runtime.items() <= development.items()


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[^A-Za-z0-9._-]", one, maxsplit=1)[0].lower() for one in requirements}

    groups = project["dependency-groups"]
    runtime = names(project["project"]["dependencies"] + groups["build"] + project["build-system"]["requires"])
    assert runtime <= pins(ROOT / "locks" / "requirements.lock").keys()
    assert names(groups["dev"]) <= pins(ROOT / "locks" / "development.lock").keys()


def test_the_stolen_versions_of_litellm_are_not_locked() -> None:
    assert pins(ROOT / "locks" / "requirements.lock")["litellm"] not in {"1.82.7", "1.82.8"}
