from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config.document import Place, read
from proxy.config.splice import Value, splice
from proxy.errors import ConfigError

LIVE: Place = ("p", "environments", "live")


@pytest.mark.parametrize(
    ("text", "place", "value", "after"),
    [
        ("p: {environments: {live: v1}} # x", LIVE, "v2", "p: {environments: {live: v2}} # x"),
        ("p: {environments: {live: v1, x: v1}}", LIVE, {"v1": 90.0, "v2": 10},
         "p: {environments: {live: {v1: 90, v2: 10}, x: v1}}"),
        ("p:\n  environments:\n    live: 'v1'      # here\n    x: v1\n", LIVE, "v2",
         "p:\n  environments:\n    live: v2        # here\n    x: v1\n"),
        ("p:\n  environments:\n    live: {v1: 1}   # here\n", LIVE, "v2",
         "p:\n  environments:\n    live: v2        # here\n"),
        ("p:\n  environments:\n    live: v1 # here\n", LIVE, {"v1": 1, "v2": 2},
         "p:\n  environments:\n    live: {v1: 1, v2: 2} # here\n"),
        ("p:\n  environments:\n    live: # why\n      v1: 90\n      v2: 10 # b\n\n# end\nq: 1\n", LIVE, "v2",
         "p:\n  environments:\n    live: v2 # why\n\n# end\nq: 1\n"),
        ("p:\n  environments: # none yet\nq: 1\n", LIVE, "v2", "p:\n  environments: {live: v2} # none yet\nq: 1\n"),
        ("p:\n    environments:\n       x: |\n         a\n\n\n# c\nq: 1", LIVE, "v2",
         "p:\n    environments:\n       x: |\n         a\n       live: v2\n\n\n# c\nq: 1"),
        ("p:\r\n  a: 1\r\n", LIVE, "v2", "p:\r\n  a: 1\r\n  environments:\r\n    live: v2\r\n"),
        ("\ufeffp:\n  a: 1", LIVE, "v2", "\ufeffp:\n  a: 1\n  environments:\n    live: v2"),
        ("p: {a: 1}", LIVE, "v2", "p: {a: 1, environments: {live: v2}}"),
        ("p: {}", LIVE, "v2", "p: {environments: {live: v2}}"),
        ("", ("current",), "v2", "current: v2\n"),
        ("# only a comment", ("environments", "a b"), "v2", "# only a comment\nenvironments:\n  a b: v2\n"),
        ("p: {a: 1}", ("p", "yes: no"), "v2", 'p: {a: 1, "yes: no": v2}'),
        ("p: {a: 1}", ("p", "1"), "v2", 'p: {a: 1, "1": v2}'),
    ],
)  # fmt: skip
def test_only_the_value_changes(text: str, place: Place, value: Value, after: str) -> None:
    assert splice(text, "f", place, value) == after


@pytest.mark.parametrize(
    "text",
    [
        "a: &x {live: v1}\np: {environments: *x}",
        "a: &x {environments: {live: v1, x: v1}}\np:\n  <<: *x\n",
        "p: {environments: {live: '${LIVE}'}}",
        "p: {environments: {live: os.environ/LIVE}}",
        "p: {environments: [live]}",
        "p: {environments: {live: &a v1, x: *a}}",
        "p: {environments: ~}",
        "p:\n  environments:\n    x: |+\n      these line ends are part of it\n\n\nq: 1",
        "- p",
    ],
)
def test_what_is_tied_to_something_else_is_left_alone(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^f: p\.environments\.live cannot be set: .*; change it by hand$"):
        splice(text, "f", LIVE, "v2")


words = st.sampled_from(["a", "b", "live", "x y", "current", "v1", "ä", "null", "1", "- d", "#e", "true"])
values = st.recursive(
    st.sampled_from(["v1", "text # no comment", "two\nlines\n", "", "a: b", "{{city}}"]) | st.integers() | st.none(),
    lambda inner: st.dictionaries(words, inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=8,
)
documents = st.dictionaries(words, values, min_size=1, max_size=4)
styles = st.fixed_dictionaries(
    {"default_flow_style": st.sampled_from([None, False, True]), "indent": st.sampled_from([2, 4])}
)


@settings(max_examples=200, deadline=None)
@given(documents, st.lists(words, min_size=1, max_size=3), styles, st.lists(st.integers(0, 60), max_size=4))
def test_all_other_lines_are_as_they_were(
    data: dict[str, Any], place: list[str], style: dict[str, Any], comments: list[int]
) -> None:
    lines = yaml.safe_dump(data, allow_unicode=True, **style).splitlines()
    plain = not any(isinstance(value, str) and "\n" in value for value in _leaves(data))
    for number in comments if plain and not style["default_flow_style"] else ():
        lines.insert(number % (len(lines) + 1), f"# comment {number}")
    text = "\n".join(lines) + "\n"
    before = read(text, "f", {}).data
    try:
        after = splice(text, "f", tuple(place), "v9")
    except ConfigError:
        return
    was, found = _at(before, place), read(after, "f", {}).data
    assert _at(found, place) == "v9"
    assert _without(found, place) == _without(before, place)
    if not (isinstance(was, dict | list) or "\n" in str(was)):  # whose own lines go
        gone = Counter(text.splitlines()) - Counter(after.splitlines())
        assert gone.total() <= 1
        assert not any(line.startswith("# comment") for line in gone)


_NONE = object()


def _at(data: Any, place: list[str]) -> Any:
    for key in place:
        if not isinstance(data, dict) or key not in data:
            return _NONE
        data = data[key]
    return data


def _leaves(data: Any) -> list[Any]:
    if isinstance(data, dict):
        return [leaf for value in data.values() for leaf in _leaves(value)]
    return [leaf for value in data for leaf in _leaves(value)] if isinstance(data, list) else [data]


def _without(data: Any, place: list[str]) -> Any:
    """The data without a value, and without the mappings that hold nothing else."""
    if not isinstance(data, dict) or place[0] not in data:
        return data or None
    inner = _without(data[place[0]], place[1:]) if len(place) > 1 else None
    rest = {key: value for key, value in data.items() if key != place[0]}
    return (rest | {place[0]: inner} if inner is not None else rest) or None
