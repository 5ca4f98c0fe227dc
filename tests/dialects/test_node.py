from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects.node import Node, wrong
from proxy.errors import BadRequest

NODE = Node(
    {"type": "web_search", "name": 1, "none": None, "items": [{"a": "b"}, 2], "key": {"type": "sk-canary"}}, "x.0"
)


@pytest.mark.parametrize(
    ("look", "message"),
    [
        (lambda: NODE.text("name"), "x.0.name: should be text"),
        (lambda: NODE.text("gone"), "x.0.gone: is missing"),
        (lambda: NODE.child("name"), "x.0.name: should be an object"),
        (lambda: list(NODE.children("name")), "x.0.name: should be a list of objects"),
        (lambda: list(NODE.children("items")), "x.0.items.1: should be an object"),
    ],
)
def test_a_look_up_names_where_it_failed(look: Callable[[], object], message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        look()
    assert (caught.value.message, caught.value.param) == (message, message.partition(":")[0])


def test_a_null_is_no_text_and_is_not_kept() -> None:
    assert (NODE.optional("none"), NODE.optional("gone")) == (None, None)
    assert NODE.kept("none", "gone", "name") == {"name": 1}


def test_an_unknown_kind_is_told_if_it_is_a_word() -> None:
    assert NODE.unknown("is unknown").message == "x.0.type: 'web_search' is unknown"
    assert NODE.child("key").unknown("is unknown").message == "x.0.key.type: is unknown"


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_nothing_but_a_bad_request_is_raised(value: object) -> None:
    for look in (lambda node: node.kind, lambda node: node.text("type"), lambda node: list(node.children("type"))):
        with suppress(BadRequest):
            look(Node.of(value, "x"))


def test_a_refusal_names_its_field() -> None:
    assert (wrong("a.b", "is odd").message, wrong("a.b", "is odd").param) == ("a.b: is odd", "a.b")
