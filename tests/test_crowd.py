"""How many objects and lists a text holds, counted without parsing it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as some

from proxy.crowd import MOST, Crowd, crowded
from tests.gateway import Local

ODD = some.text(some.sampled_from('a"\\[{]}\n\u00e9')) | some.integers()
VALUES = some.recursive(ODD, lambda inner: some.lists(inner) | some.dictionaries(some.text('b"\\{'), inner))


def counted(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(counted, value.values()))
    return 1 + sum(map(counted, value)) if isinstance(value, list) else 0


@given(VALUES, some.lists(some.integers(0, 200)), some.booleans())
def test_it_counts_what_is_there_however_the_text_comes(value: Any, cuts: list[int], ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only).encode()
    crowd, places = Crowd(MOST), [0, *sorted(cuts), len(text)]
    for start, end in zip(places, places[1:], strict=False):
        crowd.feed(text[start:end])
    assert crowd.found == counted(value)


@given(some.lists(VALUES), some.integers(1, 50))
def test_each_line_is_counted_anew(values: list[Any], size: int) -> None:
    lines = [json.dumps(value) for value in values]
    text = "\n".join(['[[[{"', *lines, '[["[']).encode()
    crowd = Crowd(MOST, lines=True)
    for start in range(0, len(text), size):
        crowd.feed(text[start : start + size])
    assert crowd.found == 2


@pytest.mark.parametrize("item", ["[]", "{}", '{"a":0}', '"\\\\",[]'])
def test_the_limit_is_exact(item: str) -> None:
    for text in (f"[{','.join([item] * (MOST - 1))}]", f" [{','.join([item] * (MOST - 1))}] "):
        assert not crowded(text)
        assert not crowded(text.encode())
    assert crowded(f"[{','.join([item] * MOST)}]")


@pytest.mark.parametrize("text", ["[{" * MOST, '\\"[{' * MOST, "\\\\" * MOST + "[" * MOST, "\ud800[{" * MOST])
def test_what_strings_hold_does_not_count(text: str) -> None:
    assert not crowded(f'["{text}"]')


PATHS = (
    "/v1/chat/completions",
    "/v1/completions",
    "/v1/embeddings",
    "/v1/responses",
    "/v1/messages",
    "/v1/messages/count_tokens",
    "/api/parea/v1/completion",
    "/api/parea/v1/completion/stream",
    "/api/parea/v1/trace_log",
    "/v4/completion",
    "/v4/chat",
    "/v4/logs",
    "/v5/chat/completions",
)


def test_every_api_refuses_a_body_of_more(tmp_path_factory: pytest.TempPathFactory) -> None:
    body = b'{"x":[' + b"[]," * MOST + b"0]}"
    with Local(tmp_path_factory.mktemp("crowd")) as gateway:
        for path in PATHS:
            answer = httpx.post(
                gateway.url + path, content=body, headers={"content-type": "application/json"}, timeout=20
            )
            assert answer.status_code == 413, (path, answer.text)
            assert str(MOST) in answer.text
