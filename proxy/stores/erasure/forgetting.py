"""What the log holds of a person, or below a row, and how it goes: whole rows, with what only they referred to.

A person's rows are those that name them and what hangs below these. A row below that names somebody else stays, with
what is below it; so do rows above and beside, which are other calls. `trees` takes all of each tree instead.

What must stay true:

* What is below goes before what is above, and what names the person last: after a crash the rest is found again.
* What is looked for afterwards is what the rows held themselves, messages and edits included.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import orjson

from proxy.selection import Selection
from proxy.stores.erasure.living import Living, living, read_only
from proxy.stores.erasure.residue import Needles
from proxy.stores.log import listing
from proxy.stores.log.conversations import messages
from proxy.stores.log.reader import open_readonly
from proxy.stores.log.rows import without_nul
from proxy.stores.retention.keeping import alone, remove_rows
from proxy.stores.retention.pruning import merge_texts, texts
from proxy.stores.retention.strides import Strides

AT_ONCE = 200
"""Rows that are read at a time."""

MERGED = 20
"""Pages of somebody's own index of full texts that are made in a stride."""

_SAID = ("end_user", "tags", "metadata", "target", "inputs", "configuration", "output", "error", "scores", "extra")
"""The columns in which people's words are."""
_ROW = f"{', '.join(f't.{name}' for name in _SAID)}, {messages('t')}"
_NAMED = "(SELECT value FROM json_each(?))"
_LOST = "root_trace_id = ?1 OR EXISTS (SELECT 1 FROM json_each(members) AS one WHERE one.key = ?1)"


@dataclass(slots=True, frozen=True)
class Asked:
    """Whose rows are meant, or which: one of these. `trees`: all of the trees that they are in."""

    end_user: str | None = None
    trace_id: str | None = None
    session: str | None = None
    where: str | None = None
    trees: bool = False


@dataclass(slots=True)
class Chosen:
    """What is to go: rows by `ids` in their order, `edits` whose row never came, the cache's entries by name, and
    `answers` of rows that do not tell their entry, being of an older version.
    """

    ids: list[str]
    needles: Needles
    edits: list[str] = field(default_factory=list)
    entries: set[str] = field(default_factory=set)
    answers: set[str] = field(default_factory=set)
    beside: int = 0
    """Rows of the same trees that stay."""
    lost: int = 0
    """Counters of a trace that lost the draw."""

    def __bool__(self) -> bool:
        return bool(self.ids or self.edits or self.lost)


def _sleep(seconds: float) -> bool:
    time.sleep(seconds)
    return True


class Forgetting:
    """The rows of the log at `path`, which a gateway may be using. Raises `ConfigError` where there is none that can be
    read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        open_readonly(path).close()

    def choose(self, asked: Asked) -> Chosen:
        """What is meant. Raises `BadRequest` for a condition that is none."""
        with closing(self._reading()) as connection:
            seeds: dict[str, set[str]] = {}
            for trace_id, root in connection.execute(*_seeds(connection, asked)):
                seeds.setdefault(root, set()).add(trace_id)
            chosen = Chosen([], Needles(asked.end_user or asked.trace_id or asked.session))
            for root, own in seeds.items():
                ids, size = _below(connection, root, own, asked)
                chosen.ids += ids
                chosen.beside += size - len(ids)
            chosen.edits = [one for (one,) in connection.execute(*_edits(asked))]
            if asked.trace_id is not None:
                lost = (without_nul(asked.trace_id),)
                (chosen.lost,) = connection.execute(f"SELECT count(*) FROM sampled_out WHERE {_LOST}", lost).fetchone()
            self._read(connection, chosen)
        return chosen

    def remove(self, chosen: Chosen, asked: Asked, tell: Callable[[int], None] = lambda _: None) -> int:
        """Remove what was chosen; how many rows there were. Raises `sqlite3.Error`."""
        removed = 0
        with alone(self._path, wait=True), closing(Strides(self._path, _sleep)) as strides:
            for place in range(0, len(chosen.ids), AT_ONCE):
                removed += remove_rows(strides, chosen.ids[place : place + AT_ONCE])
                tell(removed)
            remove_rows(strides, chosen.edits)
            if asked.trace_id is not None:
                lost = without_nul(asked.trace_id)
                strides.take(
                    lambda: strides.connection.execute(f"DELETE FROM sampled_out WHERE {_LOST}", (lost,)).rowcount
                )
            for table in texts(strides.connection):
                # Below zero all of the index is taken up once, then it goes on with that.
                sign = -1
                while strides.take(partial(merge_texts, strides.connection, table, sign * MERGED)):
                    sign = 1
            strides.cut(5.0)
        return removed

    def rewrite(self) -> bool:
        """Make the file anew without what lies unused in it; nobody else writes meanwhile. False where somebody who
        reads for long keeps the WAL from being emptied. Raises `sqlite3.Error`.
        """
        with alone(self._path, wait=True), closing(Strides(self._path, _sleep)) as strides:
            strides.connection.execute("PRAGMA busy_timeout = 10000")
            strides.connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            strides.connection.execute("VACUUM")
            return strides.cut(5.0)

    def named(self, asked: Asked) -> int:
        """How many rows are meant that are in the log now."""
        with closing(self._reading()) as connection:
            return len(connection.execute(*_seeds(connection, asked)).fetchall())

    def messages(self) -> int:
        """How many messages are kept apart from their rows."""
        with closing(self._reading()) as connection:
            (count,) = connection.execute("SELECT count(*) FROM bodies").fetchone()
        return int(count)

    def living(self, needles: Needles, tell: Callable[[float, int], None] = lambda *_: None) -> Living:
        """What the rows that are left have of them: others said it as well."""
        with closing(self._reading()) as connection:
            return living(connection, needles, tell)

    def alike(self, person: str) -> list[str]:
        """Ids of people that differ from this one in the case of letters only."""
        with closing(self._reading()) as connection:
            people = connection.execute("SELECT DISTINCT end_user FROM traces WHERE end_user IS NOT NULL")
            return [one for (one,) in people if one.casefold() == person.casefold() and one != person]

    def _read(self, connection: sqlite3.Connection, chosen: Chosen) -> None:
        """What the rows and edits say that are to go."""
        rows = f"SELECT t.notes ->> 'entry', t.notes ->> 'cache', t.output, {_ROW} FROM traces AS t WHERE t.trace_id IN"
        for named in _in_parts(chosen.ids):
            for entry, cache, output, *said in connection.execute(f"{rows} {_NAMED}", (named,)):
                if entry is not None:
                    chosen.entries.add(entry)
                elif cache not in (None, "bypass") and output:
                    chosen.answers.add(output)
                _look_for(chosen.needles, said)
        for named in _in_parts([*chosen.ids, *chosen.edits]):
            edits = f"SELECT {', '.join(_SAID)}, NULL FROM edits WHERE trace_id IN {_NAMED}"
            for said in connection.execute(edits, (named,)):
                _look_for(chosen.needles, said)

    def _reading(self) -> sqlite3.Connection:
        return read_only(self._path)


def _in_parts(ids: list[str]) -> Iterator[str]:
    for place in range(0, len(ids), AT_ONCE):
        yield orjson.dumps(ids[place : place + AT_ONCE]).decode()


def _look_for(needles: Needles, texts: Sequence[object]) -> None:
    """`texts` are the columns of `_SAID`, then the messages."""
    for name, text in zip((*_SAID, "messages"), texts, strict=True):
        if isinstance(text, str):
            for value in _values(text, whole=name != "configuration"):
                needles.add(value)


def _values(text: str, *, whole: bool) -> Iterator[str]:
    """A text, or those in it if it is a JSON document; not whole are a configuration's messages and functions only,
    since the names of models and parameters are the gateway's own words as well.
    """
    try:
        value = orjson.loads(text) if text[:1] in ("{", "[") else None
    except orjson.JSONDecodeError:
        value = None
    if value is None:
        yield text
        return
    waiting = [value] if whole else [value.get("messages"), value.get("functions")]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        else:
            waiting += value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _seeds(connection: sqlite3.Connection, asked: Asked) -> tuple[str, list[object]]:
    """A statement for the rows that are meant themselves, as (id, root's id)."""
    head = "SELECT t.trace_id, t.root_trace_id FROM traces AS t WHERE"
    if asked.end_user is not None:
        return f"{head} t.end_user = ?", [without_nul(asked.end_user)]
    if asked.trace_id is not None:
        return f"{head} t.trace_id = ?1 OR t.root_trace_id = ?1", [without_nul(asked.trace_id)]
    if asked.session is not None:
        return f"{head} t.session_id = ?1 OR t.root_trace_id = ?1", [without_nul(asked.session)]
    chosen = listing.condition(connection, Selection(where=asked.where, rows="all"), datetime.now(UTC))
    return f"{head} {chosen.sql}", chosen.values


def _edits(asked: Asked) -> tuple[str, list[object]]:
    """A statement for the edits that wait for a row which is meant."""
    if asked.end_user is not None:
        return "SELECT trace_id FROM edits WHERE end_user = ?", [without_nul(asked.end_user)]
    if asked.session is not None:
        return "SELECT trace_id FROM edits WHERE session_id = ?", [without_nul(asked.session)]
    return "SELECT trace_id FROM edits WHERE trace_id = ?", [without_nul(asked.trace_id or "")]


def _below(connection: sqlite3.Connection, root: str, own: set[str], asked: Asked) -> tuple[list[str], int]:
    """What goes of a tree, what is below first, and how many rows the tree has."""
    rows = connection.execute(
        "SELECT trace_id, parent_trace_id, end_user, trace_id IS session_id FROM traces WHERE root_trace_id = ?",
        (root,),
    ).fetchall()
    there = {row[0] for row in rows}
    children: dict[str, list[str]] = {}
    stays: set[str] = set()
    for trace_id, parent, person, _ in rows:
        if asked.end_user is not None and not asked.trees and person not in (None, asked.end_user):
            stays.add(trace_id)
        above = parent if parent in there and parent != trace_id else root
        if above != trace_id:
            children.setdefault(above, []).append(trace_id)
    going = dict.fromkeys(own & there)
    if asked.trees:
        going = dict.fromkeys([*own, *sorted(there - own)])
    waiting = list(going)
    while waiting:
        for child in children.get(waiting.pop(), ()):
            if child not in stays and child not in going:
                going[child] = None
                waiting.append(child)
    if len(there) == len(going) + 1 and (left := [row[0] for row in rows if row[0] not in going and row[3]]):
        going[left[0]] = None  # a session's own row, of which no call is left
    order = _downwards(going, children)[::-1]
    # Of a whole tree what was meant goes last, wherever it stands: by it the rest is found.
    return sorted(order, key=own.__contains__) if asked.trees else order, len(rows)


def _downwards(going: dict[str, None], children: dict[str, list[str]]) -> list[str]:
    """Each row before those below it; what stands in a circle at the end."""
    below = {child for parent in going for child in children.get(parent, ()) if child in going}
    order: dict[str, None] = dict.fromkeys(one for one in going if one not in below)
    waiting = list(order)
    for one in waiting:
        for child in children.get(one, ()):
            if child in going and child not in order:
                order[child] = None
                waiting.append(child)
    return [*order, *(one for one in going if one not in order)]
