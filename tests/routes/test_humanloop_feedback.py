"""Feedback: given, given again, withdrawn, and where it can be seen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from proxy.cli import main
from proxy.ids import datapoint_id
from tests.gateway import Local
from tests.routes.humanloop_gateway import CONFIG, Humanloop


@pytest.fixture(scope="module")
def humanloop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Humanloop]:
    with Local(tmp_path_factory.mktemp("gateway"), CONFIG) as gateway:
        yield Humanloop(gateway)


def give(humanloop: Humanloop, data_id: str, **body: Any) -> dict[str, Any]:
    answered: dict[str, Any] = humanloop.ask("POST", "/feedback", {"data_id": data_id, **body})
    return answered


def given(humanloop: Humanloop, data_id: str) -> list[tuple[str, Any]]:
    return [(one["type"], one["value"]) for one in humanloop.read(data_id)["feedback"]]


def test_feedback_comes_back_as_it_was_given(humanloop: Humanloop) -> None:
    data_id = humanloop.log(output="x")["id"]
    body = {"type": "rating", "value": "good", "user": "ann", "created_at": "2026-11-20T12:00:00+02:00"}
    answer = give(humanloop, data_id, **body)
    assert answer.pop("id").startswith("ann_")
    assert answer == {**body, "data_id": data_id, "created_at": "2026-11-20T10:00:00.000000+00:00"}
    assert [{**one, "id": ""} for one in humanloop.read(data_id)["feedback"]] == [{**answer, "id": ""}]


def test_feedback_on_nothing_is_refused(humanloop: Humanloop) -> None:
    (wrong,) = humanloop.ask("POST", "/feedback", [], status=422)["detail"]
    assert wrong == {"loc": ["body"], "msg": "List should have at least 1 item", "type": "too_short"}


def test_what_is_given_again_replaces_and_labels_stand_side_by_side(humanloop: Humanloop) -> None:
    data_id = humanloop.log(feedback={"type": "rating", "value": "bad"})["id"]
    assert given(humanloop, data_id) == [("rating", "bad")]
    first = give(humanloop, data_id, type="issue", value="rude")
    again = give(humanloop, data_id, type="issue", value="rude")
    assert first["id"] == again["id"]
    give(humanloop, data_id, type="issue", value=["wrong", "late"])
    give(humanloop, data_id, type="rating", value="good")
    give(humanloop, data_id, type="rating", value="bad", user="ann")
    give(humanloop, data_id, type="stars", value=4.5)
    assert given(humanloop, data_id) == [
        ("issue", "rude"),
        ("issue", ["wrong", "late"]),
        ("rating", "good"),
        ("rating", "bad"),
        ("stars", 4.5),
    ]


def test_what_is_withdrawn_is_gone_and_may_be_given_anew(humanloop: Humanloop) -> None:
    data_id = humanloop.log(output="x")["id"]
    give(humanloop, data_id, type="rating", value="good")
    give(humanloop, data_id, type="action", value="copied")
    give(humanloop, data_id, type="action", value="shared")
    withdrawn = humanloop.ask(
        "POST",
        "/feedback",
        [
            {"data_id": data_id, "type": "rating", "unset": True},
            {"data_id": data_id, "type": "action", "value": "copied", "unset": True},
        ],
    )
    assert [(one["type"], one["value"]) for one in withdrawn] == [("rating", ""), ("action", "copied")]
    assert given(humanloop, data_id) == [("action", "shared")]
    give(humanloop, data_id, type="rating", value="bad")
    assert given(humanloop, data_id) == [("action", "shared"), ("rating", "bad")]


def test_feedback_may_come_before_its_row(humanloop: Humanloop) -> None:
    data_id = datapoint_id("later")
    give(humanloop, data_id, type="rating", value="good")
    assert humanloop.log(reference_id="later")["id"] == data_id
    assert given(humanloop, data_id) == [("rating", "good")]


@pytest.mark.parametrize("save", [True, False])
def test_words_that_come_before_their_row_are_not_kept_and_that_is_told(humanloop: Humanloop, save: bool) -> None:
    reference = f"early-{save}"
    data_id = datapoint_id(reference)
    url = f"{humanloop.gateway.url}/v4/feedback"
    stored = []
    for body in ({"type": "comment", "value": "inexpressible"}, {"type": "rating", "value": "good"}):
        response = humanloop.gateway.client.post(url, json={"data_id": data_id, **body})
        assert response.json()["value"] == body["value"]
        stored.append(response.headers.get("x-logged"))
    assert stored == ["false", None]
    humanloop.log(reference_id=reference, save=save)
    assert given(humanloop, data_id) == [("comment", ""), ("rating", "good")]
    data = humanloop.gateway.data
    assert not [path for path in data.rglob("*") if path.is_file() and b"inexpressible" in path.read_bytes()]


def test_it_is_seen_in_the_tree_and_searched_as_a_score(humanloop: Humanloop) -> None:
    data_id = humanloop.log(project="seen", output="x")["id"]
    for body in (
        {"type": "rating", "value": "bad"},
        {"type": "issue", "value": "rude"},
        {"type": "comment", "value": "never\x1b[31m again"},
        {"type": "correction", "value": "y"},
        {"type": "correction", "unset": True},
    ):
        give(humanloop, data_id, **body)
    shown = CliRunner().invoke(main, ["traces", data_id, "--data", str(humanloop.gateway.data)]).output
    assert "rating: bad  issue: rude  comment: never\N{REPLACEMENT CHARACTER}[31m again" in " ".join(shown.split("\n"))
    assert "correction" not in shown
    query = {"project_name": "seen", "filter_field": "scores", "filter_key": "rating", "filter_value": 0}
    page = humanloop.gateway.client.post("/get_trace_logs", json=query).json()
    # The other client of the log fails at a score without a number.
    assert [(one["name"], one["score"]) for one in page["results"][0]["scores"]] == [("rating", 0), ("issue: rude", 1)]


def test_words_are_not_kept_where_the_log_is_omitted(humanloop: Humanloop) -> None:
    secrets = [{"type": name, "value": f"unspeakable {name}"} for name in ("comment", "correction")]
    data_id = humanloop.log(save=False, feedback=secrets[:1])["id"]
    give(humanloop, data_id, **secrets[1])
    give(humanloop, data_id, type="rating", value="good")
    assert given(humanloop, data_id) == [("comment", ""), ("correction", ""), ("rating", "good")]
    assert not [
        path for path in humanloop.gateway.data.rglob("*") if path.is_file() and b"unspeakable" in path.read_bytes()
    ]
