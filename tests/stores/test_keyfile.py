from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.stores.keyfile import any_key, load_key


def test_a_key_is_made_once_for_its_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        key = load_key(tmp_path / "data" / "cache.key")
    finally:
        os.umask(before)
    path = tmp_path / "data" / "cache.key"
    assert len(key) == 32
    assert load_key(path) == key == path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert os.listdir(path.parent) == ["cache.key"]


def test_a_key_that_others_can_read_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "cache.key"
    key = load_key(path)
    path.chmod(0o644)
    assert load_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.fault("D6")
def test_a_damaged_key_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "cache.key"
    path.write_bytes(b"short")
    key = load_key(path)
    assert len(key) == 32
    assert load_key(path) == key
    assert os.listdir(tmp_path) == ["cache.key"]


def test_processes_that_race_agree(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib; from proxy.stores.keyfile import load_key; print('ready', flush=True); "
        "sys.stdin.readline(); print(load_key(pathlib.Path(sys.argv[1])).hex())"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "cache.key")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    keys = {racer.communicate()[0].strip() for racer in racers}
    assert len(keys) == 1
    assert len(bytes.fromhex(keys.pop())) == 32


@pytest.mark.fault("D3")
def test_where_none_can_be_kept_the_process_has_one_of_its_own(tmp_path: Path) -> None:
    blocked = tmp_path / "data"
    blocked.write_text("a file where the folder should be")
    one, other = any_key(blocked / "cache.key"), any_key(blocked / "cache.key")
    assert len(one) == len(other) == 32
    assert one != other
    blocked.unlink()
    assert any_key(blocked / "cache.key") == load_key(blocked / "cache.key")
