"""The index of full-text search and the sums made anew where they are damaged: the log goes on, and loses nothing but
time.

What must stay true: pages of a damaged table are left alone, since what they point to may be rows of the log. They are
out of use until somebody makes a `VACUUM`.
"""

from __future__ import annotations

import re
import sqlite3

from proxy.stores.schema.migrations import applied
from proxy.stores.schema.steps import m008_search, m010_sums

_OURS = ("blocks", "words", "summed", "apart", "hourly", "hourly_labels", "daily", "daily_labels")
_NAMES = f"({', '.join('?' * len(_OURS))})"
_FORGET = f"""DELETE FROM sqlite_master WHERE tbl_name IN {_NAMES}
OR (type = 'trigger' AND (name LIKE 'words@_%' ESCAPE '@' OR name LIKE 'sums@_%' ESCAPE '@'))"""
_UNUSED = re.compile(r"(\*\*\* in database \w+ \*\*\*|Page \d+(:| is) never used)")


def mend(connection: sqlite3.Connection) -> None:
    """Forget the index and the sums, without looking at them, and begin anew."""
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA schema_version").fetchone()
        connection.execute(_FORGET, _OURS)
        connection.execute(f"PRAGMA schema_version = {version + 1}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        connection.execute("PRAGMA writable_schema = RESET")
    connection.execute("BEGIN IMMEDIATE")
    try:
        (there,) = connection.execute(f"SELECT count(*) FROM sqlite_master WHERE name IN {_NAMES}", _OURS).fetchone()
        for step in (m008_search, m010_sums):
            if not there and step.__name__ in applied(connection):
                step(connection)
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def verdict(connection: sqlite3.Connection) -> str:
    """What is wrong with the database; "ok" where nothing is but pages that are out of use."""
    (first,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if first == "ok":
        return "ok"
    wrong: list[str] = []
    try:
        for (said,) in connection.execute("PRAGMA quick_check(1000000)"):
            wrong += [line for line in said.splitlines() if not _UNUSED.fullmatch(line.strip())]
    except sqlite3.DatabaseError as error:
        # It goes on from the pages to the rows, and may end there.
        wrong.append(str(error))
    return wrong[0] if wrong else "ok"


def only_the_index(connection: sqlite3.Connection) -> bool:
    """Whether everything but the index and the sums is sound."""
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables.isdisjoint(_OURS):
        return False
    checked = ["sqlite_schema", *(tables - set(_OURS))]
    return all(connection.execute(f'PRAGMA quick_check("{name}")').fetchone() == ("ok",) for name in checked)
