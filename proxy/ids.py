"""Ids: for what a client gave none, and for what the same words must always give the same one.

New ids are UUIDs of version 7, which begin with the time (RFC 9562, section 5.7): rows that are written together then
lie together in the log's index, where random ids would touch a page each.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
import string
import time
import uuid

LETTERS = string.digits + string.ascii_letters

PROJECTS = uuid.UUID("8f7f2a4e-0d0e-5c53-9d0b-6f0f3f1f8a11")
"""The namespace of project uuids: made from the name, they are the same in every process, stored or not."""

_DATAPOINT = re.compile(r"data_[0-9A-Za-z]{21}")

# Ids need to differ, not to be unguessable; one call of the system for each would cost more than all else here.
_random = random.Random(os.urandom(32))
os.register_at_fork(after_in_child=lambda: _random.seed(os.urandom(32)))


def new_id() -> str:
    """A new id: 48 bits of milliseconds since 1970, then 74 random ones around version and variant."""
    milliseconds, bits = int(time.time() * 1000), _random.getrandbits(74)
    time_low, high, low = milliseconds & 0xFFFF, bits >> 62, 0x8000 | bits >> 48 & 0x3FFF
    return f"{milliseconds >> 16:08x}-{time_low:04x}-7{high:03x}-{low:04x}-{bits & 0xFFFFFFFFFFFF:012x}"


def derived_id(prefix: str, *parts: str) -> str:
    """`<prefix>_` and 21 letters and digits, the form of Humanloop's ids, always the same for the same `parts`."""
    number = int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest())
    letters = []
    for _ in range(21):
        number, digit = divmod(number, len(LETTERS))
        letters.append(LETTERS[digit])
    return f"{prefix}_{''.join(letters)}"


def project_uuid(name: str) -> str:
    """The uuid of a project, as Parea's API has it."""
    return str(uuid.uuid5(PROJECTS, name))


def datapoint_id(*parts: str) -> str:
    """The id of a datapoint, always the same for the same `parts`: a `derived_id` that ends in `00`, as one that stands
    for the first sample of a call. Two letters before that tell it from ids that others made.
    """
    body = derived_id("data", *parts)[:-4]
    return f"{body}{_check(body)}00"


def sample_id(datapoint: str, index: int) -> str:
    """The id of a call's sample, `datapoint` being that of the call, and of its first sample."""
    return f"{datapoint[:-2]}{''.join(LETTERS[digit] for digit in divmod(index, len(LETTERS)))}"


def sample_of(data_id: str) -> tuple[str, int] | None:
    """The datapoint and the index that a `sample_id` was made of, 0 for a datapoint itself; None for any other id."""
    if not _DATAPOINT.fullmatch(data_id) or data_id[-4:-2] != _check(data_id[:-4]):
        return None
    high, low = map(LETTERS.index, data_id[-2:])
    return f"{data_id[:-2]}00", high * len(LETTERS) + low


def _check(body: str) -> str:
    return derived_id("check", body)[-2:]
