"""The samples of a call: each is read, changed and rated by its own id, though they are one row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from proxy.ids import datapoint_id, derived_id, new_id, sample_id
from proxy.record import Record
from proxy.routes.humanloop import samples
from tests.gateway import Local
from tests.routes.humanloop_gateway import CONFIG, SUPPORT, Humanloop

CALL = datapoint_id("call")


@pytest.fixture(scope="module")
def humanloop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Humanloop]:
    with Local(tmp_path_factory.mktemp("gateway"), CONFIG) as gateway:
        yield Humanloop(gateway)


def asked(humanloop: Humanloop, **body: Any) -> list[str]:
    """The ids of the two samples of a call."""
    config = {"model": "echo", "prompt_template": "hi"}
    body = {"project": "support", "model_config": config, "num_samples": 2, **body}
    return [one["id"] for one in humanloop.ask("POST", "/completion", body)["data"]]


def give(humanloop: Humanloop, data_id: str, *, status: int = 200, **body: Any) -> Any:
    return humanloop.ask("POST", "/feedback", {"data_id": data_id, "type": "rating", **body}, status=status)


def rated(humanloop: Humanloop, data_id: str) -> list[tuple[str, Any]]:
    return [(one["data_id"], one["value"]) for one in humanloop.read(data_id)["feedback"]]


def row(**fields: Any) -> Record:
    told = [{"index": 0, "finish_reason": "stop"}, {"index": 2, "finish_reason": "length"}]
    return Record(CALL, CALL, **{"output": '["a", "c"]', "total_tokens": 7, "notes": {"samples": told}, **fields})


def test_each_sample_is_read_by_its_id(humanloop: Humanloop) -> None:
    both = asked(humanloop)
    read = [humanloop.read(data_id) for data_id in both]
    assert [one["id"] for one in read] == both
    assert [(one["output"], one["finish_reason"]) for one in read] == [("You said: hi", "stop")] * 2
    assert [one["samples"] for one in read] == [both, both]
    assert "tokens" in read[0]
    assert "tokens" not in read[1]
    humanloop.ask("GET", f"/logs/{sample_id(both[0], 2)}", status=404)
    (listed,) = [one for one in humanloop.ask("GET", "/logs", project_id=SUPPORT)["records"] if one["id"] in both]
    assert listed == read[0]


def test_what_is_changed_of_one_sample_leaves_the_others(humanloop: Humanloop) -> None:
    first, second = asked(humanloop)
    shown = humanloop.ask("PATCH", f"/logs/{second}", {"output": "better needle", "duration": 2})
    assert (shown["id"], shown["output"], shown["duration"]) == (second, "better needle", 2)
    humanloop.ask("PATCH", f"/logs/{second}", {"error": "broke"})
    humanloop.ask("PATCH", f"/logs/{first}", {"output": "good"})
    assert [humanloop.read(one)["output"] for one in (first, second)] == ["good", "better needle"]
    assert [humanloop.read(one).get("error") for one in (first, second)] == [None, "broke"]
    assert humanloop.gateway.row(first)["output"] == ["You said: hi"] * 2
    assert humanloop.ask("GET", "/logs", project_id=SUPPORT, search="NEEDLE")["total"] == 1


def test_feedback_is_of_one_sample(humanloop: Humanloop) -> None:
    first, second = asked(humanloop)
    answer = give(humanloop, second, value="bad")
    assert answer["data_id"] == second
    give(humanloop, first, value="good")
    give(humanloop, second, type="issue", value="rude", user="ann")
    assert rated(humanloop, first) == [(first, "good")]
    assert rated(humanloop, second) == [(second, "bad"), (second, "rude")]
    scores = humanloop.gateway.row(first)["scores"]
    assert [one["name"] for one in scores] == ["sample 1 rating", "rating", "sample 1 issue: rude (ann)"]
    give(humanloop, second, unset=True)
    assert rated(humanloop, second) == [(second, "rude")]
    assert rated(humanloop, first) == [(first, "good")]


def test_feedback_on_a_sample_that_its_call_has_not_is_refused_as_a_whole(humanloop: Humanloop) -> None:
    first, _ = asked(humanloop)
    bodies = [{"data_id": one, "type": "rating", "value": "good"} for one in (first, sample_id(first, 2))]
    detail = humanloop.ask("POST", "/feedback", bodies, status=404)["detail"]
    assert detail["message"].startswith("data_id: ")
    assert rated(humanloop, first) == []
    alone = humanloop.log(output="x")["id"]
    give(humanloop, sample_id(alone, 1), value="good", status=404)


def test_feedback_on_a_sample_may_come_before_its_row(humanloop: Humanloop) -> None:
    """A stream has told a sample's id before the row is there; here the row is written by hand."""
    call = datapoint_id(new_id())
    give(humanloop, sample_id(call, 1), value="good")
    log = humanloop.gateway.client.post("/trace_log", json={"trace_id": call, "output": "x"})
    assert log.json()["logged"] is True
    (score,) = humanloop.gateway.row(call)["scores"]
    assert (score["sample"], score["value"]) == (1, "good")


def test_what_is_under_a_sample_is_under_its_call(humanloop: Humanloop) -> None:
    first, second = asked(humanloop)
    logged = humanloop.log(parent_id=second)["id"]
    (asked_one, _) = asked(humanloop, parent_id=second)
    tree = humanloop.gateway.client.get(f"/trace_log/{first}").json()
    assert {one["trace_id"] for one in tree["children_logs"]} == {logged, asked_one}


def test_nothing_of_a_sample_is_kept_where_the_call_is_not_saved(humanloop: Humanloop) -> None:
    _, second = asked(humanloop, save=False)
    read = humanloop.ask("PATCH", f"/logs/{second}", {"output": "unspeakable", "error": "unspeakable", "duration": 3})
    give(humanloop, second, type="comment", value="unspeakable")
    assert (read["save"], read["duration"]) == (False, 3)
    assert "output" not in read
    assert rated(humanloop, second) == [(second, "")]
    data = humanloop.gateway.data
    assert not [path for path in data.rglob("*") if path.is_file() and b"unspeakable" in path.read_bytes()]


def test_an_id_that_a_row_has_is_that_row(humanloop: Humanloop) -> None:
    first, second = asked(humanloop)
    taken = sample_id(first, 5)
    humanloop.gateway.client.post("/trace_log", json={"trace_id": taken, "output": "mine"})
    assert humanloop.read(taken)["output"] == "mine"
    give(humanloop, taken, value="good")
    assert rated(humanloop, taken) == [(taken, "good")]
    assert rated(humanloop, second) == []


def test_a_call_of_another_api_is_one_datapoint(humanloop: Humanloop) -> None:
    body = {"model": "echo", "n": 2, "messages": [{"role": "user", "content": "hi"}]}
    response = humanloop.gateway.client.post(f"{humanloop.gateway.url}/v1/chat/completions", json=body)
    read = humanloop.read(response.headers["x-trace-id"])
    assert read["output"] == '["You said: hi","You said: hi"]'
    assert "samples" not in read


def test_a_view_is_the_row_as_if_the_sample_were_all_of_it() -> None:
    scores = [{"name": "quality", "score": 1}, {"name": "sample 2 rating", "sample": 2}]
    record = row(scores=scores, extra={"samples": {"2": {"output": "C", "trace_id": "not this"}}})
    first, third = samples.view(record, 0), samples.view(record, 2)
    assert first is not None
    assert third is not None
    assert (first.trace_id, first.output, first.notes["finish_reason"], first.total_tokens) == (CALL, "a", "stop", 7)
    assert (third.trace_id, third.output, third.notes["finish_reason"]) == (sample_id(CALL, 2), "C", "length")
    assert third.total_tokens is None
    assert (first.scores, third.scores) == (scores[:1], scores[1:])
    assert samples.view(record, 1) is None


@pytest.mark.parametrize("output", ["no list", '["a"]', "3", None])
def test_an_output_that_somebody_wrote_over_is_the_first_ones(output: str | None) -> None:
    views = [samples.view(row(output=output), index) for index in (0, 2)]
    assert [view and view.output for view in views] == [output, None]


def test_a_stream_that_broke_off_holds_what_had_arrived() -> None:
    record = row(output='["no", "list"]', notes={"samples": [{"index": 1}]})
    assert samples.indices(record) == [1]
    assert samples.view(record, 0) is None
    view = samples.view(record, 1)
    assert view is not None
    assert view.output == '["no", "list"]'


def test_an_id_that_is_no_datapoints_has_no_samples() -> None:
    assert samples.indices(Record(derived_id("data", "x"), "r", notes={"samples": [{"index": 1}]})) == []
