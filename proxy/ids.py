"""Ids for what a client gave none: UUIDs of version 7, which begin with the time (RFC 9562, section 5.7).

Rows that are written together then lie together in the log's index; random ids would touch a page each.
"""

from __future__ import annotations

import os
import random
import time

# Ids need to differ, not to be unguessable; one call of the system for each would cost more than all else here.
_random = random.Random(os.urandom(32))
os.register_at_fork(after_in_child=lambda: _random.seed(os.urandom(32)))


def new_id() -> str:
    """A new id: 48 bits of milliseconds since 1970, then 74 random ones around version and variant."""
    milliseconds = time.time_ns() // 1_000_000
    high, low = _random.getrandbits(12), _random.getrandbits(62)
    digits = f"{milliseconds << 80 | 0x7 << 76 | high << 64 | 0b10 << 62 | low:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
