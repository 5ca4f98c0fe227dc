"""D9: somebody reads the log for a long time, or compacts it, while it is written.

A reader in a transaction keeps SQLite from writing over what it may still read, so the WAL grows for as long; nobody
can help that. What must stay true: answers do not wait for it, nothing is lost, and when the reader has gone the WAL is
soon within its bound again.
"""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from proxy.stores.index.indexer import BLOCK
from proxy.stores.schema.checkpoints import CHECKPOINT_ROWS
from proxy.stores.schema.database import WAL_LIMIT
from tests.faults.evidence import intact, missing, size
from tests.faults.load import ECHO, Load
from tests.faults.plugin import Figure
from tests.gateway import Process

pytestmark = pytest.mark.fault("D9")


@pytest.mark.timeout(240)
def test_d9_a_reader_that_stays(tmp_path: Path, full: bool, figure: Figure) -> None:
    """In the long form until the WAL is beyond its bound; in the short one over a checkpoint, at which it is met."""
    rest = CHECKPOINT_ROWS + 500
    load, after = [Load(("whole", "posted"), size=8000 if full else 100) for _ in range(2)]
    with Process(tmp_path, ECHO) as gateway:
        load.ask(gateway.port, requests=50)
        with closing(sqlite3.connect(gateway.data / "traces.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            (seen,) = reader.execute("SELECT count(*) FROM traces").fetchone()
            load.slowest = 0.0
            end = time.monotonic() + (60 if full else 0)
            load.ask(gateway.port, requests=rest)
            while time.monotonic() < end or (full and size(gateway.data) < WAL_LIMIT):
                load.ask(gateway.port, requests=rest)
            grown = size(gateway.data)
            assert reader.execute("SELECT count(*) FROM traces").fetchone() == (seen,), "it reads what it began with"
        end = time.monotonic() + 60
        after.ask(gateway.port, requests=rest if full else 50)
        while (shrunk := size(gateway.data)) > WAL_LIMIT and time.monotonic() < end:
            after.ask(gateway.port, requests=rest)
    lost = missing(gateway.data, load, after)
    figure(
        "WAL beside a reader that stays, and afterwards",
        f"{grown / 1e6:.0f} MB after {load.answers:,} rows, and {shrunk / 1e6:.0f} MB another {after.answers:,} later; "
        f"slowest answer {load.slowest * 1000:.0f} ms, {len(lost)} of {len(load.said) + len(after.said):,} rows lost",
    )
    assert lost == set()
    assert load.unsaid | after.unsaid == set()
    assert shrunk <= WAL_LIMIT
    assert load.slowest < 0.9, "answers waited for the reader"
    intact(gateway.data)


def alone(data: Path) -> int:
    """Rows that are in the database itself, without its WAL; 0 while it is being written back."""
    with closing(sqlite3.connect(f"file:{data / 'traces.db'}?immutable=1", uri=True)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM traces").fetchone()[0])
        except sqlite3.DatabaseError:
            return 0


def test_d9_the_wal_is_written_back_while_it_is_written(tmp_path: Path) -> None:
    load = Load(("posted",))
    least = CHECKPOINT_ROWS - 3 * BLOCK  # the words of the search index, a block or two, are counted as rows
    with Process(tmp_path, ECHO) as gateway:
        load.ask(gateway.port, requests=CHECKPOINT_ROWS + 100)
        end = time.monotonic() + 10
        while (found := alone(gateway.data)) < least and time.monotonic() < end:
            time.sleep(0.05)
    assert found >= least
    assert missing(gateway.data, load) == set()


VACUUM = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=30, isolation_level=None)
for _ in range(int(sys.argv[2])):
    connection.execute("VACUUM")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
"""


@pytest.mark.timeout(180)
def test_d9_compacted_while_it_is_written(tmp_path: Path, full: bool, figure: Figure) -> None:
    rounds = 20 if full else 3
    load = Load(("whole", "posted", "edited"), size=1000)
    with Process(tmp_path, ECHO) as gateway:
        load.ask(gateway.port, requests=300)
        with closing(sqlite3.connect(gateway.data / "traces.db", isolation_level=None, timeout=10)) as owner:
            # What a person does who wants the space back.
            owner.execute("DELETE FROM traces")
        load = Load(("whole", "posted", "edited"), size=1000)
        asking = threading.Thread(target=lambda: load.ask(gateway.port, seconds=30))
        asking.start()
        subprocess.run([sys.executable, "-c", VACUUM, gateway.data / "traces.db", str(rounds)], check=True, timeout=60)
        load.stopped = True
        asking.join()
    lost = missing(gateway.data, load)
    figure(f"rows lost beside {rounds} x VACUUM", f"{len(lost)} of {len(load.said):,}")
    assert lost == set()
    assert set(load.statuses) == {200}
    assert load.unsaid == set()
    intact(gateway.data)
