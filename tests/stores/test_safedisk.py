from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from proxy.stores.cache.safedisk import LARGEST_FILE, Refused, SafeDisk


def disk(folder: Path) -> Any:
    return SafeDisk(str(folder), min_file_size=10)


@pytest.mark.parametrize("key", ["text", 1, 1.5, None, (b"a",), bytearray(b"a")])
def test_only_bytes_are_keys(tmp_path: Path, key: Any) -> None:
    with pytest.raises(TypeError):
        disk(tmp_path).put(key)


@pytest.mark.parametrize("value", ["text", 1, None, {"a": 1}, bytearray(b"a")])
def test_only_bytes_are_values(tmp_path: Path, value: Any) -> None:
    with pytest.raises(TypeError):
        disk(tmp_path).store(value, False)
    with pytest.raises(TypeError):
        disk(tmp_path).store(b"bytes", True)


@pytest.mark.parametrize("value", [b"", b"123456789", b"1234567890", bytes(1000)])
def test_a_value_goes_and_comes(tmp_path: Path, value: bytes) -> None:
    size, mode, filename, stored = disk(tmp_path).store(value, False)
    assert (size, filename is not None) == ((len(value), True) if len(value) >= 10 else (0, False))
    column = None if stored is None else bytes(stored)
    assert disk(tmp_path).fetch(mode, filename, column, False) == value
    if filename is not None:
        disk(tmp_path).remove(filename)
        with pytest.raises(FileNotFoundError):
            disk(tmp_path).fetch(mode, filename, column, False)


@pytest.mark.fault("S11")
@pytest.mark.parametrize(
    ("mode", "filename", "value", "read"),
    [
        (1, None, "text", False),
        (1, None, 7, False),
        (1, None, None, False),
        (2, None, None, False),
        (2, 7, None, False),
        (2, b"ab/cd/" + b"0" * 28 + b".val", None, False),
        (3, "ab/cd/" + "0" * 28 + ".val", None, False),
        (4, None, b"\x80\x04N.", False),
        (1, None, b"value", True),
    ],
)
def test_no_other_row_is_fetched(tmp_path: Path, mode: Any, filename: Any, value: Any, read: bool) -> None:
    with pytest.raises(Refused):
        disk(tmp_path).fetch(mode, filename, value, read)


def test_a_key_is_not_unpickled(tmp_path: Path) -> None:
    assert disk(tmp_path).get(b"key", 1) == b"key"
    for key, raw in ((b"\x80\x04N.", 0), ("text", 1), (7, 1)):
        with pytest.raises(Refused):
            disk(tmp_path).get(key, raw)


def test_a_file_too_large_to_be_ours_is_not_read(tmp_path: Path) -> None:
    _, mode, filename, _ = disk(tmp_path).store(bytes(100), False)
    os.truncate(tmp_path / filename, LARGEST_FILE + 1)
    with pytest.raises(Refused):
        disk(tmp_path).fetch(mode, filename, None, False)


@pytest.mark.fault("S11")
def test_a_directory_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    _, mode, filename, _ = disk(tmp_path).store(bytes(100), False)
    (tmp_path / filename).unlink()
    (tmp_path / filename).mkdir()
    before = len(os.listdir("/dev/fd"))
    with pytest.raises(Refused):
        disk(tmp_path).fetch(mode, filename, None, False)
    assert len(os.listdir("/dev/fd")) == before


def test_the_folder_itself_may_be_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    _, mode, filename, _ = disk(tmp_path / "link").store(bytes(100), False)
    assert disk(tmp_path / "link").fetch(mode, filename, None, False) == bytes(100)


@pytest.mark.fault("S4")
def test_files_are_made_for_their_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        _, _, filename, _ = disk(tmp_path).store(bytes(100), False)
    finally:
        os.umask(before)
    path = tmp_path / filename
    assert [oct(found.stat().st_mode & 0o777) for found in (path, path.parent, path.parent.parent)] == [
        "0o600",
        "0o700",
        "0o700",
    ]
