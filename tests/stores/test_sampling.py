"""Totals with sampling equal totals without, whatever arrives: the property the counters-only rows exist for."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.record import Record
from proxy.stores.log.sqlite import SQLiteLog

# Costs that binary fractions hold, so that sums are equal in any order.
counters: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "status": st.sampled_from(["success", "error", "cancelled", None]),
        "cache_hit": st.booleans(),
        "input_tokens": st.none() | st.integers(0, 100),
        "output_tokens": st.none() | st.integers(0, 100),
        "cost": st.none() | st.integers(0, 64).map(lambda n: n / 64),
        "output": st.none() | st.text(max_size=5),
    }
)


@st.composite
def records(draw: st.DrawFn) -> Record:
    """One record of one of three trees of four rows each; a trace id is always in the same tree."""
    root = draw(st.sampled_from(["r1", "r2", "r'3\""]))
    name = draw(st.sampled_from(["", "-a", "-b", "-c"]))
    lost = draw(st.booleans())
    return Record(
        trace_id=root + name,
        root_trace_id=root,
        parent_trace_id=root if name else None,
        start_timestamp="2026-11-20T15:10:10.970322+00:00",
        counted_only=lost,
        **draw(counters),
    )


async def logged(path: Path, batches: Sequence[Sequence[Record]], reopen: bool = False) -> dict[str, float]:
    log = SQLiteLog(path)
    for batch in batches:
        assert all(await asyncio.gather(*[log.append(record) for record in batch]))
        if reopen:
            await log.close()
            log = SQLiteLog(path)
    totals = await log.totals()
    await log.close()
    return totals


@pytest.mark.fault("D11")
@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(records(), max_size=6), max_size=6), st.booleans())
def test_totals_are_those_of_a_log_that_keeps_everything(batches: list[list[Record]], reopen: bool) -> None:
    kept = [[replace(record, counted_only=False) for record in batch] for batch in batches]
    with tempfile.TemporaryDirectory() as folder:
        sampled_path = Path(folder) / "sampled.db"
        sampled = asyncio.run(logged(sampled_path, batches, reopen))
        assert sampled == asyncio.run(logged(Path(folder) / "kept.db", kept))
        lost = {record.root_trace_id for batch in batches for record in batch if record.counted_only}
        connection = sqlite3.connect(sampled_path)
        remembered = [root for (root,) in connection.execute("SELECT root_trace_id FROM sampled_out ORDER BY 1")]
        roots = {root for (root,) in connection.execute("SELECT root_trace_id FROM traces")}
        connection.close()
    assert remembered == sorted(lost)
    assert not roots & lost


def row(trace_id: str, root: str, **fields: Any) -> Record:
    return Record(**{"trace_id": trace_id, "root_trace_id": root, "start_timestamp": "2026", **fields})


@pytest.mark.fault("D11")
async def test_a_root_that_loses_late_takes_its_rows_with_it(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    log = SQLiteLog(path)
    await log.append(row("llm", "root", cost=0.5, output="secret", input_tokens=3))
    await log.append(row("other", "other", output="stays"))
    await log.append(row("root", "root", counted_only=True, start_timestamp="2025"))
    await log.append(row("late", "root", cost=0.25, output="secret", status="error"))
    assert await log.get("llm") is None
    assert await log.get("late") is None
    assert await log.get("other") is not None
    await log.close()
    connection = sqlite3.connect(path)
    (found,) = connection.execute("SELECT * FROM sampled_out").fetchall()
    connection.close()
    assert found[:-1] == ("root", "2025", 3, 1, 0, 3, 0, 0.75, 0.0)
    assert set(json.loads(found[-1])) == {"llm", "root", "late"}
    assert "secret" not in found[-1]


@pytest.mark.fault("D11")
@pytest.mark.parametrize("known_root", [True, False])
async def test_edits_of_a_lost_trace_do_not_stay(tmp_path: Path, known_root: bool) -> None:
    path = tmp_path / "traces.db"
    log = SQLiteLog(path)
    fields = {"target": "secret", "status": "error", **({"root_trace_id": "root"} if known_root else {})}
    await log.update("call", fields)
    await log.append(row("call", "root", counted_only=True))
    await log.update("root", {"target": "secret"})
    if known_root:
        await log.update("call", fields)
    totals = await log.totals()
    await log.close()
    assert (totals["calls"], totals["errors"]) == (1, 1)
    connection = sqlite3.connect(path)
    assert connection.execute("SELECT count(*) FROM edits").fetchone() == (0,)
    connection.close()


@pytest.mark.fault("D11")
async def test_two_writers_agree_on_what_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    first, second = SQLiteLog(path), SQLiteLog(path)
    futures = []
    for number in range(200):
        log = (first, second)[number % 2]
        futures.append(log.append(row(f"call-{number}", f"root-{number % 5}", cost=0.5)))
        if number % 20 == 19:
            other = (second, first)[number % 2]
            futures.append(other.append(row(f"call-{number}", f"root-{number % 5}", cost=0.5, counted_only=True)))
        await asyncio.sleep(0)
    assert all(await asyncio.gather(*futures))
    totals = await first.totals()
    assert (totals["calls"], totals["cost"]) == (200, 100.0)
    assert (await second.health())["rows"] == 160
    await first.close()
    await second.close()
