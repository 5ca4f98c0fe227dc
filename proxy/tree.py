"""Rows of the log as a tree: each behind its parent, with the lines that lead to it.

What must stay true: every row is drawn once, also of a circle, which a client may log; and a tree takes time in
proportion to its rows, however deep it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from proxy.record import Record

INDENT, LEVELS = 4, 40
"""Columns of a level, and how many levels are drawn."""


@dataclass(slots=True, frozen=True)
class Branch:
    """A row, the lines that lead to it, and those beside what else it says."""

    record: Record
    stem: str
    beside: str


def drawn(rows: Sequence[Record], *, rooted: bool, levels: int = LEVELS) -> Iterator[Branch]:
    """Each row after its parent. What has no parent here hangs under the first row or, where the tree is not `rooted`
    in that, under a line for the whole, which is the caller's.

    The lines are those of the last `levels`; before them a number tells how many there are more.
    """
    root = rows[0].trace_id if rooted else None
    below: dict[str | None, list[Record]] = {}
    above = _parents(rows, root)
    for record in rows:
        if record.trace_id != root:
            below.setdefault(above[record.trace_id], []).append(record)
    if rooted:
        yield Branch(rows[0], "", "")
    waiting = _children(below, root, 0, "", levels)
    while waiting:
        record, depth, lines, branch, space = waiting.pop()
        yield Branch(record, _shown(depth, lines, branch, levels), _shown(depth, lines, space, levels))
        waiting += _children(below, record.trace_id, depth, lines + space, levels)


_Waiting = tuple[Record, int, str, str, str]
"""A row, its level, the lines beside those above it, and what leads to it and goes on beside it."""


def _children(
    below: dict[str | None, list[Record]], parent: str | None, depth: int, lines: str, levels: int
) -> list[_Waiting]:
    """The rows right below one, the last one first."""
    kept = lines[-levels * INDENT :]
    made: list[_Waiting] = [
        (record, depth + 1, kept, "\u251c\u2500\u2500 ", "\u2502   ") for record in reversed(below.get(parent, ()))
    ]
    if made:
        made[0] = (*made[0][:3], "\u2514\u2500\u2500 ", " " * INDENT)
    return made


def _shown(depth: int, lines: str, last: str, levels: int) -> str:
    """The lines to a row; far below the first levels there would be no room for what it says."""
    if depth <= levels:
        return lines + last
    return f"\u2026 {depth - levels} \u2026 ".ljust(2 * INDENT) + (lines + last)[-levels * INDENT :]


def _parents(rows: Sequence[Record], root: str | None) -> dict[str, str | None]:
    """Under what each row hangs, so that every one of them is reached from the root: a circle is cut."""
    ids = {record.trace_id for record in rows}
    above: dict[str, str | None] = {}
    for record in rows:
        parent = record.parent_trace_id
        above[record.trace_id] = parent if parent in ids else root
    reached: set[str | None] = {root}
    for record in rows:
        one: str | None = record.trace_id
        path: set[str] = set()
        while one not in reached and one not in path:
            assert one is not None  # that is the root
            path.add(one)
            one = above[one]
        if one in path:
            assert one is not None
            above[one] = root
        reached |= path
    return above


def below(records: list[Record], trace_id: str) -> list[Record]:
    """Those of a tree's `records` that are below one of them, at any depth, in their order; what has no parent there
    hangs under its root.
    """
    there = {record.trace_id for record in records}
    children: dict[str, list[str]] = {}
    for record in records:
        above = record.root_trace_id
        if (parent := record.parent_trace_id) and parent in there and parent != record.trace_id:
            above = parent
        children.setdefault(above, []).append(record.trace_id)
    found: set[str] = set()
    reached = [trace_id]
    while reached:
        # A client may log a circle; nothing is reached twice.
        more = [child for child in children.get(reached.pop(), ()) if child not in found]
        found.update(more)
        reached.extend(more)
    return [record for record in records if record.trace_id in found and record.trace_id != trace_id]
