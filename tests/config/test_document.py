from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from proxy.config.document import Document, dotted, read
from proxy.errors import ConfigError


def document(text: str, environ: Mapping[str, str] | None = None) -> Document:
    return read(text, "config.yaml", environ or {})


def data(text: str, environ: Mapping[str, str] | None = None) -> Any:
    found = document(text, environ)
    assert found.problems == []
    return found.data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2025-02-01", "2025-02-01"),
        ("yes", "yes"),
        ("off", "off"),
        ("true", True),
        ("FALSE", False),
        ("012", 12),
        ("1:30", "1:30"),
        ("1e-06", 1e-06),
        (".5", 0.5),
        ("0x1F", "0x1F"),
        ("~", None),
        ("", None),
        ("none", "none"),
        ("'12'", "12"),
        ("!!str 12", "12"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = data(f"key: {text}")["key"]
    assert found == value
    assert type(found) is type(value)


def test_infinity_is_read_as_a_number() -> None:
    assert data("[.inf, -.inf]") == [float("inf"), float("-inf")]


def test_lines_are_those_of_the_keys() -> None:
    found = document("a:\n  b:\n    - x\n    -\n      c: 1\n")
    assert found.line(("a", "b")) == 2
    assert found.line(("a", "b", 0)) == 3
    assert found.line(("a", "b", 1, "c")) == 5
    assert found.line(("a", "b", 1, "no such key")) == 5


def test_merge_keys_and_aliases() -> None:
    text = "base: &base {x: 1, y: 2}\nlist: [{<<: *base, y: 3}]\nboth: {<<: [{x: 5}, *base]}\n"
    assert data(text) == {"base": {"x": 1, "y": 2}, "list": [{"x": 1, "y": 3}], "both": {"x": 5, "y": 2}}


def test_references() -> None:
    environ = {"KEY": "k", "EMPTY": ""}
    text = """
litellm: os.environ/KEY
whole: ${KEY}
within: "Bearer ${KEY}!"
default: ${NONE:-a default}
empty: ${EMPTY:-default}
nothing: ${NONE:-}
escaped: $${KEY}
dollar: costs $5 or ${5}
"""
    assert data(text, environ) == {
        "litellm": "k",
        "whole": "k",
        "within": "Bearer k!",
        "default": "a default",
        "empty": "default",
        "nothing": "",
        "escaped": "${KEY}",
        "dollar": "costs $5 or ${5}",
    }
    assert document(text, environ).variables[("within",)] == ("KEY",)


def test_a_value_from_the_environment_is_not_expanded_again() -> None:
    assert data("a: ${A}", {"A": "${B} os.environ/B"}) == {"a": "${B} os.environ/B"}


@pytest.mark.parametrize("reference", ["os.environ/KEY", "${KEY}", "x ${KEY} y"])
@pytest.mark.parametrize(("environ", "state"), [({}, "is not set"), ({"KEY": ""}, "is empty")])
def test_a_missing_variable_is_told_with_line_and_fix(reference: str, environ: dict[str, str], state: str) -> None:
    message = document(f"a:\n  - b: {reference}\n", environ).error().message
    assert message == (
        "config.yaml: 1 problem\n"
        f"  line 2: a[0].b: the environment variable KEY {state}: export KEY=..., or write ${{KEY:-}} to do without it"
    )


def test_a_key_pasted_into_a_reference_is_not_repeated() -> None:
    message = document("a: os.environ/sk-Pasted1234\nb: ${gsk_pasted1234}\n").error().message
    assert "asted" not in message
    assert message.count("the environment variable named here is not set") == 2


def test_a_key_that_stands_twice() -> None:
    message = document("a: 1\nb:\n  c: 1\n  c: 2\n").error().message
    assert "line 4: b.c: stands twice; the first is on line 3" in message


def test_braces_without_quotes() -> None:
    message = document("messages:\n  - content: {{city}}\n").error().message
    assert "line 2: messages[0].content: a key must be text; put {{name}} in quotes" in message


def test_an_alias_that_contains_itself() -> None:
    assert "contains itself" in document("a: &a [*a]\n").error().message


@pytest.mark.parametrize(
    "text",
    [
        "a: *hunter2",
        "a: !hunter2 x",
        "a: !hunter2!x y",
        "a: 'hunter2\n",
        "a: [hunter2",
        "a: hunter2: x",
        "a: hunter2\n b: hunter2",
        "a: %hunter2",
        "a: @hunter2",
        "a: \x07hunter2",
        "- a\nhunter2: b\n",
        '"hunter2',
    ],
)
def test_no_message_repeats_the_file(text: str) -> None:
    try:
        message = document(text).error().message
    except ConfigError as error:
        message = error.message
    assert "1 problem" in message
    assert "hunter2" not in message


def test_a_wrong_tag_is_a_problem() -> None:
    assert "is marked as !!int but is none" in document("a: !!int hunter2").error().message


def test_problems_come_in_the_order_of_the_file() -> None:
    found = document("a: 1\nb: 2\n")
    found.problem(("b",), "second")
    found.problem(("a",), "first")
    found.problem(("a",), "first")
    assert found.error().message == "config.yaml: 2 problems\n  line 1: a: first\n  line 2: b: second"


def test_an_empty_file_is_no_problem() -> None:
    assert data("") is None
    assert data("# nothing\n") is None


def test_dotted() -> None:
    assert dotted(("model_list", 0, "litellm_params", "model")) == "model_list[0].litellm_params.model"
    assert dotted(()) == "the file"


@pytest.mark.parametrize("text", ["[" * 3_000_000, "[" * 2000 + "]" * 2000, "{a: " * 2000 + "}" * 2000])
def test_a_file_that_is_nested_too_deeply(text: str) -> None:
    with pytest.raises(ConfigError, match="^config.yaml: 1 problem\n  no valid YAML: it is nested too deeply$"):
        document(text)
