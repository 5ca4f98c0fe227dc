from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

FREED = """
import sys
from proxy import heap

def resident():
    with open("/proc/self/statm") as said:
        return int(said.read().split()[1]) * 4096

if sys.argv[1:]:
    heap.give_back()
del_me = bytearray(30 * 2**20)  # freed, it raises what glibc takes for large
del del_me
before, kept, last = resident(), [], []
for _ in range(8):
    last.append(bytearray(b"x") * (8 * 2**20))
    kept.append(bytearray(b"x") * 100_000)  # above it in the heap, and stays
del last
print((resident() - before) // 2**20)
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="there is no /proc here")
def test_large_blocks_are_given_back_when_they_are_free() -> None:
    def left(*arguments: str) -> int:
        done = subprocess.run([sys.executable, "-c", FREED, *arguments], capture_output=True, text=True, check=True)
        return int(done.stdout)

    if left() < 16:
        pytest.skip("the C library gives them back by itself")
    assert left("give them back") < 4
