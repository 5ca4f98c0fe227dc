from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy import needles
from proxy.needles import Needles

WORD = "canaryQz0123Xw"


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_a_word_is_found_wherever_in_what_is_coded_it_stands(before: bytes, behind: bytes) -> None:
    raw = before + WORD.encode() + behind
    cases = (before + WORD.lower().encode() + behind, before + WORD.upper().encode() + behind)
    for coded in (raw, *cases, raw.hex().encode(), base64.b64encode(raw), base64.urlsafe_b64encode(raw)):
        assert list(Needles([WORD]).within("it", b"..." + coded + b"..."))


@pytest.mark.parametrize("word", ["a/b?c d", "käse", 'quo"ted'])
def test_a_word_with_other_letters_is_found_as_urls_and_json_have_it(word: str) -> None:
    for coded in (quote(word, safe=""), word, "".join(f"\\u{ord(one):04x}" for one in word)):
        assert list(Needles([word]).within("it", f"<{coded}>".encode())), coded
    assert list(Needles([word]).within("it", f"<{word}>".encode("utf-16-le")))
    assert list(Needles([word]).within("it", f"<{word}>".encode("utf-16-be")))


def test_what_is_not_there_is_not_found() -> None:
    searching = Needles([WORD])
    assert list(searching.within("it", json.dumps({"a": WORD[1:]}).encode() * 100)) == []
    assert searching.searched == len(json.dumps({"a": WORD[1:]})) * 100


@pytest.mark.parametrize("size", [1, 7, 14, 15, 64, 1000])
def test_a_word_over_the_border_of_two_pieces_is_found_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(needles, "PIECE", size)
    path = tmp_path / "file"
    data = b"." * 100 + WORD.encode() + b"." * 31 + WORD.encode().hex().encode() + b"." * 50
    path.write_bytes(data)
    searching = Needles([WORD])
    assert [one.offset for one in searching.in_file(path, "file")] == [100, 145]
    assert searching.searched == len(data)
