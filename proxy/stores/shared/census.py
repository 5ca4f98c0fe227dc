"""Which processes still run: a pid alone does not say, since pids are given again.

What must stay true: nothing raises.
"""

from __future__ import annotations

import os


def alive(pid: int, start: int) -> bool:
    """Whether the process that had this pid and began then still runs; where starts are not known, any of that pid."""
    if not 0 < pid < 2**31:
        return False
    if start:
        return started(pid) == start
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return True


def started(pid: int) -> int:
    """When a process began, in ticks since the machine did; 0 if it has ended, or where the system does not say."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return 0 if fields[0] in b"ZXx" else int(fields[19])
    except (OSError, ValueError, IndexError):
        return 0
