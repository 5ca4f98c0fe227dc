from __future__ import annotations

import stat
from pathlib import Path

import pytest

from proxy.errors import ConfigError
from proxy.places import check_port, config_path, data_folder, private


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def test_the_config_is_the_given_one_or_that_of_the_current_directory() -> None:
    assert config_path(None) is None
    Path("config.yaml").write_text("")
    assert config_path(None) == Path("config.yaml")
    assert config_path(Path("other.yaml")) == Path("other.yaml")


@pytest.mark.parametrize(
    ("given", "config", "folder"),
    [
        ("given", "config.yaml", "given"),
        (None, "config.yaml", "data"),
        (None, "./other.yaml", "data"),
        (None, "../here/config.yaml", "data"),
        (None, "../config.yaml", "../home/.parea-proxy"),
        (None, None, "../home/.parea-proxy"),
    ],
)
def test_the_data_folder(given: str | None, config: str | None, folder: str) -> None:
    found = data_folder(Path(given) if given else None, Path(config) if config else None)
    assert found.resolve() == Path(folder).resolve()


@pytest.mark.fault("S4")
@pytest.mark.parametrize("mode", [None, 0o755, 0o777])
def test_the_folder_is_closed_to_others(mode: int | None) -> None:
    folder = Path("deep/data") if mode is None else Path("data")
    if mode is not None:
        folder.mkdir()
        folder.chmod(mode)
    assert private(folder) == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.fault("S4")
@pytest.mark.parametrize("name", [".", "..", "/", "../home", "shared"])
def test_a_folder_that_others_need_is_refused_and_left_alone(name: str) -> None:
    folder = Path(name)
    folder.mkdir(exist_ok=True)
    if name == "shared":
        folder.chmod(0o1777)
    before = folder.stat().st_mode
    with pytest.raises(ConfigError, match="a folder of its own"):
        private(folder)
    assert folder.stat().st_mode == before


def test_a_file_in_the_way_is_told() -> None:
    Path("data").write_text("")
    with pytest.raises(ConfigError, match="cannot be used: File exists"):
        private(Path("data"))


def test_a_free_port_may_be_listened_on() -> None:
    check_port("127.0.0.1", 0)
    check_port("localhost", 0)


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
def test_an_address_of_another_machine_is_refused(host: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on .*--host"):
        check_port(host, 0)
