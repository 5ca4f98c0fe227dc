"""Files that every released version of the schema wrote, and one of a version that is still to come."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from proxy import __version__
from proxy.cli import main
from proxy.record import FLAGS, Record
from proxy.stores.log.sqlite import SQLiteLog, open_readonly
from proxy.stores.schema.database import open_writer
from proxy.stores.schema.migrations import applied
from proxy.stores.schema.steps import MIGRATIONS
from tests.stores.test_sqlite import READ, reachable

__all__ = ["reachable"]

VERSIONS = Path(__file__).parent / "versions"
RELEASED = sorted(path.stem for path in VERSIONS.glob("*.sql"))


@pytest.fixture(params=RELEASED)
def version(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A released version of the schema, of which there is a file."""
    with closing(sqlite3.connect(tmp_path / "traces.db")) as connection:
        connection.executescript((VERSIONS / f"{request.param}.sql").read_text())
        assert max(applied(connection))[:4] == request.param
    return str(request.param)


def told(version: str) -> dict[str, Any]:
    """What that version read in its file."""
    found: dict[str, Any] = json.loads((VERSIONS / f"{version}.json").read_text())
    return found


def said(record: Record | None) -> dict[str, Any]:
    assert record is not None
    return {name: value for name, value in dataclasses.asdict(record).items() if name not in FLAGS}


def expected(row: dict[str, Any]) -> dict[str, Any]:
    """A row as it was, with the columns that came later, which say nothing."""
    return said(Record(**row))


async def test_every_row_is_read_as_before(version: str, tmp_path: Path) -> None:
    log, before = SQLiteLog(tmp_path / "traces.db"), told(version)
    for row in before["rows"]:
        assert said(await log.get(row["trace_id"])) == expected(row)
    assert await log.totals() == before["totals"]
    assert [row.trace_id for row in await log.descendants("agent")] == before["below"]
    assert await log.project("demo") == (*before["project"], False)
    await log.close()


async def test_it_is_written_on(version: str, tmp_path: Path) -> None:
    """Rows of before are merged with what comes, and what waited for a row is there when it comes."""
    log = SQLiteLog(tmp_path / "traces.db")
    turn = await log.get("turn-2")
    assert turn is not None
    again = dataclasses.replace(turn, trace_id="turn-3")
    assert await log.append(Record("to-come", "to-come"))
    assert await log.append(again)
    assert await log.append(Record("turn-0", "agent", output="another"))
    assert await log.append(Record("late", "lost", cost=1.0, input_tokens=5))
    assert said(await log.get("turn-3")) == said(again)
    waited, merged = await log.get("to-come"), await log.get("turn-0")
    assert waited is not None
    assert merged is not None
    assert (waited.feedback_score, merged.output, merged.model) == (1.0, "another", "gpt-4o")
    assert await log.get("late") is None, "its trace lost the draw, and that is remembered"
    await log.close()
    with closing(sqlite3.connect(tmp_path / "traces.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        connection.execute("DELETE FROM traces")
        left = [
            connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("conversations", "bodies")
        ]
        assert left == [0, 0]


def test_the_views_answer(version: str, tmp_path: Path) -> None:
    log = open_readonly(tmp_path / "traces.db")

    def ask(query: str) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in log.ask(query)][1:]

    assert ask("SELECT calls, errors, cost, depth FROM trees WHERE root_trace_id = 'agent'") == [(5, 1, 0.75, 3)]
    assert ask("SELECT count(*) FROM messages WHERE trace_id = 'turn-2'") == [(6,)]
    assert ask("SELECT trees, calls, end_user FROM sessions") == [(1, 4, "ann")]
    assert ask("SELECT sum(calls), sum(cost), sum(saved) FROM spend_daily") == [(7, 0.875, 0.5)]
    assert ask("SELECT deployment_id, calls FROM deployments") == [("p-weather", 3)]
    assert ask("SELECT sum(hits), sum(misses) FROM cache") == [(1, 3)]
    assert ask("SELECT project, expected FROM requests WHERE trace_id = 'tool'") == [("default", "Rome")]


def test_every_released_step_has_a_file() -> None:
    """`m001_traces` to `m003_sampled_out` were released together, and so were the two after `m004_keys`."""
    assert RELEASED == ["m003", "m004", "m006"]


OLDER = [name for name in RELEASED if not MIGRATIONS[-1][0].startswith(name)]


@pytest.mark.parametrize("version", OLDER, indirect=True)
@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_an_older_file_that_may_not_be_written_is_told(
    version: str, mode: str, tmp_path: Path, reachable: Path
) -> None:
    path = reachable / "traces.db"
    shutil.copy(tmp_path / "traces.db", path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
    path.chmod(0o444)
    reachable.chmod(0o555)
    found = subprocess.run([sys.executable, "-c", READ, str(path)], capture_output=True, text=True, check=True).stdout
    assert re.search(rf"an older version of the gateway, its schema is {version}_\w+, .* --data", found)


VERBS = {
    "serve": ["serve", "--port", "0"],
    "traces": ["traces"],
    "traces ID": ["traces", "agent"],
    "log": ["log"],
    "log sql": ["log", "sql", "select 1"],
    "log show": ["log", "show", "agent"],
    "log stats": ["log", "stats"],
    "log export": ["log", "export"],
    "log tail": ["log", "tail"],
    "log import": ["log", "import", "in"],
    "deployments": ["deployments", "list", "--stats"],
    "keys": ["keys", "list"],
}


@pytest.mark.parametrize("verb", VERBS)
def test_a_file_of_a_newer_version_is_refused(verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(
        "deployments: {p: {model: echo/echo, prompt: x}}\n"
        f"keys: {{team-a: {{hash: 'sha256:{'0' * 64}', budget: {{amount: 1, window: 1d}}}}}}\n"
    )
    Path("in").write_text('{"trace_id": "a", "root_trace_id": "a"}\n')
    Path("data").mkdir(mode=0o700)
    with closing(open_writer(Path("data/traces.db"))) as connection:
        connection.execute("INSERT INTO migrations (name) VALUES ('m900_from_the_future')")
    before = Path("data/traces.db").read_bytes()
    found = CliRunner().invoke(main, [*VERBS[verb], "--data", "data"], prog_name="parea-proxy")
    assert (found.exit_code, found.stdout) == (2, "")
    (line,) = [line for line in found.stderr.splitlines() if "newer version" in line]
    known = MIGRATIONS[-1][0]
    assert f"its schema is m900_from_the_future, and that of this version, {__version__}, is {known}" in line
    assert "upgrade parea-proxy, or choose another data folder with --data" in line
    assert Path("data/traces.db").read_bytes() == before
