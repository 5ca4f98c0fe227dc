"""The page is what the figures say, and tells of every entry."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.faults import document
from tests.faults.catalogue import ABSENT, CATALOGUE


def entry(**changed: Any) -> dict[str, Any]:
    known = {
        "passed": 1,
        "failed": 0,
        "skipped": 0,
        "figures": {},
        "reasons": [],
        "form": "full",
        "day": "2026-01-02",
        "on": "a machine",
    }
    return {**known, **changed}


def test_the_page_is_the_one_of_the_figures() -> None:
    entries = json.loads(document.FIGURES.read_text())["entries"]
    assert document.PAGE.read_text() == document.page(entries)


def test_every_entry_is_told_once() -> None:
    told = [line.split(" | ")[0] for line in document.page({}).splitlines() if line.startswith("| ")]
    assert told[1:] == [f"| {one}" for one in (*CATALOGUE, *ABSENT)]
    assert not set(CATALOGUE) & set(ABSENT)


@pytest.mark.parametrize(
    ("result", "told"),
    [
        ({"passed": 3}, "held (3 tests)"),
        ({"passed": 3, "form": "short"}, "held (3 tests in their short forms)"),
        ({"passed": 3, "failed": 1}, "**failed**: 1 of 4 tests"),
        ({"passed": 1, "skipped": 2, "reasons": ["no strace"]}, "held (1 tests, 2 skipped: no strace)"),
        ({"passed": 0, "skipped": 2, "reasons": ["no strace"]}, "skipped: no strace"),
        ({"figures": {"rows lost": "0 of 7"}}, "rows lost: 0 of 7"),
    ],
)
def test_a_result_is_told(result: dict[str, Any], told: str) -> None:
    assert told in document.page({"D1": entry(**result)})


def test_what_did_not_run_is_told() -> None:
    assert document.page({}).count("| not run |") == len(CATALOGUE)
