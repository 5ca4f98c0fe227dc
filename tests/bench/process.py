"""What a server costs: CPU seconds and resident memory of every process of its session, read from /proc.

A server is started as the leader of a session of its own, so its workers and helpers are found by that, whoever their
parent is by then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

# Fields of /proc/PID/stat after the command's closing parenthesis, which is the only one that may hold spaces.
SESSION = 3
TIMES = slice(11, 15)
"""utime, stime, and the same of the children that have ended and been waited for."""


def cpu_seconds(session: int) -> float:
    """CPU seconds, user and system, that the session's processes have used so far, in steps of one clock tick."""
    return sum(sum(map(int, stat[TIMES])) for _, stat in _processes(session)) / TICKS


def resident(session: int) -> int:
    """Bytes resident; pages that processes share are counted for each."""
    total = 0
    for pid, _ in _processes(session):
        try:
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
    return total


def _processes(session: int) -> Iterator[tuple[int, list[str]]]:
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            stat = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        if int(stat[SESSION]) == session:
            yield int(name), stat
