"""Full-text search finds the same whether the index has come to a row, has not, or was there before it changed; and
nothing is left in it of what is removed.
"""

from __future__ import annotations

import asyncio
import json
import random
import re
import sqlite3
import time
import unicodedata
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from proxy.errors import BadRequest
from proxy.record import Record
from proxy.selection import Selection
from proxy.stores.index import finding, gathered, indexer, words
from proxy.stores.index.indexer import Indexer, check, index, prepare
from proxy.stores.index.words import fold, single, units
from proxy.stores.log import rows
from proxy.stores.log.items import store
from proxy.stores.log.reader import Reader
from proxy.stores.log.rows import encode
from proxy.stores.log.shortcut import Shortcut
from proxy.stores.log.sqlite import SQLiteLog
from proxy.stores.schema import database
from proxy.stores.schema.checkpoints import Checkpoints
from proxy.stores.schema.database import open_writer, written_back
from proxy.stores.schema.files import Files
from tests.stores.test_conversations import record, turn


@pytest.fixture
def path(tmp_path: Path) -> Path:
    found = tmp_path / "traces.db"
    open_writer(found).close()
    return found


def logged(path: Path, *records: Record) -> None:
    with closing(open_writer(path)) as connection:
        put(connection, *records)


def put(connection: sqlite3.Connection, *records: Record) -> None:
    connection.execute("BEGIN IMMEDIATE")
    store(connection, [encode(one) for one in records])
    connection.execute("COMMIT")


def indexed(path: Path) -> None:
    """Bring the index up to date, up to the last row."""
    with closing(open_writer(path)) as connection:
        while index(connection, all=True):
            pass


def executed(path: Path, statement: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        prepare(connection)
        return connection.execute(statement, values).fetchall()


def found(path: Path, text: str, limit: int = 50, **others: Any) -> list[str]:
    """What a search finds, page by page."""
    reader = Reader(path)
    try:
        return told(reader, Selection(search=text, rows="all", **others), limit)
    finally:
        reader.close()


def told(reader: Reader, selection: Selection, limit: int) -> list[str]:
    names: list[str] = []
    after: str | None = None
    while True:
        page = reader.page(selection, after, limit)
        names += [one.trace_id for one in page.records]
        after = page.after
        if after is None:
            return names


LONG = [{"role": "system", "content": f"be brief {'x ' * 600}"}, {"role": "user", "content": "the lake's depth"}]
ROWS = [
    Record("inputs", "inputs", start_timestamp="2026-11-01", inputs={"city": "Zürich", "deep": [{"x": "lake"}, 4711]}),
    record("asked", [{"role": "system", "content": "be brief"}, {"role": "user", "content": "the lake's depth"}]),
    record("apart", [*LONG, {"role": "assistant", "content": "how deep?"}, {"role": "user", "content": "very"}]),
    Record("answered", "answered", start_timestamp="2026-11-03", output="It is 136 metres, says the user"),
    record("parts", [{"role": "user", "content": [{"type": "text", "text": "a lake, half \ud83d"}]}]),
    record("image", [{"role": "user", "content": [{"image_url": {"url": "data:image/png;base64,lake"}}]}]),
    Record("called", "called", output='{"city": "Z\\u00fcrich\\nShore", "code": "get_user_name"}'),
    Record("eastern", "eastern", output="東京都の天気 และ서울 हिन्दी"),
    Record("sampled", "sampled", extra={"samples": [{"output": "second"}, {"output": "third"}]}),
    Record("nothing", "nothing"),
]


@pytest.fixture(params=["indexed", "read", "half", "walked", "many"])
def filled(path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Some rows, with the index at different places, and every way to find them."""
    half = {"indexed": 10, "read": 0, "half": 5, "walked": 5, "many": 10}[request.param]
    monkeypatch.setattr(gathered, "AT_ONCE", 3)
    if request.param == "walked":
        monkeypatch.setattr(finding, "READ", 0)
    if request.param == "many":
        monkeypatch.setattr(finding, "FEW", 0)
    for part in (ROWS[: half // 2], ROWS[half // 2 : half]):
        if part:
            logged(path, *part)
            indexed(path)
    if ROWS[half:]:
        logged(path, *ROWS[half:])
    assert len(executed(path, "SELECT * FROM blocks")) == (2 if half else 0)
    return path


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lake", "inputs asked apart parts"),
        ("LAKE depth", "asked apart"),
        ('"the lake"', "asked apart"),
        ('"lake the"', ""),
        ("lake's", "asked apart"),
        ("met*", "answered"),
        ('"136 met"*', "answered"),
        ('"136 met*"', "answered"),
        ("met", ""),
        ("zurich", "inputs called"),
        ("ZÜRICH", "inputs called"),
        ("user", "answered called"),
        ("get_user_name", "called"),
        ("shore", "called"),
        ("4711", "inputs"),
        ("136 lake", ""),
        ("brief very", "apart"),
        ("assistant", ""),
        ("second", "sampled"),
        ("京", "eastern"),
        ("東京", "eastern"),
        ("京都の", "eastern"),
        ("京東", ""),
        ("울", "eastern"),
        ("हिन्दी", "eastern"),
        ("input:lake", ""),
        ("lake'; DROP TABLE words; --", ""),
        ("the*", "asked apart answered"),
        ('"AND" lake', ""),
    ],
)
def test_words_are_found_where_they_were_said(filled: Path, text: str, expected: str) -> None:
    assert set(found(filled, text, 2)) == set(expected.split())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("-", "no word to search for"),
        ('""', "no word to search for"),
        ("*", "no word to search for"),
        ('"unfinished lake', "a quote is not closed"),
        ("lake OR sea", "OR is no operator"),
        ("NOT lake", "NOT is no operator"),
        (" ".join(f"word{number}" for number in range(21)), "at most 20 words"),
    ],
)
def test_what_is_no_search(path: Path, text: str, why: str) -> None:
    with pytest.raises(BadRequest, match=f"^search: {why}") as error:
        found(path, text)
    assert error.value.param == "search"


def test_a_loop_is_found_at_each_turn_that_was_asked_with_it(path: Path) -> None:
    logged(path, *[record(f"t-{number}", turn(number)) for number in range(6)])
    for _ in range(2):
        assert set(found(path, "8")) == {"t-4", "t-5"}
        assert len(found(path, "0")) == 6
        indexed(path)


def test_the_newest_come_first_whatever_the_order_they_came_in(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gathered, "SPAN", 64)
    monkeypatch.setattr(finding, "AT_ONCE", (1, 2))
    draw = random.Random(1)
    times = [*range(1, 400), *[None] * 9]
    draw.shuffle(times)
    for place in range(0, len(times), 50):
        part = times[place : place + 50]
        logged(path, *[Record(f"{n}", f"{n}", start_timestamp=f"{n:06}" if n else "", output="same") for n in part])
    wanted = [str(n) for n in range(399, 0, -1)]
    for few in (4096, 10):
        monkeypatch.setattr(finding, "FEW", few)
        assert found(path, "same", 7)[:399] == wanted
        assert len(found(path, "same", 7)) == len(found(path, "same", 500)) == 399 + 1
        indexed(path)


def test_other_conditions_hold_as_well(path: Path) -> None:
    logged(path, *[Record(f"{n}", f"{n}", output="same", status="error" if n % 3 else None) for n in range(20)])
    assert found(path, "same", status="error", where="trace_id > '5'") == ["8", "7"]


CANARY = "Canäry0zQ7"
SAID = ["ab", "a b", "b-a", f"{CANARY}x", f"{CANARY}y b", "東京", "京 東", "京", "ab\nÀB", "b東a京", ""]
QUERIES = [
    "a",
    "ab",
    "a*",
    '"a b"',
    "b-a",
    "東京",
    "京",
    "京*",
    "東 a",
    f"{CANARY}x",
    f"{CANARY}*",
    '"b 東 a"',
    '"a b"*',
]


def naive(query: str, texts: Sequence[str]) -> bool:
    """The documented rule, read letter by letter."""

    def units(text: str) -> list[str]:
        plain = "".join(c for c in unicodedata.normalize("NFKD", text).lower() if not unicodedata.combining(c))
        spaced = "".join(f" {c} " if c in "東京" else c if c.isalnum() else " " for c in plain)
        return spaced.split()

    def holds(phrase: str, begins: bool) -> bool:
        wanted = units(phrase)
        for there in map(units, texts):
            for place in range(len(there) - len(wanted) + 1):
                *before, last = there[place : place + len(wanted)]
                if before == wanted[:-1] and (last == wanted[-1] or (begins and last.startswith(wanted[-1]))):
                    return True
        return False

    return all(
        holds(phrase or word, (star or word[-1:]) == "*" and not (phrase or word).endswith(("東*", "京*")))
        for phrase, star, word in re.findall(r'"([^"]*)"(\*?)|([^\s"]+)', query)
    )


class Log(RuleBasedStateMachine):
    """Rows come, change, go and are indexed, in any order."""

    names = st.sampled_from("abcdef")
    texts = st.sampled_from(SAID)

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        self.path = Path(self.folder.name) / "traces.db"
        self.connection = open_writer(self.path)
        self.reader = Reader(self.path)
        self.said: dict[str, dict[str, Any]] = {}

    @rule(name=names, input=texts, messages=st.none() | st.lists(texts, max_size=3), output=texts, apart=st.booleans())
    def say(self, name: str, input: str, messages: list[str] | None, output: str, apart: bool) -> None:
        given = None if messages is None else {"messages": [{"role": "user", "content": one} for one in messages]}
        fields: dict[str, Any] = {"inputs": {"k": input} if input else None, "configuration": given, "output": output}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(rows, "LONG", 0 if apart else 10_000)
            put(self.connection, Record(name, name, **{key: one for key, one in fields.items() if one is not None}))
        known = self.said.setdefault(name, {})
        known |= {"input": [input]} if input else {}
        known |= {"output": [output]}
        known |= {} if messages is None else {"messages": messages}

    @rule(name=names, output=texts)
    def change(self, name: str, output: str) -> None:
        self.connection.execute("UPDATE traces SET output = ? WHERE trace_id = ?", (output, name))
        if name in self.said:
            self.said[name]["output"] = [output]

    @rule(name=names)
    def remove(self, name: str) -> None:
        self.connection.execute("DELETE FROM traces WHERE trace_id = ?", (name,))
        self.said.pop(name, None)

    @rule(name=names)
    def lose(self, name: str) -> None:
        """The trace loses its draw late, and its place is given to another."""
        put(self.connection, Record(name, name, counted_only=True))
        self.connection.execute("DELETE FROM sampled_out")
        self.said.pop(name, None)

    @rule()
    def index(self) -> None:
        while index(self.connection, all=True):
            pass

    @rule()
    def vacuum(self) -> None:
        self.connection.execute("VACUUM")

    @invariant()
    def what_is_there_is_found(self) -> None:
        texts = {name: [text for part in parts.values() for text in part] for name, parts in self.said.items()}
        for query in QUERIES:
            wanted = {name for name, there in texts.items() if naive(query, there)}
            names = told(self.reader, Selection(search=query, rows="all"), 2)
            assert len(names) == len(set(names))
            assert set(names) == wanted, query

    @invariant()
    def what_is_gone_is_nowhere(self) -> None:
        assert written_back(self.connection)
        there = json.dumps(list(self.said.values()), ensure_ascii=False)
        for form in traces_of(self.path, CANARY, CANARY.replace("ä", "a")):
            assert f"{CANARY}{form}" in there

    def teardown(self) -> None:
        self.reader.close()
        self.connection.close()
        self.folder.cleanup()


def traces_of(path: Path, *forms: str) -> set[str]:
    """The letters after `CANARY`, as it was written or without case and accents, wherever it stands in the files."""
    found = set()
    for one in path.parent.iterdir():
        content = one.read_bytes().decode(errors="replace").casefold()
        for form in forms:
            found |= set(re.findall(rf"{form.casefold()}(\d+|x|y)", content))
    return found


Log.TestCase.settings = settings(max_examples=25, stateful_step_count=15, deadline=None)
TestLog = Log.TestCase


def test_of_many_rows_that_are_removed_nothing_is_left_in_the_index(path: Path) -> None:
    """Enough of them for SQLite to move rows from page to page, where it leaves copies of them behind: of those of
    `traces` itself, but of none of the index, whose words are those without case and accents.
    """
    draw = random.Random(5)

    def one(number: int) -> Record:
        text = f"{CANARY}{number} " + " ".join(f"w{draw.randrange(3000)}" for _ in range(draw.choice((3, 60, 300))))
        if number % 3:
            return record(f"{number}", [{"role": "user", "content": text}])
        return Record(f"{number}", f"{number}", output=text, inputs={"a": text})

    there: list[int] = []
    for part in range(8):
        new = range(part * 400, part * 400 + 400)
        logged(path, *map(one, new))
        there += new
        indexed(path)
        gone = set(draw.sample(there, len(there) // 4))
        statement = "DELETE FROM traces WHERE trace_id IN (SELECT value FROM json_each(?))"
        executed(path, statement, json.dumps([str(number) for number in gone]))
        there = [number for number in there if number not in gone]
    with closing(open_writer(path)) as connection:
        assert written_back(connection)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert traces_of(path, CANARY.replace("ä", "a")) <= {str(number) for number in there}
    indexed(path)
    assert traces_of(path, CANARY.replace("ä", "a")) == {str(number) for number in there}


def test_any_process_that_changes_a_row_takes_its_block_away(path: Path) -> None:
    """A gateway of the version before, or `sqlite3`, whose statements know nothing of the index."""
    logged(path, *[Record(f"{n}", f"{n}", start_timestamp=f"{n}", output="same") for n in range(3)])
    for statement in (
        "UPDATE traces SET output = 'other' WHERE trace_id = '1'",
        "UPDATE traces SET start_timestamp = '9' WHERE trace_id = '2'",
        "DELETE FROM traces WHERE trace_id = '0'",
    ):
        indexed(path)
        executed(path, "UPDATE traces SET feedback_score = 1")
        assert executed(path, "SELECT first, last FROM blocks WHERE made") != []
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement)
        assert executed(path, "SELECT * FROM blocks UNION ALL SELECT id, words, rows, 0, 0, 0, 0 FROM words") == []
        assert found(path, "same", 1) == found(path, "same")
    assert found(path, "same") == ["2"]
    assert found(path, "other") == ["1"]


def test_a_row_that_changes_while_its_block_is_made(path: Path) -> None:
    logged(path, *[Record(f"{n}", f"{n}", output="same") for n in range(40)])
    changed = False

    def breathe() -> None:
        nonlocal changed
        if not changed:
            executed(path, "UPDATE traces SET output = 'other' WHERE trace_id = '7'")
        changed = True

    with closing(open_writer(path)) as connection:
        assert index(connection, breathe, all=True)
        assert changed
        assert connection.execute("SELECT * FROM blocks").fetchall() == []
        assert index(connection, all=True)
    assert found(path, "other") == ["7"]


def test_a_block_that_another_makes_is_left_to_it_for_a_while(path: Path) -> None:
    logged(path, *[Record(f"{n}", f"{n}", output="same") for n in range(40)])
    with closing(open_writer(path)) as connection:
        connection.execute("INSERT INTO blocks VALUES (1, 40, '39', NULL, NULL, 0, ?)", (time.time(),))
        assert not index(connection, all=True)
        connection.execute("UPDATE blocks SET began = began - 100")
        assert index(connection, all=True)
        assert connection.execute("SELECT first, last, made FROM blocks").fetchall() == [(1, 40, 1)]


def test_rows_whose_numbers_are_others_than_were_indexed(path: Path) -> None:
    """A log that was dumped and read in again, which gives its rows other numbers."""
    logged(path, *[Record(f"{n}", f"{n}", output=f"word{n}") for n in range(40)])
    executed(path, "DELETE FROM traces WHERE trace_id = '7'")
    indexed(path)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(path.with_name("copy.db"))) as copy:
        copy.executescript("\n".join(source.iterdump()))
    with closing(sqlite3.connect(path.with_name("copy.db"), isolation_level=None)) as connection:
        check(connection)
        assert connection.execute("SELECT count(*) FROM blocks").fetchone() == (0,)
    assert found(path.with_name("copy.db"), "word30") == ["30"]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=20))
def test_whatever_is_written_is_a_search_or_refused(text: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "traces.db"
        open_writer(path).close()
        with suppress(BadRequest):
            assert found(path, text) == []


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters='"'), max_size=30))
def test_a_text_is_found_by_itself_and_alike_with_the_index(text: str) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "traces.db"
        open_writer(path).close()
        logged(path, Record("a", "a", output=f"x {text} y"))
        for _ in range(2):
            with suppress(BadRequest):
                assert found(path, f'"{text}"') == ["a"]
            indexed(path)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.text(
            st.one_of(st.sampled_from("aZ09 -_'\u2014\u2019éß\u0301\u3099\u00a0\u3000が東京。ﬁＫ"), st.characters())
        ),
        max_size=4,
    ),
    st.integers(1, 9),
)
def test_a_text_in_pieces_has_the_terms_of_the_whole(texts: list[str], size: int) -> None:
    expected = set()
    for text in texts:
        found = units(fold(text))
        for unit, following in zip(found, [*found, ""][1:], strict=True):
            expected.add(unit + following if single(unit) and single(following) else unit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "PIECE", size)
        assert words.terms(texts) == expected


@pytest.mark.parametrize("part", ["word ", "Wörter und ", "東京、", "w" * 70 + " "])
def test_a_book_is_read_in_pieces(part: str) -> None:
    pieces = 0

    def breathe() -> None:
        nonlocal pieces
        pieces += 1

    assert words.terms([part * (400_000 // len(part))], breathe)
    assert pieces > 80


def test_what_many_rows_say_alike_is_read_once_for_all_of_them(path: Path) -> None:
    """Answers from the cache; also where a message is only theirs."""
    talk = record("talk", [*LONG, {"role": "assistant", "content": "hit lake"}])
    logged(path, talk, *[Record(f"{n}", f"{n}", output="hit lake", inputs={"a": f"n{n % 3}"}) for n in range(90)])
    with closing(open_writer(path)) as connection:
        having = gathered.gather(connection, 1, 100)
    assert having is not None
    assert [text for _, texts in having.texts for text in texts].count("hit lake") == 1
    for _ in range(2):
        assert len(found(path, "hit lake")) == 91
        assert len(found(path, "n1")) == 30
        indexed(path)


async def test_a_log_is_indexed_beside_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer, "REST", 0.02)
    monkeypatch.setattr(indexer, "SPAN", 50)
    path = tmp_path / "traces.db"
    log = SQLiteLog(path)
    for number in range(170):
        assert await log.append(Record(f"t-{number}", f"t-{number}", output="said"))
    end = time.monotonic() + 20
    while executed(path, "SELECT count(*) FROM blocks WHERE made") != [(3,)]:
        assert time.monotonic() < end
        await asyncio.sleep(0.02)
    assert len((await log.answers.page(Selection(search="said"), None, 200)).records) == 170
    await log.close()


def test_rows_that_never_stop_coming_are_indexed_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer, "REST", 0.01)
    monkeypatch.setattr(indexer, "SPAN", 50)
    files = Files(path)
    files.remember()
    checkpoints, running = Checkpoints(path, files), Indexer(path)
    shortcut = Shortcut(path, files, checkpoints)
    number = 0
    while executed(path, "SELECT count(*) FROM blocks WHERE made") == [(0,)]:
        shortcut.commit([encode(Record(f"t-{number}", f"t-{number}", output="said"))])
        number += 1
        assert number < 100_000
    running.close()
    checkpoints.close()
    shortcut.let_go()


@pytest.mark.parametrize("when", ["opened", "written", "searched"])
def test_damage_of_the_index_alone_costs_no_row(path: Path, monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """Every page of it overwritten: the rows are there, what is asked for is found, and it is made anew."""
    logged(path, *[Record(f"{n}", f"{n}", output=f"said word{n} {'x ' * n}") for n in range(900)])
    indexed(path)
    with closing(open_writer(path)) as connection:
        assert written_back(connection)
        pages = connection.execute("SELECT pageno FROM dbstat WHERE name = 'words'").fetchall()
    with path.open("r+b") as file:
        for (page,) in pages:
            file.seek((page - 1) * 4096)
            file.write(random.Random(page).randbytes(4096))
    assert len(pages) > 3
    if when != "opened":
        monkeypatch.setattr(database, "CHECKED_AT_START", 0)
    monkeypatch.setattr(indexer, "REST", 0.02)
    monkeypatch.setattr(indexer, "SPAN", 300)

    async def works() -> None:
        log = SQLiteLog(path)
        if when == "written":
            assert await log.update("5", {"output": "changed"})
        selection = Selection(search="said", rows="all")
        assert len((await log.answers.page(selection, None, 1000)).records) == (899 if when == "written" else 900)
        assert await log.append(Record("new", "new", output="said"))
        end = time.monotonic() + 20
        while True:
            with suppress(sqlite3.DatabaseError):
                if executed(path, "SELECT count(*) FROM blocks AS b JOIN words AS w ON w.id >> 16 = b.first")[0][0] > 3:
                    break
            assert time.monotonic() < end
            await asyncio.sleep(0.02)
        assert len((await log.answers.page(selection, None, 1000)).records) == (900 if when == "written" else 901)
        assert [one.trace_id for one in (await log.answers.page(Selection(search="word77"))).records] == ["77"]
        await log.close()

    asyncio.run(works())
    assert not list(path.parent.glob("*damaged*"))
    with closing(open_writer(path, thorough=True)) as connection:
        assert connection.execute("SELECT count(*) FROM traces").fetchone() == (901,)
    assert not list(path.parent.glob("*damaged*"))


@pytest.mark.parametrize("rows", [b"", b"\0", b"\xff\xff" * 1500, bytes(100)])
def test_a_page_that_does_not_hold_what_it_says_costs_no_row(path: Path, rows: bytes) -> None:
    logged(path, *[Record(f"{n}", f"{n}", output=f"said word{n}") for n in range(300)])
    indexed(path)
    with closing(open_writer(path)) as connection:
        connection.execute("UPDATE words SET rows = ? WHERE id & 65535 > 0", (rows,))
    reader = Reader(path)
    for search, count in (("said", 300), ("word7", 1), ("word1*", 111)):
        assert len(reader.page(Selection(search=search, rows="all"), None, 500).records) == count


@pytest.mark.parametrize("where", [None, "name = 'odd'"])
def test_damage_that_is_come_to_late_costs_no_row(
    path: Path, monkeypatch: pytest.MonkeyPatch, where: str | None
) -> None:
    """Common words are found in the newest blocks; the pages of the oldest are read for a later row."""
    monkeypatch.setattr(finding, "FEW", 10)
    monkeypatch.setattr(finding, "AT_ONCE", (1, 1))
    for part in range(4):
        named = [(f"{n:03}", "odd" if n % 2 else None) for n in range(part * 40, part * 40 + 40)]
        logged(path, *[Record(n, n, start_timestamp=n, output=f"said word{n}", name=name) for n, name in named])
        indexed(path)
    with closing(open_writer(path)) as connection:
        statement = (
            "UPDATE words SET rows = x'ffff' WHERE id & 65535 > 0 AND id >> 16 = (SELECT min(first) FROM blocks)"
        )
        assert connection.execute(statement).rowcount
    told_of: list[None] = []
    reader = Reader(path, damaged=lambda: told_of.append(None))
    expected = [f"{n:03}" for n in range(159, -1, -1) if where is None or n % 2]
    assert len(reader.page(Selection(search="said", where=where), None, 5).records) == 5
    assert not told_of
    assert [one.calls for one in reader.figures(Selection(search="word1*", where=where))] == [30 if where else 60]
    assert told(reader, Selection(search="said", where=where), 7) == expected
    assert told_of
    reader.close()
