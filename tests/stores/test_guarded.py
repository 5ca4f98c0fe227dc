"""Whatever is asked in SQL, the log is read and nothing else happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from proxy.errors import BadRequest, ConfigError
from proxy.record import Record
from proxy.selection import Selection
from proxy.stores.log.reader import Reader, open_readonly
from proxy.stores.log.sqlite import SQLiteLog

HOSTILE = [
    "DELETE FROM traces",
    "UPDATE traces SET output = ''",
    "UPDATE sqlite_master SET sql = ''",
    "INSERT INTO projects VALUES ('a', 'b', 'c')",
    "DROP TABLE traces",
    "CREATE TABLE other (a)",
    "CREATE TEMP TABLE other (a)",
    "CREATE TEMP VIEW other AS SELECT 1",
    "ALTER TABLE traces ADD COLUMN other",
    "ATTACH 'other.db' AS other",
    "VACUUM INTO 'other.db'",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA query_only = 0",
    "PRAGMA writable_schema = 1",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "SELECT * FROM pragma_journal_mode('delete')",
    "SELECT load_extension('other')",
    "SELECT fts3_tokenizer('simple')",
    "BEGIN",
    "SAVEPOINT a",
    "REINDEX",
    "ANALYZE",
    "SELECT 1; DELETE FROM traces",
    "WITH a AS (SELECT 1) DELETE FROM traces",
    "EXPLAIN DELETE FROM traces",
    "SELECT",
    "SELECT ?",
    "",
    "-- nothing",
]
ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    async def fill() -> None:
        log = SQLiteLog(tmp_path / "data" / "traces.db")
        assert await log.append(Record("a", "a", output="said", start_timestamp="2026-01-01T00:00:00.000000+00:00"))
        await log.close()

    asyncio.run(fill())
    monkeypatch.chdir(tmp_path)
    return tmp_path / "data" / "traces.db"


def ask(path: Path, sql: str, seconds: float) -> Iterator[Sequence[Any]]:
    return open_readonly(path).ask(sql, seconds=seconds)


@pytest.mark.fault("S7")
@pytest.mark.parametrize("sql", HOSTILE)
def test_what_is_no_question_is_refused_in_one_line(path: Path, sql: str) -> None:
    before = path.read_bytes()
    with pytest.raises(BadRequest) as refused:
        list(ask(path, sql, 5))
    assert len(refused.value.message.splitlines()) == 1
    assert path.read_bytes() == before
    assert [one.name for one in path.parents[1].iterdir()] == ["data"]


@pytest.mark.fault("S7")
@pytest.mark.parametrize(
    "where", [sql for sql in HOSTILE if sql] + ["1) OR (1", "1 UNION SELECT 1", "count(*) > 0", "1 --"]
)
def test_a_condition_is_one_expression(path: Path, where: str) -> None:
    before, log = path.read_bytes(), Reader(path)
    if where == "1 --":  # a comment ends with its line
        assert len(log.page(Selection(where=where)).records) == 1
    else:
        with pytest.raises(BadRequest):
            log.figures(Selection(where=where))
        with pytest.raises(BadRequest):
            log.page(Selection(where=where))
    log.close()
    assert path.read_bytes() == before


def test_a_question_has_its_time(path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(BadRequest, match=r"stopped after 0\.2 s"):
        list(ask(path, ENDLESS, 0.2))
    with pytest.raises(BadRequest, match=r"stopped after 0\.2 s"):
        Reader(path).page(Selection(where=f"({ENDLESS}) > 1"), seconds=0.2)
    assert time.monotonic() - began < 5


def test_the_connection_is_as_before_afterwards(path: Path) -> None:
    log = Reader(path)
    assert [one.trace_id for one in log.page(Selection(where="output = 'said'"), seconds=0.05).records] == ["a"]
    time.sleep(0.06)  # the time of a question that is over ends nothing
    assert log.descendants("a") == []
    with pytest.raises(BadRequest):
        log.page(Selection(where="nothing = 1"))
    assert log.rows() == 1
    log.close()


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT trace_id FROM traces", [["trace_id"], ("a",)]),
        ("SELECT calls FROM totals", [["calls"], (1,)]),
        ("SELECT value FROM json_each('[1, 2]')", [["value"], (1,), (2,)]),
        ("SELECT name FROM pragma_table_info('spend') LIMIT 1", [["name"], ("key",)]),
        (
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2) SELECT i FROM n",
            [["i"], (1,), (2,)],
        ),
    ],
)
def test_questions_are_answered(path: Path, sql: str, expected: list[object]) -> None:
    assert list(ask(path, sql, 5)) == expected


def test_a_log_that_is_not_there_or_is_none(path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no trace log"):
        list(ask(path.with_name("none.db"), "SELECT 1", 1))
    path.write_bytes(b"nothing of the kind" * 1000)
    with pytest.raises(ConfigError, match="cannot be read"):
        list(ask(path, "SELECT * FROM traces", 1))
