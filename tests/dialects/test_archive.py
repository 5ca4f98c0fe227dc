"""Rows and trace logs out of files, and rows as examples for fine-tuning."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.dialects.archives.archive import records
from proxy.dialects.archives.finetune import example
from proxy.dialects.archives.trace_log import to_log, to_tree
from proxy.errors import RequestError
from proxy.record import Record, split
from proxy.report import row

START = "2026-01-01T00:00:00.000000+00:00"
FULL = Record(
    "a",
    "root",
    parent_trace_id="root",
    session_id="s",
    name="llm-openai",
    project_name="demo",
    deployment_id="p",
    deployment_version="v2",
    end_user="ann",
    tags=["x"],
    metadata={"team": "red"},
    target="Rome",
    eval_metric_ids=[1],
    provider="openai",
    model="gpt-4o",
    inputs={"city": None},
    configuration={"model": "gpt-4o", "provider": "openai", "messages": [{"role": "user", "content": "Hi"}]},
    output="=Hello",
    input_tokens=1,
    output_tokens=2,
    total_tokens=3,
    cost=0.5,
    latency=1.5,
    start_timestamp=START,
    end_timestamp=START,
    status="success",
    cache_hit=True,
    sample_rate=0.5,
    scores=[{"name": "quality", "score": 1.0}],
    feedback_score=1.0,
    notes={"dialect": "openai", "attempts": [{"target": "t", "ended": "timeout"}]},
    extra={"own": {"deep": [1]}},
    key="team",
)


def test_a_row_comes_back_as_it_was() -> None:
    assert list(records(json.loads(json.dumps(row(FULL))))) == [FULL]


def test_a_trace_log_comes_back_with_all_that_it_can_say() -> None:
    (found,) = records(json.loads(json.dumps(to_log(FULL))))
    lost = {"key": None, "extra": {**FULL.extra}}
    assert {**row(found), **lost} == {**row(FULL), **lost}
    assert found.extra["own"] == FULL.extra["own"]


def test_trees_and_pages_of_them_are_read_from_the_top() -> None:
    below = [Record("b", "root", "root", name="x"), Record("c", "root", "b", name="y")]
    tree = to_tree(Record("root", "root", name="top", start_timestamp=START), below)
    for value in (tree, [tree], {"total": 1, "page": 1, "results": [tree]}):
        found = list(records(json.loads(json.dumps(value))))
        assert [(one.trace_id, one.parent_trace_id, one.root_trace_id) for one in found] == [
            ("root", None, "root"),
            ("b", "root", "root"),
            ("c", "b", "root"),
        ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1, "body: Input should be an object"),
        ([{}], "0.trace_id: Field required"),
        ({"trace_id": "a"}, "root_trace_id: Field required"),
        ({"trace_id": "", "root_trace_id": "a"}, "trace_id: String should have at least 1 character"),
        ({"trace_id": "a", "root_trace_id": "a", "cost": "secret"}, "cost: Input should be a valid number"),
        (
            {"trace_id": "a", "root_trace_id": "a", "outputs": "secret"},
            "outputs: is no column of",
        ),
        (
            {"trace_id": "a", "trace_name": "x", "parea_proxy": {"x": "secret"}},
            "parea_proxy.x: is no column",
        ),
        ({"trace_id": "a", "trace_name": "x", "parea_proxy": 1}, "parea_proxy: Input should be an object"),
        ({"trace_id": "a", "trace_name": "x", "parea_proxy": {"cost": "secret"}}, "parea_proxy.cost: Input should"),
        ({"trace_id": "a", "root_trace_id": "a", "total_tokens": 2**63}, "total_tokens: Input should be less than"),
        (
            {"trace_id": "a", "root_trace_id": "a", "start_timestamp": "secret"},
            "start_timestamp: Input should be",
        ),
        ({"trace_name": "x"}, "trace_id: Field required"),
        (
            {"trace_id": "a", "trace_name": "x", "children_logs": [{"trace_name": "y"}]},
            "children_logs.0.trace_id: F",
        ),
        ({"trace_id": "a", "trace_name": "x", "children_logs": 1}, "children_logs: Input should be an object"),
        ({"trace_id": "a", "trace_name": "x", "notes": "secret"}, "notes: Input should be"),
        (
            {"results": [{"trace_id": "a", "trace_name": "x", "scores": [{"score": "secret"}]}]},
            "results.0.scores.0.score",
        ),
    ],
)
def test_what_does_not_fit_is_told_by_its_place(value: Any, message: str) -> None:
    with pytest.raises(RequestError) as refused:
        list(records(value))
    assert message in refused.value.message
    assert "secret" not in refused.value.message


CALL = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Rome"}'}}
CALLS = json.dumps([CALL], indent=2)


def chat(output: str | None = "Hello", notes: dict[str, Any] | None = None, **changed: Any) -> Record:
    messages = [{"role": "user", "content": "Hi", "tool_calls": None, "own": 1}]
    configuration = {"messages": messages, "functions": [{"name": "weather", "parameters": {}}]}
    said = {"configuration": configuration, "status": "success", **changed}
    return Record("a", "a", output=output, notes=notes or {}, **said)


def test_an_answered_chat_is_an_example_with_its_tools() -> None:
    assert example(chat()) == {
        "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}],
        "tools": [{"type": "function", "function": {"name": "weather", "parameters": {}}}],
    }


@pytest.mark.parametrize(
    ("output", "answer"),
    [
        (CALLS, {"role": "assistant", "tool_calls": [CALL]}),
        (f"Wait\n{CALLS}", {"role": "assistant", "content": "Wait", "tool_calls": [CALL]}),
        (f"[\n]\n{CALLS}", {"role": "assistant", "content": f"[\n]\n{CALLS}"}),
        ("[1, 2]", {"role": "assistant", "content": "[1, 2]"}),
        ("", {"role": "assistant", "content": ""}),
    ],
)
def test_tool_calls_are_told_from_text(output: str, answer: dict[str, Any]) -> None:
    made = example(chat(output))
    assert made is not None
    assert made["messages"][-1] == answer
    assert split("a\n[\n") == ("a\n[\n", [])


def test_of_several_answers_the_first_is_the_example() -> None:
    made = example(chat('["one", "two"]', {"samples": [{"index": 0}, {"index": 1}]}))
    assert made is not None
    assert made["messages"][-1]["content"] == "one"


@pytest.mark.parametrize(
    "record",
    [
        chat(status="error"),
        chat(None),
        chat(notes={"kind": "text"}),
        chat(notes={"finish_reason": "length"}),
        chat(notes={"omitted": ["inputs"]}),
        chat(configuration=None),
        chat(configuration={"messages": []}),
        chat(configuration={"messages": ["x"]}),
    ],
)
def test_what_is_no_whole_chat_is_no_example(record: Record) -> None:
    assert example(record) is None
