from __future__ import annotations

import time
import uuid

from proxy.ids import new_id


def test_an_id_is_a_uuid_of_version_7() -> None:
    made = uuid.UUID(new_id())
    assert (made.version, made.variant) == (7, uuid.RFC_4122)


def test_it_begins_with_the_time() -> None:
    before = time.time_ns() // 1_000_000
    milliseconds = uuid.UUID(new_id()).int >> 80
    assert before <= milliseconds <= time.time_ns() // 1_000_000


def test_it_is_written_as_uuids_are() -> None:
    made = new_id()
    assert str(uuid.UUID(made)) == made


def test_no_two_are_the_same() -> None:
    assert len({new_id() for _ in range(100_000)}) == 100_000
