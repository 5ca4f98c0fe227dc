"""A row is changed by none but the key that it bears, whatever comes at the same moment."""

from __future__ import annotations

import asyncio
import dataclasses
import sqlite3
from pathlib import Path

import pytest

from proxy.errors import NotReady
from proxy.record import Record
from proxy.stores.log.sqlite import SQLiteLog

START = "2026-01-01T00:00:00.000000+00:00"


def said(key: str | None, output: str, **more: object) -> Record:
    return Record("a", "a", key=key, signed=key is not None, output=output, start_timestamp=START, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("synchronous", ["normal", "full"])
@pytest.mark.parametrize("before", ["other", None])
async def test_a_row_of_another_stays_as_it_is(tmp_path: Path, synchronous: str, before: str | None) -> None:
    log = SQLiteLog(tmp_path / "traces.db", synchronous=synchronous)
    long = {"messages": [{"role": "user", "content": "x" * 5000}]}
    both = [log.append(said(before, "mine")), log.append(said("key", "theirs", configuration=long))]
    assert await asyncio.gather(*both) == [True, False]
    assert await log.append(said("key", "theirs", name="theirs")) is False
    assert await log.update("a", {"output": "theirs"}, "key") is False
    assert await log.update("b", {"output": "to come"}, "key") is False
    assert await log.append(Record("b", "b", start_timestamp=START)) is True
    kept = await log.get("a")
    assert kept is not None
    assert (kept.key, kept.output, kept.name) == (before, "mine", None)
    assert await log.append(said("key", "theirs", spent=7)) is False
    with pytest.raises(NotReady):
        log.spent("key", "")  # what it cost is owed, and paid now
    assert await log.append(Record("c", "c", start_timestamp=START)) is True
    assert log.spent("key", "") == 7
    assert (await log.health())["dropped"] == 5
    await log.close()
    connection = sqlite3.connect(tmp_path / "traces.db")
    # nothing that was said is left where no row refers to it
    assert connection.execute("SELECT count(*) FROM bodies").fetchone() == (0,)
    assert connection.execute("SELECT output FROM traces WHERE trace_id = 'b'").fetchone() == (None,)
    connection.close()


@pytest.mark.parametrize("synchronous", ["normal", "full"])
async def test_ones_own_is_changed_and_the_master_changes_all(tmp_path: Path, synchronous: str) -> None:
    log = SQLiteLog(tmp_path / "traces.db", synchronous=synchronous)
    call = Record("c", "c", key="key", start_timestamp=START)
    edit = log.append(call), log.update("c", {"name": "n"}, "key"), log.append(dataclasses.replace(call, signed=True))
    assert all(await asyncio.gather(*edit))
    assert await log.append(said("key", "first")) is True
    assert await log.append(said("key", "again")) is True
    assert await log.update("a", {"target": "t"}, "key") is True
    assert await log.append(said(None, "the master's")) is True
    assert await log.update("a", {"name": "n"}) is True
    kept = await log.get("a")
    assert kept is not None
    assert (kept.key, kept.output, kept.target, kept.name) == ("key", "the master's", "t", "n")
    # what is imported bears whatever key it did
    assert await log.append(Record("a", "a", key="imported", start_timestamp=START)) is True
    await log.close()
