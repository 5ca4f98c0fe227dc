"""`parea-proxy log forget`, as its users run it: beside a gateway that serves, and on what is left behind by others."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import pty
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner, Result

from proxy.cli import main
from proxy.stores.log.sqlite import SQLiteLog
from proxy.stores.retention.keeping import alone
from tests.gateway import Local, Process, rows
from tests.stores.test_keeping import bytes_of, empty, kept, logged, row, said

CONFIG = {"model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}]}
ZOE, YAN = "zoe@example.org", "yan@example.org"
SECRET = "my own secret is that I never liked the opera, and nobody else says so"


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAREA_PROXY_DATA", "data")
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "traces.db"
    path.parent.mkdir()
    return path


def forget(*arguments: str, **options: Any) -> Result:
    return CliRunner().invoke(main, ["log", "forget", *arguments], prog_name="parea-proxy", **options)


def forgotten(*arguments: str) -> dict[str, Any]:
    found = forget(*arguments, "--json", "--yes")
    assert found.exit_code == 0, found.output
    told: dict[str, Any] = json.loads(found.stdout)
    return told


def ask(url: str, text: str, person: str, **more: Any) -> str:
    """What the cache did for a call of `person`."""
    body = {
        "llm_configuration": {"model": "echo", "messages": [{"role": "user", "content": text}]},
        "end_user_identifier": person,
        "cache": True,
        **more,
    }
    answer = httpx.post(f"{url}/completion", json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    return "hit" if answer.json()["cache_hit"] else "miss"


def test_a_person_is_forgotten_beside_a_gateway_that_serves(tmp_path: Path) -> None:
    common = "what is the capital of the country that has the most lakes of all"
    with Process(tmp_path, CONFIG) as gateway:
        url = gateway.parea
        assert [ask(url, SECRET, ZOE), ask(url, common, ZOE), ask(url, common, YAN)] == ["miss", "miss", "hit"]
        assert [ask(url, "y" * 40, YAN), ask(url, SECRET, ZOE)] == ["miss", "hit"]  # the gateway has it in its memory
        assert SECRET.encode() in bytes_of(gateway.data / "traces.db")
        told = forgotten("--end-user", ZOE, "--config", str(tmp_path / "gateway.yaml"))
        assert (told["rows"], told["cache_entries"], told["proof"]["found"]) == (3, 2, {})
        assert told["proof"]["shared"] > 0
        everything = bytes_of(gateway.data / "traces.db")
        assert SECRET.encode() not in everything
        assert ZOE.encode() not in everything
        assert {one["end_user"] for one in rows(gateway.data)} == {YAN}
        # No memory of a worker answers any more, and what is asked again is logged again.
        assert [ask(url, "y" * 40, YAN), ask(url, SECRET, YAN)] == ["hit", "miss"]


def test_what_keys_spent_stays(tmp_path: Path) -> None:
    path = tmp_path / "data" / "traces.db"
    path.parent.mkdir()
    logged(path, [row("a", "a", 1, end_user=ZOE, key="team", spent=10**6, cost=0.001)])
    assert forgotten("--end-user", ZOE)["rows"] == 1
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT key, nanodollars, calls FROM spend").fetchall() == [("team", 10**6, 1)]


def test_an_entry_of_a_row_that_does_not_tell_it_is_found_by_its_answer(tmp_path: Path) -> None:
    with Local(tmp_path, CONFIG) as gateway:
        ask(gateway.parea, SECRET, ZOE)
        ask(gateway.parea, "y" * 40, YAN)
    with closing(sqlite3.connect(gateway.data / "traces.db")) as connection, connection:
        connection.execute("UPDATE traces SET notes = json_remove(notes, '$.entry')")
    assert forgotten("--end-user", ZOE)["cache_entries"] == 1


def test_an_omitted_call_does_not_tell_its_entry(tmp_path: Path) -> None:
    with Local(tmp_path, CONFIG) as gateway:
        ask(gateway.parea, SECRET, ZOE)
        ask(gateway.parea, SECRET, YAN, log_omit_inputs=True)
    notes = {one["end_user"]: one["notes"] for one in rows(gateway.data)}
    assert len(notes[ZOE]["entry"]) == 24
    assert "entry" not in notes[YAN]


def test_what_lies_in_unused_parts_of_the_file_makes_it_be_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "data" / "traces.db"
    path.parent.mkdir()
    logged(path, [row(f"{n}", f"{n}", 1, end_user=ZOE if n == 5 else YAN, output=SECRET * (n == 5)) for n in range(9)])
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("CREATE TABLE other (x)")
        connection.execute("INSERT INTO other VALUES (?)", (SECRET * 100,))
        connection.execute("DELETE FROM other")
    assert SECRET.encode() in path.read_bytes()
    assert forgotten("--end-user", ZOE)["proof"]["found"] == {}
    assert SECRET.encode() not in bytes_of(path)


def test_what_is_found_elsewhere_in_the_folder_is_told_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "data" / "traces.db"
    path.parent.mkdir()
    logged(path, [row("a", "a", 1, end_user=ZOE, output=SECRET)])
    (path.parent / "copy.db").write_bytes(path.read_bytes())
    found = forget("--end-user", ZOE, "--yes")
    assert found.exit_code == 1
    assert "removed: 1 row" in found.stdout
    assert "still in copy.db: 1 of the texts. It is none of the gateway's files: remove it" in found.stderr
    assert "found in 1 file" in found.stdout


def test_a_rest_of_a_text_is_found_too(tmp_path: Path) -> None:
    path = tmp_path / "data" / "traces.db"
    path.parent.mkdir()
    logged(path, [row("a", "a", 1, end_user=ZOE, configuration=said(SECRET))])
    (path.parent / "note").write_bytes(os.urandom(33) + SECRET[:40].encode())
    assert "still in note: 1 of the texts" in forget("--end-user", ZOE, "--yes").output


def test_check_removes_nothing_and_without_a_yes_it_is_asked(tmp_path: Path) -> None:
    path = tmp_path / "data" / "traces.db"
    path.parent.mkdir()
    logged(path, [row("a", "a", 1), row("b", "a", 1, parent_trace_id="a", end_user=ZOE)])
    assert forget("--end-user", ZOE, "--check").output == (
        "would be removed: 1 row\nleft in the same trees: 1 row, which --trees takes too\n"
    )
    assert forget("--end-user", ZOE, input="n\n").exit_code == 1
    assert len(rows(path.parent)) == 2
    assert forget("--end-user", ZOE, "--trees", input="y\n").exit_code == 0
    assert rows(path.parent) == []


def test_an_id_that_others_say_is_told(log: Path) -> None:
    logged(log, [row("a", "a", 1, end_user=ZOE), row("b", "b", 1, output=f"what is said of {ZOE} by others")])
    found = forget("--end-user", ZOE, "--yes")
    assert (found.exit_code, found.stderr) == (0, "")
    assert "the id stands in 1 row that stays: b" in found.stdout
    assert "not looked for: the id in unused parts of traces.db" in found.stdout


def test_an_id_within_somebody_elses_is_looked_for_all_the_same(log: Path) -> None:
    logged(log, [row(one, one, 1, end_user=one) for one in ("customer1", "customer10")])
    (log.parent / "note.json").write_text('{"end_user":"customer1"}')
    (log.parent / "other.json").write_text('{"end_user":"customer10"}')
    found = forget("--end-user", "customer1", "--yes")
    assert found.exit_code == 1
    assert "the id stands in" not in found.stdout
    assert [line.split(":")[0] for line in found.stderr.splitlines()] == ["still in note.json"]


def test_entries_of_the_cache_that_say_a_longer_id_are_nobody_elses_residue(tmp_path: Path) -> None:
    with Local(tmp_path, CONFIG) as gateway:
        ask(gateway.parea, "customer1 is who says this to you", "customer1")
        ask(gateway.parea, "customer10 is who says that to you", "customer10")
        nobody = forget("--end-user", "customer", "--yes")
        assert "may be in" not in nobody.stderr
        found = forget("--end-user", "customer1", "--yes")
        assert (found.exit_code, found.stderr) == (0, "")
        assert "the id in unused parts of traces.db" in found.stdout
        assert ask(gateway.parea, "customer10 is who says that to you", "customer10") == "hit"


def test_a_short_id_is_no_chance_of_two_bytes(log: Path) -> None:
    rows = [row(f"{n}", "root", 1, end_user="u1" if n == 5 else YAN, output="u1" * (n == 6)) for n in range(9)]
    logged(log, rows)
    with closing(sqlite3.connect(log)) as connection, connection:
        connection.execute("CREATE TABLE number (x)")
        connection.execute("INSERT INTO number VALUES (?)", (0x7531,))
    (log.parent / "number").write_bytes(b"\0u1\0")
    (log.parent / "numbers.txt").write_text("u10 u11")
    found = forget("--end-user", "u1", "--yes")
    assert (found.exit_code, found.stderr) == (0, "")
    assert "the id, too short with 2 bytes, in files that are no text (cache.key, number, traces.db" in found.stdout
    assert "the id stands in 1 row that stays: 6" in found.stdout
    proof = json.loads(forget("--end-user", YAN, "--yes", "--json").stdout)["proof"]
    assert (proof["holds"], proof["id_not_looked_for"]) == (True, [])


@pytest.mark.parametrize("written", ["plain", "escaped", "capitals", "wide"])
def test_a_copy_in_another_spelling_is_found(log: Path, written: str) -> None:
    person, text = "élodie@exämple.com", "größer Übergang für Élodie mit vielen Wörtern"
    logged(log, [row("a", "a", 1, end_user=person, output=text)])
    copy = json.dumps([person, text], ensure_ascii=written == "escaped")
    copy = copy.upper() if written == "capitals" else copy
    (log.parent / "copy").write_bytes(copy.encode("utf-16-le" if written == "wide" else "utf-8"))
    found = forget("--end-user", person, "--yes")
    assert found.exit_code == 1
    assert "still in copy: the id and 1 of the texts" in found.stderr


def test_what_nobody_can_look_into_is_told(log: Path) -> None:
    logged(log, [row("a", "a", 1, end_user=ZOE, output=SECRET), row("b", "b", 1, end_user=ZOE, output="short")])
    (log.parent / "old.gz").write_bytes(gzip.compress(SECRET.encode()))
    (log.parent / "link").symlink_to("/etc/hostname")
    proof = forgotten("--end-user", ZOE)["proof"]
    assert proof["not_looked_into"] == {"old.gz": "is compressed", "link": "is a link to elsewhere"}
    assert (proof["texts"], proof["texts_too_short"], proof["texts_beyond_limit"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--end-user", "zoe@example.com"], "no row is of this person: zoe@example.com."),
        (["--end-user", "Zoe@Example.org"], f"there is {ZOE}, which differs in the case of letters only"),
        (["--id", "nosuch"], "no row has this id: nosuch."),
        (["--session", "nosuch"], "no row is of this session: nosuch."),
        (["--where", "model = 'nosuch'"], "no row meets this condition: model = 'nosuch'."),
    ],
)
def test_nobody_is_not_proved_to_be_forgotten(log: Path, arguments: list[str], told: str) -> None:
    logged(log, [row("a", "a", 1, end_user=ZOE)])
    for more in (["--yes"], ["--check"]):
        found = forget(*arguments, *more)
        assert found.exit_code == 1
        assert told in found.stderr
        assert "nothing is proved" in found.stderr
        assert "removed:" not in found.stdout
    assert ("searched" in forget(*arguments, "--yes").stdout) == (arguments[0] == "--end-user")
    assert json.loads(forget(*arguments, "--yes", "--json").stdout)["nobody"] is True


def test_a_reader_that_keeps_the_wal_is_told_with_what_to_do(log: Path) -> None:
    logged(log, [row("a", "a", 1, end_user=ZOE, output=SECRET)])
    with closing(sqlite3.connect(log)) as reader:
        reader.execute("PRAGMA wal_autocheckpoint = 0")
        reader.execute("UPDATE traces SET name = 'n'")
        reader.commit()
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM traces").fetchall()
        found = forget("--end-user", ZOE, "--yes")
        assert found.exit_code == 1
        assert "still in traces.db-wal: the id and 1 of the texts. Close what reads the log" in found.stderr
        vacuum = CliRunner().invoke(main, ["log", "vacuum"], prog_name="parea-proxy")
        assert (vacuum.exit_code, "traces.db-wal still has" in vacuum.stderr) == (1, True)
    assert CliRunner().invoke(main, ["log", "vacuum"], prog_name="parea-proxy").exit_code == 0
    assert SECRET.encode() not in bytes_of(log)


def test_long_work_is_shown_on_a_terminal(log: Path) -> None:
    logged(log, [row(f"{n}", f"{n}", 1, end_user=ZOE, output=f"{n} {SECRET}") for n in range(300)])
    for arguments, shown in ((["forget", "--end-user", ZOE, "--yes"], b"removing"), (["vacuum"], b"making the file")):
        code, written = on_a_terminal(["log", *arguments])
        assert code == 0
        assert shown in written
        assert b"searching" in written or arguments == ["vacuum"]


def on_a_terminal(arguments: list[str]) -> tuple[int, bytes]:
    """A command's exit code and what it writes on a terminal; there all work is long."""
    code = "from proxy.commands.log import progress; progress.LONG = 0.0; from proxy.cli import main; main()"
    leader, follower = pty.openpty()
    with subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=follower, stderr=follower) as command:
        os.close(follower)
        written = b""
        with suppress(OSError):  # the end of a terminal
            while piece := os.read(leader, 4096):
                written += piece
    os.close(leader)
    return command.returncode, written


def test_what_the_disk_does_not_let_be_done_is_told_in_a_line(log: Path) -> None:
    logged(log, [row("a", "a", 1, end_user=ZOE)])
    (log.parent / "traces.keeping").unlink(missing_ok=True)
    (log.parent / "traces.keeping").mkdir()
    found = forget("--end-user", ZOE, "--yes")
    assert (found.exit_code, found.stderr) == (2, "the trace log in data: Is a directory; no row was removed\n")
    assert forget("--end-user", ZOE, "--check").exit_code == 0
    assert rows(log.parent) != []
    assert CliRunner().invoke(main, ["log", "vacuum"], prog_name="parea-proxy").exit_code == 2


def test_a_damaged_file_is_told_in_a_line(log: Path) -> None:
    logged(log, [row(f"{n}", f"{n}", 1, end_user=ZOE, output=f"{n}" * 3000) for n in range(100)])
    with log.open("r+b") as file:
        file.seek(20 * 4096)
        file.write(os.urandom(4096 * (log.stat().st_size // 4096 - 25)))
    for arguments in (["forget", "--end-user", ZOE, "--yes"], ["vacuum"]):
        found = CliRunner().invoke(main, ["log", *arguments], prog_name="parea-proxy")
        assert found.exit_code == 2, found.output
        assert "malformed" in found.stderr
        assert found.stderr.count("\n") == 1


@pytest.mark.parametrize("arguments", [[], ["--end-user", "a", "--id", "b"], ["--end-user", ""], ["--id", "\udcff"]])
def test_it_must_be_said_whose_rows(arguments: list[str]) -> None:
    found = forget(*arguments)
    assert found.exit_code == 2
    assert any(told in found.output for told in ("say whose rows", "empty id", "text in UTF-8"))


def test_vacuum_has_the_file_of_an_older_version_shortened_from_then_on(tmp_path: Path) -> None:
    path = tmp_path / "data" / "traces.db"
    asyncio.run(empty(path))
    logged(path, [row(f"{n}", f"{n}", 10, output="x" * 4000) for n in range(500)])
    found = CliRunner().invoke(main, ["log", "vacuum"], prog_name="parea-proxy")
    assert found.exit_code == 0, found.output
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA auto_vacuum").fetchone() == (2,)
    before = path.stat().st_size
    assert kept(path, size=2**20) > 0
    assert path.stat().st_size <= 2**20 < before


async def test_rows_wait_while_another_process_makes_the_file_anew(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    log = SQLiteLog(path, busy_timeout=0.05)
    with alone(path, wait=True), closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        waiting = log.append(row("a", "a", 1))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        connection.execute("COMMIT")
        assert await waiting
        connection.execute("BEGIN IMMEDIATE")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert not await log.append(row("b", "b", 1))  # anybody else
    await log.close()


def test_there_must_be_a_log() -> None:
    found = forget("--end-user", "a")
    assert found.exit_code == 2
    assert "there is no trace log" in found.output
