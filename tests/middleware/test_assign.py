from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config import Config, load
from proxy.config.project import Environment, Variant
from proxy.errors import BadRequest, NotFound
from proxy.middleware.assign import assign, draw
from proxy.models import Call, CompletionRequest, TraceContext

FILE: dict[str, Any] = {
    "deployments": {"p": {"model": "gpt-4o"}, "q": {"model": "gpt-4o"}},
    "projects": {
        "support": {
            "id": "pr_support",
            "default": "live",
            "environments": {"try": {"experiment": {"p": 3, "q": 1}}, "live": "q", "one": {"experiment": {"p": 1}}},
        },
        "other": {"environments": {"live": "p"}},
    },
}

weights = st.dictionaries(st.sampled_from("abcde"), st.floats(0.01, 100), min_size=2)
SUBJECTS = [f"sesh_{number}" for number in range(4000)]


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    path = tmp_path_factory.mktemp("config") / "config.yaml"
    path.write_text(yaml.safe_dump(FILE, sort_keys=False))
    return load(path, {})


def assigned(config: Config, environment: str | None, **place: Any) -> Call:
    trace = TraceContext("t", "t", **place)
    call = Call(CompletionRequest("humanloop", trace, environment=environment))
    assign(config)(call)
    return call


def experiment(weighted: dict[str, float]) -> Environment:
    return Environment("try", "env_1", tuple(Variant(*pair) for pair in weighted.items()), experiment=True)


@pytest.mark.parametrize("place", [{"project_name": "support"}, {"project_uuid": "pr_support"}])
def test_a_call_that_names_no_environment_gets_no_deployment_but_its_whole_project(
    config: Config, place: dict[str, str]
) -> None:
    call = assigned(config, None, **place)
    assert (call.request.deployment_id, call.remarks) == (None, {})
    assert (call.request.trace.project_name, call.request.trace.project_uuid) == ("support", "pr_support")


@pytest.mark.parametrize("place", [{}, {"project_name": "unknown"}, {"project_uuid": "pr_unknown"}])
def test_a_project_that_the_config_does_not_have_stays_as_it_was_named(config: Config, place: dict[str, str]) -> None:
    call = assigned(config, None, **place)
    assert (call.request.trace.project_name, call.request.trace.project_uuid) == (
        place.get("project_name"),
        place.get("project_uuid"),
    )


@pytest.mark.parametrize("place", [{"project_name": "support"}, {"project_uuid": "pr_support"}])
@pytest.mark.parametrize("environment", ["", "live"])
def test_the_default_environment_of_a_project_by_name_or_id(
    config: Config, place: dict[str, str], environment: str
) -> None:
    call = assigned(config, environment, **place)
    trace = call.request.trace
    assert (call.request.deployment_id, trace.project_name, trace.project_uuid) == ("q", "support", "pr_support")
    assert call.remarks == {"environment": "live"}


def test_an_id_made_from_the_name_finds_its_project(config: Config) -> None:
    project = config.projects["other"]
    assert assigned(config, "", project_uuid=project.id).request.trace.project_name == "other"


def test_the_variant_of_an_experiment_is_noted(config: Config) -> None:
    remarks = assigned(config, "try", project_name="support", session_id="s").remarks
    assert remarks["environment"] == "try"
    assert remarks["experiment"]["variant"] in ("p", "q")
    assert remarks["experiment"]["id"].startswith("exp_")
    assert assigned(config, "one", project_name="support").remarks["experiment"]["variant"] == "p"


@pytest.mark.parametrize(
    ("environment", "place", "error", "told"),
    [
        ("", {"project_name": "suport"}, NotFound, r"there are: other, support"),
        ("", {"project_uuid": "pr_none"}, NotFound, r"there are: other, support"),
        ("", {"project_name": "support", "project_uuid": "pr_none"}, NotFound, r"there are: other, support"),
        ("", {"project_name": "other", "project_uuid": "pr_support"}, BadRequest, "two projects"),
        ("", {}, BadRequest, "give project or project_id"),
        ("staging", {"project_name": "support"}, NotFound, r"'support' has no such environment .*live, one, try"),
    ],
)
def test_what_is_not_there_is_refused_with_what_is(
    config: Config, environment: str, place: dict[str, str], error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        assigned(config, environment, **place)


def test_a_session_decides_else_the_end_user_else_the_call(config: Config) -> None:
    def variants(**place: Any) -> set[str | None]:
        calls = []
        for number in range(40):
            trace = TraceContext(f"t-{number}", "t", project_name="support", **place)
            calls.append(Call(CompletionRequest("humanloop", trace, environment="try")))
            assign(config)(calls[-1])
        return {call.request.deployment_id for call in calls}

    assert variants() == {"p", "q"}
    assert len(variants(session_id="s")) == len(variants(end_user="u")) == 1
    assert variants(session_id="s", end_user="u") == variants(session_id="s", end_user="other")


@settings(max_examples=20, deadline=None)
@given(weights)
def test_shares_are_as_the_weights_say(weighted: dict[str, float]) -> None:
    found = Counter(draw(experiment(weighted), subject).deployment for subject in SUBJECTS)
    whole = sum(weighted.values())
    for name, weight in weighted.items():
        share = weight / whole
        # Six standard deviations of a draw of 4000.
        assert abs(found[name] / len(SUBJECTS) - share) <= 6 * (share * (1 - share) / len(SUBJECTS)) ** 0.5 + 0.001


@settings(max_examples=20, deadline=None)
@given(weights, st.floats(0.01, 100), st.randoms())
def test_a_heavier_or_further_variant_draws_from_the_others_and_moves_nobody_between_them(
    weighted: dict[str, float], more: float, random: Any
) -> None:
    name = random.choice("abcdef")
    items = list({**weighted, name: weighted.get(name, 0) + more}.items())
    random.shuffle(items)
    for subject in SUBJECTS[:300]:
        before, after = (draw(experiment(one), subject).deployment for one in (weighted, dict(items)))
        assert after in (before, name)


@given(st.text())
def test_any_session_gets_a_variant_and_gets_it_again(subject: str) -> None:
    environment = experiment({"a": 1e-9, "b": 1e9})
    assert draw(environment, subject) == draw(environment, subject)


def test_the_draw_is_the_same_in_every_process_and_version() -> None:
    environment = experiment({"a": 1, "b": 1, "c": 2})
    assert "".join(draw(environment, str(number)).deployment for number in range(20)) == "cbbaccbcbccccbacabca"


def test_nothing_is_kept_between_two_gateways(config: Config, tmp_path: Path) -> None:
    again = tmp_path / "config.yaml"
    again.write_text(yaml.safe_dump(FILE, sort_keys=False))
    for number in range(20):
        place = {"project_name": "support", "session_id": f"s-{number}"}
        first, second = (assigned(one, "try", **place) for one in (config, load(again, {})))
        assert first.request.deployment_id == second.request.deployment_id
