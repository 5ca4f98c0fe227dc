"""What docs/testing.md says is done as it stands there, by a pytest of its own, with the real client."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.testing import Gateway
from tests.upstreams.fleet import Fleet

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "testing.md").read_text("utf-8")
FILES = re.findall(r"^`([\w.]+)`:\n\n```python\n(.*?)^```$", PAGE, re.M | re.S)
COMMANDS = re.findall(r"^```sh\n(.*?)^```$(?:\n\n```text\n(.*?)^```$)?", PAGE, re.M | re.S)


def environ(folder: Path, **others: str) -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return {"PATH": path, "HOME": str(folder), "PYTHONPATH": str(ROOT), **others}


def run(folder: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-e", "-c", command], cwd=folder, env=environ(folder), capture_output=True, text=True, timeout=100
    )


@pytest.mark.timeout(180)
def test_the_page_does_what_it_says(tmp_path: Path) -> None:
    for name, text in FILES:
        (tmp_path / name).write_text(text)
    assert [name for name, _ in FILES] == ["conftest.py", "test_greeting.py", "test_other.py"]
    said = []
    for command, output in COMMANDS:
        done = run(tmp_path, command)
        assert done.returncode == 0, done.stdout + done.stderr
        assert not output or done.stdout == output
        said.append(done.stdout)
    assert len(said) == 3
    assert said[0].rstrip().splitlines()[-1].startswith("2 passed")
    (file,) = (tmp_path / "cassettes" / "test_greeting").iterdir()
    assert f"--- {file.name}" in PAGE
    assert (tmp_path / ".pytest_cache" / "d" / "parea-proxy" / "plans.json").is_file()
    # and what a miss is like
    program = tmp_path / "test_greeting.py"
    program.write_text(program.read_text().replace('"Ada"', '"Alan"'))
    missed = run(tmp_path, COMMANDS[1][0])
    assert missed.returncode == 1
    (example,) = re.findall(r"^    (-messages.*)\n    (\+messages.*)$", PAGE, re.M)
    for line in example:
        assert line in missed.stdout


def test_the_next_gateway_knows_how_calls_are_written(fleet: Fleet, tmp_path: Path) -> None:
    """And does not load LiteLLM."""
    loaded = []
    for text in ("one", "two"):
        asked = {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": text}]}
        environ = {"PYTHONPROFILEIMPORTTIME": "1"}
        made: dict[str, Any] = {"providers": fleet.providers}
        with Gateway(made, cassette=tmp_path / "cassette", environ=environ, plans=tmp_path / "plans") as gateway:
            answer = httpx.post(f"{gateway.openai}/chat/completions", json=asked, timeout=50)
            assert answer.status_code == 200
            told = (gateway._folder / "output").read_text()
        loaded.append(re.search(r"\| +litellm\.", told) is not None)
    assert loaded == [True, False]
    assert {path.name for path in tmp_path.iterdir()} == {"cassette", "plans"}


def test_it_does_nothing_where_it_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(FILES[0][1])
    (tmp_path / "test_nothing.py").write_text("def test_nothing(tmp_path):\n    assert not list(tmp_path.iterdir())\n")
    assert run(tmp_path, "python -m pytest -q").returncode == 0
    assert {path.name for path in tmp_path.iterdir()} <= {
        "conftest.py",
        "test_nothing.py",
        ".pytest_cache",
        "__pycache__",
    }


def test_the_environment_s_mode_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAREA_PROXY_MODE", "replay")
    assert Gateway(mode="record").mode == "replay"
    monkeypatch.delenv("PAREA_PROXY_MODE")
    assert Gateway().mode == "auto"


def test_before_the_first_call_there_are_no_rows(tmp_path: Path) -> None:
    with Gateway(cassette=tmp_path) as gateway:
        assert gateway.rows() == []


def test_a_gateway_that_does_not_start_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(RuntimeError, match=r"model_lis\b"),
        Gateway({"model_lis": []}, cassette=tmp_path, mode="record"),
    ):
        pass


def test_a_run_that_is_killed_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    script = """
import os, signal
from proxy.testing import Gateway
with Gateway(mode="live") as gateway:
    print(gateway.url, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    told = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env=environ(tmp_path, TMPDIR=str(tmp_path)),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    url = told.stdout.strip()
    assert url.startswith("http://127.0.0.1:"), told.stderr
    end = time.monotonic() + 40
    while list(tmp_path.iterdir()):
        assert time.monotonic() < end
        time.sleep(0.05)
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_no_other_module_needs_pytest() -> None:
    for path in (ROOT / "proxy").rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        named = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
        named |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
        assert path.name == "testing.py" or not named & {"pytest", "proxy.testing"}, path


def test_other_frameworks_do_without_pytest(tmp_path: Path) -> None:
    script = """
import sys
sys.modules["pytest"] = None
from proxy.testing import Gateway
with Gateway(mode="live") as gateway:
    print(gateway.url, gateway.rows())
"""
    asked = [sys.executable, "-c", script]
    done = subprocess.run(asked, cwd=tmp_path, env=environ(tmp_path), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(r"http://127.0.0.1:\d+ \[\]\n", done.stdout)
