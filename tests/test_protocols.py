from __future__ import annotations

import json

import pytest

from proxy.errors import GatewayError, NotFound, Unprocessable
from proxy.protocols import Answer, Surface, detailed, refusal


def saying(word: bytes) -> Surface:
    return Surface((f"/{word.decode()}", f"/v1/{word.decode()}"), (), lambda error: Answer(error.status, word))


REFUSE = refusal([Surface(("/v1",), (), lambda error: Answer(error.status, b"one")), saying(b"two"), saying(b"three")])


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1", b"one"),
        ("/v1/x", b"one"),
        ("/v1/two", b"two"),
        ("/v1/two/x", b"two"),
        ("/v1/twofold", b"one"),
        ("/three/x", b"three"),
    ],
)
def test_each_path_refuses_in_its_own_words(path: str, body: bytes) -> None:
    assert REFUSE(path, NotFound("x")) == Answer(404, body)


@pytest.mark.parametrize("path", ["/", "/v10", "/x/v1", ""])
def test_a_path_of_nobodys_refuses_as_fastapi_does(path: str) -> None:
    assert json.loads(REFUSE(path, NotFound("gone")).body) == {"detail": "gone"}


def test_a_body_that_does_not_fit_is_told_field_by_field() -> None:
    detail = [{"loc": ["body", "x"], "msg": "m", "type": "t"}]
    error: GatewayError = Unprocessable(detail)
    assert json.loads(detailed(error).body) == {"detail": detail}
