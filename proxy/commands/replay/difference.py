"""What two answers have that differs: words of a text, arguments of tool calls by their keys.

What must stay true: of a word diff the parts without what was added are the one text, and those without what was
removed are the other; its time is bounded, however long the texts are.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Literal

from proxy.dialects.finetune import split
from proxy.models import Json
from proxy.record import Record

Side = Literal["both", "before", "after"]
Part = tuple[Side, str]

MOST = 100_000
"""Pairs of equal words, or lines, of two texts; where there are more the whole is told as replaced, since the time that
finding the longest runs takes grows faster than their number.
"""

WORDS = re.compile(r"[ \t]*(?:\w+|[^\w\s])|\s+")
"""A word has the space before it."""


@dataclass(slots=True, frozen=True)
class Answer:
    """What a model said in one choice: a text, and the tools that it called with which arguments."""

    text: str
    tools: tuple[tuple[str, Json], ...] = ()


@dataclass(slots=True, frozen=True)
class Change:
    """A key of a tool call's arguments; what is None was not there, all else is JSON text."""

    key: str
    before: str | None
    after: str | None


@dataclass(slots=True)
class Compared:
    """Two answers beside each other: the text in parts, each tool call with the keys that differ."""

    text: list[Part] = field(default_factory=list)
    tools: list[tuple[str, list[Change]]] = field(default_factory=list)


def answers(record: Record) -> list[Answer] | None:
    """What was answered, choice by choice; None where it was omitted, or there is nothing."""
    omitted, samples = record.notes.get("omitted"), record.notes.get("samples")
    if record.output is None or (isinstance(omitted, list) and "outputs" in omitted):
        return None
    outputs = _loaded(record.output) if isinstance(samples, list) and len(samples) > 1 else None
    if not isinstance(outputs, list) or not all(isinstance(one, str) for one in outputs):
        outputs = [record.output]
    return [_answer(one) for one in outputs]


def _answer(output: str) -> Answer:
    text, calls = split(output)
    called = ((call["function"]["name"], call["function"]["arguments"]) for call in calls)
    return Answer(text, tuple((name, _arguments(arguments)) for name, arguments in called))


def _arguments(text: str) -> Json:
    """Arguments as an object; what is none stands as it is."""
    found = _loaded(text)
    return found if isinstance(found, dict) else text


def compared(before: Sequence[Answer], after: Sequence[Answer]) -> list[Compared]:
    """The answers side by side, each with the one of its place."""
    nothing = Answer("")
    return [
        Compared(words(one.text, other.text), list(_tools(one.tools, other.tools)))
        for one, other in zip_longest(before, after, fillvalue=nothing)
    ]


def _tools(before: Sequence[tuple[str, Json]], after: Sequence[tuple[str, Json]]) -> Iterator[tuple[str, list[Change]]]:
    for one, other in zip_longest(before, after):
        if one is not None and other is not None and one[0] == other[0]:
            yield one[0], list(_changes(_flat(one[1]), _flat(other[1])))
            continue
        if one is not None:
            yield f"{one[0]} is not called", [Change(key, value, None) for key, value in _flat(one[1]).items()]
        if other is not None:
            yield f"{other[0]} is called", [Change(key, None, value) for key, value in _flat(other[1]).items()]


def _changes(before: dict[str, str], after: dict[str, str]) -> Iterator[Change]:
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            yield Change(key, before.get(key), after.get(key))


def _flat(value: Json, above: str = "") -> dict[str, str]:
    """Each value by its path: `place.city`. A list is one value."""
    if isinstance(value, dict) and (value or not above):
        found: dict[str, str] = {}
        for key, one in value.items():
            found |= _flat(one, f"{above}.{key}" if above else key)
        return found
    written = json.dumps(value, ensure_ascii=False, sort_keys=True)
    # half a surrogate pair can be escaped in JSON, and written nowhere else
    return {above or "arguments": written.encode("utf-8", "replace").decode()}


def words(before: str, after: str) -> list[Part]:
    """The two texts in parts. Lines are compared first, then the words of those that were replaced."""
    if before == after:
        return _joined([("both", before)])
    lines = _matched(before.splitlines(keepends=True), after.splitlines(keepends=True))
    parts: list[Part] = []
    for same, old, new in lines:
        if same or not old or not new:
            parts += [("both", old)] if same else [("before", old), ("after", new)]
            continue
        for alike, one, other in _matched(WORDS.findall(old), WORDS.findall(new)):
            parts += [("both", one)] if alike else [("before", one), ("after", other)]
    return _joined(parts)


def _matched(before: Sequence[str], after: Sequence[str]) -> Iterator[tuple[bool, str, str]]:
    """What both have, and between that what each has instead. The ends that are the same cost nothing."""
    shortest = min(len(before), len(after))
    begun = next((at for at in range(shortest) if before[at] != after[at]), shortest)
    most = shortest - begun
    ended = next((at for at in range(most) if before[-1 - at] != after[-1 - at]), most)
    old, new = before[begun : len(before) - ended], after[begun : len(after) - ended]
    yield True, "".join(before[:begun]), ""
    counts = Counter(new)
    if sum(counts[one] for one in old) > MOST:
        yield False, "".join(old), "".join(new)
    else:
        for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
            yield kind == "equal", "".join(old[a:b]), "".join(new[c:d])
    yield True, "".join(before[len(before) - ended :]), ""


def _joined(parts: Sequence[Part]) -> list[Part]:
    """The same without empty parts, and between two parts that both have one removal and one addition."""
    joined: list[Part] = []
    old = new = both = ""
    for side, text in [*(part for part in parts if part[1]), ("both", ""), ("before", "")]:
        if side == "both":
            if old or new:
                joined += [("before", old), ("after", new)]
                old = new = ""
            both += text
            continue
        if both:
            joined.append(("both", both))
            both = ""
        old, new = (old + text, new) if side == "before" else (old, new + text)
    return [part for part in joined if part[1]]


def _loaded(text: str) -> Json:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
