from __future__ import annotations

import re
import time
import uuid

from proxy.ids import datapoint_id, derived_id, new_id, sample_id, sample_of


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


def test_a_derived_id_has_the_form_of_humanloops() -> None:
    assert re.fullmatch(r"data_[A-Za-z0-9]{21}", derived_id("data", "x"))


def test_the_same_words_always_give_the_same_id() -> None:
    assert derived_id("pr", "support") == "pr_UuqsJKipjq1vxKh7bCtPH"


def test_words_are_told_apart_by_where_they_end() -> None:
    assert len({derived_id("x", "a", "b"), derived_id("x", "ab"), derived_id("x", "a"), derived_id("x", "b", "a")}) == 4


def test_a_datapoint_has_the_form_of_humanloops() -> None:
    assert re.fullmatch(r"data_[A-Za-z0-9]{19}00", datapoint_id("x"))
    assert datapoint_id("x") == datapoint_id("x") != datapoint_id("y")


def test_a_sample_leads_back_to_its_datapoint() -> None:
    datapoint = datapoint_id("x")
    made = {sample_id(datapoint, index): (datapoint, index) for index in range(128)}
    assert len(made) == 128
    assert next(iter(made)) == datapoint
    for sample, expected in made.items():
        assert re.fullmatch(r"data_[A-Za-z0-9]{21}", sample)
        assert sample_of(sample) == expected


def test_an_id_that_others_made_is_no_sample() -> None:
    datapoint = datapoint_id("x")
    others = [
        new_id(),
        "",
        "data_1",
        datapoint[:-1] + "-",
        datapoint + "0",
        "\ud800" * 26,
        *(derived_id("data", f"{n}") for n in "ab"),
    ]
    assert [sample_of(other) for other in others] == [None] * len(others)
