"""What two answers have that differs: words, arguments, figures."""

from __future__ import annotations

import json
import time
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.commands.replay.difference import Answer, Change, answers, compared, words
from proxy.commands.replay.outcome import Figures, Outcome, Pair, Run, percentile
from proxy.commands.replay.plot import plot
from proxy.commands.replay.report import pair, word_diff
from proxy.commands.replay.request import Unfit, Wanted, call_of
from proxy.record import Record

LIKELY = st.text(st.sampled_from("ab \n\t.\u0301\N{ZERO WIDTH JOINER}"), max_size=60) | st.text(max_size=40)


@given(LIKELY, LIKELY)
def test_both_texts_can_be_read_off_a_word_diff(before: str, after: str) -> None:
    parts = words(before, after)
    assert "".join(text for side, text in parts if side != "after") == before
    assert "".join(text for side, text in parts if side != "before") == after
    assert all(text for _, text in parts)
    assert all(one[0] != other[0] for one, other in zip(parts, parts[1:], strict=False))


def test_words_that_differ_are_found_and_no_others() -> None:
    assert words("It is warm\nin Rome.", "It is cold\nin Rome, today.") == [
        ("both", "It is"),
        ("before", " warm"),
        ("after", " cold"),
        ("both", "\nin Rome"),
        ("after", ", today"),
        ("both", "."),
    ]


@pytest.mark.parametrize("length", [300, 2_000, 200_000])
def test_what_repeats_itself_takes_no_time_for_ever(length: int) -> None:
    began = time.process_time()
    words("a b " * length, "a c a d " * length)
    assert time.process_time() - began < 10


def test_lines_far_from_a_change_are_only_counted() -> None:
    lines = [f"line {number}\n" for number in range(20)]
    told = list(word_diff(words("".join(lines), "".join([*lines[:10], "line X\n", *lines[11:]]))))
    assert [click.unstyle(one) for one in told] == [
        "... 8 lines that are the same",
        "line 8",
        "line 9",
        "line[- 10-]{+ X+}",
        "line 11",
        "line 12",
        "... 8 lines that are the same",
    ]


def test_nothing_of_a_difference_steers_a_terminal() -> None:
    (told,) = word_diff([("before", "a\x1b[2Jb\rc"), ("after", "\u202e\x00\t")])
    assert click.unstyle(told) == "[-a\ufffd[2Jb\\rc-]{+\ufffd\ufffd    +}"


def record(**fields: Any) -> Record:
    return Record("r", "r", **fields)


CALLED = {"id": "x", "type": "function", "function": {"name": "f", "arguments": '{"a": {"b": 1}, "c": []}'}}
CALLS = json.dumps([CALLED], indent=2)


def test_tool_calls_are_read_from_the_log_by_name_and_arguments() -> None:
    assert answers(record(output=f"Look.\n{CALLS}")) == [Answer("Look.", (("f", {"a": {"b": 1}, "c": []}),))]
    two = record(output='["one", "two"]', notes={"samples": [{"index": 0}, {"index": 1}]})
    assert answers(two) == [Answer("one"), Answer("two")]
    assert answers(record(output='["one", "two"]')) == [Answer('["one", "two"]')]
    assert answers(record(output="x", notes={"omitted": ["outputs"]})) is None
    assert answers(record()) is None


def test_arguments_differ_by_their_paths_and_not_by_their_order() -> None:
    before = Answer("", (("f", {"a": {"b": 1, "c": "x"}, "d": [1]}), ("g", "no json")))
    after = Answer("", (("f", {"d": [1], "a": {"c": "\ud800", "b": 1}, "e": {}}), ("h", {"k": None})))
    (found,) = compared([before], [after])
    assert found.tools == [
        ("f", [Change("a.c", '"x"', '"?"'), Change("e", None, "{}")]),
        ("g is not called", [Change("arguments", '"no json"', None)]),
        ("h is called", [Change("k", None, "null")]),
    ]


def test_figures_are_compared_where_both_are_known() -> None:
    assert pair(2.0, 1.0, "{:.1f} s") == "2.0 s -> 1.0 s (-50%)"
    assert pair(None, 1.0, "{:.1f}") == "- -> 1.0"
    assert (pair(1.0, 1.0, "{:.1f}"), pair(None, None, "{:.1f}"), pair(0.0, 1.0, "{:.0f}")) == ("1.0", "-", "0 -> 1")
    assert [percentile([3.0, 1.0, 2.0, 4.0], share) for share in (50, 95)] == [2.0, 4.0]
    assert percentile([], 50) is None
    run = Run("run", 2, 3)
    known, unknown = Figures("a", 1.0, 2.0, 10, 20), Figures("b", None, 3.0, 1, 2)
    run.outcomes = [
        Outcome("o", "r1", 1, "same", known, known),
        Outcome("o", "r2", 1, "different", known, unknown),
        Outcome("o", "r3", 1, "failed", known, known, "boom"),
    ]
    totals = run.totals()
    assert totals.sums["cost"] == Pair(1.0, 1.0)
    assert totals.sums["input_tokens"] == Pair(20.0, 11.0)
    assert totals.latency["p95"] == Pair(2.0, 3.0)


@pytest.mark.parametrize("pairs", [[], [(0.0, 0.0)], [(1.0, 2.0)] * 5000, [(float("inf"), 1.0)]])
def test_a_plot_has_a_bounded_number_of_points_within_its_frame(pairs: list[tuple[float, float]]) -> None:
    drawn = plot("cost", pairs, "{:.2f}")
    assert drawn.count("<circle") <= 2000
    assert bool(drawn) == (pairs not in ([], [(float("inf"), 1.0)]))
    assert "nan" not in drawn


def asked(**configuration: Any) -> dict[str, Any]:
    logged = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **configuration}
    return call_of(record(configuration=logged), Wanted(), {}, "run", 1).request.params


def test_parameters_are_those_that_were_sent() -> None:
    assert asked(model_params={"temp": 0.5, "max_length": 9, "seed": None}) == {"temperature": 0.5, "max_tokens": 9}
    own = {"type": "web_search", "filters": {}}
    tools = asked(functions=[{"name": "f"}, own], function_call="auto")
    assert tools == {"tools": [{"type": "function", "function": {"name": "f"}}, own], "tool_choice": "auto"}
    # nobody is sent what was withheld at the top, so nothing is missing
    assert asked(model_params={"api_key": "(withheld)", "extra_body": {"api_key": "(withheld)", "k": 1}}) == {
        "extra_body": {"k": 1}
    }


@pytest.mark.parametrize(
    ("configuration", "reason"),
    [
        (None, "no call of a model"),
        ({"model": "m"}, "no call of a model"),
        ({"messages": [{"role": "user", "content": "x"}]}, "no call of a model"),
        ({"model": "m", "messages": "x"}, "its messages are not those of a chat"),
        ({"model": "m", "messages": [{"content": "x"}]}, "its messages are not those of a chat"),
        ({"model": "m", "messages": [{"role": "user", "content": 3}]}, "its messages are not those of a chat"),
        (
            {"model": "m", "messages": [{"role": "user"}], "functions": [{"type": "mcp", "auth": {"k": "(withheld)"}}]},
            "a credential among its parameters was withheld",
        ),
    ],
)
def test_a_row_that_does_not_tell_enough_is_not_sent(configuration: dict[str, Any] | None, reason: str) -> None:
    with pytest.raises(Unfit) as unfit:
        call_of(record(configuration=configuration), Wanted(), {}, "run", 1)
    assert unfit.value.reason == reason
