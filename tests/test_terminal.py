from __future__ import annotations

import json

import pytest

from proxy.terminal import clean, line, lines, written

STEERING = [
    "\x1b",
    "\x7f",
    "\x9b",
    "\u061c",
    "\u200e",
    "\u200f",
    "\u2028",
    "\u202e",
    "\u2069",
    "\U000e0001",
    "\U000e0041",
]


@pytest.mark.parametrize("character", STEERING)
def test_what_steers_turns_or_hides_does_not_reach_a_terminal(character: str) -> None:
    said = f"a{character}b"
    assert clean(said) == "a\N{REPLACEMENT CHARACTER}b"
    for told in (line([said]), written([said])):
        assert character not in told
        assert json.loads(told) == [said]


def test_tabs_and_ends_of_lines_are_told_as_what_they_are() -> None:
    assert clean("a\tb\r\nc") == r"a\tb\r\nc"
    assert lines("all:\r\n\tmake\x1b[2J\r\na\rb") == ["all:", "\tmake\N{REPLACEMENT CHARACTER}[2J", r"a\rb"]
