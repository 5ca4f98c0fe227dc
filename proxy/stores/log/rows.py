"""A `Record` as a row and back, and how two rows of one trace id become one.

Rows travel to SQLite as their cells, or from a thread as JSON: one array per row, one array of arrays per batch, one
statement. Columns that hold JSON are text in either, so SQLite never looks at them while it inserts. What a record
leaves at its default says nothing, and is null.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter, itemgetter
from typing import Any

import orjson

from proxy.models import Json
from proxy.record import FLAGS, Record
from proxy.stores.log.conversations import LONG, Message, keep, messages, split

JSON_COLUMNS = frozenset({"tags", "metadata", "eval_metric_ids", "inputs", "configuration", "scores", "notes", "extra"})
COLUMNS: tuple[str, ...] = tuple(name for name in Record.__dataclass_fields__ if name not in FLAGS)
"""`Record`'s own fields, in its order: the columns of `traces` and `edits`. A trace has its `conversation` besides."""

SELECTED = f"{', '.join(f't.{name}' for name in COLUMNS)}, {messages('t')}"
"""What `decode` takes, of rows `t` of `traces`."""

_ALL = (*COLUMNS, "conversation")
_LISTED = ", ".join(COLUMNS)
_CONFIGURATION = COLUMNS.index("configuration")

_fields = attrgetter(*COLUMNS)
_JSON_PLACES = tuple(place for place, name in enumerate(COLUMNS) if name in JSON_COLUMNS)
_TEXT_PLACES = tuple(
    place
    for place, name in enumerate(COLUMNS)
    if name not in JSON_COLUMNS and "str" in str(Record.__dataclass_fields__[name].type)
)
_UNSAID = frozenset(COLUMNS.index(name) for name in ("tags", "scores", "notes", "extra"))
"""Where an empty value is the default, which says nothing."""


Charge = tuple[str, str, int, int]
"""What calls cost a key: the key's name, the day on which they ended, nanodollars, and how many they were."""


@dataclass(slots=True)
class Row:
    """A row on its way: its cells, in the order of `COLUMNS`, and what decides where it goes.

    `said` are the messages that are kept apart, `conversation` where they are: see `refer`. `size` is about how many
    bytes it has. An `edit` sets single columns of a row that exists, or will. A `stand_in` is stored only where there
    is no row yet. Of rows that bear another `key` than theirs they are `refused`: see `ownership`.
    """

    trace_id: str
    root_trace_id: str | None
    cells: list[Json]
    size: int
    counted_only: bool = False
    edit: bool = False
    stand_in: bool = False
    charge: Charge | None = None
    said: list[Message] | None = None
    conversation: int | None = None
    key: str | None = None
    refused: bool = False

    @property
    def payload(self) -> bytes:
        """All cells as a JSON array."""
        try:
            return orjson.dumps(self.all_cells)
        except TypeError:
            return _lenient(self.all_cells)

    @property
    def all_cells(self) -> list[Json]:
        """Those of `COLUMNS`, then the conversation."""
        return [*self.cells, self.conversation]


def encode(record: Record) -> Row:
    """The row of a record."""
    cells, size = _cells(_fields(record))
    said = None
    configuration = cells[_CONFIGURATION]
    if isinstance(configuration, str) and len(configuration) >= LONG and (apart := split(record.configuration or {})):
        cells[_CONFIGURATION], said = apart
    return Row(
        record.trace_id,
        record.root_trace_id,
        cells,
        size,
        counted_only=record.counted_only,
        stand_in=record.stand_in,
        charge=charge_of(record),
        said=said,
        key=record.key if record.signed else None,
    )


def refer(connection: sqlite3.Connection, rows: Iterable[Row]) -> None:
    """Store the conversations of `rows`, in the transaction that stores these."""
    for row in rows:
        if row.said is not None:
            row.conversation = keep(connection, row.said)


def charge_of(record: Record) -> Charge | None:
    """What a record is to count for its key."""
    if not record.spent or record.key is None:
        return None
    return record.key, (record.end_timestamp or record.start_timestamp)[:10], record.spent, 1


def encode_edit(trace_id: str, fields: Mapping[str, Any], key: str | None = None) -> Row:
    """The edit that sets `fields`, with a `key` of its own row alone. Raises `ValueError` for what is no column."""
    unknown = sorted(set(fields) - set(COLUMNS))
    if unknown:
        raise ValueError(f"no column of the trace log: {', '.join(unknown)}")
    values = {**dict.fromkeys(COLUMNS), **fields, "trace_id": trace_id}
    cells, size = _cells(values.values())
    return Row(trace_id, values["root_trace_id"], cells, size, edit=True, key=key)


def decode(row: Sequence[Any]) -> Record:
    """The record of a row that was selected as `SELECTED`."""
    *cells, said = row
    values = dict(zip(COLUMNS, cells, strict=True))
    for name in JSON_COLUMNS:
        if values[name] is not None:
            values[name] = json.loads(values[name])
    if said is not None and values["configuration"] is not None:
        values["configuration"]["messages"] = json.loads(said)
    values["cache_hit"] = bool(values["cache_hit"])
    defaults = {"tags": [], "scores": [], "notes": {}, "extra": {}, "start_timestamp": "", "sample_rate": 1.0}
    for name, default in defaults.items():
        if values[name] is None:
            values[name] = default
    return Record(**values)


def batch(payloads: Iterable[bytes]) -> str:
    """The one parameter of a statement that takes many rows."""
    return "[" + b",".join(payloads).decode() + "]"


def _cells(values: Iterable[Any]) -> tuple[list[Json], int]:
    cells = list(values)
    size = 8 * len(cells)
    for place in _JSON_PLACES:
        value = cells[place]
        if value is None or (place in _UNSAID and not value):
            cells[place] = None
        else:
            cells[place] = cell = _json(value)
            size += len(cell)
    texts = "".join([cell for place in _TEXT_PLACES if isinstance(cell := cells[place], str)])
    if "\0" in texts:
        for place in _TEXT_PLACES:
            if isinstance(cell := cells[place], str):
                cells[place] = without_nul(cell)
    return cells, size + len(texts)


def without_nul(text: str) -> str:
    """The text as it is stored: SQLite would end it at a NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _json(value: Json) -> str:
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        return _lenient(value).decode()


def _lenient(value: Json) -> bytes:
    """JSON of what strict JSON cannot say: half surrogates, integers beyond 64 bits, objects of foreign types."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    finite = json.loads(text, parse_constant=lambda _: None)
    return json.dumps(finite, ensure_ascii=False).encode("utf-8", "replace")


def _last(column: str, new: str, old: str) -> str:
    return f"coalesce({new}.{column}, {old}.{column})"


def _either(column: str, new: str, old: str) -> str:
    return f"max(coalesce({new}.{column}, 0), coalesce({old}.{column}, 0))"


def _lowest(column: str, new: str, old: str) -> str:
    return f"min(coalesce({new}.{column}, {old}.{column}), coalesce({old}.{column}, {new}.{column}))"


def _both(column: str, new: str, old: str) -> str:
    return (
        f"CASE WHEN {new}.{column} IS NULL THEN {old}.{column} WHEN {old}.{column} IS NULL THEN {new}.{column}"
        f" ELSE json_patch({old}.{column}, {new}.{column}) END"
    )


def _by_name(column: str, new: str, old: str) -> str:
    return (
        f"CASE WHEN {new}.{column} IS NULL THEN {old}.{column} WHEN {old}.{column} IS NULL THEN {new}.{column} ELSE ("
        "SELECT json_group_array(json(value)) FROM ("
        f"SELECT was.value FROM json_each({old}.{column}) AS was WHERE NOT EXISTS (SELECT 1 FROM"
        f" json_each({new}.{column}) AS said WHERE said.value ->> 'name' IS was.value ->> 'name')"
        f" UNION ALL SELECT said.value FROM json_each({new}.{column}) AS said)) END"
    )


_RULES: dict[str, Callable[[str, str, str], str]] = {
    "cache_hit": _either,
    "sample_rate": _lowest,
    "notes": _both,
    "extra": _both,
    "scores": _by_name,
}
"""How a column of two rows becomes one; where nothing is said the newer value wins and a null leaves the older."""


def _merged(new: str, old: str, conversation: str | None = None) -> str:
    merged = [f"{column} = {_RULES.get(column, _last)(column, new, old)}" for column in COLUMNS if column != "trace_id"]
    if conversation is not None:
        # A conversation belongs to its configuration.
        kept = f"CASE WHEN {new}.configuration IS NULL THEN {old}.conversation ELSE {conversation} END"
        merged.append(f"conversation = {kept}")
    return ", ".join(merged)


# Without the limit SQLite would write a row's JSON out again for each of its columns.
_EACH = "(SELECT value FROM json_each(?) LIMIT -1)"


_CELLS = {"cache_hit": "coalesce(value ->> {place}, {default})", "start_timestamp": "nullif(value ->> {place}, '')"}


def _insert(default: str, table: str, conversation: str = "") -> str:
    cells = ", ".join(
        _CELLS.get(column, "value ->> {place}").format(place=place, default=default)
        for place, column in enumerate(COLUMNS)
    )
    apart = f", value ->> {len(COLUMNS)}" if conversation else ""
    return f"INSERT INTO {table} ({_LISTED}{conversation}) SELECT {cells}{apart} FROM {_EACH} WHERE true"


@lru_cache(256)
def _insert_one(columns: tuple[str, ...]) -> str:
    cells = {"cache_hit": "coalesce(?, 0)", "start_timestamp": "nullif(?, '')"}
    values = ", ".join(cells.get(column, "?") for column in columns)
    return f"INSERT INTO traces ({', '.join(columns)}) VALUES ({values})"


def insertion(rows: list[list[Json]]) -> tuple[str, Iterable[Sequence[Json]]]:
    """A statement that stores rows by all their cells where none is there yet, and the cells that it takes of each.

    Null is what a column is by itself, and what Python takes longest to hand over: what no row says is left out.
    """
    unsaid = (None,) * len(rows)
    said = [place for place, cells in enumerate(zip(*rows, strict=True)) if cells != unsaid]
    statement = _insert_one(tuple([_ALL[place] for place in said]))
    return f"{statement} ON CONFLICT (trace_id) DO NOTHING", map(itemgetter(*said), rows)


_AGAIN = f"ON CONFLICT (trace_id) DO UPDATE SET {_merged('excluded', 'traces', 'excluded.conversation')}"

APPEND_ONE = f"{_insert_one(_ALL)} {_AGAIN}"
"""One row by its cells; `APPEND` takes many as JSON in one step, for a thread that loses its turn with each."""

CHARGE = (
    "INSERT INTO spend VALUES (?, ?, ?, ?) ON CONFLICT (key, day)"
    " DO UPDATE SET nanodollars = nanodollars + excluded.nanodollars, calls = calls + excluded.calls"
)
APPEND = f"{_insert('0', 'traces', ', conversation')} {_AGAIN}"
STAND_IN_ONE = f"{_insert_one(_ALL)} ON CONFLICT (trace_id) DO NOTHING"
STAND_IN = f"{_insert('0', 'traces', ', conversation')} ON CONFLICT (trace_id) DO NOTHING"
EDIT = f"{_insert('NULL', 'edits')} ON CONFLICT (trace_id) DO UPDATE SET {_merged('excluded', 'edits')}"
APPLY_EDITS = (
    f"UPDATE traces SET {_merged('edits', 'traces', 'NULL')} FROM edits WHERE traces.trace_id = edits.trace_id"
    " AND edits.trace_id IN (SELECT value FROM json_each(?))"
)
"""Edits win over the rows they belong to, whichever came first."""
