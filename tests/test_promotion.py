from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy import promotion
from proxy.config import load
from proxy.errors import ConfigError, NotFound
from proxy.promotion import Change

CONFIG = """# ours
deployments:
  p:  # the weather
    versions: {v1: {prompt: one}, v2: {prompt: two}, v3: {prompt: three}}
    current: v1  # for all
    environments:
      live: v1
      mixed: {v1: 60, v2: 20}
  q: {prompt: alone}
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG)
    return path


def changed(path: Path, decide: Callable[..., Change], *arguments: object) -> list[str]:
    """The lines below the versions of `p` afterwards; all others are as they were."""
    change = decide(load(path, {}), *arguments)
    promotion.write(change, path, {})
    assert change.told.endswith(f"({path})")
    load(path, {})
    head, tail = CONFIG.split("    current")[0], CONFIG[CONFIG.index("  q:") :]
    written = path.read_text()
    assert (written[: len(head)], written[-len(tail) :]) == (head, tail)
    return written[len(head) : -len(tail)].splitlines()


REST = ["    current: v1  # for all", "    environments:"]
MIXED = "      mixed: {v1: 60, v2: 20}"


def test_a_promotion_and_the_way_back(path: Path) -> None:
    promoted = [*REST, "      live: v2", MIXED, "    previous:", "      live: v1"]
    assert changed(path, promotion.promote, "p@v2", "live") == promoted
    everywhere = ["    current: v3  # for all", *promoted[1:], "      current: v1"]
    assert changed(path, promotion.promote, "p@3", "current") == everywhere
    back = [*everywhere[:2], "      live: v1", MIXED, "    previous:", "      live: v2", "      current: v1"]
    assert changed(path, promotion.rollback, "p:live") == back
    assert changed(path, promotion.rollback, "p:live") == everywhere
    assert changed(path, promotion.rollback, "p")[0] == "    current: v1  # for all"


def test_a_canary_grows_and_the_way_back_is_to_what_stood_alone(path: Path) -> None:
    before = ["    previous:", "      live: v1"]
    for percent in (10.0, 50.0):
        share = f"      live: {{v1: {100 - percent:g}, v2: {percent:g}}}"
        assert changed(path, promotion.canary, "p@v2", percent, "live") == [*REST, share, MIXED, *before]
    assert changed(path, promotion.promote, "p@v2", "live") == [*REST, "      live: v2", MIXED, *before]


def test_the_others_share_the_rest_as_they_did(path: Path) -> None:
    found = changed(path, promotion.canary, "p@v3", 20.0, "mixed")
    assert found[3:] == ["      mixed: {v1: 60, v2: 20, v3: 20}", "    previous:", f"{MIXED}"]
    found = changed(path, promotion.canary, "p@v3", 33.3, "mixed")
    assert found[3:] == ["      mixed: {v1: 50.025, v2: 16.675, v3: 33.3}", "    previous:", f"{MIXED}"]


def test_a_new_environment_has_nothing_before_it(path: Path) -> None:
    assert changed(path, promotion.promote, "p@v2", "new one") == [*REST, "      live: v1", MIXED, "      new one: v2"]


@pytest.mark.parametrize(
    ("decide", "arguments", "message"),
    [
        (promotion.promote, ("p", "live"), "name the version: p@v1, p@v2, p@v3"),
        (promotion.promote, ("p:live", "live"), "name the version: p@v1, p@v2, p@v3"),
        (promotion.promote, ("p@v1", "live"), "p:live is v1 already"),
        (promotion.promote, ("q@v1", "live"), "one version of 'q' and no environments"),
        (promotion.promote, ("r@v1", "live"), "no deployment 'r@v1'"),
        (promotion.rollback, ("p:live",), "p:live has no previous version"),
        (promotion.rollback, ("p:alive",), "'p' has no environment 'alive'"),
        (promotion.canary, ("p@v2", 100.0, "live"), "promote the version"),
        (promotion.canary, ("p@v2", 0.0, "live"), "more than 0%"),
        (promotion.canary, ("p@v1", 10.0, "live"), "p:live has nothing but v1"),
        (promotion.canary, ("p@v1", 10.0, "alive"), "'p' has no environment 'alive'"),
    ],
)
def test_what_cannot_be_is_refused(
    path: Path, decide: Callable[..., Change], arguments: tuple[object, ...], message: str
) -> None:
    with pytest.raises((ConfigError, NotFound)) as caught:
        decide(load(path, {}), *arguments)
    assert message in caught.value.message


def test_a_file_that_changed_meanwhile_is_left_alone(path: Path) -> None:
    change = promotion.promote(load(path, {}), "p@v2", "live")
    path.write_text(CONFIG + "# somebody else\n")
    with pytest.raises(ConfigError, match="was changed meanwhile: nothing was written"):
        promotion.write(change, path, {})
    assert path.read_text() == CONFIG + "# somebody else\n"
    assert [one.name for one in path.parent.iterdir()] == ["config.yaml"]


def test_a_config_that_would_not_be_valid_is_not_written(path: Path) -> None:
    change = promotion.promote(load(path, {}), "p@v2", "live")
    with pytest.raises(
        ConfigError, match="nothing was written, the config would not be valid:\n(.|\n)*line 4: deployments"
    ):
        promotion.write(Change(change.path, change.before, CONFIG.replace("v2: {", "v1: {"), ""), path, {})
    (path.parent / "deployments").mkdir()
    (path.parent / "deployments" / "p.yaml").write_text("prompt: now here, too")
    with pytest.raises(ConfigError, match="stands in .*p.yaml, too"):
        promotion.write(change, path, {})
    assert path.read_text() == CONFIG


def test_a_link_stays_one_and_the_mode_is_kept(path: Path) -> None:
    real = path.with_name("real.yaml")
    path.rename(real)
    real.chmod(0o640)
    path.symlink_to(real.name)
    changed(path, promotion.promote, "p@v2", "live")
    assert path.is_symlink()
    assert "live: v2" in real.read_text()
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_folder_gets_its_settings(path: Path) -> None:
    folder = path.parent / "deployments" / "team" / "f"
    folder.mkdir(parents=True)
    for number, text in enumerate(("one", "two"), 1):
        (folder / f"v{number}.yaml").write_text(f"prompt: {text}")
    change = promotion.promote(load(path, {}), "team/f@v1", "current")
    promotion.write(change, path, {})
    assert (folder / "deployment.yaml").read_text() == "current: v1\nprevious:\n  current: v2\n"
    with pytest.raises(ConfigError, match="was changed meanwhile"):
        promotion.write(change, path, {})
    assert load(path, {}).deployments["team/f"].prompt == "one"
    assert path.read_text() == CONFIG
    assert {os.path.basename(one) for one in folder.iterdir()} == {"v1.yaml", "v2.yaml", "deployment.yaml"}


def test_a_deployment_of_an_included_file_is_changed_there(path: Path) -> None:
    included = path.rename(path.with_name("prompts.yaml"))
    path.write_text("include: [prompts.yaml]\n")
    assert load(path, {}).versions["p"].where == str(included)
    promotion.write(promotion.promote(load(path, {}), "p@v2", "live"), path, {})
    assert path.read_text() == "include: [prompts.yaml]\n"
    assert "live: v2" in included.read_text()
    assert load(path, {}).versions["p"].environments["live"].variants[0].deployment == "v2"
