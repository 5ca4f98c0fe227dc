"""Function schemas of the older API as tools: `functions` and `function_call` become `tools` and `tool_choice`."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.body import loads
from proxy.errors import BadRequest
from proxy.models import Json

WORDS = frozenset({"auto", "none", "required"})


def as_tools(functions: Iterable[Json], function_call: Json) -> dict[str, Json]:
    """The parameters that say the same in OpenAI's present words; empty when there are no functions.

    A function is a bare schema, a tool, or either as JSON text. A choice is a word, a name, `{"name": ...}`, a tool
    choice, or one of those as JSON text. Raises `BadRequest` for a function without a name.
    """
    tools = [_tool(function) for function in functions]
    if not tools:
        return {}
    choice = _choice(function_call)
    return {"tools": tools, "tool_choice": choice} if choice else {"tools": tools}


def _tool(function: Json) -> dict[str, Json]:
    value = loads(function.encode()) if isinstance(function, str) else function
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise BadRequest("a function needs a name: give an OpenAI function schema", param="functions")
    return {"type": "function", "function": value}


def _choice(value: Json) -> Json:
    if isinstance(value, str) and value.startswith("{"):
        value = loads(value.encode())
    if isinstance(value, str):
        return value if value in WORDS else _named(value)
    if isinstance(value, dict) and isinstance(value.get("name"), str):
        return _named(value["name"])
    return value


def _named(name: str) -> Json:
    return {"type": "function", "function": {"name": name}} if name else None
