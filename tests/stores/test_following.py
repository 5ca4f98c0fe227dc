"""What comes into a log is told once, whatever happens to the file meanwhile."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from proxy.errors import BadRequest, ConfigError
from proxy.record import Record
from proxy.selection import Selection
from proxy.stores.log.following import AT_ONCE, Following
from proxy.stores.log.sqlite import SQLiteLog


async def write(path: Path, *names: str, status: str | None = None) -> None:
    log = SQLiteLog(path)
    for name in names:
        assert await log.append(Record(name, name, start_timestamp="2026-01-01T00:00:00.000000+00:00", status=status))
    await log.close()


def change(path: Path, sql: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(sql)
    connection.close()


def move(folder: Path) -> None:
    for companion in folder.iterdir():
        companion.rename(companion.with_name(f"old-{companion.name}"))


def told(following: Following) -> str:
    return " ".join(record.trace_id for record in following.news())


async def test_what_comes_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    await write(path, "a", "b", "c")
    following = Following(path, Selection(), 2)
    assert [record.trace_id for record in following.begin()] == ["b", "c"]
    assert told(following) == ""
    await write(path, "d", "e")
    assert told(following) == "d e"
    assert told(following) == ""
    await write(path, "d")  # the same row again
    assert told(following) == ""
    following.close()


async def test_only_what_is_selected(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    await write(path, "a")
    following = Following(path, Selection(where="trace_id > 'm'", status="error"))
    assert following.begin() == []
    await write(path, "b", "n", status="error")
    await write(path, "o", status="success")
    assert told(following) == "n"
    await write(path, "p", status="error")
    assert told(following) == "p"
    following.close()


async def test_more_than_is_held_at_once(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    await write(path, "a")
    following = Following(path, Selection())
    following.begin()
    names = [f"b{number:04}" for number in range(2 * AT_ONCE + 1)]
    await write(path, *names)
    assert told(following).split() == names
    following.close()


async def test_rows_that_go_and_a_file_that_is_vacuumed(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    await write(path, *"abcdef")
    following = Following(path, Selection())
    following.begin()
    change(path, "DELETE FROM traces WHERE trace_id IN ('a', 'b', 'c')")
    change(path, "VACUUM")
    await write(path, "g")
    assert told(following) == "g"
    change(path, "DELETE FROM traces WHERE trace_id > 'e'")
    assert told(following) == ""
    await write(path, "h")
    assert told(following) == "h"
    following.close()


async def test_a_file_that_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    await write(path, "a", "b")
    following = Following(path, Selection(), 1)
    following.begin()
    move(tmp_path)
    assert told(following) == ""
    path.touch()  # as it is when somebody begins to make it
    assert told(following) == ""
    change(path, "CREATE TABLE migrations (name TEXT)")
    assert told(following) == ""
    path.unlink()
    await write(path, "b", "c")
    assert told(following) == "b c"
    following.close()


async def test_where_there_is_no_log_to_begin_with(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no trace log"):
        Following(tmp_path / "traces.db", Selection()).begin()
    await write(tmp_path / "traces.db", "a")
    with pytest.raises(BadRequest, match="where: is no condition"):
        Following(tmp_path / "traces.db", Selection(where="nothing")).begin()
