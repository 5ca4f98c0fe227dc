from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.fault("S13")

ROOT = Path(__file__).parents[1]
LOCKS = sorted((ROOT / "locks").glob("*.lock"))
CLIENTS = sorted((ROOT / "locks" / "clients").glob("*.lock"))
COLLECTORS = sorted((ROOT / "locks" / "collectors").glob("*.lock"))
PEERS = sorted((ROOT / "locks" / "peers").glob("*.lock"))
NODE = [ROOT / "locks" / "clients" / "node", ROOT / "locks" / "peers" / "portkey"]
PINNED = re.compile(
    r"^([a-z0-9][a-z0-9-]*)==([^\s;]+)((?: ;[^\\]+)?) \\\n((?:    --hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.M
)


def pins(path: Path) -> dict[str, str]:
    return {match[1]: match[2] for match in PINNED.finditer(path.read_text("utf-8"))}


def test_there_are_four_locks() -> None:
    assert [path.name for path in LOCKS] == ["development.lock", "fuzz.lock", "otel.lock", "requirements.lock"]


def test_every_environment_of_clients_is_locked() -> None:
    assert [path.stem for path in CLIENTS] == [
        "datasette",
        "humanloop",
        "node",
        "openai1",
        "scale",
        "telemetry",
        "tools",
    ]
    assert [path.stem for path in sorted(CLIENTS[0].parent.glob("*.in"))] == [path.stem for path in CLIENTS]


def test_every_collector_is_locked() -> None:
    assert [path.stem for path in COLLECTORS] == ["mlflow", "phoenix", "rotel"]
    assert [path.stem for path in sorted(COLLECTORS[0].parent.glob("*.in"))] == [path.stem for path in COLLECTORS]


def test_every_environment_of_the_bench_s_peers_is_locked() -> None:
    assert [path.stem for path in PEERS] == ["anyllm", "litellm", "mlflow", "tensorzero"]
    assert [path.stem for path in sorted(PEERS[0].parent.glob("*.in"))] == [path.stem for path in PEERS]


@pytest.mark.parametrize("path", LOCKS + CLIENTS + COLLECTORS + PEERS, ids=lambda path: path.name)
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


@pytest.mark.parametrize(
    "path", [ROOT / "locks" / "fuzz.lock", *CLIENTS, *COLLECTORS, *PEERS], ids=lambda path: path.name
)
def test_a_lock_has_what_was_asked_for(path: Path) -> None:
    locked = pins(path)
    for line in path.with_suffix(".in").read_text("utf-8").splitlines():
        name, _, version = re.sub(r"\[.*?\]", "", line).partition("==")
        assert line.startswith("#") or locked[name] == (version or locked[name])


def test_the_documentation_names_the_versions_that_are_tested() -> None:
    text = " ".join((ROOT / "docs" / "metrics.md").read_text("utf-8").split())
    mlflow, phoenix, rotel = map(pins, COLLECTORS)
    client = pins(ROOT / "locks" / "clients" / "telemetry.lock")
    for told in (
        f"Arize Phoenix {phoenix['arize-phoenix']}",
        f"MLflow {mlflow['mlflow']}",
        f"Rotel {rotel['rotel']}",
        f"{client['opentelemetry-exporter-otlp-proto-http']} for protobuf",
        f"{client['opentelemetry-exporter-otlp-json-http']} for JSON",
        f"OpenAI's client {client['openai']}",
        f"`opentelemetry-instrumentation-openai-v2` {client['opentelemetry-instrumentation-openai-v2']}",
        f"`openinference-instrumentation-openai` {client['openinference-instrumentation-openai']}",
    ):
        assert told in text


@pytest.mark.parametrize("folder", NODE, ids=lambda folder: folder.name)
def test_a_lock_of_npm_holds_hashes_and_names_no_address(folder: Path) -> None:
    text = (folder / "package-lock.json").read_text("utf-8")
    root, *packages = json.loads(text)["packages"].items()
    assert root[1]["dependencies"] == json.loads((folder / "package.json").read_text("utf-8"))["dependencies"]
    assert len(packages) > 20
    for name, package in packages:
        assert re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==", package["integrity"]), name
        assert "resolved" not in package
    assert "://" not in text


@pytest.mark.parametrize("folder", NODE, ids=lambda folder: folder.name)
def test_no_version_of_npm_s_packages_is_left_open(folder: Path) -> None:
    asked = json.loads((folder / "package.json").read_text("utf-8"))
    for name, version in {**asked["dependencies"], **asked["overrides"]}.items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), name


def test_the_stolen_versions_of_litellm_are_not_locked() -> None:
    assert pins(ROOT / "locks" / "requirements.lock")["litellm"] not in {"1.82.7", "1.82.8"}
