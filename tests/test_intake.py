"""`log import` into a log that has rows already, from where files come, and whose rules hold."""

from __future__ import annotations

import dataclasses
import gzip
import json
import os
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.cli import main
from proxy.middleware.session import Sessions
from proxy.record import Record
from proxy.stores.log.sqlite import SQLiteLog
from tests.gateway import rows as on_disk
from tests.test_import import records
from tests.test_log import lines, record, run, store

ROW = {"trace_id": "a", "root_trace_id": "a", "output": "one", "status": "success"}
REDACTING = "log: {redact: [emails], omit: inputs}\n"


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, utc: None) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAREA_PROXY_DATA", "data")
    monkeypatch.setenv("HOME", str(tmp_path))


def written(*rows: dict[str, Any], name: str = "in") -> str:
    Path(name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return name


# rows that are there


@st.composite
def logs(draw: st.DrawFn) -> list[Record]:
    """A log: calls, functions, sessions' own rows that only stand in, and such that somebody has completed."""
    kept: list[Record] = []
    sessions = Sessions()
    for number, one in enumerate(draw(st.lists(records(), min_size=1, max_size=4))):
        cost = draw(st.none() | st.floats(0, 1))
        changed: dict[str, Any] = {
            "cost": cost,
            "model": draw(st.sampled_from([one.model, "answered"])),
            "tags": ["x"] * number,
        }
        row = dataclasses.replace(one, trace_id=f"row-{number}", root_trace_id=one.session_id or f"row-{number}")
        row = dataclasses.replace(row, **changed, name=draw(st.sampled_from(["session", "log", row.name])))
        above = sessions.missing(row)
        if draw(st.booleans()):
            above = above and dataclasses.replace(above, stand_in=False, output="said", status="success")
        kept += [row, above] if above else [row]
    return kept


@given(logs(), st.sampled_from(["jsonl", "parea", "humanloop"]))
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_export_of_any_form_changes_nothing_of_the_log_that_it_is_of(kept: list[Record], form: str) -> None:
    folder = f"log-{uuid.uuid4()}"
    store(*kept, folder=folder)
    before = on_disk(Path(folder))
    run("export", "--format", form, "--data", folder, "--output", "out")
    first, *_ = lines("import", "out", "--data", folder)
    assert first.startswith("0 rows imported from out")
    assert on_disk(Path(folder)) == before


@given(logs(), st.sampled_from(["jsonl", "parea", "humanloop"]))
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_an_export_makes_the_same_rows_elsewhere(kept: list[Record], form: str) -> None:
    """Of a conversation, as much as the form has a place for; and of what ran without a model, no datapoint."""
    folder = f"log-{uuid.uuid4()}"
    store(*kept, folder=folder)
    run("export", "--format", form, "--data", folder, "--output", "out")
    lines("import", "out", "--data", f"{folder}-new")
    made = {row["trace_id"]: row for row in on_disk(Path(f"{folder}-new"))}
    assert len(made) == len(Path("out").read_text().splitlines())
    for row in on_disk(Path(folder)):
        if row["trace_id"] in made:
            left = {} if form == "jsonl" else {"configuration": None, "key": None, "conversation": None}
            assert {**made[row["trace_id"]], **left} == {**row, **left}


def test_a_row_that_is_there_stays_unless_it_is_to_be_replaced() -> None:
    store(record("a", output="one", status="success", cost=0.5), record("b"))
    new = {**ROW, "trace_id": "c", "root_trace_id": "c"}
    written({**ROW, "output": "two", "status": "error"}, new)
    before = on_disk(Path("data"))
    was = "1 row was there already"
    assert lines("import", "in", "--check") == ["2 rows can be read from in, 1 of them failed", was]
    assert on_disk(Path("data")) == before
    told = ["1 row imported from in", f"{was}, and nothing of them is changed: --replace does that"]
    assert lines("import", "in") == told
    assert on_disk(Path("data"))[:2] == before
    told = ["2 rows imported from in, 1 of them failed", f"2 {was[2:].replace('row was', 'rows were')}"]
    assert lines("import", "in", "--replace") == [told[0], f"{told[1]}, and changed to what the file says"]
    (row,) = on_disk(Path("data"), "trace_id = 'a'")
    assert (row["output"], row["status"], row["cost"]) == ("two", "error", 0.5)


def test_a_sessions_own_row_is_completed_by_an_import() -> None:
    call = record("call", root_trace_id="s", parent_trace_id="s", session_id="s", output="hello")
    own = Sessions().missing(call)
    assert own is not None
    store(call, own)
    written({"trace_id": "s", "root_trace_id": "s", "session_id": "s", "name": "agent", "output": "done"})
    assert lines("import", "in") == ["1 row imported from in"]
    (row,) = on_disk(Path("data"), "trace_id = 's'")
    assert (row["name"], row["output"]) == ("agent", "done")
    assert lines("import", "in")[0] == "0 rows imported from in"


def test_of_an_id_that_comes_several_times_the_first_holds_or_the_last() -> None:
    written(ROW, *({**ROW, "trace_id": f"x{n}", "root_trace_id": "x"} for n in range(600)), {**ROW, "output": "two"})
    told = ["601 rows imported from in", "1 row with an id that the file has had: the first of each id holds"]
    assert lines("import", "in", "--check")[1] == told[1]
    assert lines("import", "in") == told
    assert on_disk(Path("data"), "trace_id = 'a'")[0]["output"] == "one"
    assert lines("import", "in", "--replace")[-1] == told[1].replace("first", "last")
    assert on_disk(Path("data"), "trace_id = 'a'")[0]["output"] == "two"


def test_a_column_that_is_none_is_named_and_an_odd_status_told() -> None:
    written({**ROW, "lattency": 1})
    assert "  line 1: lattency: is no column of the log" in run("import", "in").stderr
    written({**ROW, "status": "fine"})
    told = "1 row with a status other than success, error and cancelled, which --status does not list"
    assert lines("import", "in") == ["1 row imported from in", told]


async def test_a_stand_in_that_says_much_is_stored_with_all_its_messages(tmp_path: Path) -> None:
    said = [{"role": "user", "content": "a long message " * 20}]
    log = SQLiteLog(tmp_path / "traces.db")
    row = Record("a", "a", configuration={"messages": said}, stand_in=True)
    assert await log.append(row)
    assert await log.append(dataclasses.replace(row, configuration={"messages": []}))
    found = await log.get("a")
    await log.close()
    assert found is not None
    assert found.configuration == {"messages": said}


# where a file comes from


def stdin(text: bytes, *arguments: str) -> Any:
    return CliRunner().invoke(main, ["log", "import", "-", *arguments], input=text)


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_may_come_by_stdin_and_be_packed(packed: bool) -> None:
    text = json.dumps(ROW).encode() + b"\n"
    found = stdin(gzip.compress(text) if packed else text)
    assert (found.exit_code, found.stdout) == (0, "1 row imported from stdin\n")
    Path("in.gz").write_bytes(gzip.compress(text))
    assert lines("import", "in.gz", "--data", "other") == ["1 row imported from in.gz"]
    wrong = stdin(b'{"trace_id": 1}\n')
    assert (wrong.exit_code, wrong.stderr.splitlines()[0]) == (2, "stdin: nothing was imported")


def test_what_is_packed_wrongly_is_told_and_no_copy_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(Path("tmp").resolve()))
    whole = gzip.compress(os.urandom(10_000))
    for text in (whole[:-100], b"\x1f\x8bno gzip at all", whole[:5000] + b"x" * 1000 + whole[6000:]):
        Path("in.gz").write_bytes(text)
        found = run("import", "in.gz")
        assert found.exit_code == 2
        assert found.stderr.startswith("in.gz: cannot be unpacked: ")
    assert stdin(json.dumps(ROW).encode()).exit_code == 0
    assert list(Path("tmp").iterdir()) == []


def test_a_pipe_is_read_as_well() -> None:
    os.mkfifo("pipe")
    fed = threading.Thread(target=lambda: Path("pipe").write_text(json.dumps(ROW)))
    fed.start()
    assert lines("import", "pipe") == ["1 row imported from pipe"]
    fed.join()


# whose rules hold


def test_the_config_beside_the_data_folder_holds_and_is_told(tmp_path: Path) -> None:
    there = tmp_path / "gateway"
    there.mkdir()
    (there / "config.yaml").write_text(REDACTING)
    written({**ROW, "inputs": {"x": "secret"}, "output": "write to ada@example.com"})
    found = run("import", "in", "--data", str(there / "data"))
    assert found.stderr == f"{there / 'config.yaml'} omits inputs and redacts emails\n"
    (row,) = on_disk(there / "data")
    assert (row["output"], row["inputs"]) == ("write to [email]", None)
    (tmp_path / "other.yaml").write_text("{}")
    found = run("import", "in", "--data", str(there / "data"), "--config", "other.yaml")
    assert found.stderr == "other.yaml omits and redacts nothing\n"


def test_that_there_is_no_config_is_told() -> None:
    written(ROW)
    found = run("import", "in", "--data", "elsewhere")
    assert found.stderr == (
        "no config.yaml is here or beside elsewhere: nothing is omitted or redacted, unless --config says so\n"
    )
