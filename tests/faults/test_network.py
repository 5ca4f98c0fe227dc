"""S4: nobody but this machine is served without a key, and nobody but their owner reads the files.

Also with a umask of 000, with a folder that stood open before, and for what is made while the gateway runs.
"""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.faults.plugin import FULL, Figure
from tests.gateway import Process

pytestmark = pytest.mark.fault("S4")

ROOT = Path(__file__).parents[2]
CONFIG = {"model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}]}

NETWORKS = ("0.0.0.0", "::", "0", "0x0", "127.1.2.3.4", "128.0.0.1", "192.0.2.1", "::ffff:0.0.0.0", "*", "")
"""What `--host` may be given and is no loopback address, in spellings that a check may take for one."""


@pytest.mark.parametrize("host", NETWORKS)
def test_s4_no_network_is_listened_to_without_a_key(host: str, tmp_path: Path) -> None:
    """Exit code 2, with nothing written and nothing opened."""
    data = tmp_path / "data"
    command = [sys.executable, "-m", "proxy", "serve", "--host", host, "--port", "0", "--data", str(data)]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2, done.stderr
    assert "without a key" in done.stderr
    assert "Traceback" not in done.stderr
    assert not data.exists()


@pytest.mark.parametrize("key", ["", " "])
def test_s4_an_empty_key_is_none(key: str, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "proxy",
        "serve",
        "--host",
        "0.0.0.0",
        "--port",
        "0",
        "--data",
        str(tmp_path / "d"),
    ]
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PAREA_PROXY_KEY": key}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2, done.stderr


def test_s4_by_default_only_loopback_is_listened_to(tmp_path: Path, figure: Figure) -> None:
    with Process(tmp_path, CONFIG) as gateway:
        assert httpx.get(f"{gateway.url}/health").status_code == 200
        others = {str(each[4][0]) for each in socket.getaddrinfo(socket.gethostname(), None, type=socket.SOCK_STREAM)}
        # 127.0.0.2 is this machine too, and yet another address
        for address in [*others - {"127.0.0.1"}, "127.0.0.2"]:
            with pytest.raises(OSError, match=r".*"):
                socket.create_connection((address.partition("%")[0], gateway.port), 1).close()
    figure("addresses listened to without a key", f"127.0.0.1 alone; {len(NETWORKS)} others refused")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077] if FULL else [0o000])
def test_s4_files_are_their_owners_alone(umask: int, tmp_path: Path, full: bool, figure: Figure) -> None:
    """Whatever the umask is, and although the folder and its files were open to everybody before."""
    data = tmp_path / "data"
    data.mkdir()
    (data / "traces.db").touch()
    (data / "cache.key").write_bytes(b"k" * 32)
    for path in (data, data / "traces.db", data / "cache.key"):
        path.chmod(0o777)
    before = os.umask(umask)
    try:
        with Process(tmp_path, CONFIG) as gateway:
            if full:
                gateway.wait_for("/ready")
            large = "x" * 200_000  # a value that the cache keeps in a file of its own
            for text in ("small", large):
                body = {"llm_configuration": {"model": "echo", "messages": [{"role": "user", "content": text}]}}
                answered = httpx.post(f"{gateway.parea}/completion", json=body, timeout=30)
                assert answered.headers["x-cache"] == "miss"
            running = open_to_others(data)
            assert running == {}
            assert gateway.output.read_text()
    finally:
        os.umask(before)
    assert open_to_others(data) == {}
    kinds = sorted(path.suffix or path.name for path in data.rglob("*") if path.is_file())
    assert {".db", ".key"} <= set(kinds)
    figure("files open to others, with umask 000", f"0 of {len(kinds)}")


def open_to_others(data: Path) -> dict[str, str]:
    """Files that others may read, write or enter, with their modes."""
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [data, *data.rglob("*")]}
    return {str(path): oct(mode) for path, mode in modes.items() if mode & 0o077}
