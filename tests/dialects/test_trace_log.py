from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from proxy.dialects.archives.trace_log import MAX_DEPTH, TraceLog, TraceLogFields, place, to_columns, to_record, to_tree
from proxy.record import Record

ARRIVED = "2026-11-20T12:00:00.000000+00:00"

POSTED: dict[str, Any] = {
    "configuration": {
        "model": "gpt-4o-mini",
        "provider": "openai",
        "model_params": {"temp": 1.0, "top_p": 1.0, "max_length": None, "response_format": {"type": None}},
        "messages": [
            {"content": '[{"type": "text", "text": "hi"}]', "role": "user"},
            {"content": None, "role": "assistant"},
        ],
        "history": None,
        "functions": [{"name": "f", "parameters": {"default": None}}],
        "function_call": None,
    },
    "inputs": {"x": "1", "y": None},
    "output": "out",
    "target": "right",
    "latency": 0.25,
    "time_to_first_token": None,
    "input_tokens": 3,
    "output_tokens": 4,
    "total_tokens": 7,
    "cost": 0.001,
    "scores": [{"name": "q", "score": 0.5, "reason": None}, {"name": "unscored", "score": None, "reason": "?"}],
    "trace_id": "t",
    "parent_trace_id": "p",
    "root_trace_id": "r",
    "start_timestamp": "2026-11-20T15:10:10+00:00",
    "organization_id": None,
    "project_uuid": "default",
    "error": None,
    "status": None,
    "deployment_id": None,
    "cache_hit": False,
    "output_for_eval_metrics": "out",
    "evaluation_metric_names": [],
    "apply_eval_frac": 1.0,
    "log_sample_rate": 0.5,
    "feedback_score": None,
    "trace_name": "f",
    "children": ["c1"],
    "end_timestamp": "2026-11-20T16:10:10.5+01:00",
    "end_user_identifier": "u",
    "session_id": "s",
    "metadata": {"k": "v"},
    "tags": ["a"],
    "experiment_uuid": None,
    "images": [{"url": "u", "caption": None}],
    "comments": None,
    "annotations": None,
    "depth": 1,
    "execution_order": 3,
    "something_new": {"kept": [1]},
}


def posted(**fields: Any) -> TraceLog:
    return TraceLog.model_validate({"trace_id": "t", **fields})


def test_a_posted_log_is_a_record() -> None:
    assert to_record(TraceLog.model_validate(POSTED), ARRIVED) == Record(
        trace_id="t",
        root_trace_id="r",
        parent_trace_id="p",
        session_id="s",
        name="f",
        end_user="u",
        tags=["a"],
        metadata={"k": "v"},
        target="right",
        provider="openai",
        model="gpt-4o-mini",
        inputs={"x": "1", "y": None},
        configuration={
            "model": "gpt-4o-mini",
            "provider": "openai",
            "model_params": {"temp": 1.0, "top_p": 1.0, "response_format": {"type": None}},
            "messages": [{"content": '[{"type": "text", "text": "hi"}]', "role": "user"}, {"role": "assistant"}],
            "functions": [{"name": "f", "parameters": {"default": None}}],
        },
        output="out",
        input_tokens=3,
        output_tokens=4,
        total_tokens=7,
        cost=0.001,
        latency=0.25,
        start_timestamp="2026-11-20T15:10:10.000000+00:00",
        end_timestamp="2026-11-20T15:10:10.500000+00:00",
        sample_rate=0.5,
        scores=[{"name": "q", "score": 0.5}],
        extra={
            "output_for_eval_metrics": "out",
            "apply_eval_frac": 1.0,
            "children": ["c1"],
            "images": [{"url": "u", "caption": None}],
            "depth": 1,
            "execution_order": 3,
            "something_new": {"kept": [1]},
        },
    )


def nulls(value: Any) -> bool:
    if isinstance(value, dict):
        return any(
            item is None or nulls(item)
            for name, item in value.items()
            if name not in ("inputs", "functions", "response_format")
        )
    return isinstance(value, list) and any(map(nulls, value))


def test_what_was_posted_is_read_back_without_the_nulls() -> None:
    tree = to_tree(to_record(TraceLog.model_validate(POSTED), ARRIVED), [])
    assert not nulls(tree)
    changed = {"start_timestamp", "end_timestamp", "scores", "configuration", "images", "project_uuid"}
    for name, value in POSTED.items():
        if value not in (None, []) and name not in changed:
            assert tree[name] == value, name
    assert tree["images"] == [{"url": "u"}]
    assert tree["configuration"]["messages"][1] == {"content": "", "role": "assistant"}
    assert tree["children_logs"] == []
    json.dumps(tree, allow_nan=False)


@pytest.mark.parametrize(
    ("parent", "root", "expected"),
    [
        (None, None, (None, "t")),
        ("", "", (None, "t")),
        ("t", "t", (None, "t")),
        ("t", "", (None, "t")),
        (None, "t", (None, "t")),
        ("p", "r", ("p", "r")),
        ("p", "", ("p", "p")),
        ("t", "r", (None, "r")),
    ],
)
def test_roots_in_every_spelling(parent: str | None, root: str | None, expected: tuple[str | None, str]) -> None:
    assert place("t", parent, root) == expected
    record = to_record(posted(parent_trace_id=parent, root_trace_id=root), ARRIVED)
    assert (record.parent_trace_id, record.root_trace_id) == expected


def test_a_root_is_its_own_parent_when_read() -> None:
    log = to_tree(Record("t", "t", start_timestamp=ARRIVED), [])
    assert (log["trace_id"], log["parent_trace_id"], log["root_trace_id"], log["start_timestamp"]) == (
        "t",
        "t",
        "t",
        ARRIVED,
    )


def test_zeros_and_defaults_say_nothing() -> None:
    record = to_record(
        posted(latency=0.0, input_tokens=0, output_tokens=0, total_tokens=0, cost=0.0, cache_hit=False, children=[]),
        ARRIVED,
    )
    assert record == Record("t", "t", start_timestamp=ARRIVED)
    log = to_tree(record, [])
    assert [log[name] for name in ("latency", "input_tokens", "output_tokens", "total_tokens", "cost")] == [0] * 5


def test_an_edit_says_what_it_names_zeros_too() -> None:
    fields = {
        "trace_name": "n",
        "cost": 0,
        "end_timestamp": "2023-10-18 19:23:32 UTC",
        "colour": "red",
        "target": {"a": 1},
        "status": None,
        "parent_trace_id": "",
    }
    assert to_columns(TraceLogFields.model_validate(fields)) == {
        "name": "n",
        "cost": 0,
        "end_timestamp": "2023-10-18T19:23:32.000000+00:00",
        "target": '{"a": 1}',
        "extra": {"colour": "red"},
    }


@pytest.mark.parametrize("written", ["yesterday", "", "9999-12-31T23:59:59-23:00"])
def test_a_start_that_is_no_time_becomes_the_arrival(written: str) -> None:
    assert to_record(posted(start_timestamp=written), ARRIVED).start_timestamp == ARRIVED


@pytest.mark.parametrize(
    "fields",
    [
        {"trace_id": ""},
        {"trace_id": None},
        {"log_sample_rate": 1.5},
        {"input_tokens": -1},
        {"input_tokens": 2**60},
        {"cost": float("nan")},
        {"inputs": "text"},
        {"metadata": []},
        {"scores": [{"name": "q", "score": "high"}]},
        {"parent_trace_id": 5},
    ],
)
def test_what_could_not_be_read_back_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        posted(**fields)


def test_a_tree_nests_children_under_their_parents() -> None:
    def row(trace_id: str, parent: str | None) -> Record:
        return Record(trace_id, "root", parent_trace_id=parent, start_timestamp=ARRIVED)

    top = row("root", None)
    top.extra = {"children": ["b", "unlogged"]}
    tree = to_tree(top, [row("c", "b"), row("a", "root"), row("b", "root")])
    assert [node["trace_id"] for node in tree["children_logs"]] == ["a", "b"]
    assert [node["trace_id"] for node in tree["children_logs"][1]["children_logs"]] == ["c"]
    assert tree["children"] == ["b", "unlogged", "a"]
    assert [tree["depth"], tree["children_logs"][1]["children_logs"][0]["depth"]] == [0, 2]


def test_what_has_no_parent_hangs_under_the_top_with_its_own() -> None:
    def row(trace_id: str, parent: str | None) -> Record:
        return Record(trace_id, "root", parent_trace_id=parent, start_timestamp=ARRIVED)

    tree = to_tree(Record("root", "root", start_timestamp=ARRIVED), [row("b", "a"), row("a", "gone"), row("c", "c")])
    assert tree["children"] == ["a", "c"]
    assert [one["children"] for one in tree["children_logs"]] == [["b"], []]


def test_a_very_deep_tree_is_flattened_at_its_end() -> None:
    rows = [Record(f"t{n}", "t0", parent_trace_id=f"t{n - 1}", start_timestamp=ARRIVED) for n in range(1, 1000)]
    tree = to_tree(Record("t0", "t0", start_timestamp=ARRIVED), rows)
    text = json.dumps(tree)
    assert text.count('"children_logs"') == 1000
    level, node = 0, tree
    while node["children_logs"]:
        level, node = level + 1, node["children_logs"][-1]
    assert level == MAX_DEPTH
