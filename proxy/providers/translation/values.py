"""What an answer's fields may hold: text that can be encoded, counts and amounts in their bounds, plain JSON.

A provider, or whoever stands between, can put anything in any field. What must stay true: what leaves here can be
written as JSON and UTF-8, and nothing is read as text that is none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from proxy.models import Json

LARGEST = 2**53
"""The largest whole number that every JSON parser reads as it was written."""

INDICES = 2**20
"""Choices and tool calls that an answer may count."""

DEEPEST = 50
"""Levels of nesting that are kept of a JSON value that is passed on."""

NONE: Mapping[str, Any] = {}

ODD = "a field of the answer holds what it cannot hold"


class Unreadable(ValueError):
    """A field holds what it cannot hold. The words are the same for all: LiteLLM may wrap the error."""

    def __init__(self) -> None:
        super().__init__(ODD)


def fields(value: Any) -> Mapping[str, Any]:
    """The fields of an object; what is none has none."""
    return value if isinstance(value, Mapping) else NONE


def text(value: Any) -> str:
    """A field that holds text or nothing."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unreadable
    return encodable(value)


def encodable(value: str) -> str:
    """`value` with U+FFFD for each half of a surrogate pair that has lost the other."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


def content(value: Any) -> tuple[str, str]:
    """The text and the reasoning of a message's content, which is text or, as reasoning models send it, parts."""
    if not isinstance(value, list):
        return text(value), ""
    said, thought = [], []
    for part in value:
        if not isinstance(part, Mapping):
            raise Unreadable
        if part.get("type") == "thinking":
            thought.append(reasoning(part.get("thinking")))
        elif part.get("type") == "text":
            said.append(text(part.get("text")))
    return "".join(said), "".join(thought)


def reasoning(value: Any) -> str:
    """Reasoning that is told as text or as parts. An answer whose reasoning is something else is still an answer."""
    if isinstance(value, str):
        return encodable(value)
    parts = [part.get("text") for part in value if isinstance(part, Mapping)] if isinstance(value, list) else []
    return "".join(encodable(part) for part in parts if isinstance(part, str))


def index(value: Any, position: int) -> int:
    """Where in a list something stands: as it says itself, else by its position."""
    return value if type(value) is int and 0 <= value < INDICES else position


def count(value: Any) -> int | None:
    """A number of tokens, or None for what cannot be one. JavaScript's servers may write 3.0."""
    if type(value) is float and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= LARGEST else None


def amount(value: Any) -> float | None:
    """A sum of money, or None for what cannot be one."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) and found >= 0 else None


def plain(value: Any, depth: int = 0) -> Json:
    """`value` as JSON that can be written anywhere: without what cannot, and without what lies too deep."""
    if isinstance(value, str):
        return encodable(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= LARGEST else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth == DEEPEST:
        return None
    if isinstance(value, list):
        return [plain(each, depth + 1) for each in value]
    if isinstance(value, Mapping):
        return {encodable(str(name)): plain(each, depth + 1) for name, each in value.items()}
    return None
