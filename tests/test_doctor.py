"""`doctor` on folders that gateways have made, as they are and spoilt in one way each."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from proxy import timestamps
from proxy.cli import main
from proxy.record import Record
from proxy.stores.cache.diskcache import DiskCache
from proxy.stores.log.sqlite import SQLiteLog
from tests.gateway import Local, Process, until

OWN_KEY = "the-key-of-this-config-0815"
KEY = "sk-proj-0123456789abcdefghij"
CONFIG = {
    "model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}],
    "providers": {"openai": {"api_key": OWN_KEY}},
}


def doctor(folder: Path, *arguments: str, code: int = 0) -> dict[str, dict[str, str]]:
    """The findings by name; of several of one name the worst."""
    config = folder / "config.yaml"
    if not config.exists():
        config.write_text(yaml.safe_dump(CONFIG))
        config.chmod(0o600)
    given = ["doctor", "--config", str(config), "--data", str(folder / "data"), *arguments]
    plain, found = (CliRunner().invoke(main, [*given, *more]) for more in ((), ("--json",)))
    assert (found.exit_code, plain.exit_code) == (code, code), found.output
    worst: dict[str, dict[str, str]] = {}
    for one in sorted(json.loads(found.stdout), key=lambda one: ["ok", "warn", "fail"].index(one["state"])):
        assert one["name"] in ("disk", "WAL") or one["said"][:20] in plain.stdout
        assert one["fix"] or one["state"] == "ok", one
        worst[one["name"]] = one
    for secret in (KEY, OWN_KEY):
        assert secret not in found.output + plain.output
    return worst


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a row and a cached answer, at rest."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)

    async def fill() -> None:
        log = SQLiteLog(data / "traces.db")
        assert await log.append(
            Record("t-1", "t-1", output="Hello", start_timestamp=timestamps.text(datetime.now(UTC)))
        )
        await log.close()
        cache = DiskCache(data / "cache", data / "cache.key", ttl=3600, max_size=2**30)
        await cache.set(b"small", b"an answer")
        await cache.set(b"large", b"an answer" * 10_000)
        await cache.close()

    asyncio.run(fill())
    return tmp_path


def write(folder: Path, *records: Record) -> None:
    async def run() -> None:
        log = SQLiteLog(folder / "data" / "traces.db")
        assert all([await log.append(record) for record in records])
        await log.close()

    asyncio.run(run())


def execute(path: Path, sql: str, *values: Any) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(sql, values)
    connection.close()


def state_of(folder: Path) -> dict[str, tuple[int, int, int]]:
    paths = [folder, *folder.rglob("*")]
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_size, path.stat().st_mode) for path in paths}


def content_of(folder: Path) -> dict[str, bytes]:
    """The log: but for what readers have their locks in. A gateway goes on with its cache and its counts by itself."""
    return {path.name: path.read_bytes() for path in folder.glob("traces.db*") if not path.name.endswith("-shm")}


def kept(folder: Path) -> int:
    """How many answers the cache has on disk."""
    with contextlib.closing(sqlite3.connect(folder / "cache" / "cache.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM Cache").fetchone()[0])


def test_a_sound_folder_is_left_as_it_is(folder: Path) -> None:
    before = state_of(folder / "data")
    found = doctor(folder, "--full")
    assert {one["state"] for one in found.values()} == {"ok"}, found
    assert "2 entries, all sealed" in found["cache seals"]["said"]
    assert state_of(folder / "data") == before


@pytest.mark.skipif(sys.platform != "linux", reason="no other system tells whose a lock is")
def test_a_gateway_without_a_board_is_not_passed_over(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    (data / "board").mkdir(mode=0o700)  # so it cannot make one
    with Process(tmp_path, CONFIG) as gateway:
        (data / "board").rmdir()
        found = doctor(tmp_path)["gateway"]
        assert found["said"].startswith(f"process {gateway.process.pid} has the trace log open")
    assert doctor(tmp_path)["gateway"]["said"] == "none runs on this folder"
    (data / "board").touch(mode=0o600)
    assert doctor(tmp_path)["gateway"]["said"] == "cannot be told: its board is not whole"


def test_a_folder_that_a_gateway_uses_is_sound_and_the_gateway_notices_nothing(tmp_path: Path) -> None:
    with Local(tmp_path, CONFIG) as gateway:
        for _ in range(2):
            gateway.complete({"llm_configuration": {"model": "echo", "messages": [{"role": "user", "content": "Hi"}]}})
        until(lambda: kept(gateway.data) == 1)
        before = content_of(gateway.data)
        found = doctor(tmp_path)
        assert {one["state"] for one in found.values()} == {"ok"}, found
        assert str(os.getpid()) in found["gateway"]["said"]
        assert content_of(gateway.data) == before
        gateway.complete({"llm_configuration": {"model": "echo", "messages": [{"role": "user", "content": "Ho"}]}})


def test_without_a_folder_there_is_nothing_to_look_at(tmp_path: Path) -> None:
    assert doctor(tmp_path)["data folder"]["state"] == "warn"
    assert not (tmp_path / "data").exists()


def test_a_config_that_cannot_be_read_fails(folder: Path) -> None:
    (folder / "config.yaml").write_text("log: {omit: everything}\n")
    assert "log.omit" in doctor(folder, code=1)["config"]["said"]


def test_a_config_that_others_may_change_fails(folder: Path) -> None:
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    (folder / "config.yaml").chmod(0o666)
    assert "chmod" in doctor(folder, code=1)["config"]["fix"]


def test_pages_that_are_damaged_fail(folder: Path) -> None:
    path = folder / "data" / "traces.db"
    with path.open("r+b") as file:
        file.seek(2 * 4096)
        file.write(b"\xff" * 4096)
    found = doctor(folder, code=1)
    assert found["trace log"]["state"] == "fail"
    path.write_bytes(b"no database at all" * 1000)
    assert doctor(folder, code=1)["trace log"]["state"] == "fail"


def test_what_is_no_database_fails_under_the_names_of_the_checks(folder: Path) -> None:
    (folder / "data" / "traces.db").write_text("garbage")
    found = doctor(folder, code=1)
    assert found["secrets"]["state"] == "fail"
    assert not [name for name in found if "lambda" in name]


def test_the_database_of_another_program_is_called_that(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    with contextlib.closing(sqlite3.connect(tmp_path / "data" / "traces.db")) as connection:
        connection.execute("CREATE TABLE traces (theirs)")
    (tmp_path / "data" / "traces.db").chmod(0o600)
    found = doctor(tmp_path, code=1)
    assert [one["name"] for one in found.values() if one["state"] != "ok"] == ["schema"]
    assert "of another program" in found["schema"]["said"]
    assert "--data" in found["schema"]["fix"]


def test_an_empty_file_is_one_that_the_next_start_fills(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o700)
    (tmp_path / "data" / "traces.db").touch(mode=0o600)
    found = doctor(tmp_path)
    assert [one["name"] for one in found.values() if one["state"] != "ok"] == ["schema"]
    assert "empty" in found["schema"]["said"]
    write(tmp_path, Record("t-1", "t-1", output="Hello"))
    assert all(one["state"] == "ok" for one in doctor(tmp_path).values())


def test_what_others_may_read_is_told(folder: Path) -> None:
    (folder / "data" / "traces.db").chmod(0o644)
    assert doctor(folder)["permissions"]["state"] == "warn"
    (folder / "data").chmod(0o755)
    assert "traces.db" in doctor(folder, code=1)["permissions"]["said"]


def test_an_older_schema_is_a_warning_and_a_newer_one_fails(folder: Path) -> None:
    path = folder / "data" / "traces.db"
    execute(path, "CREATE TABLE mine (x)")
    assert "table mine" in doctor(folder)["schema"]["said"]
    execute(path, "DROP INDEX traces_by_root")
    assert "traces_by_root" in doctor(folder, code=1)["schema"]["said"]
    execute(path, "DELETE FROM migrations WHERE name = 'm006_views'")
    assert doctor(folder)["schema"]["state"] == "warn"
    execute(path, "INSERT INTO migrations (name) VALUES ('m999_later')")
    assert "m999_later" in doctor(folder, code=1)["schema"]["said"]


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE Cache SET value = x'00' WHERE filename IS NULL", "1 are not sealed"),
        ("UPDATE Cache SET key = x'00' WHERE filename IS NOT NULL", "1 are not sealed"),
        ("UPDATE Cache SET mode = 4", "2 are not sealed"),
        ("UPDATE Cache SET filename = '../../traces.db' WHERE filename IS NOT NULL", "1 are not sealed"),
        ("UPDATE Cache SET filename = '00/00/' || substr(filename, 7) WHERE filename IS NOT NULL", "1 name a file"),
    ],
)
def test_entries_of_the_cache_that_somebody_else_wrote_fail(folder: Path, sql: str, said: str) -> None:
    execute(folder / "data" / "cache" / "cache.db", sql)
    assert said in doctor(folder, code=1)["cache seals"]["said"]


def test_another_key_of_the_cache_fails(folder: Path) -> None:
    (folder / "data" / "cache.key").write_bytes(b"x" * 32)
    assert "2 are not sealed" in doctor(folder, code=1)["cache seals"]["said"]
    (folder / "data" / "cache.key").unlink()
    assert "cache.key" in doctor(folder, code=1)["cache seals"]["said"]


def test_what_is_left_over_is_told(folder: Path) -> None:
    data = folder / "data"
    (data / ".cache.key.0123").touch(mode=0o600)
    (data / "traces.db.damaged-1").touch(mode=0o600)
    (data / "cache" / "ab" / "cd").mkdir(mode=0o700, parents=True)
    (data / "cache" / "ab").chmod(0o700)
    stray = data / "cache" / "ab" / "cd" / f"{'0' * 28}.val"
    stray.touch(mode=0o600)
    for path in (data / ".cache.key.0123", stray):
        os.utime(path, (time.time() - 3600,) * 2)
    found = doctor(folder)
    assert found["left over"]["state"] == found["cache files"]["state"] == "warn"


def test_a_long_wal_is_told(folder: Path) -> None:
    with (folder / "data" / "traces.db-wal").open("wb") as file:
        file.truncate(65 * 2**20)
    (folder / "data" / "traces.db-wal").chmod(0o600)
    assert "65.0 MiB" in doctor(folder)["WAL"]["said"]


def test_rows_of_the_future_are_told(folder: Path) -> None:
    write(folder, Record("t-2", "t-2", start_timestamp=timestamps.text(datetime.now(UTC) + timedelta(days=1))))
    assert "1 rows" in doctor(folder)["clock"]["said"]


def test_keys_in_rows_are_told_by_their_place(folder: Path) -> None:
    long = [{"role": "user", "content": f"my key is {KEY} " + "x" * 2000}]
    write(folder, Record("t-2", "t-2", output=f"use {KEY}", configuration={"messages": long}))
    found = doctor(folder)["secrets"]
    assert found["state"] == "warn"
    for place in ("traces t-2, output", "bodies row 1, body"):
        assert place in found["said"]
    write(folder, Record("t-3", "t-3", metadata={"a": OWN_KEY}))
    found = doctor(folder, code=1)["secrets"]
    assert "traces t-3, metadata" in found["said"]
    assert "keys of the config" in found["said"]


def test_a_key_that_is_a_row_s_id_is_told_by_the_row_s_number(folder: Path) -> None:
    write(folder, Record(KEY, KEY, output="no key"), Record(OWN_KEY, OWN_KEY, output=f"use {OWN_KEY}"))
    found = doctor(folder, code=1)["secrets"]
    assert "traces row 3, output" in found["said"]


def test_a_log_that_was_cut_off_is_told_by_the_names_of_what_cannot_be_looked_at(folder: Path) -> None:
    with sqlite3.connect(folder / "data" / "traces.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    connection.close()
    os.truncate(folder / "data" / "traces.db", 20_000)
    found = doctor(folder, code=1)
    assert {name for name, one in found.items() if one["state"] == "fail"} == {
        *("trace log", "schema", "clock", "secrets")
    }
    assert found["cache"]["state"] == "ok"


def test_what_takes_long_is_said_to_be_unfinished(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy.commands.doctor.checks.PATIENCE", -1.0)
    monkeypatch.setattr("proxy.stores.checkup.STEPS", 1)
    write(folder, *[Record(f"t-{n}", "t", name="n", output="x", model="m") for n in range(100)])
    found = doctor(folder)
    assert found["trace log"]["state"] == found["secrets"]["state"] == "warn"
    assert doctor(folder, "--full")["secrets"]["state"] == "ok"
