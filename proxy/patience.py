"""Patience: how long calls that nobody sits and waits for, such as those of a replay, wait for targets that rest or are
at their limits.

It is counted from the last answer on, by the name that is asked: as long as a model answers any of its calls the others
wait for their turn, however many they are, and one that is gone is given up once, and not once for each call.
"""

from __future__ import annotations

import asyncio


class Patience:
    """That of calls that wait for an answer up to `seconds` from the last one on."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[str, float] = {}
        """By the name: since when it is waited for without an answer."""
        self._waiting: list[float] = []

    def waiting(self) -> tuple[int, float]:
        """How many calls wait now, and in how many seconds the first of them goes on."""
        return len(self._waiting), max(min(self._waiting, default=0.0) - _now(), 0.0)

    def left(self, name: str) -> float:
        """Seconds that a call of `name` may wait from now on."""
        now = _now()
        return self._since.get(name, now) + self._seconds - now

    async def wait(self, name: str, seconds: float) -> float:
        """Wait with a call of `name`; returns how long it was."""
        begun = _now()
        until = begun + seconds
        self._since.setdefault(name, begun)
        self._waiting.append(until)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._waiting.remove(until)
        return _now() - begun

    def answered(self, name: str) -> None:
        """A call of `name` was answered: it is there."""
        self._since.pop(name, None)

    def lost(self, name: str) -> None:
        """No waiting helps until `name` answers again."""
        self._since[name] = float("-inf")


def _now() -> float:
    return asyncio.get_running_loop().time()
