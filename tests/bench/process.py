"""What a server costs: CPU seconds and resident memory of every process of its session, read from /proc.

A server is started as the leader of a session of its own, so its workers and helpers are found by that, whoever their
parent is by then.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

# Fields of /proc/PID/stat after the command's closing parenthesis, which is the only one that may hold spaces.
SESSION = 3
OWN, WAITED_FOR = slice(11, 13), slice(13, 15)
"""utime and stime of the process, and those of its children that have ended and been waited for."""


def cpu_seconds(session: int) -> float:
    """CPU seconds, user and system, that the session's processes have used so far.

    Those of a process are exact where the system has a clock for them; ended children count in ticks.
    """
    total = 0.0
    for pid, stat in _processes(session):
        total += _own(pid, stat) + sum(map(int, stat[WAITED_FOR])) / TICKS
    return total


def busy_seconds() -> float:
    """CPU seconds that anybody on this machine has used so far, divided by its CPUs."""
    first = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    times = [int(ticks) for ticks in first[1:9]]
    idle, waiting = times[3], times[4]
    return (sum(times) - idle - waiting) / TICKS / (os.cpu_count() or 1)


def _own(pid: int, stat: list[str]) -> float:
    try:
        # Linux's number for the clock of another process (clock_getcpuclockid), which Python has no name for.
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return sum(map(int, stat[OWN])) / TICKS


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
