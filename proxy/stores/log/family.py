"""The row that somebody means by an id, by the beginning of one or by a session's, and those that hang below it."""

from __future__ import annotations

from proxy.errors import NotFound
from proxy.record import Record
from proxy.selection import Several
from proxy.stores.log.reader import Reader

TOLD = 5
"""Ids that are told of several."""


def family(log: Reader, name: str) -> tuple[Record | None, list[Record]]:
    """A row and those below it, oldest first; of a tree or session without a row of its own those that are in it.

    Raises `NotFound` and `Several`.
    """
    if log.get(name) is None and (members := log.members(name)):
        return None, members
    record = found(log, name)
    return record, log.descendants(record.trace_id)


def found(log: Reader, name: str) -> Record:
    """The row with this id, or the one whose id begins so. Raises `NotFound` and `Several`."""
    record = log.get(name)
    if record is None:
        named = log.named(name, TOLD + 1) if name else []
        if len(named) > 1:
            raise Several(named[:TOLD])
        record = log.get(named[0]) if named else None
    if record is None:
        raise NotFound("id: no row of the log has it, and none begins so", param="id")
    return record
