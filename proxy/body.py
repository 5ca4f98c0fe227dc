"""JSON from outside, read strictly, the same way on every route.

RFC 8259 as orjson reads it: no NaN, no numbers beyond a double, no lone surrogates, UTF-8 without a byte order mark;
of two equal keys the last one wins, for the cache key, the log and the provider alike. Nesting is limited, so that
nobody downstream recurses without end.
"""

from __future__ import annotations

from typing import Any

import orjson

from proxy.errors import BadRequest

MAX_DEPTH = 200


def loads(body: bytes, max_depth: int = MAX_DEPTH) -> Any:
    """The JSON value in `body`. Raises `BadRequest` that tells what is wrong and where, never what stood there."""
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


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return depth
