from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.errors import BadRequest
from proxy.functions import as_tools

SCHEMA = {"name": "f", "parameters": {"type": "object", "properties": {}}}
TOOL = {"type": "function", "function": SCHEMA}


@pytest.mark.parametrize("function", [SCHEMA, TOOL, json.dumps(SCHEMA), json.dumps(TOOL)])
def test_every_form_of_a_function_is_a_tool(function: Any) -> None:
    assert as_tools([function], None) == {"tools": [TOOL]}


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ("f", {"type": "function", "function": {"name": "f"}}),
        ({"name": "f"}, {"type": "function", "function": {"name": "f"}}),
        ('{"name": "f"}', {"type": "function", "function": {"name": "f"}}),
        ({"type": "function", "function": {"name": "f"}}, {"type": "function", "function": {"name": "f"}}),
    ],
)
def test_every_form_of_a_choice_is_a_tool_choice(choice: Any, expected: Any) -> None:
    assert as_tools([SCHEMA], choice) == {"tools": [TOOL], "tool_choice": expected}


def test_a_choice_without_functions_says_nothing() -> None:
    assert as_tools([], "auto") == {}


@pytest.mark.parametrize("function", [{}, {"name": 3}, "[]", "not json", 7])
def test_a_function_without_a_name_is_refused(function: Any) -> None:
    with pytest.raises(BadRequest):
        as_tools([function], None)
