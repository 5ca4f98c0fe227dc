"""The figures of a deployment's versions, beside what Python makes of the same rows."""

from __future__ import annotations

import asyncio
from pathlib import Path
from statistics import fmean, median
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.protocols import VersionUse
from proxy.record import Record
from proxy.stores.log.sqlite import SQLiteLog

numbers = st.integers(0, 1000).map(lambda number: number / 64)
scores = st.lists(
    st.one_of(numbers, st.sampled_from([True, "good", None])).map(lambda score: {"name": f"{score}", "score": score}),
    max_size=3,
    unique_by=lambda one: one["name"],
)
fields = st.fixed_dictionaries(
    {
        "deployment_id": st.sampled_from([None, "p", "q"]),
        "deployment_version": st.sampled_from([None, "a", "b"]),
        "status": st.sampled_from([None, "success", "error"]),
        "cost": st.none() | numbers,
        "latency": st.none() | numbers,
        "cache_hit": st.booleans(),
        "feedback_score": st.none() | numbers,
        "scores": scores,
    }
)


async def found(folder: Path, rows: list[dict[str, Any]], deployment_id: str | None) -> list[VersionUse]:
    log = SQLiteLog(folder / "traces.db")
    for number, one in enumerate(rows):
        start = f"2026-01-01T00:00:{number:02}.000000+00:00"
        assert await log.append(Record(f"t{number}", f"t{number}", start_timestamp=start, **one))
    uses = await log.versions(deployment_id)
    await log.close()
    return uses


@settings(max_examples=40, deadline=None)
@given(st.lists(fields, max_size=12), st.sampled_from([None, "p", "r"]))
def test_the_figures_are_those_of_the_rows(rows: list[dict[str, Any]], wanted: str | None) -> None:
    with TemporaryDirectory() as folder:
        uses = asyncio.run(found(Path(folder), rows, wanted))
    groups: dict[tuple[str, str | None], list[dict[str, Any]]] = {}
    for one in rows:
        if one["deployment_id"] is not None and wanted in (None, one["deployment_id"]):
            groups.setdefault((one["deployment_id"], one["deployment_version"]), []).append(one)
    assert {(use.deployment_id, use.version) for use in uses} == set(groups)
    for use in uses:
        group = groups[use.deployment_id, use.version]
        spent = [one for one in group if not one["cache_hit"]]
        assert use.calls == len(group)
        assert use.errors == sum(one["status"] == "error" for one in group)
        assert use.cost == pytest.approx(sum(one["cost"] or 0 for one in spent))
        timed = [one["latency"] for one in spent if one["latency"] is not None]
        assert use.latency == (pytest.approx(median(timed)) if timed else None)
        scored = [s["score"] for one in group for s in one["scores"] if isinstance(s["score"], int | float)]
        assert use.score == (pytest.approx(fmean(scored)) if scored else None)
        told = [one["feedback_score"] for one in group if one["feedback_score"] is not None]
        assert use.feedback == (pytest.approx(fmean(told)) if told else None)


async def test_no_rows_are_no_figures(tmp_path: Path) -> None:
    assert await found(tmp_path, [], None) == []
