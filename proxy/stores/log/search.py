"""A `TraceQuery` as SQL: which fields can be searched, and what each operator means for each kind of field.

Every value is a parameter; what is not one comes from the tables below. Fields go by Parea's names and the columns'
own.

    text, time   compared as they stand; `like` finds a part in any case, or a whole pattern when the value has a `%`
    number       compared as numbers
    flag         `true` or `false`
    list         matches when one element does
    object       matches when the value under `filter_key` does, or without a key any value
    scores       a list of scores; `filter_key` is a score's name
    content      every text that a call was given or has said; a `%` in `like` is itself
    not_equals, is_null       also match where there is nothing at all
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from proxy import timestamps
from proxy.errors import BadRequest
from proxy.protocols import Filter, TraceQuery
from proxy.stores.log.conversations import whole

MAX_PAGE_SIZE = 1000
LONGEST_PATTERN = 10_000  # characters for `like`; SQLite takes 50,000 bytes, of which each may be four

_ORDER = {"greater_than_or_equal": ">=", "less_than_or_equal": "<=", "greater_than": ">", "less_than": "<"}
OPERATORS = ("equals", "not_equals", "like", *_ORDER, "is_null", "exists", "in")

TIME_RANGES: dict[str, timedelta | None] = {
    "na": None,
    **{f"{hours}h": timedelta(hours=hours) for hours in (1, 3, 6, 24)},
    **{name: timedelta(days=days) for name, days in (("7d", 7), ("1m", 30), ("3m", 91), ("6m", 182), ("1y", 365))},
}

ALIASES = {
    "trace_name": "name",
    "end_user_identifier": "end_user",
    "log_sample_rate": "sample_rate",
    "llm_inputs": "inputs",
    "llm_configuration": "configuration",
    "tag": "tags",
    "score": "scores",
}
"""Parea's name for a field, where the column has another."""

ROOTS = """(t.trace_id = t.root_trace_id OR NOT EXISTS (SELECT 1 FROM traces AS p WHERE p.trace_id <> t.trace_id
    AND p.trace_id IN (t.parent_trace_id, t.root_trace_id) AND p.root_trace_id = t.root_trace_id))"""
"""Rows at the top of a tree: roots, and rows that have neither their parent nor their root there (yet)."""

KINDS = {"tops": ROOTS, "calls": "t.trace_id IS NOT t.session_id", "sessions": "t.trace_id = t.session_id"}
"""Which rows a query asks for. A session's own row has the session's id; see `middleware/session.py`."""

PROJECT = "coalesce((SELECT name FROM projects WHERE uuid = t.project_uuid), t.project_name, t.project_uuid, 'default')"
_IN_SESSION = f"""EXISTS (SELECT 1 FROM (SELECT t.trace_id AS session) JOIN traces AS t ON t.root_trace_id = session
    WHERE t.trace_id <> session AND {PROJECT} IN (?, ?))"""

Test = tuple[str, list[Any]]
"""A condition of SQL and its parameters."""


@dataclass(slots=True, frozen=True)
class Field:
    """One searchable field: its kind, and the expression or the JSON document that holds it."""

    kind: str
    source: str


_TEXTS = """trace_id root_trace_id parent_trace_id session_id name project_uuid deployment_id deployment_version
    experiment_uuid end_user target provider model output status error key"""
_NUMBERS = "input_tokens output_tokens total_tokens cost latency time_to_first_token sample_rate feedback_score"
_OBJECTS = "metadata inputs notes extra"

FIELDS: dict[str, Field] = {
    **{name: Field("text", f"t.{name}") for name in _TEXTS.split()},
    **{name: Field("number", f"t.{name}") for name in _NUMBERS.split()},
    **{name: Field("object", f"t.{name}") for name in _OBJECTS.split()},
    "configuration": Field("object", whole("t")),
    "model_params": Field("object", "json_extract(t.configuration, '$.model_params')"),
    "project_name": Field("text", PROJECT),
    **{name: Field("time", f"t.{name}") for name in ("start_timestamp", "end_timestamp")},
    "cache_hit": Field("flag", "t.cache_hit"),
    **{name: Field("list", f"t.{name}") for name in ("tags", "eval_metric_ids")},
    "scores": Field("scores", "t.scores"),
    "content": Field(
        "content",
        "SELECT t.output AS said UNION ALL SELECT atom FROM json_tree(t.inputs)"
        f" UNION ALL SELECT atom FROM json_tree({whole('t')}, '$.messages') WHERE key NOT IN ('role', 'type')"
        " UNION ALL SELECT atom FROM json_tree(t.extra, '$.samples') WHERE key = 'output'",
    ),
}


def where(query: TraceQuery, now: datetime) -> Test:
    """The condition that `query` puts on a row `t` of `traces`. Raises `BadRequest`."""
    tests: list[Test] = [(KINDS.get(query.rows, "true"), [])]
    if query.project_name:
        tests.append(_of_project(query.project_name, query.project_id or query.project_name))
    if query.status:
        tests.append(("t.status = ?", [query.status]))
    if query.time_range:
        if query.time_range not in TIME_RANGES:
            raise _refusal("time_range", "unknown", TIME_RANGES)
        if (span := TIME_RANGES[query.time_range]) is not None:
            tests.append(("t.start_timestamp >= ?", [timestamps.text(now - span)]))
    if query.filter_field:
        operator = query.filter_operator or ("exists" if query.filter_value is None else "equals")
        tests.append(_filter(Filter(query.filter_field, operator, query.filter_value, query.filter_key or None)))
    elif query.filter_operator or query.filter_value is not None or query.filter_key:
        raise _refusal("filter_field", "is needed with the other filters", [*ALIASES, *FIELDS])
    tests.extend(_filter(one) for one in query.filters)
    return " AND ".join(sql for sql, _ in tests), [value for _, values in tests for value in values]


def _of_project(name: str, id: str) -> Test:
    """A session is of every project that one of its calls is of."""
    return f"({PROJECT} IN (?, ?) OR (t.trace_id = t.session_id AND {_IN_SESSION}))", [name, id] * 2


def page(query: TraceQuery) -> tuple[int, int]:
    """How many rows, and how many to skip. Raises `BadRequest`."""
    if not 1 <= query.page <= 2**31:
        raise BadRequest(f"page: from 1 to {2**31}", param="page")
    if not 1 <= query.page_size <= MAX_PAGE_SIZE:
        raise BadRequest(f"page_size: from 1 to {MAX_PAGE_SIZE}", param="page_size")
    return query.page_size, (query.page - 1) * query.page_size


def _filter(asked: Filter) -> Test:
    field = FIELDS.get(ALIASES.get(asked.field, asked.field))
    if field is None:
        raise _refusal("filter_field", "unknown", [*ALIASES, *FIELDS])
    if asked.operator not in OPERATORS:
        raise _refusal("filter_operator", "unknown", OPERATORS)
    if asked.operator not in ("is_null", "exists") and asked.value is None:
        raise BadRequest(f"filter_value: {asked.operator} needs one", param="filter_value")
    if asked.operator == "like" and len(_written(asked.value)) > LONGEST_PATTERN:
        raise BadRequest(f"filter_value: at most {LONGEST_PATTERN} characters for like", param="filter_value")
    return _BY_KIND[field.kind](field.source, asked.operator, asked.value, asked.key)


def _text(source: str, operator: str, value: Any, _: str | None = None) -> Test:
    if operator == "is_null":
        return f"{source} IS NULL", []
    if operator == "exists":
        return f"{source} IS NOT NULL", []
    if operator == "in":
        return f"{source} IN (SELECT value FROM json_each(?))", [json.dumps([_written(one) for one in _several(value)])]
    if operator == "like":
        return _like(source, _written(value))
    sign = {"equals": "=", "not_equals": "IS NOT"}.get(operator) or _ORDER[operator]
    return f"{source} {sign} ?", [_written(value)]


def _like(source: str, pattern: str) -> Test:
    if "%" in pattern:
        return f"{source} LIKE ?", [pattern]
    return _holds(source, pattern)


def _holds(source: str, part: str) -> Test:
    escaped = part.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%")
    return f"{source} LIKE ? ESCAPE '\\'", [f"%{escaped}%"]


def _time(source: str, operator: str, value: Any, _: str | None = None) -> Test:
    if operator in ("is_null", "exists", "like"):
        return _text(source, operator, value)
    written = [timestamps.normalized(_written(one)) for one in (_several(value) if operator == "in" else [value])]
    if None in written:
        raise BadRequest("filter_value: no ISO 8601 time", param="filter_value")
    return _text(source, operator, written if operator == "in" else written[0])


def _number(source: str, operator: str, value: Any, _: str | None = None) -> Test:
    if operator in ("is_null", "exists"):
        return _text(source, operator, value)
    if operator == "like":
        return _like(f"CAST({source} AS TEXT)", _written(value))
    if operator == "in":
        return f"{source} IN (SELECT value FROM json_each(?))", [json.dumps([_parsed(one) for one in _several(value)])]
    sign = {"equals": "=", "not_equals": "IS NOT"}.get(operator) or _ORDER[operator]
    return f"{source} {sign} ?", [_parsed(value)]


def _flag(source: str, operator: str, value: Any, _: str | None = None) -> Test:
    if operator in ("is_null", "exists"):
        return _text(source, operator, value)
    if operator not in ("equals", "not_equals", "in"):
        raise _refusal("filter_operator", "does not fit a flag", ("equals", "not_equals", "in", "is_null", "exists"))
    flags = {"true": 1, "1": 1, "false": 0, "0": 0}
    written = [_written(one).lower() for one in (_several(value) if operator == "in" else [value])]
    if not set(written) <= set(flags):
        raise _refusal("filter_value", "is no flag", ("true", "false"))
    sign = "NOT IN" if operator == "not_equals" else "IN"
    return f"{source} {sign} (SELECT value FROM json_each(?))", [json.dumps([flags[one] for one in written])]


def _list(source: str, operator: str, value: Any, _: str | None = None) -> Test:
    return _any(f"json_each({source}) AS e", "e.atom IS NOT NULL", [], _ELEMENT, operator, value, _loose)


def _object(source: str, operator: str, value: Any, key: str | None) -> Test:
    chosen, keys = ("e.type <> 'null'", []) if key is None else ("e.key = ? AND e.type <> 'null'", [key])
    return _any(f"json_each({source}) AS e", chosen, keys, _ELEMENT, operator, value, _loose)


def _scores(source: str, operator: str, value: Any, key: str | None) -> Test:
    chosen, keys = ("true", []) if key is None else ("e.value ->> 'name' = ?", [key])
    return _any(f"json_each({source}) AS e", chosen, keys, "(e.value ->> 'score')", operator, value, _number)


def _content(source: str, operator: str, value: Any, _: str | None = None) -> Test:
    return _any(f"({source})", "said IS NOT NULL", [], "said", operator, value, _verbatim)


def _verbatim(source: str, operator: str, value: Any) -> Test:
    return _holds(source, _written(value)) if operator == "like" else _text(source, operator, value)


_ELEMENT = "(CASE e.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false' ELSE CAST(e.value AS TEXT) END)"
"""An element as a person writes it; SQLite's own value of `true` is 1."""


def _any(
    elements: str,
    chosen: str,
    keys: list[Any],
    element: str,
    operator: str,
    value: Any,
    compare: Callable[[str, str, Any], Test],
) -> Test:
    """Whether one of the chosen elements matches; what is negative asks that none does."""
    negative = operator in ("is_null", "not_equals")
    positive = {"is_null": "exists", "not_equals": "equals"}.get(operator, operator)
    test, values = compare(element, positive, value)
    sql = f"{'NOT ' if negative else ''}EXISTS (SELECT 1 FROM {elements} WHERE {chosen} AND {test})"
    return sql, [*keys, *values]


def _loose(source: str, operator: str, value: Any) -> Test:
    """Elements of JSON have no type of their own here: ordered as numbers when both sides are, else as text."""
    if operator not in _ORDER:
        return _text(source, operator, value)
    try:
        number = _parsed(value)
    except BadRequest:
        return _text(source, operator, value)
    numeric = f"(json_valid({source}) AND json_type({source}) IN ('integer', 'real'))"
    return f"CASE WHEN {numeric} THEN CAST({source} AS REAL) {_ORDER[operator]} ? ELSE false END", [number]


_BY_KIND: dict[str, Callable[[str, str, Any, str | None], Test]] = {
    "text": _text,
    "time": _time,
    "number": _number,
    "flag": _flag,
    "list": _list,
    "object": _object,
    "scores": _scores,
    "content": _content,
}


def _written(value: Any) -> str:
    """A value as text, as the clients write it."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _parsed(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise BadRequest("filter_value: a number is needed", param="filter_value")
    return number


def _several(value: Any) -> list[Any]:
    """The values of `in`: a list, a JSON list as text, or words between commas."""
    if isinstance(value, str):
        try:
            parsed = json.loads(value)
        except (ValueError, RecursionError):
            parsed = None
        value = parsed if isinstance(parsed, list) else [word.strip() for word in value.split(",")]
    return value if isinstance(value, list) else [value]


def _refusal(param: str, what: str, allowed: Any) -> BadRequest:
    return BadRequest(f"{param}: {what}; one of {', '.join(sorted(allowed))}", param=param)
