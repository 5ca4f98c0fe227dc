"""Where else a key could come out: addresses, the environment, panics, dumps of a process that dies, and its core.

What the other files here ask is asked by requests alone; here the process itself is mistreated.
"""

from __future__ import annotations

import base64
import hashlib
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.canary.panic import STEPS
from tests.canary.search import MASTER, client, finish, keyed, search
from tests.canary.test_routes import EXAMPLES, OUTSIDE
from tests.faults.plugin import Figure
from tests.gateway import Process

pytestmark = pytest.mark.fault("S1")

ROOT = Path(__file__).parents[2]
QUERY = ("key", "api_key", "api-key", "token", "access_token", "x-api-key", "provider_api_key", "code", "authorization")
VARIABLES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "AZURE_API_KEY", "AWS_SECRET_ACCESS_KEY", "UNKNOWN_KEY")
COMMANDS = [("check",), ("check", "--json"), ("traces", "--json"), ("traces",), ("cache", "stats")]
ECHO = {"model_name": "echo", "litellm_params": {"model": "echo/echo"}}
HELLO = [{"role": "user", "content": "x"}]
CLOSED = "http://127.0.0.1:9/v1"


@pytest.fixture(scope="module")
def environ() -> dict[str, str]:
    """Keys as the operator's environment has them, whether a vendor is configured or not."""
    search.begin()
    search.canaries.add(MASTER)
    digest = hashlib.sha256(MASTER.encode()).digest()
    # what is kept of the gateway's key in memory is as good as a name for it, and no more to be told than the key
    search.secrets.update({digest.hex()[:32], base64.b64encode(digest).decode()[:32]})
    return {name: search.marked(name.lower().replace("_", "-")) for name in VARIABLES}


@pytest.fixture(scope="module")
def mistreated(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A gateway at debug level, with a dialect that panics, whose core may be as large as its owner allows."""
    folder = tmp_path_factory.mktemp("mistreated")
    config = {
        "model_list": [ECHO],
        "providers": {"openai": {"api_key": "${OPENAI_API_KEY}", "api_base": CLOSED}},
        "general_settings": {"master_key": MASTER},
        "server": {"dialects": ["parea", "openai", "anthropic", "humanloop", "scale", "tests.canary.panic:surface"]},
    }
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    try:
        gateway = Process(folder, config, PAREA_PROXY_LOG_LEVEL="debug", PYTHONFAULTHANDLER="1", **environ)
        with gateway:
            gateway.wait_for("/ready")
            yield gateway
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def test_s1_no_route_tells_or_keeps_what_an_address_holds(mistreated: Process) -> None:
    """With a good key and without one: such a key in the address is none, and is written nowhere."""
    for method, path in [*OUTSIDE, ("GET", "/metrics"), ("GET", "/v1/models"), *EXAMPLES]:
        at = mistreated.url + path.replace("{", "").replace("}", "")
        body = EXAMPLES.get((method, path))
        for headers in (keyed(), {"x-api-key": search.marked("wrong")}, {}):
            asked = {name: search.marked(f"query-{name}") for name in QUERY}
            answered = client.request(method, at, params=asked, json=body, headers=headers)
            assert answered.status_code < 500 or answered.status_code in (502, 504)
            assert answered.status_code == 401 or "x-user-id" in headers
            search.note(f"{method} {path} with a query", answered)
            if method == "GET":
                search.heard(f"GET {path}", answered.content)
    assert search.leaks(mistreated) == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_s1_a_vendor_that_cannot_be_reached_gets_its_key_told_nowhere(mistreated: Process, stream: bool) -> None:
    """The environment's key, and one that a request brings."""
    configuration = {"model": "gpt-4o-mini", "provider": "openai", "messages": HELLO}
    for brought in (None, search.marked("brought")):
        body = {"llm_configuration": configuration, "provider_api_key": brought}
        path = "completion/stream" if stream else "completion"
        answered = client.post(f"{mistreated.parea}/{path}", json=body, headers=keyed())
        search.note("an unreachable vendor", answered)
        search.heard("an unreachable vendor's answer", answered.content)
    assert search.leaks(mistreated) == []


@pytest.mark.parametrize("where", STEPS)
def test_s1_a_panic_tells_its_place_and_not_its_text(mistreated: Process, where: str) -> None:
    said = search.marked("panic")
    body = {"say": said, "to": "echo", "stream": where == "event", "log_omit": True}
    try:
        answered = client.post(f"{mistreated.url}/panic/{where}", json=body, headers=keyed())
    except httpx.RemoteProtocolError:
        assert where == "event"  # whose stream is cut
    else:
        assert answered.status_code == 500 or where == "event"
        search.note(f"a panic in {where}", answered)
    told = mistreated.output.read_text()
    assert "panic.py" in told
    assert "RuntimeError" in told
    assert search.leaks(mistreated) == []


@pytest.mark.parametrize("words", COMMANDS)
def test_s1_no_command_tells_a_key(mistreated: Process, environ: dict[str, str], words: tuple[str, ...]) -> None:
    """With the gateway's own environment; `traces --json` is what somebody would export."""
    config = mistreated.data.parent / "gateway.yaml"
    command = [sys.executable, "-m", "proxy", *words, "--config", str(config)]
    command += ["--data", str(mistreated.data)] if words[0] != "check" else []
    known = {"PATH": os.environ["PATH"], "HOME": str(mistreated.data.parent), **environ}
    done = subprocess.run(command, cwd=ROOT, env=known, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    search.heard(f"parea-proxy {' '.join(words)}", done.stdout + done.stderr)
    assert search.leaks(mistreated) == []


def test_s1_a_crash_leaves_no_core(mistreated: Process) -> None:
    limits = Path(f"/proc/{mistreated.process.pid}/limits")
    if not limits.exists():
        pytest.skip("there is no /proc here")
    (line,) = [line for line in limits.read_text().splitlines() if line.startswith("Max core file size")]
    assert line.split()[4] == "0"


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGQUIT, signal.SIGSEGV], ids=lambda number: number.name)
def test_s1_a_dump_of_what_runs_tells_no_key(number: signal.Signals, environ: dict[str, str], tmp_path: Path) -> None:
    """After calls with keys: faulthandler writes where every thread is, and no values."""
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip("the signal is ignored here, as it is in a shell's background")
    config = {"model_list": [ECHO], "general_settings": {"master_key": MASTER}}
    gateway = Process(tmp_path, config, PAREA_PROXY_LOG_LEVEL="debug", PYTHONFAULTHANDLER="1", **environ)
    with gateway:
        body = {"llm_configuration": {"model": "echo", "messages": HELLO}, "provider_api_key": search.marked("dumped")}
        assert client.post(f"{gateway.parea}/completion", json=body, headers=keyed()).status_code == 200
        before = set(ROOT.iterdir()) | set(tmp_path.iterdir())
        gateway.process.send_signal(number)
        assert gateway.process.wait(20) == -number
    assert ("Fatal Python error" in gateway.output.read_text()) is (number != signal.SIGQUIT)
    cores = [path for path in {*ROOT.iterdir(), *tmp_path.iterdir()} - before if path.name.startswith("core")]
    for path in cores:
        path.unlink()
    assert cores == []
    assert search.leaks(gateway) == []


def test_all_of_it(mistreated: Process, capsys: pytest.CaptureFixture[str], figure: Figure) -> None:
    finish({"mistreated": mistreated}, capsys, "channels", figure)
