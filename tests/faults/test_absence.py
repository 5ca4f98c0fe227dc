"""D6: the log's files deleted, moved, or replaced by others while it is written.

SQLite goes on with the files that it has open, wherever they are. What must stay true: every answer leaves; a row that
was acknowledged after the fault is in the file at the path, or its answer says that it is not logged; what was
acknowledged before is where its file is now; and it logs again by itself.
"""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.stores.schema.files import INTERVAL
from tests.faults.evidence import missing, verdict
from tests.faults.load import ECHO, Load
from tests.faults.plugin import Figure
from tests.gateway import Process

pytestmark = pytest.mark.fault("D6")

COMPANIONS = ("traces.db", "traces.db-wal", "traces.db-shm")


def database_deleted(data: Path) -> None:
    (data / "traces.db").unlink()


def files_deleted(data: Path) -> None:
    for name in COMPANIONS:
        (data / name).unlink()


def folder_deleted(data: Path) -> None:
    while data.exists():
        # The gateway may make a file while its folder is being emptied.
        shutil.rmtree(data, ignore_errors=True)


def database_moved(data: Path) -> None:
    (data / "traces.db").rename(data.with_name("moved.db"))


def folder_moved(data: Path) -> None:
    data.rename(data.with_name("moved"))


def database_restored(data: Path) -> None:
    """A backup that was made before, put in the place of the database, and of the database alone."""
    (data.with_name("backup.db")).replace(data / "traces.db")


def a_link_instead(data: Path) -> None:
    (data.with_name("backup.db")).rename(data.with_name("elsewhere.db"))
    (data / "traces.db").unlink()
    (data / "traces.db").symlink_to(data.with_name("elsewhere.db"))


def wal_deleted(data: Path) -> None:
    (data / "traces.db-wal").unlink()


def shm_deleted(data: Path) -> None:
    (data / "traces.db-shm").unlink()


FAULTS = [
    database_deleted,
    files_deleted,
    folder_deleted,
    database_moved,
    folder_moved,
    database_restored,
    wal_deleted,
    shm_deleted,
    a_link_instead,
]
"""In this order: where the link leads the companions are too."""

KEPT = {
    wal_deleted: "data/traces.db",
    shm_deleted: "data/traces.db",
    database_moved: "moved.db",
    folder_moved: "moved/traces.db",
}
"""Where the rows from before must be afterwards, for the faults that leave them somewhere."""


def backed_up(data: Path) -> None:
    with (
        closing(sqlite3.connect(data / "traces.db")) as source,
        closing(sqlite3.connect(data.with_name("backup.db"))) as copy,
    ):
        source.backup(copy)


def kept(path: Path) -> set[str]:
    with closing(sqlite3.connect(path)) as connection:
        return {trace_id for (trace_id,) in connection.execute("SELECT trace_id FROM traces")}


def sound(data: Path) -> None:
    """The log is, and was never moved aside; the cache may have gone with its folder."""
    assert verdict(data / "traces.db") == "ok"
    assert list(data.glob("traces.db.damaged*")) == []


def told(gateway: Process) -> dict[str, Any]:
    """What `/health` says of the log."""
    log: dict[str, Any] = httpx.get(f"{gateway.url}/health").json()["log"]
    return log


@pytest.fixture(scope="module", params=["normal", "full"])
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp(request.param)
    with Process(folder, {**ECHO, "log": {"synchronous": request.param}}) as running:
        yield running


@pytest.mark.parametrize("fault", FAULTS)
def test_d6_files_that_are_gone_or_others(gateway: Process, fault: Callable[[Path], None], figure: Figure) -> None:
    data = gateway.data
    old, before, after = Load(), Load(("whole", "posted")), Load()
    old.ask(gateway.port, requests=20)
    backed_up(data)
    before.ask(gateway.port, requests=40)
    fault(data)
    if fault in (wal_deleted, shm_deleted):
        # Of these it becomes aware in a moment; until then, only ending it at once would cost rows.
        time.sleep(2 * INTERVAL)
    after.ask(gateway.port, requests=200)
    lost = missing(data, after)
    figure(f"said to be logged, but missing: {fault.__name__.replace('_', ' ')}", f"{len(lost)} of {len(after.said)}")
    assert lost == set()
    assert after.statuses == {200: 200}
    assert after.unsaid == set()
    log = told(gateway)
    assert (log["writable"], log["dropped"]) == (True, 0)
    if fault in KEPT:
        assert kept(data.parent / KEPT[fault]) >= {*old.said, *before.said}
    if fault in (database_restored, a_link_instead):
        assert kept(data / "traces.db") >= set(old.said)
    sound(data)


def test_d6_a_folder_where_the_log_should_be(tmp_path: Path) -> None:
    """Nothing can be written: every answer says so, until it can."""
    during, after = Load(("whole", "posted")), Load()
    with Process(tmp_path, ECHO) as gateway:
        Load().ask(gateway.port, requests=20)
        (gateway.data / "traces.db").unlink()
        (gateway.data / "traces.db").mkdir()
        during.ask(gateway.port, requests=40)
        log = told(gateway)
        (gateway.data / "traces.db").rmdir()
        after.ask(gateway.port, requests=40)
        again = told(gateway)
    assert during.statuses == after.statuses == {200: 40}
    assert during.said == {}
    assert (log["writable"], log["dropped"]) == (False, 40)
    assert "Is a directory" in log["reason"]
    assert after.unsaid == set()
    assert missing(gateway.data, after) == set()
    assert (again["writable"], again["dropped"]) == (True, 40)
    sound(gateway.data)


def test_d6_who_only_reads_sees_what_is_there(tmp_path: Path) -> None:
    old = Load(("whole", "posted"))
    with Process(tmp_path, ECHO) as gateway:
        old.ask(gateway.port, requests=20)
        backed_up(gateway.data)
        Load(("whole",)).ask(gateway.port, requests=20)
        assert told(gateway)["rows"] == 40
        database_restored(gateway.data)
        assert told(gateway)["rows"] == 20
        files_deleted(gateway.data)
        assert told(gateway)["rows"] == 0
        assert told(gateway)["dropped"] == 0
    sound(gateway.data)


def test_d6_a_folder_that_is_moved_and_put_back(tmp_path: Path) -> None:
    """Unless something was asked in between, nobody has noticed."""
    load = Load()
    with Process(tmp_path, ECHO) as gateway:
        load.ask(gateway.port, requests=40)
        folder_moved(gateway.data)
        gateway.data.with_name("moved").rename(gateway.data)
        load.ask(gateway.port, requests=40)
    assert load.unsaid == set()
    assert missing(gateway.data, load) == set()
    sound(gateway.data)


@pytest.mark.timeout(120)
def test_d6_moved_away_again_and_again(tmp_path: Path, full: bool, figure: Figure) -> None:
    """While two gateways write: every row is in one of the files that were the log, and all of those are sound."""
    load = Load(("whole", "posted"))
    rounds = 100 if full else 20
    with Process(tmp_path, ECHO) as one, Process(tmp_path, ECHO) as other:
        asking = threading.Thread(target=lambda: load.ask(one.port, other.port, seconds=60))
        asking.start()
        for number in range(rounds):
            time.sleep(0.1)
            (one.data / "traces.db").rename(tmp_path / f"moved-{number}.db")
            # Who reads has noticed, and made it anew.
            assert [told(gateway)["writable"] for gateway in (one, other)] == [True, True]
        load.stopped = True
        asking.join()
    files = [*tmp_path.glob("moved-*.db"), one.data / "traces.db"]
    lost = load.said.keys() - set().union(*map(kept, files))
    figure(
        f"rows lost by two gateways whose log was moved {rounds} times",
        f"{len(lost)} of {len(load.said):,} ({len(load.unsaid)} told as lost)",
    )
    assert set(load.statuses) == {200}
    assert lost == set()
    assert len(files) == rounds + 1
    assert {verdict(path) for path in files} == {"ok"}
