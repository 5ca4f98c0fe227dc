"""What clears up after a gateway for tests whose test run was killed, and could not: `testing.Gateway` starts it by its
path, with the gateway's process id, its folder, and how many seconds it has to end.

What must stay true: it waits for nothing but the end of its input, which is the end of whoever started it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time


def main(pid: int, folder: str, patience: float) -> None:
    sys.stdin.buffer.read()
    # there is nobody any more to be told that the process has ended already
    with contextlib.suppress(OSError):
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + patience
        while time.monotonic() < end:
            os.kill(pid, 0)
            time.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], float(sys.argv[3]))
