"""Rows of the log as a table: what `log`, `log tail` and `traces` list."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from proxy.commands.log.table import Column, show
from proxy.errors import RequestError
from proxy.record import Record
from proxy.report import line_of

if TYPE_CHECKING:
    from proxy.stores.log.reader import Reader


LONG = 20
"""Letters that are enough to tell the gateway's own ids apart: two of a millisecond have 74 random bits."""


def show_rows(log: Reader, records: Iterable[Record]) -> None:
    """Rows of the log, one a line."""
    show(columns(log), (line_of(record) for record in records))


def columns(log: Reader) -> list[Column]:
    """The columns of `line_of`."""
    return [
        Column("trace", brief=beginnings(log)),
        Column(f"started ({zone()})", brief=lambda times: [without_year(one) for one in times]),
        Column("name", least=7, leaves=5),
        Column("model", least=8, leaves=4),
        Column("latency", leaves=3),
        Column("cost", leaves=2),
        Column("tokens", leaves=1),
        Column("status", least=9, brief=lambda states: [cached(one) for one in states]),
    ]


def zone() -> str:
    """The name of this machine's zone, with that of its summer time."""
    return "/".join(dict.fromkeys(time.tzname))


def beginnings(log: Reader) -> Callable[[list[str]], list[str]]:
    """Ids as long as they have to be for no other to begin so, as git tells commits: all of one length, but for long
    ones.
    """

    def brief(ids: list[str]) -> list[str]:
        try:
            lengths = log.told_apart(ids)
        except RequestError:  # moved aside just now
            return ids
        usual = max((length for length in lengths if length <= LONG), default=0)
        return [one[: max(length, usual)] for one, length in zip(ids, lengths, strict=True)]

    return brief


def without_year(moment: str) -> str:
    return moment[5:] if moment[4:5] == "-" else moment


def cached(status: str) -> str:
    return "cached" if status == "success (cached)" else status
