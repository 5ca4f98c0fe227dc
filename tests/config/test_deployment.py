from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config import Config, load
from proxy.config.deployment import find
from proxy.errors import ConfigError, NotFound

TWO = "v1: {prompt: one}, v2: {prompt: two}"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def config(path: Path, deployments: str, more: str = "") -> Config:
    path.write_text(f"deployments: {deployments}\n{more}")
    return load(path, {})


def meant(found: Config, deployment_id: str) -> list[str]:
    """The numbers that an id leads to."""
    return [variant.deployment for variant in find(found.versions, deployment_id)[1].variants]


def test_an_id_names_a_deployment_a_version_or_an_environment(written: Path) -> None:
    found = config(written, f"{{p: {{versions: {{{TWO}}}, current: v1, environments: {{live: {{v1: 9, v2: 1}}}}}}}}")
    digest = found.versions["p"].versions["v2"].version
    assert meant(found, "p") == meant(found, "p:current") == meant(found, "p@v1") == meant(found, "p@1") == ["v1"]
    for version in ("v2", "2", digest, digest[:6], digest.upper()):
        assert meant(found, f"p@{version}") == ["v2"]
    assert meant(found, "p:live") == ["v1", "v2"]
    assert meant(found, found.versions["p"].versions["v2"].config_id) == ["v2"]
    assert found.deployments["p"] is found.versions["p"].versions["v1"]


@pytest.mark.parametrize(
    ("deployment_id", "message"),
    [
        ("q", "no deployment 'q' in the config (there are: p)"),
        ("q@v1", "no deployment 'q@v1' in the config (there are: p)"),
        ("p@v3", "deployment 'p' has no version 'v3' (there are: v1 {0}, v2 {1})"),
        ("p@{1:.5}", "deployment 'p' has no version '{1:.5}' (there are: v1 {0}, v2 {1})"),
        ("p@", "deployment 'p' has no version '' (there are: v1 {0}, v2 {1})"),
        ("p:live", "deployment 'p' has no environment 'live' (there are: current, staging)"),
    ],
)
def test_what_is_not_there_is_told_with_what_is(written: Path, deployment_id: str, message: str) -> None:
    found = config(written, f"{{p: {{versions: {{{TWO}}}, environments: {{staging: v1}}}}}}")
    digests = [one.digest for one in found.versions["p"].versions.values()]
    with pytest.raises(NotFound) as caught:
        find(found.versions, deployment_id.format(*digests))
    assert caught.value.message == message.format(*digests)


def test_a_plain_entry_is_one_version(written: Path) -> None:
    found = config(written, "{p: {prompt: one}, q: {versions: {v1: {prompt: one}}}, 'a:b': {prompt: c, version: x}}")
    assert meant(found, "p@v1") == meant(found, f"p@{found.deployments['p'].version}") == ["v1"]
    assert found.deployments["p"].version == found.deployments["q"].version
    assert meant(found, "a:b") == meant(found, "a:b@x") == ["v1"]


def test_the_highest_number_is_current_unless_told(written: Path) -> None:
    found = config(written, "{p: {versions: {v10: {prompt: c}, v9: {prompt: b}}}}")
    assert found.deployments["p"].prompt == "c"
    assert list(found.versions["p"].versions) == ["v9", "v10"]


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (f"versions: {{{TWO}}}, current: v3", "current: no such version (there are: v1, v2)"),
        (f"versions: {{{TWO}}}, environments: {{a: {{v1: 1, v4: 1}}}}",
         "environments.a.v4: no such version (there are: v1, v2)"),
        (f"versions: {{{TWO}}}, previous: {{current: v0}}",
         "previous.current: should be a version's number: v1, v2, v3 ..."),
        (f"versions: {{{TWO}}}, environments: {{current: v1}}",
         "environments.current: is a key beside environments, and no environment's name"),
        (f"versions: {{{TWO}}}, environments: {{live: v1}}, previous: {{liv: v1}}",
         'previous.liv: no such environment; did you mean "live"?'),
        ("versions: {v1: {prompt: a}, v3: {prompt: a}}",
         "versions.v3: has the content of v1, and so is that version: name v1 instead"),
        ("versions: {v1: {prompt: a, version: x}, v2: {prompt: b, version: x}}",
         "versions.v2.version: is the version of v1, too"),
        ("versions: {one: {prompt: a}}", "versions.one: should be a version's number: v1, v2, v3 ..."),
        ("versions: {}", "versions: needs at least one"),
        ("versions: {v1: {modle: a}}", 'versions.v1.modle: unknown key; did you mean "model"?'),
        ("versions: {v1: {model: a}}", "versions.v1.model: no model_name of model_list, and no provider can be told"
         " from it"),
        (f"versions: {{{TWO}}}, enviroments: {{}}", 'enviroments: unknown key; did you mean "environments"?'),
        (f"versions: {{{TWO}}}, current: {{}}", "current: should be a version, like v2, or versions with weights:"
         " {v1: 90, v2: 10}"),
        (f"versions: {{{TWO}}}, current: {{v1: 0}}", "current.v1: should be greater than 0"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told(written: Path, entry: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(written, f"{{p: {{{entry}}}}}")
    assert caught.value.message == f"{written}: 1 problem\n  line 1: deployments.p.{line}"


def test_a_project_may_name_a_version_or_an_environment(written: Path) -> None:
    entry = f"{{p: {{versions: {{{TWO}}}, environments: {{live: v1}}}}}}"
    environments = "{a: p, b: p@v1, c: p:live, d: {experiment: {p@v1: 1, p@v2: 1}}}"
    assert config(written, entry, f"projects: {{s: {{environments: {environments}}}}}").projects
    with pytest.raises(ConfigError, match=r"line 2: projects\.s\.environments\.a: deployment 'p' has no version 'v3'"):
        config(written, entry, "projects: {s: {environments: {a: p@v3}}}")
