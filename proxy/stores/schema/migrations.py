"""Taking the steps of `steps.py` that a trace log lacks.

The table `migrations` remembers which steps were taken. Each is one transaction: a process killed in the middle of one
leaves the step before it.
"""

from __future__ import annotations

import sqlite3

from proxy import __version__
from proxy.errors import ConfigError
from proxy.stores.schema.steps import MIGRATIONS


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database up to date; several processes may do so at once.

    Raises `ConfigError` when a newer version of the gateway has written it.
    """
    own(connection)
    connection.execute(
        "CREATE TABLE IF NOT EXISTS migrations (name TEXT PRIMARY KEY, applied_at TEXT DEFAULT CURRENT_TIMESTAMP)"
    )
    check(connection)
    for name, step in MIGRATIONS:
        if name in applied(connection):
            continue
        connection.execute("BEGIN IMMEDIATE")
        try:
            # Asked again: while this process waited for the lock another one may have taken the step.
            if name not in applied(connection):
                step(connection)
                connection.execute("INSERT INTO migrations (name) VALUES (?)", (name,))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def own(connection: sqlite3.Connection) -> None:
    """Raises `ConfigError` when the database is another program's. One without any table is nobody's yet."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and tables != {"migrations"} and not tables >= {"migrations", "traces"}:
        raise ConfigError(
            f"{_path(connection)} is a database of another program, and no trace log: choose another data folder with"
            " --data"
        )


def check(connection: sqlite3.Connection) -> None:
    """Raises `ConfigError` when the database is no trace log, or has steps that this version does not know."""
    own(connection)
    unknown = sorted(applied(connection) - {name for name, _ in MIGRATIONS})
    if unknown:
        raise ConfigError(
            f"{_path(connection)} was written by a newer version of the gateway: its schema is {unknown[-1]}, and that"
            f" of this version, {__version__}, is {MIGRATIONS[-1][0]}: upgrade parea-proxy, or choose another data"
            " folder with --data"
        )


def _path(connection: sqlite3.Connection) -> str:
    return str(connection.execute("PRAGMA database_list").fetchone()[2])


def behind(connection: sqlite3.Connection) -> str | None:
    """The last step that a database has taken, where this version knows further ones; None where it has them all."""
    taken = applied(connection)
    return None if {name for name, _ in MIGRATIONS} <= taken else max(taken, default="none")


def applied(connection: sqlite3.Connection) -> set[str]:
    """The names of the steps that a database has taken."""
    return {name for (name,) in connection.execute("SELECT name FROM migrations")}
