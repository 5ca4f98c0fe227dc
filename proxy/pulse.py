"""The pulse: once a second a worker tells the tally how it stands, so that the others can tell of it, too.

What must stay true: nothing raises, and what has been counted once is not counted again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from proxy.tally import Tally

BEAT = 1.0
"""Seconds that another worker's state may be old."""


class Pulse:
    """`events` say how often something has happened in this process, `states` how something stands."""

    def __init__(
        self, tally: Tally, events: Mapping[str, Callable[[], int]], states: Mapping[str, Callable[[], float]]
    ) -> None:
        self._tally = tally
        self._events = {tally.place("event", name): tell for name, tell in events.items()}
        self._states = {tally.place("now", name): tell for name, tell in states.items()}
        self._told = dict.fromkeys(self._events, 0)

    def beat(self) -> None:
        """Tell it now."""
        cells = self._tally.cells
        for place, tell in self._events.items():
            happened = tell()
            cells[place] += max(happened - self._told[place], 0)
            self._told[place] = happened
        for place, stands in self._states.items():
            cells[place] = stands()

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            self.beat()
            await asyncio.sleep(BEAT)
