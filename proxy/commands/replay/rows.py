"""Which rows a run is about: those that are named, or the newest that a condition finds and that are no replays."""

from __future__ import annotations

from collections.abc import Iterator

from proxy.commands.log.choice import PATIENCE, Choice
from proxy.commands.log.show import found
from proxy.record import REPLAY, Record
from proxy.stores.log.reader import Reader

AGAIN = "a replay itself (name it by its id to call it again)"


class Rows:
    """The rows that are meant; `passed` are those that a condition finds and that are not, `more` says that there are
    more than the limit.
    """

    def __init__(self, log: Reader, choice: Choice, trace_ids: tuple[str, ...], limit: int) -> None:
        self.passed: list[tuple[str, str]] = []
        self.more = False
        self._log, self._choice, self._ids, self._limit = log, choice, trace_ids, limit

    def __iter__(self) -> Iterator[Record]:
        if self._ids:
            yield from {record.trace_id: record for record in (found(self._log, one) for one in self._ids)}.values()
            return
        left = self._limit
        for record in self._log.stream(self._choice.selection(), seconds=PATIENCE):
            if REPLAY in record.notes:
                self.passed.append((record.trace_id, AGAIN))
                continue
            if left == 0:
                self.more = True
                return
            left -= 1
            yield record
