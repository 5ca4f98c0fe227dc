from __future__ import annotations

import asyncio
import subprocess
import sys
from ast import literal_eval
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from proxy import timestamps
from proxy.errors import BadRequest
from proxy.protocols import Filter, ProjectUse, TraceQuery
from proxy.record import Record
from proxy.stores.log import search
from proxy.stores.log.rows import COLUMNS
from proxy.stores.log.sqlite import SQLiteLog

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


def row(trace_id: str, hours: float = 0, **fields: Any) -> Record:
    start = timestamps.text(NOW - timedelta(hours=hours))
    return Record(**{"trace_id": trace_id, "root_trace_id": trace_id, "start_timestamp": start, **fields})


ROWS = [
    row(
        "a",
        0.5,
        name="llm-openai",
        status="success",
        cost=0.5,
        latency=2.0,
        input_tokens=10,
        tags=["weather", "prod"],
        metadata={"purpose": "testing", "n": "5", "flag": True, "it's": 'a "quote"'},
        inputs={"city": "New York"},
        scores=[{"name": "quality", "score": 0.25}, {"name": "safety", "score": 1}],
        configuration={"model": "gpt-4o", "model_params": {"temp": 0}},
        end_user="ann@example.org",
        session_id="s1",
        experiment_uuid="e1",
        model="gpt-4o",
        feedback_score=1.0,
        cache_hit=True,
    ),
    row(
        "b",
        2,
        name="100%_sure",
        status="error",
        cost=1.5,
        latency=0.5,
        input_tokens=9,
        tags=["dev"],
        metadata={"purpose": None, "n": "40"},
        inputs={"city": "York"},
        scores=[{"name": "quality", "score": 0.75}],
        model="claude",
    ),
    row("c", 24 * 40, name="LLM-groq", metadata={"n": "many"}),
    row("child", 1, root_trace_id="a", parent_trace_id="a", name="llm-openai"),
    row("orphan", 3, root_trace_id="gone", parent_trace_id="gone", name="orphan"),
    row("found", 3.5, root_trace_id="a", parent_trace_id="gone", name="hangs under its root"),
    row("selfish", 4, parent_trace_id="selfish", name="selfish"),
]


@pytest.fixture
async def log(tmp_path: Path) -> AsyncIterator[SQLiteLog]:
    log = SQLiteLog(tmp_path / "traces.db", now=lambda: NOW)
    await asyncio.gather(*[log.append(record) for record in ROWS])
    yield log
    await log.close()


async def found(log: SQLiteLog, **query: Any) -> str:
    page = await log.search(TraceQuery(**query))
    assert page.total == len(page.roots)
    return " ".join(record.trace_id for record in page.roots)


async def test_tops_of_trees_newest_first(log: SQLiteLog) -> None:
    assert await found(log) == "a b orphan selfish c"


@pytest.mark.fault("S7")
@pytest.mark.parametrize(
    ("field", "key", "operator", "value", "expected"),
    [
        ("trace_name", None, "equals", "llm-openai", "a"),
        ("name", None, "not_equals", "llm-openai", "b orphan selfish c"),
        ("trace_name", None, "like", "llm", "a c"),
        ("trace_name", None, "like", "llm%", "a c"),
        ("trace_name", None, "like", "_", "b"),
        ("trace_name", None, "in", '["llm-openai", "orphan"]', "a orphan"),
        ("trace_name", None, "in", "orphan, selfish", "orphan selfish"),
        ("trace_name", None, "in", ["orphan"], "orphan"),
        ("trace_name", None, "greater_than", "p", "selfish"),
        ("trace_id", None, "equals", "a", "a"),
        ("trace_id", None, None, "a", "a"),
        ("model", None, "exists", None, "a b"),
        ("model", None, None, None, "a b"),
        ("model", None, "is_null", None, "orphan selfish c"),
        ("cost", None, "greater_than", "0.5", "b"),
        ("cost", None, "greater_than_or_equal", 0.5, "a b"),
        ("cost", None, "less_than", "1.5", "a"),
        ("cost", None, "less_than_or_equal", "1.5", "a b"),
        ("cost", None, "equals", "0.50", "a"),
        ("cost", None, "not_equals", "0.5", "b orphan selfish c"),
        ("cost", None, "in", "[0.5, 7]", "a"),
        ("cost", None, "is_null", None, "orphan selfish c"),
        ("latency", None, "like", "2.", "a"),
        ("input_tokens", None, "greater_than", "9", "a"),
        ("feedback_score", None, "equals", "1", "a"),
        ("log_sample_rate", None, "equals", "1.0", "a b orphan selfish c"),
        ("cache_hit", None, "equals", "true", "a"),
        ("cache_hit", None, "equals", True, "a"),
        ("cache_hit", None, "not_equals", "true", "b orphan selfish c"),
        ("cache_hit", None, "in", "[true, false]", "a b orphan selfish c"),
        ("tags", None, "equals", "prod", "a"),
        ("tags", None, "not_equals", "prod", "b orphan selfish c"),
        ("tags", None, "like", "EAT", "a"),
        ("tags", None, "in", '["dev", "prod"]', "a b"),
        ("tags", None, "is_null", None, "orphan selfish c"),
        ("tags", None, "exists", None, "a b"),
        ("metadata", "purpose", "equals", "testing", "a"),
        ("metadata", "purpose", "exists", None, "a"),
        ("metadata", "purpose", "is_null", None, "b orphan selfish c"),
        ("metadata", "purpose", "not_equals", "testing", "b orphan selfish c"),
        ("metadata", "n", "greater_than", "5", "b"),
        ("metadata", "n", "greater_than_or_equal", "5", "a b"),
        ("metadata", "n", "greater_than", "a", "c"),
        ("metadata", "flag", "equals", "true", "a"),
        ("metadata", "it's", "equals", 'a "quote"', "a"),
        ("metadata", None, "like", "test", "a"),
        ("inputs", "city", "like", "york", "a b"),
        ("llm_inputs", "city", "equals", "York", "b"),
        ("model_params", "temp", "equals", "0", "a"),
        ("configuration", "model", "equals", "gpt-4o", "a"),
        ("scores", "quality", "greater_than", "0.5", "b"),
        ("scores", "quality", "exists", None, "a b"),
        ("scores", "safety", "not_equals", "1", "b orphan selfish c"),
        ("scores", None, "equals", "1", "a"),
        ("status", None, "equals", "error", "b"),
        ("end_user_identifier", None, "equals", "ann@example.org", "a"),
        ("session_id", None, "equals", "s1", "a"),
        ("experiment_uuid", None, "in", "e1", "a"),
        ("start_timestamp", None, "greater_than", "2026-11-20T12:30:00+02:00", "a"),
        ("start_timestamp", None, "less_than", "2026-11-01", "c"),
        ("trace_name", None, "equals", "' OR 1=1 --", ""),
        ("metadata", "') OR 1=1 --", "equals", "x", ""),
    ],
)
async def test_filters(
    log: SQLiteLog, field: str, key: str | None, operator: str | None, value: Any, expected: str
) -> None:
    query = {"filter_field": field, "filter_key": key, "filter_operator": operator, "filter_value": value}
    assert await found(log, **query) == expected


@pytest.mark.fault("S7")
@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"filter_field": "colour", "filter_value": "red"}, "filter_field: unknown; one of .*trace_name"),
        ({"filter_field": "name; DROP TABLE traces", "filter_value": "x"}, "filter_field: unknown"),
        ({"filter_field": "cost", "filter_operator": "near", "filter_value": "1"}, "filter_operator: unknown.*equals"),
        ({"filter_operator": "equals", "filter_value": "1"}, "filter_field: is needed"),
        ({"filter_field": "cost", "filter_operator": "equals"}, "filter_value: equals needs one"),
        ({"filter_field": "cost", "filter_operator": "equals", "filter_value": "much"}, "a number is needed"),
        ({"filter_field": "cost", "filter_operator": "in", "filter_value": "1,nan"}, "a number is needed"),
        ({"filter_field": "cache_hit", "filter_operator": "equals", "filter_value": "perhaps"}, "is no flag"),
        ({"filter_field": "cache_hit", "filter_operator": "like", "filter_value": "true"}, "does not fit a flag"),
        ({"filter_field": "start_timestamp", "filter_operator": "equals", "filter_value": "soon"}, "no ISO 8601 time"),
        ({"filter_field": "name", "filter_operator": "like", "filter_value": "x" * 10_001}, "at most 10000 characters"),
        ({"filter_field": "tags", "filter_operator": "like", "filter_value": "x%" * 9999}, "at most 10000 characters"),
        ({"time_range": "2h"}, "time_range: unknown; one of .*1h"),
        ({"page": 0}, "page: "),
        ({"page_size": 0}, "page_size: "),
        ({"page_size": 100_000}, "page_size: "),
    ],
)
async def test_what_cannot_be_searched_is_refused_by_name(log: SQLiteLog, query: Any, message: str) -> None:
    with pytest.raises(BadRequest, match=message):
        await log.search(TraceQuery(**query))


@pytest.mark.parametrize("field", ["name", "tags", "metadata", "content"])
async def test_the_longest_pattern_is_searched(log: SQLiteLog, field: str) -> None:
    assert await found(log, filter_field=field, filter_operator="like", filter_value="\U0001f600" * 10_000) == ""
    assert await found(log, filter_field=field, filter_operator="like", filter_value="%_" * 5_000) == ""


async def test_a_list_that_is_nested_too_deeply_is_text(log: SQLiteLog) -> None:
    assert await found(log, filter_field="name", filter_operator="in", filter_value="[" * 100_000) == ""


@pytest.mark.parametrize(
    ("time_range", "expected"),
    [
        ("na", "a b orphan selfish c"),
        (None, "a b orphan selfish c"),
        ("1h", "a"),
        ("3h", "a b orphan"),
        ("6h", "a b orphan selfish"),
        ("1m", "a b orphan selfish"),
        ("3m", "a b orphan selfish c"),
        ("1y", "a b orphan selfish c"),
    ],
)
async def test_time_ranges(log: SQLiteLog, time_range: str | None, expected: str) -> None:
    assert await found(log, time_range=time_range) == expected


async def test_status(log: SQLiteLog) -> None:
    assert await found(log, status="error") == "b"
    assert (
        await found(log, status="success", filter_field="cost", filter_operator="greater_than", filter_value="1") == ""
    )


async def test_pages(log: SQLiteLog) -> None:
    pages = [await log.search(TraceQuery(page=number, page_size=2)) for number in (1, 2, 3, 4)]
    assert [[record.trace_id for record in page.roots] for page in pages] == [
        ["a", "b"],
        ["orphan", "selfish"],
        ["c"],
        [],
    ]
    assert {page.total for page in pages} == {5}


async def test_a_row_belongs_to_its_project_by_uuid_by_name_or_to_the_default(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "traces.db", now=lambda: NOW)
    uuid, *_ = await log.project("mine")
    await log.project("default")
    await log.append(row("by-uuid", 1, project_uuid=uuid, project_name="default"))
    await log.append(row("by-name", 2, project_name="mine"))
    await log.append(row("none", 3))
    await log.append(row("other", 4, project_name="other"))
    await log.append(row("nameless", 5, project_uuid="pr_1"))
    assert await found(log, project_name="mine") == "by-uuid by-name"
    assert await found(log, project_name="default") == "none"
    assert await found(log, project_name="nobody's") == ""
    assert await found(log, project_name="pr_1") == "nameless"
    assert await found(log, project_name="other", project_id="pr_1") == "other nameless"
    assert {use.name: use.uuid for use in await log.projects()} == {
        "default": (await log.project("default"))[0],
        "mine": uuid,
        "other": None,
        "pr_1": "pr_1",
    }
    assert await found(log, filter_field="project_name", filter_operator="equals", filter_value="other") == "other"
    assert await found(log) == "by-uuid by-name none other nameless"
    await log.close()


def test_the_lists_agree_with_the_clients_and_with_the_columns() -> None:
    # The client cannot be imported here: its dependencies warn, and warnings are errors.
    program = """
from parea.schemas.models import FilterOperator, TimeRange
print([operator.value for operator in FilterOperator], [span.value for span in TimeRange], sep="; ")
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    operators, spans = map(literal_eval, said.split("; "))
    assert set(operators) == set(search.OPERATORS)
    assert set(spans) == set(search.TIME_RANGES)
    assert set(COLUMNS) <= set(search.FIELDS)
    assert set(search.ALIASES.values()) <= set(search.FIELDS)


@pytest.mark.fault("S7")
async def test_every_field_can_be_asked_with_every_operator(log: SQLiteLog) -> None:
    for name, field in search.FIELDS.items():
        value = {"time": "2026-11-20T00:00:00+00:00", "flag": "true"}.get(field.kind, "1")
        for operator in search.OPERATORS:
            if field.kind == "flag" and (operator == "like" or "than" in operator):
                continue  # a flag has no order
            for key in (None, "key"):
                asked = TraceQuery(filter_field=name, filter_key=key, filter_operator=operator, filter_value=value)
                assert (await log.search(asked)).total <= 5


CALLS = [
    row("sesh", 9, session_id="sesh", name="session", stand_in=True),
    row("one", 3, root_trace_id="sesh", parent_trace_id="sesh", session_id="sesh", project_name="p"),
    row("two", 2, root_trace_id="sesh", parent_trace_id="one", session_id="sesh", project_name="q", deployment_id="d"),
    row("alone", 1, project_name="p", end_timestamp=timestamps.text(NOW)),
    row("said", 4, output='say "hi" to 100%_me', inputs={"a": {"deep": ["In\nPUT"]}}),
    row("asked", 5, configuration={"messages": [{"role": "user", "content": [{"type": "text", "text": "where?"}]}]}),
]


@pytest.fixture
async def calls(tmp_path: Path) -> AsyncIterator[SQLiteLog]:
    log = SQLiteLog(tmp_path / "traces.db", now=lambda: NOW)
    await asyncio.gather(*[log.append(record) for record in CALLS])
    yield log
    await log.close()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"rows": "calls"}, "alone two one said asked"),
        ({"rows": "sessions"}, "sesh"),
        ({"rows": "calls", "project_name": "p"}, "alone one"),
        ({"rows": "sessions", "project_name": "p"}, "sesh"),
        ({"rows": "sessions", "project_name": "q"}, "sesh"),
        ({"rows": "sessions", "project_name": "neither"}, ""),
        ({"project_name": "q"}, "sesh"),
        ({"project_name": "p"}, "alone sesh"),
        ({"project_name": "default"}, "said asked sesh"),
    ],
)
async def test_calls_sessions_and_their_projects(calls: SQLiteLog, query: Any, expected: str) -> None:
    assert await found(calls, **query) == expected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ([("content", "like", 'SAY "hi"')], "said"),
        ([("content", "like", "in\npu")], "said"),
        ([("content", "like", "100%")], "said"),
        ([("content", "like", "%_me")], "said"),
        ([("content", "like", "1%0")], ""),
        ([("content", "like", "WHERE?")], "asked"),
        ([("content", "like", "user")], ""),
        ([("content", "is_null", None)], "alone two one"),
        ([("deployment_id", "exists", None)], "two"),
        ([("deployment_id", "is_null", None), ("project_name", "equals", "p")], "alone one"),
        (
            [
                ("start_timestamp", "greater_than_or_equal", "2026-11-20T09:00:00Z"),
                ("start_timestamp", "less_than", "2026-11-20T11:00:00Z"),
            ],
            "two one",
        ),
    ],
)
async def test_all_of_several_filters_hold(
    calls: SQLiteLog, filters: list[tuple[str, str, Any]], expected: str
) -> None:
    assert await found(calls, rows="calls", filters=tuple(Filter(*one) for one in filters)) == expected


async def test_projects_are_those_made_and_those_that_rows_name(calls: SQLiteLog) -> None:
    uuid, *_ = await calls.project("made")
    assert await calls.projects() == [
        ProjectUse("default", CALLS[5].start_timestamp, CALLS[4].start_timestamp, 2),
        ProjectUse("made", timestamps.text(NOW), None, 0, uuid),
        ProjectUse("p", CALLS[1].start_timestamp, timestamps.text(NOW), 2),
        ProjectUse("q", CALLS[2].start_timestamp, CALLS[2].start_timestamp, 1),
    ]
