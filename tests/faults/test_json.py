"""Bodies that are no JSON, or JSON that two readers would read in two ways: refused, or read by all in the same one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.faults.plugin import Figure
from tests.gateway import Local, rows
from tests.spoken import SPOKEN, Spoken
from tests.test_fuzz import BODIES, SAID, shaped
from tests.upstreams.fleet import Fleet

pytestmark = pytest.mark.fault("P4")

HEADERS = {"content-type": "application/json"}
MARK = b'"mark0"'


def places(good: dict[str, Any]) -> Iterator[bytes]:
    """The body as it is written, with a mark in place of a new field, and in place of its first text."""
    yield json.dumps({**good, "a_field_that_nobody_knows": "mark0"}).encode()
    yield json.dumps(good).encode().replace(json.dumps(SAID).encode(), MARK, 1)


VALUES = {
    "NaN": b"NaN",
    "Infinity": b"Infinity",
    "minus Infinity": b"-Infinity",
    "a number beyond a double": b"1e999",
    "5000 digits": b"9" * 5000,
    "+1": b"+1",
    "01": b"01",
    ".5": b".5",
    "1.": b"1.",
    "hexadecimal": b"0x10",
    "a lone surrogate": rb'"\ud800"',
    "surrogates in the wrong order": rb'"\udc00\ud800"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "a byte that is no UTF-8": b'"\xff"',
    "an overlong NUL": b'"\xc0\x80"',
    "a raw NUL": b'"\0"',
    "a raw line break": b'"\n"',
    "an unknown escape": rb'"\x00"',
    "half an escape": rb'"\u00"',
    "single quotes": b"'a'",
    "no quotes": b"a",
    "True": b"True",
    "a comment": b"/* */ 1",
    "an open text": b'"',
    "an open list": b"[1",
    "a comma too many": b"[1,]",
    "lists 100,000 deep": b"[" * 100_000 + b"]" * 100_000,
    "objects 100,000 deep": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "open lists 1,000,000 deep": b"[" * 1_000_000,
    "lists 201 deep": b"[" * 201 + b"]" * 201,
}
"""What may stand nowhere."""

WHOLE = {
    "nothing": b"",
    "spaces": b"   ",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16"),
    "UTF-32": "{}".encode("utf-32"),
    "two objects": b"{}{}",
    "something behind": b"{} x",
    "a NUL behind": b"{}\0",
    "null": b"null",
    "a list": b"[]",
    "a number": b"1",
    "a text": b'"{}"',
    "a form": b"model=echo",
}
"""What is no body."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, _fleet: Fleet) -> Iterator[Local]:
    echo = {"model_name": "echo", "litellm_params": {"model": "echo/echo"}}
    with Local(tmp_path_factory.mktemp("gateway"), {"model_list": [echo], "providers": _fleet.providers}) as running:
        running.wait_until_ready()
        yield running


@pytest.mark.parametrize("path", BODIES)
def test_p4_what_is_no_json_is_the_requests_fault(gateway: Local, path: str, figure: Figure) -> None:
    count = 0
    with httpx.Client(timeout=20) as client:
        for good in places(BODIES[path]):
            assert MARK in good
            for name, body in [(name, good.replace(MARK, value)) for name, value in VALUES.items()] + [*WHOLE.items()]:
                answer = client.post(gateway.url + path, content=body, headers=HEADERS)
                # a million lists are too many already, however they stand
                assert answer.status_code in ((413,) if "1,000,000" in name else (400, 422)), (name, answer.text)
                assert shaped(path, answer.status_code, answer.json()), (name, answer.text)
                assert SAID not in answer.text
                count += 1
    figure("hostile bodies refused with 400, 413 or 422, on each completion route", f"{count} of {count}")


@pytest.mark.parametrize("text", ["a\0b", "\u2028\u2029", "\ufeff", "\ufffe\uffff", "\U0010ffff", "e\u0301"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v4/chat"])
def test_p4_odd_text_is_text(gateway: Local, fleet: Fleet, path: str, text: str) -> None:
    """What JSON can say, the provider, the log and the client get as it was said."""
    one = next(one for one in SPOKEN if one.path == path)
    answer = httpx.post(gateway.url + path, json=one.body("gpt-4o-mini", text), timeout=20)
    assert answer.status_code == 200, answer.text
    assert fleet["openai"].requests[-1].json["messages"][-1]["content"] == text
    (row,) = rows(gateway.data, "trace_id = ?", answer.headers["x-trace-id"])
    assert text in leaves(row)


def leaves(value: Any) -> Iterator[Any]:
    """Every value in a JSON value that holds no other."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if inner is None:
        yield value
    else:
        for one in inner:
            yield from leaves(one)


@pytest.mark.parametrize("one", SPOKEN, ids=lambda one: one.name)
def test_p4_of_two_equal_keys_everybody_sees_the_last(gateway: Local, fleet: Fleet, one: Spoken) -> None:
    """The provider is asked the second question, the log tells of it, and it is what the cache knows the answer to."""
    cached = {**HEADERS, "x-cache": "true"}

    def body(text: str) -> bytes:
        asked = one.body("gpt-4o-mini", f"{text} of {one.name}")
        return json.dumps({**asked, "cache": True} if one.name == "parea" else asked).encode()

    twice = body("first")[:-1] + b"," + body("second")[1:]
    answers = {}
    for name, content in {"twice": twice, "second": body("second"), "first": body("first")}.items():
        answers[name] = httpx.post(gateway.url + one.path, content=content, headers=cached, timeout=20)
        assert answers[name].status_code == 200, answers[name].text
    assert [answer.headers["x-cache"] for answer in answers.values()] == ["miss", "hit", "miss"]
    seen = fleet["openai"].requests[0].body.decode()
    (row,) = rows(gateway.data, "trace_id = ?", answers["twice"].headers["x-trace-id"])
    for told in (seen, json.dumps(row)):
        assert f"second of {one.name}" in told
        assert f"first of {one.name}" not in told


NUMBERS: dict[str, Any] = {"one": 1, "one as a float": 1.0, "true": True, "one as text": "1"}


@pytest.mark.parametrize("name", NUMBERS)
def test_p4_numbers_are_not_confused(gateway: Local, fleet: Fleet, name: str) -> None:
    """1, 1.0, true and "1" are one number or none: never another one to the cache than to the provider."""
    body = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": f"hi {name}"}], "cache": True}
    url = f"{gateway.url}/v1/chat/completions"
    first = httpx.post(url, json={**body, "max_tokens": NUMBERS[name]}, timeout=20)
    assert first.status_code in (200, 400, 422), first.text
    if first.status_code == 200:
        sent = fleet["openai"].requests[-1].json["max_tokens"]
        assert (sent, type(sent)) == (1, int)
        again = httpx.post(url, json={**body, "max_tokens": 1}, timeout=20)
        assert again.headers["x-cache"] == "hit"
    else:
        assert fleet["openai"].requests == []
