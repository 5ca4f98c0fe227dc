"""A person's id is found as a word of its own, however it is written, and nobody else's is taken for it."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.stores.erasure.name import LEAST, Name
from proxy.stores.erasure.residue import Find, Needles

ZOE = "élodie@exämple.com"


def found(tmp_path: Path, name: str, written: bytes) -> Find:
    (tmp_path / "file").write_bytes(written)
    return Needles(name).search(tmp_path / "file")


@given(
    st.text(min_size=1, max_size=20),
    st.sampled_from(["", " ", '"', "\n", "\t", "<", "=", "é ", "x "]),
    st.sampled_from(' "\n<&,'),
)
@example("élodie", "\n", "\n")
def test_it_is_found_in_every_text_and_json_that_has_it(name: str, before: str, after: str) -> None:
    text = f"{before}{name}{after}"
    for written in (text, json.dumps(text), json.dumps(text, ensure_ascii=False), json.dumps(json.dumps({"a": name}))):
        assert Name(name).whole(written.encode("utf-8", "replace")), written
    assert Name(name).whole(f"user={quote(name, safe='')}&a=b".encode())


@pytest.mark.parametrize(
    "other",
    ["customer10", "xcustomer1", "customer1é", "écustomer1", r"customer1\u00e9", "customer1_b", r"\u00e9customer1"],
)
def test_somebody_elses_id_is_not_taken_for_it(tmp_path: Path, other: str) -> None:
    assert not Name("customer1").whole(other.encode())
    assert Name("customer1").whole(f"{other} customer1 {other}".encode())
    assert found(tmp_path, "customer1", f"{other}\n".encode()) == Find(size=len(other.encode()) + 1)


@pytest.mark.parametrize(
    "written",
    [
        ZOE.encode(),
        ZOE.upper().encode(),
        json.dumps(ZOE).encode(),
        json.dumps(ZOE).replace("e9", "E9").replace("e4", "E4").encode(),
        quote(ZOE).encode(),
        b"it is %3D" + quote(ZOE, safe="").encode(),
        ZOE.encode("utf-16"),
        b"\0\1" + ZOE.encode("utf-16-be"),
        b"\xa5" + ZOE.encode() + b"\xff\0",
    ],
)
def test_it_is_found_however_it_is_written(tmp_path: Path, written: bytes) -> None:
    assert found(tmp_path, ZOE, written).name


@pytest.mark.parametrize(
    "written", [ZOE.encode().hex().encode(), base64.b64encode(b"a" + ZOE.encode()), b"\0\1alpha" + ZOE.encode()]
)
def test_where_nobody_can_tell_a_word_it_is_a_part(tmp_path: Path, written: bytes) -> None:
    result = found(tmp_path, ZOE, written)
    assert (result.name, result.part) == (False, True)


def test_a_short_one_is_looked_for_in_texts_only(tmp_path: Path) -> None:
    assert Name("x" * (LEAST - 1)).short
    assert not Name("x" * LEAST).short
    assert found(tmp_path, "u1", b"\0 u1 \0").unsaid
    assert found(tmp_path, "u1", b'{"a": "u1"}').name
    part = found(tmp_path, "u1", b"he is u1, they said")
    assert (part.name, part.part) == (False, True)
    assert found(tmp_path, "u1", b"u10 U1 xu1") == Find(size=10)
    assert found(tmp_path, "u1", 'it is "u1" there'.encode("utf-16")).name


@pytest.mark.parametrize("packed", [b"\x1f\x8b\x08", b"PK\x03\x04", b"\x28\xb5\x2f\xfd"])
def test_what_is_compressed_is_told(tmp_path: Path, packed: bytes) -> None:
    assert found(tmp_path, ZOE, packed + b"\0" * 20).packed


def test_at_the_border_of_two_pieces_it_is_neither_missed_nor_taken_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.stores.erasure.residue.CHUNK", 512)
    for offset in range(480, 530):
        assert found(tmp_path, "customer1", b"." * offset + b"customer1" + b"." * 900).name, offset
        assert found(tmp_path, "customer1", b"." * offset + b"customer10" + b"." * 900).name is False, offset
        assert found(tmp_path, "customer1", b"." * offset + b"customer1").name, offset
