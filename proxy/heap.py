"""The C library's heap: what large answers took goes back to the system as soon as it is free.

glibc maps large blocks apart, which is so, but each one that is freed raises the size from which on it does: after a
few answers of some megabytes it cuts such blocks out of its heap, whose holes it keeps. What must stay true: elsewhere
than on glibc nothing happens.
"""

from __future__ import annotations

import sys

LARGE = 2**20
"""Bytes of a block that is mapped apart, always. Mapping takes microseconds, and who fills as much takes longer."""

M_MMAP_THRESHOLD = -3
"""From glibc's malloc.h. To set it also keeps glibc from changing it."""


def give_back() -> None:
    """Have large blocks given back at once."""
    if sys.platform != "linux":
        return
    import ctypes  # takes milliseconds, and is needed only here

    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_THRESHOLD, LARGE)
