"""The README does what it says: each of its commands is run as it stands there, in a folder that looks like a checkout,
against a gateway that was started by what `make serve` runs. Only the port is another.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.M | re.S)
COMMANDS = [text for language, text in BLOCKS if language == "sh"]
MAKE = [text.split()[1] for text in COMMANDS if text.startswith("make ")]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# For a machine without curl: as much of it as the README uses.
CURL = """import sys, urllib.request
url, headers, data, rest = None, {}, None, sys.argv[1:]
while rest:
    match rest.pop(0):
        case "-H":
            name, _, value = rest.pop(0).partition(": ")
            headers[name] = value
        case "-d":
            data = rest.pop(0).encode()
        case url:
            pass
print(urllib.request.urlopen(urllib.request.Request(url, data, headers)).read().decode())
"""


@dataclass
class Checkout:
    """A folder with the sample config and the command line, and the port that is served from it."""

    folder: Path
    port: int

    def run(self, script: str) -> str:
        """What a shell prints that runs `script` here; it must succeed."""
        script = script.replace("127.0.0.1:4000", f"127.0.0.1:{self.port}")
        command = ["sh", "-e", "-c", script]
        done = subprocess.run(command, cwd=self.folder, env=self.environ, capture_output=True, text=True, timeout=50)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def environ(self) -> dict[str, str]:
        paths = [self.folder / "bin", Path(sys.executable).parent, os.environ["PATH"]]
        path = os.pathsep.join(map(str, paths))
        return {"PATH": path, "HOME": str(self.folder / "home"), "PAREA_PROXY_PORT": str(self.port)}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    folder = tmp_path_factory.mktemp("checkout")
    shutil.copy(ROOT / "config.yaml", folder)
    script(folder / ".venv" / "bin" / "parea-proxy", f'PYTHONPATH="{ROOT}" exec "{sys.executable}" -m proxy "$@"')
    if shutil.which("curl") is None:
        (folder / "curl.py").write_text(CURL)
        script(folder / "bin" / "curl", f'exec "{sys.executable}" "{folder / "curl.py"}" "$@"')
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        found = Checkout(folder, free.getsockname()[1])
    server = subprocess.Popen(made("serve")[-1].split(), cwd=folder, env=found.environ, stderr=subprocess.PIPE)
    try:
        wait(f"http://127.0.0.1:{found.port}/health", server)
        yield found
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=20)


def script(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def wait(url: str, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 20
    while server.poll() is None and time.monotonic() < end:
        try:
            assert httpx.get(url).status_code == 200
        except httpx.TransportError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError(f"{url} is not served")


def made(target: str) -> list[str]:
    """The commands that `make` would run for a target, without running them."""
    # This may itself be run by make, whose flags and variables are not for that one.
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = ["make", "-n", target]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_every_block_is_of_a_kind_that_is_run_here() -> None:
    assert {language for language, _ in BLOCKS} == {"sh", "python", ""}
    assert MAKE == ["serve", "test"]
    known = ("make ", "curl ", "export ", ".venv/bin/parea-proxy ")
    assert all(text.startswith(known) for text in COMMANDS)


def test_make_serve_and_make_test_do_what_they_say() -> None:
    assert made("serve")[-1].strip() == ".venv/bin/parea-proxy serve"
    assert made("test")[-1].strip().startswith(".venv/bin/python -m pytest -n ")


@pytest.mark.parametrize("target", sorted(set(re.findall(r"`make (\w+)`", README)) | set(MAKE)))
def test_every_target_of_make_exists(target: str) -> None:
    assert made(target)


def test_the_question_is_answered(checkout: Checkout) -> None:
    (question,) = [text for text in COMMANDS if text.startswith("curl ")]
    assert '"content":"You said: What is the weather in New York?"' in checkout.run(question)


CLIENTS = {"openai": r"You said: Hello", "parea": r"You said: Hello 0\.0 [0-9a-f-]{36}"}


@pytest.mark.parametrize("client", CLIENTS)
def test_the_original_clients_are_answered(checkout: Checkout, client: str) -> None:
    (program,) = [text for language, text in BLOCKS if language == "python" and f"from {client} import" in text]
    (export,) = [text for text in COMMANDS if text.startswith(f"export {client.upper()}_BASE_URL=")]
    (checkout.folder / "program.py").write_text(program)
    printed = checkout.run(f"{export}python program.py")
    assert re.fullmatch(CLIENTS[client], printed.splitlines()[-1])


def test_every_program_is_run() -> None:
    assert sum(language == "python" for language, _ in BLOCKS) == len(CLIENTS)


@pytest.mark.parametrize("command", [text for text in COMMANDS if text.startswith(".venv/")], ids=str.strip)
def test_the_command_line_prints_something(checkout: Checkout, command: str) -> None:
    checkout.run(next(text for text in COMMANDS if text.startswith("curl ")))
    printed = checkout.run(command)
    expected = {"traces": "llm-echo", "check": "echo/echo"}[command.split()[-1]]
    assert expected in printed


@pytest.mark.parametrize("command", sorted(set(re.findall(r"`(parea-proxy [^`]+)`", README))))
def test_the_commands_between_the_lines_work(checkout: Checkout, command: str, tmp_path: Path) -> None:
    assert checkout.run(f'cd "{tmp_path}"; "{checkout.folder}"/.venv/bin/{command}')


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)#\s]+)", document.read_text("utf-8")):
        if "://" not in link:
            assert (document.parent / link).exists(), link


def test_the_map_shows_what_is_there() -> None:
    (plan,) = [text for language, text in BLOCKS if not language]
    shown = re.findall(r"[\w.]+(?:\.(?:py|yaml)|/)(?=[\s,:;]|$)", plan)
    rooms = [folder for folder in (ROOT / "proxy").iterdir() if folder.is_dir()]
    assert len(shown) > 15
    for name in shown:
        assert any((place / name).exists() for place in (ROOT, ROOT / "tests", ROOT / "proxy", *rooms)), name
