"""The terminal that the process was started from, if there is one.

SIGHUP says two things: that the configuration is to be read again, and that the terminal has been closed. What must
stay true: a gateway that runs in a terminal ends with it, unless it was told to outlive it (`nohup`).
"""

from __future__ import annotations

import os
import signal


def _there() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True


BOUND = hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN and _there()
"""Whether the process ends with its terminal."""


def closed() -> bool:
    """Whether it is time to end."""
    return BOUND and not _there()
