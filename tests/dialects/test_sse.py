from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.dialects.sse import named, written


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": [1, 2.5, None, True, "x\n"]}, b'{"a":[1,2.5,null,true,"x\\n"]}'),
        ("caf\u00e9 \u2028 \U0001f600", b'"caf\\u00e9 \\u2028 \\ud83d\\ude00"'),
        ("half \ud83d", b'"half \\ud83d"'),
        (2**70, b"1180591620717411303424"),
    ],
)
def test_json_is_ascii(value: Any, text: bytes) -> None:
    assert written(value) == text
    assert json.loads(text) == value


def test_an_event_says_what_it_is() -> None:
    assert named("ping", a=1) == b'event: ping\ndata: {"type":"ping","a":1}\n\n'
