"""Full-text search finds the same whether the index has come to a row, has not, or was there before it changed."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from proxy.errors import BadRequest
from proxy.record import Record
from proxy.stores import indexer
from proxy.stores.database import open_writer
from proxy.stores.files import Files
from proxy.stores.indexer import Indexer, index
from proxy.stores.reader import Reader
from proxy.stores.rows import encode
from proxy.stores.shortcut import Shortcut
from proxy.stores.sqlite import SQLiteLog
from tests.stores.test_conversations import record, turn

WORDS = ["sun", "rain", "snow"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "traces.db"
    open_writer(found).close()
    return found


def logged(path: Path, *records: Record) -> None:
    shortcut = opened(path)
    for one in records:
        assert shortcut.commit([encode(one)])
    shortcut.close()


def opened(path: Path) -> Shortcut:
    files = Files(path)
    files.remember()
    return Shortcut(path, files)


def indexed(path: Path) -> int:
    """Bring the index up to date; returns how many rows that took."""
    taken = 0
    with closing(open_writer(path)) as connection:
        while count := index(connection):
            taken += count
    return taken


def found(path: Path, text: str, limit: int = 50) -> list[str]:
    reader = Reader(path)
    try:
        return [one.trace_id for one in reader.find(text, limit)]
    finally:
        reader.close()


@pytest.fixture(params=["indexed", "tail", "both"])
def filled(path: Path, request: pytest.FixtureRequest) -> Path:
    """Some rows, with the index at different places."""
    rows = [
        Record("inputs", "inputs", start_timestamp="2026-11-01", inputs={"city": "Zürich", "deep": [{"x": "lake"}]}),
        record("asked", [{"role": "system", "content": "be brief"}, {"role": "user", "content": "the lake's depth"}]),
        Record("answered", "answered", start_timestamp="2026-11-03", output="It is 136 metres, says the user"),
        record("parts", [{"role": "user", "content": [{"type": "text", "text": "a lake, half \ud83d"}]}]),
        record("image", [{"role": "user", "content": [{"image_url": {"url": "data:image/png;base64,lake"}}]}]),
        Record("nothing", "nothing"),
    ]
    half = {"indexed": len(rows), "tail": 0, "both": 3}[request.param]
    logged(path, *rows[:half])
    assert indexed(path) == half
    logged(path, *rows[half:])
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lake", {"inputs", "asked", "parts"}),
        ("LAKE depth", {"asked"}),
        ('"the lake"', {"asked"}),
        ('"lake the"', set()),
        ("met*", {"answered"}),
        ("met", set()),
        ("zurich", {"inputs"}),
        ("user", {"answered"}),
        ("136 lake", set()),
        ("NEAR(lake depth) OR input:lake", set()),
        ("lake'; DROP TABLE texts; --", set()),
        ('"unfinished lake', set()),
        ("-", None),
        ("", None),
    ],
)
def test_words_are_found_where_they_were_said(filled: Path, text: str, expected: set[str] | None) -> None:
    if expected is None:
        with pytest.raises(BadRequest, match="no word to search for"):
            found(filled, text)
    else:
        assert set(found(filled, text)) == expected


def test_a_loop_is_found_at_the_turn_where_it_was_said(path: Path) -> None:
    logged(path, *[record(f"t-{number}", turn(number)) for number in range(6)])
    for _ in range(2):
        # The messages of turn 4 are 0 to 8, of which 7 is an answer and 8 is new.
        assert found(path, "8") == ["t-4"]
        assert found(path, "0") == ["t-0"]
        assert indexed(path) in (6, 0)


def test_the_newest_come_first_and_no_more_than_asked(path: Path) -> None:
    rows = [Record(f"t-{n}", f"t-{n}", start_timestamp=f"2026-11-{n + 1:02}", output="same") for n in range(20)]
    logged(path, *rows[:15])
    indexed(path)
    logged(path, *rows[15:])
    assert found(path, "same", 8) == [f"t-{n}" for n in range(19, 11, -1)]


class Log(RuleBasedStateMachine):
    """Rows come, change, go and are indexed, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name) / "traces.db"
        open_writer(self.path).close()
        self.said: dict[str, str] = {}

    @rule(name=st.sampled_from("abcd"), word=st.sampled_from(WORDS))
    def say(self, name: str, word: str) -> None:
        logged(self.path, Record(name, name, output=word))
        self.said[name] = word

    @rule(name=st.sampled_from("abcd"))
    def remove(self, name: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("DELETE FROM traces WHERE trace_id = ?", (name,))
            connection.commit()
        self.said.pop(name, None)

    @rule()
    def index(self) -> None:
        indexed(self.path)

    @rule()
    def vacuum(self) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("VACUUM")

    @invariant()
    def what_is_there_is_found(self) -> None:
        for word in WORDS:
            assert set(found(self.path, word)) == {name for name, said in self.said.items() if said == word}
        with closing(sqlite3.connect(self.path)) as connection:
            kept = {output for (output,) in connection.execute("SELECT output FROM texts")}
        assert kept <= set(self.said.values()), "what is gone is gone from the index"

    def teardown(self) -> None:
        self.folder.cleanup()


Log.TestCase.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
TestLog = Log.TestCase


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=20))
def test_whatever_is_written_is_a_search_or_refused(text: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "traces.db"
        open_writer(path).close()
        with suppress(BadRequest):
            assert found(path, text) == []


async def test_a_log_is_indexed_when_no_row_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer, "REST", 0.02)
    path = tmp_path / "traces.db"
    log = SQLiteLog(path)
    for number in range(150):
        assert await log.append(Record(f"t-{number}", f"t-{number}", output="said"))
    assert reached(path, 150)
    await log.close()
    assert len(found(path, "said", 200)) == 150


def test_rows_that_never_stop_coming_are_indexed_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer, "REST", 0.01)
    monkeypatch.setattr(indexer, "MANY", 100)
    shortcut, running = opened(path), Indexer(path)
    number = 0
    while not reached(path, 1, patience=0.0):
        shortcut.commit([encode(Record(f"t-{number}", f"t-{number}", output="said"))])
        number += 1
        assert number < 100_000
    running.close()
    shortcut.close()


def reached(path: Path, upto: int, patience: float = 10.0) -> bool:
    """Whether the index comes to a row."""
    end = time.monotonic() + patience
    with closing(sqlite3.connect(path)) as connection:
        while connection.execute("SELECT upto FROM indexed").fetchone()[0] < upto:
            if time.monotonic() >= end:
                return False
            time.sleep(0.01)
    return True
