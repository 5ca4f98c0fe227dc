"""What was found out about kinds of calls, as much of it as fits; the oldest makes room.

A kind may hold a client's tools, which may be megabytes. What must stay true: however many kinds clients make up, what
is kept of them is bounded, in number and in bytes.
"""

from __future__ import annotations

from typing import Generic, TypeVar

MOST = 4096
HEAVIEST = 16 * 2**20
"""Bytes of JSON; as Python's objects it may be five times as much."""

V = TypeVar("V")


class Shelf(Generic[V]):
    """Values by the names of kinds."""

    def __init__(self, most: int = MOST, heaviest: int = HEAVIEST) -> None:
        self._most = most
        self._heaviest = heaviest
        self._kept: dict[bytes, tuple[V, int]] = {}
        self._weight = 0

    def __contains__(self, name: bytes) -> bool:
        return name in self._kept

    def __getitem__(self, name: bytes) -> V:
        return self._kept[name][0]

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, name: bytes | None) -> V | None:
        found = None if name is None else self._kept.get(name)
        return None if found is None else found[0]

    def put(self, name: bytes, value: V, weight: int) -> None:
        """Keep a value that stands for `weight` bytes of JSON; one that is too heavy is not kept."""
        _, before = self._kept.pop(name, (None, 0))
        self._weight -= before
        if weight > self._heaviest:
            return
        while len(self._kept) >= self._most or self._weight + weight > self._heaviest:
            oldest = next(iter(self._kept))
            self._weight -= self._kept.pop(oldest)[1]
        self._kept[name] = value, weight
        self._weight += weight
