"""What calls cost whose rows could not be written: owed to the log until it can be written again.

What must stay true: a charge is either in the database, or on its way there, or owed; never in two of these, and none
is lost as long as the process lives. It takes no more memory the longer it lasts: charges of one key and day are one.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from proxy.stores.log.rows import CHARGE, Charge


@dataclass(slots=True, frozen=True)
class Debt:
    """What is owed, on its way."""

    charges: tuple[Charge, ...]


class Debts:
    """The charges that failed; `put` hands a `Debt` to the writer."""

    def __init__(self, put: Callable[[Debt], asyncio.Future[bool]]) -> None:
        self._put = put
        self._owed: dict[tuple[str, str], tuple[int, int]] = {}
        self._paying: asyncio.Future[bool] | None = None

    def watch(self, charge: Charge, committed: asyncio.Future[bool]) -> asyncio.Future[bool]:
        """Owe `charge` unless it is `committed`. The future to wait for, in the other's place: who stops waiting shall
        not take the outcome away.
        """
        committed.add_done_callback(lambda future: None if future.result() else self._owe([charge]))
        return asyncio.shield(committed)

    def paid(self) -> bool:
        """Whether nothing is owed; what is owed is tried again."""
        if self._paying is None and self._owed:
            debt = Debt(tuple((*of, *owed) for of, owed in self._owed.items()))
            self._owed.clear()
            self._paying = self._put(debt)
            self._paying.add_done_callback(lambda future: self._settled(debt, future.result()))
        return self._paying is None

    def _settled(self, debt: Debt, paid: bool) -> None:
        self._paying = None
        if not paid:
            self._owe(debt.charges)

    def _owe(self, charges: Iterable[Charge]) -> None:
        for key, day, nanodollars, calls in charges:
            before = self._owed.get((key, day), (0, 0))
            self._owed[key, day] = before[0] + nanodollars, before[1] + calls


def charge(connection: sqlite3.Connection, charges: Iterable[Charge]) -> None:
    """Count `charges`, in the transaction that is open."""
    connection.executemany(CHARGE, charges)
