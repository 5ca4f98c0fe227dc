"""Redaction on the way to a real log: nothing that matches is in any byte of it, and what was given stays as it was."""

from __future__ import annotations

import asyncio
import copy
import dataclasses
import json
import sqlite3
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config import Config
from proxy.config.settings import LogSettings
from proxy.middleware.redact import IDS, TEXTS, WITHHELD
from proxy.middleware.session import Sessions
from proxy.middleware.write import Writer
from proxy.record import Record
from proxy.stores.log.reader import Reader
from proxy.stores.log.sqlite import SQLiteLog

SECRETS = {
    "ada@example.org": "[email]",
    "sk-proj-0123456789abcdefghij": "[key]",
    "4111 1111 1111 1111": "[card]",
    "T-4711": "[ticket]",
}
RULES = ["emails", "keys", "cards", {"name": "ticket", "pattern": r"T-\d+"}]
SLOW = [{"name": "slow", "pattern": "a[^b]*b|a"}]


class Heard:
    """Puts what it is told of calls into `told`."""

    def __init__(self, told: list[Record]) -> None:
        self.put = told.append

    def put_function(self, record: Record) -> None:
        raise AssertionError("only calls are told of here")

    def knows(self, trace_id: str) -> bool:
        return False


def writer(log: SQLiteLog, redact: list[Any], told: list[Record] | None = None, **rest: Any) -> Writer:
    config = Config(log=LogSettings(redact=redact, **rest))
    return Writer(config, log, Sessions(), Heard(told) if told is not None else None)


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


TEXT = st.sampled_from([f"before {secret} behind" for secret in SECRETS] + ["nothing", 'line\n"T-4711"', "\\"])
JSON = st.recursive(
    TEXT,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(TEXT, inner, max_size=2), inner.map(json.dumps)
    ),
    max_leaves=4,
)
MAPPING = st.dictionaries(TEXT, JSON, max_size=2)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("name", "end_user", "target", "provider", "model", "output", "error"), TEXT),
    **dict.fromkeys(("metadata", "inputs", "notes", "extra"), MAPPING),
    "tags": st.lists(TEXT, max_size=2),
    "scores": st.lists(st.fixed_dictionaries({"name": TEXT, "score": st.just(0.5), "reason": TEXT}), max_size=2),
    "configuration": st.fixed_dictionaries(
        {
            "model": TEXT,
            # short conversations stay in the row, long ones go to tables of their own
            "messages": st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": JSON}), max_size=2)
            | st.just([{"role": "user", "content": "before ada@example.org behind" * 100}] * 2),
            "functions": st.lists(
                st.fixed_dictionaries({"name": TEXT, "arguments": MAPPING.map(json.dumps)}), max_size=1
            ),
        }
    ),
}


def test_every_field_that_may_say_anything_is_looked_at() -> None:
    assert set(TEXTS) == set(FIELDS)


@settings(max_examples=40)
@given(st.fixed_dictionaries(FIELDS), st.fixed_dictionaries(FIELDS))
def test_nothing_that_matches_is_in_any_byte_of_the_log(said: dict[str, Any], later: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_logged(Path(folder), said, later))


async def _logged(folder: Path, said: dict[str, Any], later: dict[str, Any]) -> None:
    log = SQLiteLog(folder / "traces.db")
    told: list[Record] = []
    write = writer(log, RULES, told)
    record = Record("t-1", "s-1", session_id="s-1", **copy.deepcopy(said))
    given = dataclasses.replace(record)
    for taken in (write.write_call(record), write.update("t-1", copy.deepcopy(later)), write.write(given)):
        assert await taken
    assert {name: getattr(record, name) for name in TEXTS} == said, "what was given is changed"
    shown = repr(told) + bytes_of(folder).decode("utf-8", "replace")
    await write.settle()
    await log.close()
    shown += bytes_of(folder).decode("utf-8", "replace")
    for secret in SECRETS:
        assert secret not in shown


async def test_what_is_found_is_replaced_and_the_rest_is_kept(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "traces.db")
    messages = [{"role": "user", "content": "I am ada@example.org"}]
    record = Record(
        "T-1", "T-1", name="f", configuration={"model": "m", "messages": messages}, output="T-22, you", cost=4711.0
    )
    assert await writer(log, RULES).write(record)
    await log.close()
    reader = Reader(tmp_path / "traces.db")
    found = reader.get("T-1")
    assert found is not None
    assert found.trace_id == "T-1", "rows are found by their ids"
    assert found.configuration == {"model": "m", "messages": [{"role": "user", "content": "I am [email]"}]}
    assert (found.output, found.cost, found.name) == ("[ticket], you", 4711.0, "f")
    assert messages[0]["content"] == "I am ada@example.org"


async def test_messages_are_still_stored_once(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "traces.db")
    write = writer(log, RULES)
    messages = [{"role": "user", "content": f"{number} ada@example.org " * 40} for number in range(20)]
    for turn in range(1, 21):
        assert await write.write(Record(f"t-{turn}", "r", configuration={"messages": messages[:turn]}))
    await log.close()
    connection = sqlite3.connect(tmp_path / "traces.db")
    (bodies,) = connection.execute("SELECT count(*) FROM bodies").fetchone()
    connection.close()
    assert bodies == 20
    assert b"ada@example.org" not in bytes_of(tmp_path)


async def test_what_is_long_or_takes_long_is_looked_at_elsewhere(tmp_path: Path) -> None:
    """The loop goes on meanwhile, and the answer waits for the row."""
    log = SQLiteLog(tmp_path / "traces.db")
    long = "lorem ipsum ada@example.org dolor " * 60_000
    written = writer(log, RULES).write(Record("t-1", "t-1", inputs={"a": long}, output="ada@example.org"))
    assert not written.done()
    turns = 0
    while not written.done():
        await asyncio.sleep(0.001)
        turns += 1
    assert written.result()
    assert turns > 5
    await log.close()
    assert b"ada@example.org" not in bytes_of(tmp_path)
    assert bytes_of(tmp_path).count(b"[email]") > 50_000


async def test_what_cannot_be_redacted_in_time_is_withheld(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.middleware.redact.LONGEST", 0.1)
    log = SQLiteLog(tmp_path / "traces.db")
    write = writer(log, SLOW)
    slow = "a" * 200_000
    record = Record("t-1", "t-1", name="kept", inputs={"said": slow}, output="said, too", notes={"dialect": "openai"})
    both = await asyncio.gather(write.write(record), write.update("t-1", {"error": slow, "feedback_score": 1.0}))
    assert all(both)
    await log.close()
    found = Reader(tmp_path / "traces.db").get("t-1")
    assert found is not None
    assert (found.inputs, found.output, found.notes) == ({}, f"({WITHHELD})", {"redaction": WITHHELD})
    assert (found.error, found.feedback_score) == (f"({WITHHELD})", 1.0)
    assert b"aaaaaaaaaa" not in bytes_of(tmp_path)


async def test_the_loop_goes_on_while_a_pattern_is_slow(tmp_path: Path) -> None:
    """One search, which nothing can end: with as many steps for each letter as the pattern has."""
    log = SQLiteLog(tmp_path / "traces.db")
    write = writer(log, [{"name": "slow", "pattern": r"(?:[a-z0-9]+ ?){1,900}@"}])
    long = " ".join(f"word{place * 7919 % 1000}" for place in range(3000))
    began = time.process_time()
    written = write.write(Record("t-1", "t-1", output=long))
    handed = time.process_time() - began
    assert await written
    assert handed < (time.process_time() - began) / 4
    await log.close()


async def test_the_name_of_a_row_s_cache_entry_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern may match what the gateway has drawn, and by that name the entry is found again."""
    notes = {"entry": "0123456789abcdef01234567", "target": "echo/1234"}
    log = SQLiteLog(tmp_path / "traces.db")
    assert await writer(log, [{"name": "n", "pattern": r"\d{3,}"}]).write(Record("t-1", "t-1", notes=notes))
    with monkeypatch.context() as patch:
        patch.setattr("proxy.middleware.redact.LONGEST", 0.0)
        slow = Record("t-2", "t-2", notes=notes, output="a" * 200_000)
        assert await writer(log, SLOW).write(slow)
    monkeypatch.undo()
    strange = {"entry": "ada@example.org"}
    assert await writer(log, ["emails"]).write(Record("t-3", "t-3", notes=strange))
    await log.close()
    reader = Reader(tmp_path / "traces.db")
    found = [one.notes for name in ("t-1", "t-2", "t-3") if (one := reader.get(name)) is not None]
    kept = {"entry": notes["entry"]}
    assert found == [{**kept, "target": "echo/[n]"}, {**kept, "redaction": WITHHELD}, {"entry": "[email]"}]


async def test_what_is_nested_too_deeply_is_withheld(tmp_path: Path) -> None:
    deep: Any = "ada@example.org"
    for _ in range(1500):
        deep = [deep]
    log = SQLiteLog(tmp_path / "traces.db")
    await writer(log, RULES).write(Record("t-1", "t-1", inputs={"a": deep}, output="x"))
    await log.close()
    assert b"ada@example.org" not in bytes_of(tmp_path)


async def test_an_end_waits_for_what_is_on_its_way(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "traces.db")
    write = writer(log, RULES)
    written = [write.write(Record(f"t-{n}", f"t-{n}", output="ada@example.org " * 40_000)) for n in range(3)]
    await write.settle()
    await log.close()
    assert [future.result() for future in written] == [True] * 3
    assert b"ada@example.org" not in bytes_of(tmp_path)


async def test_who_waits_may_leave(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "traces.db")
    write = writer(log, RULES)
    write.write(Record("t-1", "t-1", output="T-1 " * 100_000)).cancel()
    await write.settle()
    await log.close()
    assert Reader(tmp_path / "traces.db").get("t-1") is not None


async def test_without_rules_a_record_goes_as_it_is(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "traces.db")
    told: list[Record] = []
    record = Record("t-1", "t-1", output="T-1, ada@example.org")
    assert await writer(log, [], told).write_call(record)
    assert told[0] is record
    await log.close()


def test_ids_are_no_texts() -> None:
    assert IDS.isdisjoint(TEXTS)
