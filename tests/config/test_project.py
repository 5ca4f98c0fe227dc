from __future__ import annotations

from pathlib import Path

import pytest

from proxy.config import Config, load
from proxy.config.project import Environment, Project, Variant
from proxy.errors import ConfigError
from tests.config.test_settings import errors
from tests.config.test_validation import refusal

DEPLOYMENTS = "deployments: {p: {model: gpt-4o}, p-short: {model: gpt-4o, prompt: 'Hi {{name}}', version: v2}}\n"


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def config(path: Path, text: str) -> Config:
    path.write_text(DEPLOYMENTS + text, "utf-8")
    return load(path, {})


def test_a_project_has_environments_and_ids_that_come_from_the_names(written: Path) -> None:
    text = "projects: {s: {environments: {live: p, try: {experiment: {p: 90, p-short: 0.5}}}}}"
    found = config(written, text).projects
    assert found == config(written, text).projects
    assert found["s"] == Project(
        name="s",
        id="pr_ZETkq4puyfFQkOc8XDSVl",
        default="live",
        environments={
            "live": Environment("live", "env_UuNXdyN9xyViWtkdprtFG", (Variant("p", 1.0),)),
            "try": Environment(
                "try", "env_2iokSOm0KNgeMVbEaa2YH", (Variant("p", 90.0), Variant("p-short", 0.5)), experiment=True
            ),
        },
    )


def test_an_id_and_a_default_may_be_given(written: Path) -> None:
    text = "projects: {s: {id: pr_mine, default: b, environments: {a: p, b: {experiment: {p: 1}}}}}"
    project = config(written, text).projects["s"]
    assert (project.id, project.default) == ("pr_mine", "b")
    assert project.environments["b"].experiment


@pytest.mark.parametrize(
    ("project", "line"),
    [
        ("{}", "environments: is missing"),
        ("{environments: {}}", "environments: needs at least one"),
        ("{environments: {x: {experiment: {}}}}", "environments.x.experiment: needs at least one"),
        ("{environments: {x: {experiment: {q: 0}}}}", "environments.x.experiment.q: should be greater than 0"),
        ("{environments: {x: {experiment: {q: .inf}}}}", "environments.x.experiment.q: should be a finite number"),
        ("{environments: {x: {experimnt: {q: 1}}}}",
         'environments.x.experimnt: unknown key; did you mean "experiment"?'),
        ("{environments: {x: 3}}",
         "environments.x: should be a deployment, or {experiment: {a deployment: its weight, ...}}"),
        ("{environments: {x: }}",
         "environments.x: should be a deployment, or {experiment: {a deployment: its weight, ...}}"),
        ("{environment: {x: q}}", 'environment: unknown key; did you mean "environments"?'),
        ("{environments: {x: q}, defalt: x}", 'defalt: unknown key; did you mean "default"?'),
    ],
)  # fmt: skip
def test_a_mistake_in_a_project(project: str, line: str) -> None:
    assert refusal(f"projects:\n  s: {project}") == [f"line 2: projects.s.{line}"]
    if "inf" not in project:  # which JSON has no word for
        assert len(errors(f"projects:\n  s: {project}")) == 1


@pytest.mark.parametrize(
    ("projects", "line"),
    [
        ("s: {environments: {x: p-shrt}}", 's.environments.x: no such deployment; did you mean "p-short"?'),
        ("s: {environments: {x: {experiment: {p: 1, zzz: 1}}}}", "s.environments.x.experiment.zzz: no such deployment"),
        ("s: {default: life, environments: {live: p}}",
         's.default: no such environment of this project; did you mean "live"?'),
        ("a: {id: pr_1, environments: {x: p}}, b: {id: pr_1, environments: {x: p}}",
         "b.id: is the id of project a, too"),
    ],
)  # fmt: skip
def test_what_only_the_whole_file_can_tell(written: Path, projects: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(written, f"projects: {{{projects}}}")
    assert caught.value.message == f"{written}: 1 problem\n  line 2: projects.{line}"


def test_a_deployment_has_an_id_as_a_model_configuration_for_each_version(written: Path) -> None:
    found = config(written, "").deployments
    assert found["p-short"].config_id == "config_mfycu083kvr7oyz2raYtH"
    assert len({one.config_id for one in found.values()}) == 2
    again = load_text(written, "deployments: {p-short: {model: gpt-4o, prompt: 'Hi {{name}}', version: v3}}")
    assert again.deployments["p-short"].config_id != found["p-short"].config_id


def test_a_prompt_is_the_user_s_one_message(written: Path) -> None:
    found = config(written, "").deployments
    assert found["p-short"].prompt == "Hi {{name}}"
    assert found["p-short"].messages == [{"role": "user", "content": "Hi {{name}}"}]
    assert (found["p"].prompt, found["p"].messages) == (None, [])


def test_a_prompt_counts_for_the_version(written: Path) -> None:
    first, second = (load_text(written, f"deployments: {{p: {{prompt: {text}}}}}") for text in ("a", "b"))
    assert first.deployments["p"].version != second.deployments["p"].version


def load_text(path: Path, text: str) -> Config:
    path.write_text(text, "utf-8")
    return load(path, {})
