"""How rows are drawn as a tree."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects.archives.trace_log import to_tree
from proxy.record import Record
from proxy.tree import INDENT, drawn

PARENTS = st.lists(st.none() | st.integers(-1, 12), min_size=1, max_size=12)


def rows_of(parents: list[int | None]) -> list[Record]:
    return [
        Record(str(place), "0", parent_trace_id=None if parent is None else str(parent))
        for place, parent in enumerate(parents)
    ]


def lines(parents: list[int | None], *, rooted: bool, levels: int = 40) -> list[str]:
    return [one.stem + one.record.trace_id for one in drawn(rows_of(parents), rooted=rooted, levels=levels)]


@given(PARENTS, st.booleans(), st.integers(1, 3))
def test_every_row_is_drawn_once_and_only_a_circle_is_cut(parents: list[int | None], rooted: bool, levels: int) -> None:
    rows = rows_of(parents)
    shown = list(drawn(rows, rooted=rooted))
    assert sorted(int(one.record.trace_id) for one in shown) == list(range(len(rows)))
    above: dict[str, str | None] = {}
    path: list[str] = []
    for one in shown:
        depth = len(one.stem) // INDENT - (not rooted)
        path[depth:] = [one.record.trace_id]
        above[one.record.trace_id] = path[depth - 1] if depth else None
    top = rows[0].trace_id if rooted else None
    moved = {row.trace_id: row.parent_trace_id for row in rows if above[row.trace_id] != row.parent_trace_id}
    for name, parent in moved.items():
        assert above[name] in (top, None)
        seen: set[str | None] = set()
        while parent in above and parent not in seen and parent != top:
            seen.add(parent)
            parent = rows[int(str(parent))].parent_trace_id
        assert name == top or name in seen or parent not in above
    few = drawn(rows, rooted=rooted, levels=levels)
    assert [one.record for one in few] == [one.record for one in shown]


def test_lines_lead_to_a_row_and_levels_too_many_are_a_number() -> None:
    assert lines([None, 0, 0, 1, 6, 4, 5], rooted=True) == ["0", "├── 1", "│   └── 3", "├── 2", *CIRCLE]
    assert lines([7, 0, 0, 1], rooted=False) == ["└── 0", "    ├── 1", "    │   └── 3", "    └── 2"]
    assert lines([None, 0, 1, 2, 0], rooted=True, levels=1) == ["0", "├── 1", "… 1 …   └── 2", "… 2 …   └── 3", "└── 4"]


CIRCLE = ["└── 4", "    └── 5", "        └── 6"]


@pytest.mark.parametrize("parents", [[None, *range(20_000)], [19_999, *range(19_999)], [None, *[0] * 20_000]])
def test_a_tree_takes_time_in_proportion_to_its_rows(parents: list[int | None]) -> None:
    rows = rows_of(parents)
    began = process_time()
    assert sum(1 for _ in drawn(rows, rooted=True)) == len(rows)
    to_tree(rows[0], rows[1:])
    assert process_time() - began < 1.5
