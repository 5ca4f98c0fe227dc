"""SQL that people write, on a connection that can only read: it reads the database, and does nothing else, for a while.

What must stay true: whatever is asked, nothing is written, no other file is opened, no setting is changed, and the
question ends when its time is over. `mode=ro` alone would let `ATTACH` make a file, and a question run for ever.

SQLite looks at the time between its steps, and a function is one of them, however long its texts are: `instr` of two
that are made for it takes hours. Nothing in this process can end it, so whoever can do without the process says what
is to be done then (`overdue`), and whoever cannot asks in a thread that may be left behind (`questions`).
"""

from __future__ import annotations

import json
import math
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, count
from typing import Any

from proxy.errors import BadRequest
from proxy.stores.schema.database import TROUBLE, code

STEPS = 10_000
"""Of SQLite's own, after which the time is looked at: about a millisecond."""

LONGEST = 256 * 2**20
"""Bytes of one value that a question may make."""

PATTERN = 500
"""Bytes of a pattern of LIKE or GLOB, which may take a step for each of them at each character of a text."""

MARGIN = 1.0
"""Seconds beyond its time after which a question is within a function."""

MOMENT = 0.5
"""Seconds between two looks at whether it is."""

Overdue = Callable[[str], None]
"""Is told, in a thread of its own, why a question was to be stopped that goes on."""

_MISSING = re.compile(r"no such (column|table): (\S+)")

_LIMITS = ((sqlite3.SQLITE_LIMIT_LENGTH, LONGEST), (sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, PATTERN))

_READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
_REFUSED = frozenset({"load_extension", "fts3_tokenizer"})
"""Functions that load code, or tell where it is in memory."""

_PRAGMAS = frozenset({"table_info", "table_xinfo", "table_list", "index_list", "index_info", "data_version"})
"""Those that tell of the schema; the last is what full-text search looks at."""


FAILED = "user-defined function raised exception"
"""What SQLite says of a question that was stopped while a function of ours asked something itself."""


class Stopped(BadRequest):
    """The time was not enough."""

    def __init__(self, seconds: float) -> None:
        super().__init__(stopped(seconds))
        self.seconds = seconds


class Deadline:
    """When a question's time is over. None goes by while its rows are taken: a pager may hold them for long."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        return self._end - time.monotonic()

    def over(self) -> bool:
        return time.monotonic() > self._end

    def handed(self, rows: Iterable[Sequence[Any]]) -> Iterator[Sequence[Any]]:
        for row in rows:
            left, self._end = self.left(), math.inf
            yield row
            self._end = time.monotonic() + left


@contextmanager
def guarded(connection: sqlite3.Connection, seconds: float, overdue: Overdue | None = None) -> Iterator[Deadline]:
    """As long as this lasts the connection only reads, and no longer than `seconds`, or `overdue` is told.

    Raises `BadRequest` where SQLite refuses what was asked, and where the time was not enough. What is the database's
    own trouble stays SQLite's error, and Ctrl-C is one, though SQLite makes an error of it.
    """
    deadline = Deadline(seconds)
    connection.set_authorizer(_authorized)
    connection.set_progress_handler(deadline.over, STEPS)
    before = [(limit, connection.setlimit(limit, most)) for limit, most in _LIMITS]
    try:
        with _watched(deadline, overdue):
            yield deadline
    except (sqlite3.Error, sqlite3.Warning) as error:
        if isinstance(error, sqlite3.Error) and code(error) in TROUBLE - {sqlite3.SQLITE_AUTH}:
            raise
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT and not deadline.over():
            # raised where SQLite asked for the time: nothing else ends a question before that is over
            raise KeyboardInterrupt from error
        raise _refusal(error, deadline) from error
    finally:
        for limit, most in before:
            connection.setlimit(limit, most)
        connection.set_progress_handler(None, 0)
        connection.set_authorizer(None)


@contextmanager
def _watched(deadline: Deadline, overdue: Overdue | None) -> Iterator[None]:
    """As long as this lasts, `overdue` is told where the time is over and nothing ends."""
    if overdue is None:
        yield
        return
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(min(max(deadline.left() + MARGIN, 0.0) + 0.01, MOMENT)):
            if deadline.left() < -MARGIN:
                overdue(stopped(deadline.seconds))
                return

    threading.Thread(target=watch, name="question-watch", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


@contextmanager
def unchanged(connection: sqlite3.Connection) -> Iterator[None]:
    """As long as this lasts the database is seen as it is now."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def ask(connection: sqlite3.Connection, sql: str, deadline: Deadline) -> Iterator[Sequence[Any]]:
    """The names of the columns, then each row, as they are found. Raises `BadRequest` for what is no question."""
    try:
        cursor = connection.execute(sql)
    except sqlite3.OperationalError as error:
        if (told := _named(connection, error)) is None:
            raise
        raise BadRequest(told, param="where") from error
    if cursor.description is None:
        raise BadRequest("that is no question: ask with a SELECT")
    names = distinct(name for name, *_ in cursor.description)
    yield from deadline.handed(chain([names], cursor))


def distinct(names: Iterable[str]) -> list[str]:
    """The names of columns, each once, as SQLite tells those of a view apart: an object would keep the last."""
    found: list[str] = []
    for name in names:
        others = (f"{name}:{number}" for number in count(1))
        found.append(name if name not in found else next(one for one in others if one not in found))
    return found


def check_condition(connection: sqlite3.Connection, condition: str) -> None:
    """Raise `BadRequest` for what is no condition on a row of `traces`, such as one that ends ours and begins another.

    What stands whole between brackets and as well between two words is one expression.
    """
    for form in ("({}\n)", "CASE WHEN {}\n THEN 1 END"):
        try:
            connection.execute(f"EXPLAIN SELECT 1 FROM traces AS t WHERE {form.format(condition)}")
        except (sqlite3.Error, sqlite3.Warning) as error:
            told = _named(connection, error, "traces") or _told(error)
            raise BadRequest(f"where: is no condition on a row: {told}", param="where") from error


def hint(word: str, known: Iterable[str], before: str = "") -> str:
    """The known word that was probably meant, or nothing."""
    import difflib  # for who made a mistake

    found = difflib.get_close_matches(word, list(known), n=1)
    return f'; did you mean "{before}{found[0]}"?' if found else ""


def _named(connection: sqlite3.Connection, error: Exception, *tables: str) -> str | None:
    """What is told of a column or table that there is none of, with the nearest; None of any other error."""
    missing = _MISSING.fullmatch(_told(error))
    if missing is None:
        return None
    there = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")]
    if missing[1] == "table":
        return missing[0] + hint(missing[2], there)
    columns = "SELECT c.name FROM json_each(?) AS t, pragma_table_info(t.value) AS c"
    known = {name for (name,) in connection.execute(columns, (json.dumps(tables or there),))}
    return missing[0] + hint(missing[2].rpartition(".")[2], sorted(known))


def _authorized(action: int, first: str | None, second: str | None, *_: str | None) -> int:
    if action in _READING:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_UPDATE and first == "sqlite_master":
        # asked when a table that is a function, such as json_each, is first used; no statement may do it all the same
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() not in _REFUSED:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and (first or "").lower() in _PRAGMAS:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def stopped(seconds: float) -> str:
    """What is said to who asked for too much."""
    return f"stopped after {seconds:g} s: ask for less, or allow more time"


def _refusal(error: sqlite3.Error | sqlite3.Warning, deadline: Deadline) -> BadRequest:
    number = getattr(error, "sqlite_errorcode", 0)
    if number == sqlite3.SQLITE_INTERRUPT or (deadline.over() and FAILED in str(error)):
        return Stopped(deadline.seconds)
    if number == sqlite3.SQLITE_AUTH:
        return BadRequest("the log can only be read: one SELECT, no PRAGMA that changes, no ATTACH")
    return BadRequest(_told(error), param="where")


def _told(error: Exception) -> str:
    """SQLite's own words, in one line."""
    return " ".join(str(error).split())
