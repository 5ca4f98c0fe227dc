"""Server-sent events, cut wherever a network cuts them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.providers.wire.events import Events
from proxy.providers.wire.exchange import Malformed, Truncated

pytestmark = pytest.mark.fault("U3")


def payloads(body: bytes, cuts: list[int] | None = None, largest: int = 2**20) -> list[bytes]:
    events, found = Events(largest), []
    places = [0, *sorted(cut % (len(body) + 1) for cut in cuts or []), len(body)]
    for start, end in zip(places, places[1:], strict=False):
        found += events.feed(body[start:end])
    return found + events.end()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"data: one\n\ndata: two\n\n", [b"one", b"two"]),
        (b"data:one\n\ndata:  two\n\n", [b"one", b" two"]),
        (b"data: one\r\n\r\ndata: two\r\n\r\n", [b"one", b"two"]),
        (b"data: one\r\rdata: two\r\r", [b"one", b"two"]),
        (b"\xef\xbb\xbfdata: one\n\n", [b"one"]),
        (b"data: a\ndata: b\ndata:\n\n", [b"a\nb\n"]),
        (b": ping\n\ndata: one\n: pong\n\n:\n\n", [b"one"]),
        (b"event: x\nid: 7\nretry: 10\ndata: one\n\n", [b"one"]),
        (b"event: x\n\nid: 7\n\n", []),
        (b"data\n\n", [b""]),
        (b"\n\n\n\ndata: one\n\n\n\n\ndata: two\n\n", [b"one", b"two"]),
        (b"other: 1\ndatas: 2\n data: 3\ndata: one\n\n", [b"one"]),
        ("data: {a\u2028b\u2029c\x85}\n\n".encode(), ["{a\u2028b\u2029c\x85}".encode()]),
        (b"", []),
        (b"\xef\xbb\xbf", []),
        (b"\n", []),
    ],
)
@given(cuts=st.lists(st.integers(0, 99), max_size=8))
def test_events_are_read_as_the_standard_says(body: bytes, expected: list[bytes], cuts: list[int]) -> None:
    assert payloads(body, cuts) == expected


@given(
    texts=st.lists(st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"])), max_size=6),
    end=st.sampled_from([b"\n", b"\r\n", b"\r"]),
    cuts=st.lists(st.integers(0, 200), max_size=10),
)
def test_payloads_come_out_as_they_went_in(texts: list[str], end: bytes, cuts: list[int]) -> None:
    sent = [text.encode() for text in texts]
    body = b"".join(b"data: " + payload + end + b": note" + end + end for payload in sent)
    assert payloads(body, cuts) == sent


def test_an_event_is_given_out_as_soon_as_it_is_whole() -> None:
    events = Events()
    assert events.feed(b"data: one\r\n\r") == [b"one"]
    assert events.feed(b"\ndata: two\n") == []
    assert events.feed(b"\n") == [b"two"]
    assert events.end() == []


def test_names_are_there_for_who_asks() -> None:
    events = Events()
    assert events.named(b"event: delta\ndata: 1\n\ndata: 2\n\nevent:stop\n\n") == [("delta", b"1"), ("message", b"2")]


@pytest.mark.parametrize(
    ("tail", "expected"),
    [
        (b"data: [DONE]", [b"[DONE]"]),
        (b'data: {"a": 1}', [b'{"a": 1}']),
        (b'data: {"a": 1}\n', [b'{"a": 1}']),
        (b"data: plain\n", [b"plain"]),
        (b": bye", []),
        (b"event: x\n", []),
    ],
)
def test_a_last_event_without_its_blank_line_counts_if_it_is_complete(tail: bytes, expected: list[bytes]) -> None:
    assert payloads(b"data: one\n\n" + tail) == [b"one", *expected]


@pytest.mark.parametrize("tail", [b"d", b"data", b"data: [DON", b'data: {"a": 1', b'data: {"a": 1}\nda', b"event: x"])
def test_half_an_event_at_the_end_is_told(tail: bytes) -> None:
    with pytest.raises(Truncated):
        payloads(b"data: one\n\n" + tail)


@given(cuts=st.lists(st.integers(0, 3000), max_size=5))
def test_an_event_has_a_largest_size(cuts: list[int]) -> None:
    assert payloads(b"data: " + b"x" * 94 + b"\n\n", cuts, largest=100)
    # line ends before it, however many, are none of its bytes
    assert payloads(b"data: one\n\n\ndata: " + b"x" * 94 + b"\n\n", cuts, largest=100)
    with pytest.raises(Malformed):
        payloads(b"data: one\n\ndata: " + b"x" * 2000 + b"\n\n", cuts, largest=100)
    with pytest.raises(Malformed):
        payloads(b": x\n" * 500, cuts, largest=100)
