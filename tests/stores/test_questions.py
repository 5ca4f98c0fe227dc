"""Questions that SQLite cannot be stopped in."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from proxy.errors import BadRequest, NotReady
from proxy.record import Record
from proxy.selection import AT_ONCE
from proxy.stores.log.questions import Questions
from proxy.stores.log.reader import Reader
from proxy.stores.log.sqlite import SQLiteLog
from tests.gateway import Process, until

HANGS = "instr(hex(zeroblob(20000000)), hex(zeroblob(1000000)) || '1')"
"""One function, and hours of comparing."""


async def nothing() -> None:
    pass


async def test_who_asks_is_answered_and_no_more_than_a_few_threads_go_on() -> None:
    questions = Questions(nothing, 0.1)
    go_on, begun = threading.Event(), list[int]()

    def hang() -> int:
        begun.append(1)
        go_on.wait(30)
        return 1

    hanging = [asyncio.create_task(questions.answer(hang)) for _ in range(AT_ONCE)]
    outcomes = await asyncio.gather(*hanging, return_exceptions=True)
    assert [str(one) for one in outcomes] == ["stopped after 10 s: ask for less, or allow more time"] * AT_ONCE
    with pytest.raises(NotReady):
        await questions.answer(hang)
    assert len(begun) == AT_ONCE
    go_on.set()
    assert await questions.answer(lambda: 2) == 2


async def test_who_leaves_frees_no_place_that_is_taken() -> None:
    questions = Questions(nothing, 5)
    go_on, begun = threading.Event(), list[int]()

    def hang() -> None:
        begun.append(1)
        go_on.wait(30)

    for _ in range(3):
        asked = [asyncio.create_task(questions.answer(hang)) for _ in range(AT_ONCE)]
        await asyncio.sleep(0.02)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    assert len(begun) == AT_ONCE
    go_on.set()

    def fail() -> None:
        raise BadRequest("no")

    for _ in range(AT_ONCE + 1):
        with pytest.raises(BadRequest, match="no"):
            await questions.answer(fail)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    async def fill() -> None:
        log = SQLiteLog(tmp_path / "data" / "traces.db")
        assert await log.append(Record("a", "a", output="said", start_timestamp="2026-01-01T00:00:00.000000+00:00"))
        await log.close()

    asyncio.run(fill())
    return tmp_path / "data" / "traces.db"


@pytest.mark.parametrize("verb", [["sql", f"select {HANGS}"], ["export", "--output", "out", "--where", f"{HANGS} > 0"]])
def test_a_command_ends_when_its_question_does_not(path: Path, verb: list[str]) -> None:
    code = (
        "from proxy.commands.log import export; export.PATIENCE = 0.2\n"
        "import sys; from proxy.cli import main; sys.argv[0] = 'parea-proxy'; main()"
    )
    command = [sys.executable, "-c", code, "log", verb[0], "--data", str(path.parent), *verb[1:]]
    command += ["--timeout", "0.2"] if verb[0] == "sql" else []
    folder = path.parents[1]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=20, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "stopped after 0.2 s: ask for less, or allow more time\n"
    assert os.listdir(folder) == ["data"]


def test_no_time_goes_by_while_rows_are_taken(path: Path) -> None:
    told: list[str] = []
    log = Reader(path, overdue=told.append)
    count = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100000) SELECT i FROM n"
    for place, _ in enumerate(log.ask(count, seconds=1.0)):
        if place == 10:
            time.sleep(2.6)
    assert place == 100_000
    assert told == []
    log.close()


def test_a_pattern_is_short(path: Path) -> None:
    log = Reader(path)
    assert list(log.ask(f"select 'a' like '{'%a' * 249}'", seconds=5))
    with pytest.raises(BadRequest, match="pattern too complex"):
        list(log.ask(f"select 'a' like '%{'a' * 500}'", seconds=5))
    log.close()
    # the limit is the questions' alone
    with closing(sqlite3.connect(path)) as connection:
        assert connection.getlimit(sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH) == 50_000


@pytest.mark.fault("S7")
def test_a_gateway_answers_and_ends_whatever_is_asked(tmp_path: Path, path: Path) -> None:
    with Process(tmp_path) as gateway, httpx.Client(base_url=gateway.url + "/admin", timeout=30) as client:
        began = time.monotonic()
        hung = client.get("/log", params={"where": f"{HANGS} > 0"})
        assert hung.status_code == 400
        assert "stopped after 10 s" in hung.text
        assert time.monotonic() - began < 20
        assert client.get("/log", params={"where": "output = 'said'"}).json()["rows"][0]["trace_id"] == "a"
        gateway.process.send_signal(signal.SIGTERM)
        until(lambda: gateway.process.poll() is not None, 15)
        assert gateway.process.returncode in (0, -signal.SIGTERM)
