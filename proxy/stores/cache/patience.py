"""How long a writer of the cache's database waits for its lock, against other processes on the same folder."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import diskcache

T = TypeVar("T")

WRITE_PATIENCE = 1.0
"""Seconds."""


def patiently(work: Callable[[], T]) -> T:
    """What `work` returns, once the lock can be had. Raises diskcache's `Timeout` when that takes too long."""
    deadline = time.monotonic() + WRITE_PATIENCE
    while True:
        try:
            return work()
        except diskcache.Timeout:
            if time.monotonic() > deadline:
                raise
