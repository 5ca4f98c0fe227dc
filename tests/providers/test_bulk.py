"""LiteLLM's large files: what is read faster reads the same, and nobody else's JSON is touched."""

from __future__ import annotations

import json
from pathlib import Path

from proxy.providers.engine import bulk

LARGE = json.dumps({f"model-{number}": {"cost": number / 7, "name": "é"} for number in range(40_000)})


def test_large_texts_read_the_same() -> None:
    assert len(LARGE) > bulk.LARGE
    wanted = json.loads(LARGE)
    with bulk.read():
        assert json.loads(LARGE) == wanted
        assert json.loads(LARGE.encode()) == wanted


def test_what_only_the_slow_reader_reads_is_read_by_it() -> None:
    odd = LARGE[:-1] + ', "none": NaN}'
    with bulk.read():
        assert json.loads(odd)["none"] != json.loads(odd)["none"]
        assert json.loads("[NaN]") != []
        assert json.loads("[1.5]", parse_float=str) == ["1.5"]


def test_the_tokenizer_is_not_read_and_other_files_are(tmp_path: Path) -> None:
    for name in (bulk.TOKENIZER, "other.json"):
        (tmp_path / name).write_text('{"read": true}')
    with bulk.read():
        with (tmp_path / bulk.TOKENIZER).open() as file:
            assert json.load(file) == {}
        with (tmp_path / "other.json").open() as file:
            assert json.load(file) == {"read": True}


def test_afterwards_all_is_as_before() -> None:
    before = json.load, json.loads
    with bulk.read():
        assert (json.load, json.loads) != before
    assert (json.load, json.loads) == before
