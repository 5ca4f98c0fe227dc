from __future__ import annotations

import contextlib
import re
import sqlite3
from dataclasses import fields
from pathlib import Path

import pytest

from proxy.errors import ConfigError
from proxy.record import FLAGS, Record
from proxy.stores.log.rows import COLUMNS
from proxy.stores.schema.database import open_reader, open_writer
from proxy.stores.schema.migrations import applied, migrate
from proxy.stores.schema.steps import MIGRATIONS


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [name for _, name, *_ in connection.execute(f"PRAGMA table_info({table})")]


def test_the_table_has_the_fields_of_a_record(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "traces.db")
    ours = [field.name for field in fields(Record) if field.name not in FLAGS]
    assert columns(connection, "traces") == [*ours, "conversation"]
    assert ours == list(COLUMNS)
    assert columns(connection, "edits") == ["edited_at", *ours]
    connection.close()


def test_every_migration_is_taken_once_and_remembered(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "traces.db")
    assert applied(connection) == {name for name, _ in MIGRATIONS}
    migrate(connection)
    connection.close()


def test_the_names_of_migrations_are_their_order() -> None:
    names = [name for name, _ in MIGRATIONS]
    assert names == sorted(names)
    assert [name[:5] for name in names] == [f"m{number:03}_" for number in range(1, len(names) + 1)]


@pytest.mark.fault("D7")
def test_a_newer_schema_is_refused_by_writer_and_reader(tmp_path: Path) -> None:
    path = tmp_path / "traces.db"
    connection = open_writer(path)
    connection.execute("INSERT INTO migrations (name) VALUES ('m900_from_the_future')")
    connection.close()
    for opened in (open_writer, open_reader):
        with pytest.raises(ConfigError, match=r"newer version.*m900_from_the_future.*--data"):
            opened(path)


@pytest.mark.parametrize("table", ["mine", "traces"])
def test_the_database_of_another_program_is_refused_and_stays_as_it_is(tmp_path: Path, table: str) -> None:
    path = tmp_path / "traces.db"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(f"CREATE TABLE {table} (a)")
    before = path.read_bytes()
    for opened in (open_writer, open_reader):
        with pytest.raises(ConfigError, match="another program.*--data"):
            opened(path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["traces.db"]


@pytest.mark.fault("D7")
@pytest.mark.parametrize("statement", range(1, 14))
def test_a_migration_that_is_interrupted_is_taken_again(tmp_path: Path, statement: int) -> None:
    """Stop after each statement in turn, as a kill would, by leaving without a commit."""
    path = tmp_path / "traces.db"
    connection = sqlite3.connect(path, isolation_level=None)
    count = 0

    def stop(action: int, *_: str | None) -> int:
        nonlocal count
        count += action == sqlite3.SQLITE_INSERT
        return sqlite3.SQLITE_DENY if count >= statement else sqlite3.SQLITE_OK

    connection.set_authorizer(stop)
    with contextlib.suppress(sqlite3.DatabaseError):
        migrate(connection)
    connection.close()
    connection = open_writer(path)
    assert applied(connection) == {name for name, _ in MIGRATIONS}
    assert columns(connection, "traces") == [*COLUMNS, "conversation"]
    connection.close()


def test_the_schema_explains_its_columns(tmp_path: Path) -> None:
    connection = open_writer(tmp_path / "traces.db")
    (ddl,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'traces'").fetchone()
    uncommented = re.findall(r"^\s+(\w+) [A-Z ]+,?$", ddl, re.MULTILINE)
    assert set(uncommented) <= {"experiment_uuid", "provider", "model", "input_tokens", "output_tokens", "total_tokens"}
    connection.close()
