"""JSON from outside, read strictly, the same way on every route.

RFC 8259 as orjson reads it: no NaN, no numbers beyond a double, no lone surrogates, UTF-8 without a byte order mark;
of two equal keys the last one wins, for the cache key, the log and the provider alike. Nesting is limited, so that
nobody downstream recurses without end.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, TypeVar

import orjson
from pydantic import BaseModel, ValidationError

from proxy import crowd
from proxy.errors import BadRequest, TooLarge, Unprocessable

MAX_DEPTH = 200
OBJECT = "Input should be an object"
"""What pydantic says in the words of Python and with the name of a class."""

UNNAMED = "*"
"""Stands for a name of the client's own, such as a key of an object that may have any: it is a value like others."""

Model = TypeVar("Model", bound=BaseModel)


def loads(body: bytes, max_depth: int = MAX_DEPTH, most: int = crowd.MOST) -> Any:
    """The JSON value in `body`. Raises `BadRequest` that tells what is wrong and where, never what stood there,
    and `TooLarge`.
    """
    if crowd.crowded(body, most):
        raise TooLarge(f"the body holds more than {most} objects and lists, which is the limit; send fewer")
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(
            f"the body is not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})"
        ) from None
    # Counting brackets is enough for nearly every body; only one that could be too deep is walked.
    if body.count(b"[") + body.count(b"{") > max_depth and _depth(value) > max_depth:
        raise BadRequest(f"the body is nested deeper than {max_depth} levels")
    return value


def validated(model: type[Model], value: Any, *where: str | int) -> Model:
    """`value` as a `model`. Raises `Unprocessable` with what does not fit, under `where`, never the values."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise Unprocessable(
            [
                {
                    "type": item["type"],
                    "loc": ["body", *where, *_place(model, value, item["loc"])],
                    "msg": OBJECT if item["type"] in ("model_type", "dict_type") else item["msg"],
                }
                for item in error.errors(include_url=False, include_context=False, include_input=False)
            ]
        ) from None


def _place(model: type[BaseModel], value: Any, loc: Iterable[str | int]) -> Iterator[str | int]:
    """Where an error is, by the names that `model` knows."""
    for part in loc:
        if isinstance(value, dict) and part in value:
            yield part if part in _names(model) else UNNAMED
            value = value[part]
        else:
            # a place in a list, a field that is missing, or pydantic's word for one of several types
            yield part
            if isinstance(value, list) and isinstance(part, int) and part < len(value):
                value = value[part]


@cache
def _names(model: type[BaseModel]) -> frozenset[str]:
    """Every field of `model` and of what is in it."""
    found: set[str] = set()
    level: list[Any] = [model.model_json_schema()]
    while level:
        item = level.pop()
        if isinstance(item, dict):
            if isinstance(item.get("properties"), dict):
                found.update(item["properties"])
            level += item.values()
        elif isinstance(item, list):
            level += item
    return frozenset(found)


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return depth
