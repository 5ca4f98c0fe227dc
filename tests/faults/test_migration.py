"""D7: a log of a newer version, and `kill -9` at every statement that makes or changes the schema.

What must stay true: a newer log is refused in one message and left as it is; a schema that was begun is finished at the
next start, with the rows that were there.
"""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.faults.evidence import missing
from tests.faults.load import ECHO, Load
from tests.faults.plugin import Figure
from tests.gateway import Process

pytestmark = pytest.mark.fault("D7")

KILLED = """
import json, os, shutil, signal, sqlite3, sys
from pathlib import Path
from proxy.stores.schema import database
from proxy.stores.schema import migrations

folder, steps = Path(sys.argv[1]), int(sys.argv[2])
ALL = list(migrations.MIGRATIONS)
connect = sqlite3.connect

def old(path):
    '''A log of the version that knew the first steps only, with a row.'''
    migrations.MIGRATIONS[:] = ALL[:steps]
    connection = database.open_writer(path)
    if steps:
        connection.execute("INSERT INTO traces (trace_id, root_trace_id) VALUES ('kept', 'kept')")
    connection.close()
    migrations.MIGRATIONS[:] = ALL

def dying(count):
    '''Connections whose process is killed at their statement of this number.'''
    left = [count]
    def trace(statement):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    def opened(*arguments, **options):
        connection = connect(*arguments, **options)
        connection.set_trace_callback(trace)
        return connection
    return opened

outcomes, number = [], 0
while True:
    number += 1
    path = folder / str(number) / "traces.db"
    path.parent.mkdir(parents=True)
    if steps:
        old(path)
    child = os.fork()
    if child == 0:
        sqlite3.connect = dying(number)
        database.open_writer(path).close()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    sqlite3.connect = connect
    again = database.open_writer(path)
    applied = sorted(migrations.applied(again)) == sorted(name for name, _ in ALL)
    kept = [name for (name,) in again.execute("SELECT trace_id FROM traces")]
    schema = sorted(sql for (sql,) in again.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"))
    verdict = again.execute("PRAGMA integrity_check").fetchone()[0]
    aside = [one.name for one in path.parent.glob("*.damaged*")]
    again.close()
    shutil.rmtree(path.parent)
    outcomes.append((os.WTERMSIG(status), applied, kept, schema, verdict, aside))
    if os.WTERMSIG(status) == 0:
        break
print(json.dumps(outcomes))
"""
"""Fork, be killed at statement 1, 2, 3, ... of opening a log, and open it again; until one child came through."""


@pytest.mark.parametrize("steps", [0, 1, 2, 4])
def test_d7_a_migration_is_killed_at_every_statement(tmp_path: Path, steps: int, figure: Figure) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(steps)], capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    killed, (_, *whole) = outcomes[:-1], outcomes[-1]
    assert {number for number, *_ in killed} == {signal.SIGKILL}
    assert len(killed) > 10
    assert whole[0], "all steps are taken"
    assert whole[1] == (["kept"] if steps else [])
    # Whenever it was killed, the next start makes the very same of it.
    assert [found for _, *found in killed if found != whole] == []
    figure(f"migrations from step {steps} not finished after kill -9", f"0 of {len(killed)} statements")


def test_d7_a_newer_log_is_refused_and_left_alone(tmp_path: Path) -> None:
    with Process(tmp_path, ECHO) as gateway:
        load = Load().ask(gateway.port, requests=8)
    with closing(sqlite3.connect(gateway.data / "traces.db", isolation_level=None)) as connection:
        connection.execute("INSERT INTO migrations (name) VALUES ('m900_from_the_future')")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = (gateway.data / "traces.db").read_bytes()
    gateway.output.unlink()
    with pytest.raises(RuntimeError, match="newer version"), gateway:
        pass
    assert gateway.process.wait(10) == 2
    assert "Traceback" not in gateway.output.read_text()
    assert (gateway.data / "traces.db").read_bytes() == before
    assert missing(gateway.data, load) == set()
    assert not list(gateway.data.glob("*.damaged*"))
