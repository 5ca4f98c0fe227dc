"""What was logged of a person goes, with what hangs below it, and nothing else; and it is in no byte of the folder."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.errors import BadRequest, ConfigError
from proxy.record import Record
from proxy.stores.erasure.forgetting import Asked, Forgetting
from proxy.stores.erasure.residue import MOST, Needles, files
from proxy.stores.retention.pruning import merge_texts
from proxy.stores.retention.strides import Strides
from tests.stores.test_keeping import asked, bytes_of, ids, kept, logged, row, said, whole

DAY = 86400.0
PEOPLE = (None, "zoe@example.org", "yan@example.org")


def forgotten(path: Path, what: Asked) -> int:
    log = Forgetting(path)
    return log.remove(log.choose(what), what)


def going(rows: dict[str, Record], what: Asked) -> set[str]:
    """The rule once more, row by row: who is meant, or has one that goes above it and names nobody else."""

    def goes(one: Record) -> bool:
        if one.end_user == what.end_user:
            return True
        above = one.parent_trace_id if one.parent_trace_id in rows else one.root_trace_id
        if one.end_user is not None or above == one.trace_id:
            return False
        return above in rows and goes(rows[above])

    found = {one.trace_id for one in rows.values() if goes(one)}
    if what.trees:
        roots = {rows[one].root_trace_id for one in found}
        return {one.trace_id for one in rows.values() if one.root_trace_id in roots}
    return found


@st.composite
def logs(draw: st.DrawFn) -> dict[str, Record]:
    rows: dict[str, Record] = {}
    for root in range(draw(st.integers(0, 5))):
        for number in range(draw(st.integers(1, 6))):
            trace_id = f"{root}-{number}"
            parent = None if number == 0 else f"{root}-{draw(st.integers(0, number - 1))}"
            own = f"canary of the row {trace_id}, which nobody else has said"
            talk = [f"shared message number {n} of everybody " * 12 for n in range(draw(st.integers(0, 4)))]
            fields = {"configuration": said(*talk, own), "output": f"<{own}>", "metadata": {"own": own}}
            person = draw(st.sampled_from(PEOPLE))
            rows[trace_id] = row(
                trace_id, f"{root}-0", draw(st.integers(0, 60)), parent_trace_id=parent, end_user=person, **fields
            )
    return rows


steps = st.lists(
    st.one_of(
        st.tuples(st.just("keep"), st.integers(0, 61)),
        st.tuples(st.just("forget"), st.sampled_from(PEOPLE[1:]), st.booleans()),
        st.tuples(st.just("edit"), st.integers(0, 30)),
        st.tuples(st.just("log"), logs()),
    ),
    max_size=6,
)


@settings(max_examples=40)
@given(logs(), steps)
def test_after_any_steps_what_is_left_is_what_should_be_and_no_byte_more(
    first: dict[str, Record], steps: list[tuple[Any, ...]]
) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "traces.db"
        logged(path, first.values())
        rows, written = dict(first), dict(first)
        for number, step in enumerate(steps):
            match step:
                case ("keep", days):
                    kept(path, age=days * DAY + 1)
                    latest: dict[str, str] = {}
                    for one in rows.values():
                        latest[one.root_trace_id] = max(latest.get(one.root_trace_id, ""), one.start_timestamp)
                    limit = row("limit", "limit", days + 1 / DAY).start_timestamp
                    rows = {name: one for name, one in rows.items() if latest[one.root_trace_id] >= limit}
                case ("forget", person, trees):
                    what = Asked(end_user=person, trees=trees)
                    gone = going(rows, what)
                    assert forgotten(path, what) == len(gone)
                    rows = {name: one for name, one in rows.items() if name not in gone}
                case ("edit", place) if rows:
                    # Rows grow, and pages are split.
                    name = sorted(rows)[place % len(rows)]
                    logged(path, [], [(name, {"target": f"target of {written[name].output} " * 30})])
                case ("log", more):
                    fresh = {
                        f"{number}+{name}": row(
                            f"{number}+{name}",
                            f"{number}+{one.root_trace_id}",
                            None,
                            configuration=said(f"canary of the row {number}+{name}, which nobody else has said"),
                            end_user=one.end_user,
                            output="x" * 500,
                        )
                        for name, one in more.items()
                    }
                    for one in fresh.values():
                        one.start_timestamp = row("t", "t", 1).start_timestamp
                    logged(path, fresh.values())
                    rows |= fresh
                    written |= fresh
        assert ids(path) == set(rows)
        assert {name for (name,) in asked(path, "SELECT trace_id FROM edits")} <= set(rows)
        whole(path)
        kept(path, age=100 * DAY)
        with closing(Strides(path, lambda _: True)) as strides:
            assert strides.cut()
        everything = bytes_of(path)
        left = {name for name in written if f"canary of the row {name}, which nobody else".encode() in everything}
        assert left >= set(rows)
        if left > set(rows):
            # Where a page was split SQLite leaves copies in it, which making the file anew removes.
            Forgetting(path).rewrite()
            everything = bytes_of(path)
            left = {name for name in written if f"canary of the row {name}, which nobody else".encode() in everything}
        assert left == set(rows)


def test_a_sessions_own_row_goes_with_the_last_of_its_calls(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    session = {"session_id": "s"}
    logged(path, [row("s", "s", 3, **session), row("a", "s", 2, end_user="zoe", **session)])
    logged(path, [row("b", "s", 1, end_user="yan", **session)])
    assert forgotten(path, Asked(end_user="zoe")) == 1
    assert ids(path) == {"s", "b"}
    assert forgotten(path, Asked(end_user="yan")) == 2


def test_rows_can_be_named_by_id_by_session_and_by_a_condition(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    logged(path, [row("a", "a", 1), row("a1", "a", 1, parent_trace_id="a"), row("a2", "a", 1, parent_trace_id="a1")])
    logged(
        path, [row("b", "b", 1, session_id="s"), row("b1", "b", 1, parent_trace_id="b"), row("c", "c", 1, model="m")]
    )
    logged(path, [row("lost", "lost", 1, counted_only=True)])
    assert forgotten(path, Asked(trace_id="a1")) == 2
    assert forgotten(path, Asked(session="s")) == 2
    assert forgotten(path, Asked(where="model = 'm' -- one")) == 1
    assert forgotten(path, Asked(trace_id="lost")) == 0
    assert asked(path, "SELECT count(*) FROM sampled_out") == [(0,)]
    assert ids(path) == {"a"}
    with pytest.raises(BadRequest):
        Forgetting(path).choose(Asked(where="model ="))


def test_an_edit_of_a_row_that_never_came_goes_too(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    logged(path, [], [("unknown", {"end_user": "zoe", "target": "what zoe wanted to have"})])
    assert b"what zoe wanted" in bytes_of(path)
    assert forgotten(path, Asked(end_user="zoe")) == 0
    assert asked(path, "SELECT count(*) FROM edits") == [(0,)]
    assert b"zoe" not in bytes_of(path)


def test_what_is_below_goes_first_and_what_names_the_person_last(tmp_path: Path) -> None:
    """So that after a crash anywhere between, the rest is found again."""
    path = tmp_path / "traces.db"
    chain = [row(f"{n}", "0", 1, parent_trace_id=f"{n - 1}" if n else None) for n in range(50)]
    chain[20].end_user = "zoe"
    logged(path, chain)
    log = Forgetting(path)
    assert log.choose(Asked(end_user="zoe")).ids == [f"{n}" for n in range(49, 19, -1)]
    order = log.choose(Asked(end_user="zoe", trees=True)).ids
    assert (len(order), order[-1]) == (50, "20")


FORGETTER = """
import sys
from pathlib import Path
from proxy.stores.erasure.forgetting import Asked, Forgetting
log = Forgetting(Path(sys.argv[1]))
what = Asked(end_user="zoe", trees=len(sys.argv) > 2)
chosen = log.choose(what)
print("begun", flush=True)
log.remove(chosen, what)
"""


@pytest.mark.fault("D1")
@pytest.mark.parametrize("options", [[], ["trees"]])
def test_after_kill_9_in_the_middle_the_file_is_whole_and_the_next_one_ends_it(
    tmp_path: Path, options: list[str]
) -> None:
    path = tmp_path / "traces.db"
    rows = []
    for tree in range(400):
        for number in range(5):
            parent = f"{tree}-{number - 1}" if number else None
            text = said("x" * 1200, f"canary {tree}-{number} of zoe")
            rows.append(row(f"{tree}-{number}", f"{tree}-0", 1, parent_trace_id=parent, configuration=text))
        rows[-3 if options else -5].end_user = "zoe"
    logged(path, [*rows, row("other", "other", 1)])
    counts = []
    for pause in (0.05, 0.1, 0.15):
        with subprocess.Popen([sys.executable, "-c", FORGETTER, path, *options], stdout=subprocess.PIPE) as forgetter:
            assert forgetter.stdout is not None
            forgetter.stdout.readline()
            time.sleep(pause)
            forgetter.send_signal(signal.SIGKILL)
        whole(path)
        counts.append(len(ids(path)))
    assert any(1 < count < 2001 for count in counts)
    forgotten(path, Asked(end_user="zoe", trees=bool(options)))
    assert ids(path) == {"other"}
    whole(path)
    assert b"canary" not in bytes_of(path)


def test_a_circle_goes_too(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    logged(path, [row("r", "r", 1), row("a", "r", 1, parent_trace_id="b", end_user="zoe")])
    logged(path, [row("b", "r", 1, parent_trace_id="a")])
    assert forgotten(path, Asked(end_user="zoe")) == 2


def test_no_word_of_a_removed_row_is_left_in_an_index_that_somebody_added(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    logged(path, [row(f"{n}", f"{n}", 1, end_user="zoe" if n % 3 else None) for n in range(300)])
    with closing(Strides(path, lambda _: True)) as strides:
        connection = strides.connection
        connection.execute("CREATE VIRTUAL TABLE added USING fts5(said)")
        for n in range(300):
            connection.execute("INSERT INTO added (rowid, said) VALUES (?, ?)", (n + 1, f"unheard{n} of word{n * 7}"))
        connection.execute(
            "CREATE TRIGGER added_gone AFTER DELETE ON traces BEGIN DELETE FROM added WHERE rowid = OLD.rowid; END"
        )
        assert merge_texts(connection, "added", 20) >= 0
    assert forgotten(path, Asked(end_user="zoe")) == 200
    with closing(Strides(path, lambda _: True)) as strides:
        strides.connection.execute("CREATE VIRTUAL TABLE temp.left USING fts5vocab(main, added, row)")
        left = {term for (term,) in strides.connection.execute("SELECT term FROM temp.left")}
    assert left == {"of", *(f"unheard{n}" for n in range(0, 300, 3)), *(f"word{n * 7}" for n in range(0, 300, 3))}


def test_there_must_be_a_log(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no trace log"):
        Forgetting(tmp_path / "traces.db")


# The search of the files


@given(
    st.lists(st.text("abcdefgh ", min_size=15, max_size=120), min_size=1, max_size=8),
    st.binary(max_size=300),
    st.data(),
)
def test_a_text_is_found_wherever_it_is_and_only_there(texts: list[str], noise: bytes, data: st.DataObject) -> None:
    needles = Needles()
    for text in texts:
        needles.add(text)
    hidden = data.draw(st.lists(st.sampled_from(texts), max_size=3))
    body = noise
    for text in hidden:
        body += text.encode() + noise[: data.draw(st.integers(0, 20))]
    found = needles.within(body)
    assert {place for place in needles._places if place in body} == found
    assert len(needles) > 0


def test_a_text_is_found_across_two_chunks_and_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.stores.erasure.residue.CHUNK", 4096)
    text = "the quick brown fox, who lives in Lisbon, jumps over the lazy dog of his neighbour"
    for offset in range(4000, 4100):
        (tmp_path / "file").write_bytes(b"." * offset + text.encode() + b"." * 9000)
        needles = Needles("fox")
        needles.add(text)
        found = needles.search(tmp_path / "file")
        assert (len(found.places), found.part, found.size) == (3, True, offset + len(text) + 9000)
    needles = Needles()
    needles.add(text)
    (tmp_path / "file").write_bytes(b"\x07\x00" * 33 + text[:35].encode() + b"\x07\x00" * 33)
    assert len(needles.search(tmp_path / "file").places) == 1


def test_every_regular_file_is_searched_and_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("a", "in/b", "in/deep/.c"):
        (tmp_path / name).write_text("x")
    (tmp_path / "in" / "link").symlink_to("/etc/passwd")
    assert [str(file.relative_to(tmp_path)) for file in files(tmp_path)] == ["a", "in/b", "in/deep/.c"]


def test_texts_beyond_the_limit_are_not_taken() -> None:
    needles = Needles()
    for number in range(40_000):
        needles.add(f"a text of its own, which has the number {number:09d}")
    assert len(needles) <= MOST + 3
    assert (needles.texts + needles.beyond, needles.texts < 40_000) == (40_000, True)
    needles.add("short")
    needles.add("short")
    assert needles.short == 1


TEXT = "größer Übergang für Élodie, die nie in die Oper geht"


@pytest.mark.parametrize(
    "written",
    [
        TEXT.encode(),
        TEXT.upper().encode(),
        TEXT.lower().encode(),
        json.dumps(TEXT).encode(),
        json.dumps(TEXT).replace("\\u00f6", "\\u00F6").encode(),
        TEXT.encode("utf-16"),
        TEXT.encode("utf-16-be"),
        b"." + TEXT.encode("utf-16-le"),
        "привет, это секрет".encode(),
        json.dumps("привет, это секрет").encode(),
    ],
)
def test_a_text_is_found_however_it_is_written(tmp_path: Path, written: bytes) -> None:
    needles = Needles()
    needles.add(TEXT)
    needles.add("привет, это секрет")
    (tmp_path / "file").write_bytes(b"before " * 4 + written + b" after" * 2)
    assert needles.count(needles.search(tmp_path / "file").places) == 1
