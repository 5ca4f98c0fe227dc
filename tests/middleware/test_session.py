"""A session's own row: by itself, then in whole gateways with a log on disk."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.config.settings import LogSettings
from proxy.ids import derived_id
from proxy.middleware.omit import omit
from proxy.middleware.session import Sessions
from proxy.models import LogPolicy
from proxy.record import Record
from proxy.stores.log.sqlite import SQLiteLog
from tests.gateway import Local, rows

CONFIG: dict[str, Any] = {"model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}]}
SESSION = derived_id("sesh", "ticket-7")


def call(trace_id: str = "data_1", session: str | None = "s", root: str | None = None, **more: Any) -> Record:
    return Record(trace_id, root or session or trace_id, session_id=session, **more)


def test_the_first_call_of_a_session_brings_its_row() -> None:
    policy = LogPolicy(inputs=False, rate=0.5)
    first = call(
        project_name="p",
        project_uuid="pr_1",
        start_timestamp="2026-11-20T10:00:00.000000+00:00",
        sample_rate=0.25,
        policy=policy,
        inputs={"a": "secret"},
        output="secret",
        metadata={"a": "secret"},
        extra={"session_reference_id": "ticket-7", "stdout": "secret"},
    )
    sessions = Sessions()
    own = sessions.missing(first)
    assert own == Record(
        "s",
        "s",
        session_id="s",
        name="session",
        project_name="p",
        project_uuid="pr_1",
        start_timestamp="2026-11-20T10:00:00.000000+00:00",
        sample_rate=0.25,
        extra={"session_reference_id": "ticket-7"},
        policy=policy,
        stand_in=True,
    )
    assert sessions.missing(call("data_2")) is None
    assert sessions.missing(call("data_3", "other")) is not None


@pytest.mark.parametrize(
    "record",
    [call(session=None), call(session="s", root="a tree of its own"), call(trace_id="s"), call(session="")],
    ids=["no session", "many trees in one session", "the session itself", "an empty session"],
)
def test_other_rows_bring_none(record: Record) -> None:
    assert Sessions().missing(record) is None


def test_what_is_remembered_is_bounded_and_the_longest_unused_goes_first() -> None:
    sessions = Sessions(limit=2)
    assert [sessions.missing(call(session=name)) is not None for name in "abacb"] == [True, True, False, True, True]
    assert sessions.missing(call(session="c")) is None


def test_a_row_that_was_lost_is_written_with_the_next_call() -> None:
    sessions = Sessions()
    assert sessions.missing(call()) is not None
    sessions.forget("s")
    assert sessions.missing(call()) is not None


def test_a_reference_survives_omission() -> None:
    own = Sessions().missing(call(extra={"session_reference_id": "t"}, policy=LogPolicy(False, False)))
    assert own is not None
    assert omit(own).extra == {"session_reference_id": "t"}


def logged(gateway: Local, **body: Any) -> dict[str, Any]:
    response = httpx.post(f"{gateway.url}/v4/logs", json={"project": "p", "session_reference_id": "ticket-7", **body})
    assert response.status_code == 200, response.text
    answered: dict[str, Any] = response.json()
    return answered


def test_a_session_is_one_tree_to_every_reader(tmp_path: Path) -> None:
    with Local(tmp_path, CONFIG) as gateway:
        first = logged(gateway, output="one", reference_id="r1")
        second = logged(gateway, output="two", parent_reference_id="r1")
        deepest = logged(gateway, output="three", session_reference_id=None, parent_id=second["id"])
        assert {one["session_id"] for one in (first, second, deepest)} == {SESSION}
        tree = gateway.client.get(f"/trace_log/{SESSION}").json()
        assert tree["trace_name"] == "session"
        (child,) = tree["children_logs"]
        assert child["trace_id"] == first["id"]
        assert child["children_logs"][0]["children_logs"][0]["output"] == "three"
        page = gateway.client.post("/get_trace_logs", json={"project_name": "p"}).json()
        assert [one["trace_id"] for one in page["results"]] == [SESSION]


def test_a_restart_changes_nothing_of_a_session(tmp_path: Path) -> None:
    with Local(tmp_path, CONFIG) as gateway:
        logged(gateway, created_at="2026-11-20T10:00:00Z")
        before = gateway.row(SESSION)
        assert before["start_timestamp"] == "2026-11-20T10:00:00.000000+00:00"
    with Local(tmp_path, CONFIG) as gateway:
        logged(gateway, project="another")
        assert gateway.row(SESSION) == before
        assert len(rows(gateway.data)) == 3


def impatient(folder: Path, settings: LogSettings) -> SQLiteLog:
    """A log that does not wait for another process's lock."""
    return SQLiteLog(folder / "traces.db", busy_timeout=0.01)


def test_a_row_that_did_not_reach_the_disk_comes_with_the_next_call(tmp_path: Path) -> None:
    with Local(tmp_path, {**CONFIG, "log": {"store": f"{__name__}:impatient"}}) as gateway:
        logged(gateway, session_reference_id=None)
        with closing(sqlite3.connect(gateway.data / "traces.db", isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            logged(gateway)
            other.execute("ROLLBACK")
        assert rows(gateway.data, "root_trace_id = ?", SESSION) == []
        last = logged(gateway)
        assert {row["trace_id"] for row in rows(gateway.data, "root_trace_id = ?", SESSION)} == {SESSION, last["id"]}


def test_a_session_that_was_begun_is_not_written_over(tmp_path: Path) -> None:
    with Local(tmp_path, CONFIG) as gateway:
        session = httpx.post(f"{gateway.url}/v4/sessions").json()["id"]
        before = gateway.row(session)
        logged(gateway, session_reference_id=None, session_id=session)
        assert gateway.row(session) == before


def test_a_session_that_is_not_kept_leaves_no_row(tmp_path: Path) -> None:
    with Local(tmp_path, {**CONFIG, "log": {"sample_rate": 0}}) as gateway:
        logged(gateway, output="x")
        assert rows(gateway.data) == []


def test_a_session_of_omitted_calls_holds_nothing_of_them(tmp_path: Path) -> None:
    with Local(tmp_path, {**CONFIG, "log": {"omit": "all"}}) as gateway:
        logged(gateway, inputs={"a": "secret"}, output="secret", stdout="secret")
        own = gateway.row(SESSION)
        assert own["notes"] == {"omitted": ["inputs", "outputs"]}
    assert not [path for path in gateway.data.rglob("*") if path.is_file() and b"secret" in path.read_bytes()]
