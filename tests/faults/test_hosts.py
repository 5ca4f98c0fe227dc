"""S5: a client never chooses where the gateway connects, whatever it writes and wherever.

The long way is in `enclosure`: a network of its own, where every address and every name leads to listeners of ours and
the first packet of each connection is counted. Where no such network may be made, a listener on loopback counts.
"""

from __future__ import annotations

import ipaddress
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.canary.test_routes import EXAMPLES
from tests.faults import addresses
from tests.faults.addresses import PUBLIC, SPELLINGS, VENDORS
from tests.faults.plugin import FULL, Figure
from tests.gateway import Process
from tests.upstreams.fleet import MODELS, Fleet

pytestmark = pytest.mark.fault("S5")

ROOT = Path(__file__).parents[2]
APART = ["unshare", "--net", "--mount", "--map-root-user"]
VENDORS_NAMES = (".amazonaws.com", ".googleapis.com", ".anthropic.com", ".openai.com")


def enclosed(folder: Path, form: str) -> dict[str, Any]:
    """What the enclosure tells; where none can be had, the test is skipped."""
    environ = {"PATH": os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"]), "HOME": str(folder)}
    if shutil.which("unshare") is None or shutil.which("ip", path=environ["PATH"]) is None:
        pytest.skip("unshare or ip is not installed")
    if subprocess.run([*APART, "true"], capture_output=True, env=environ).returncode != 0:
        pytest.skip("unshare is not allowed here")
    command = [*APART, sys.executable, "-m", "tests.faults.enclosure", str(folder), form]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.mark.timeout(420)
def test_s5_no_forbidden_host_is_connected_to(tmp_path: Path, full: bool, figure: Figure) -> None:
    told = enclosed(tmp_path, "full" if full else "short")
    parts = told["parts"]
    assert told["missed"] == 0
    for name in ("fields", "models", "keys"):
        # fields, headers, names and keys: nothing at all, not even a name is asked for
        assert (parts[name]["connections"], parts[name]["names"]) == ({}, {}), name
    for name in ("bare models", "bare keys"):
        # where vendors have their own addresses: those, at most
        assert {place.split()[0] for place in parts[name]["connections"]} <= {VENDORS}
        assert [one for one in parts[name]["names"] if not one.endswith(VENDORS_NAMES)] == []
    # what a message shows may be fetched for a vendor that takes it by value, from the public network alone
    reached = {place.split()[0] for place in parts["contents"]["connections"]}
    assert [one for one in reached if not ipaddress.ip_address(one).is_global] == []
    assert reached <= {PUBLIC}
    # the picture at a public address shows that what is tried would be seen
    assert parts["contents"]["connections"][f"{PUBLIC} 80"] > 0
    asked = sum(part["requests"] for part in parts.values())
    figure("forbidden hosts reached", f"0 of {told['spellings']} spellings on every route ({asked:,} requests)")


@pytest.fixture
def listener() -> Iterator[tuple[int, list[str]]]:
    """A port of loopback, and who came."""
    came: list[str] = []
    listening = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)

    def serve() -> None:
        while True:
            try:
                line, client = listening.accept()
            except OSError:
                return
            came.append(str(client))
            line.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listening.getsockname()[1], came
    # a listener that is woken by its own end
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    thread.join(5)


def test_s5_no_route_connects_to_loopback(
    fleet: Fleet, listener: tuple[int, list[str]], tmp_path: Path, figure: Figure
) -> None:
    """Without a network apart: every operation with every field at once, and pictures, in the spellings of loopback."""
    port, came = listener
    urls = [url.replace(":8080", f":{port}") for url in SPELLINGS if ":8080" in url and url.startswith("http")]
    urls = urls if FULL else urls[::5]
    config = {
        "model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}],
        "providers": fleet.providers,
    }
    asked = 0
    with Process(tmp_path, config) as gateway, httpx.Client(timeout=30) as client:
        gateway.wait_for("/ready")
        for url in urls:
            for (method, path), example in EXAMPLES.items():
                every = {name: url for name in addresses.FIELDS if name not in example}
                told = {name.encode(): url.encode() for name in addresses.HEADERS}
                at = gateway.url + path.replace("{", "").replace("}", "")
                answered = client.request(method, at, json=example | every, headers=told)
                assert answered.status_code < 500
                asked += 1
            for provider in ("anthropic", "vertexai", "aws_bedrock"):
                (messages, *_) = addresses.contents(url)
                body = {"llm_configuration": {"model": MODELS[provider], "provider": provider, "messages": messages}}
                assert client.post(f"{gateway.parea}/completion", json=body).status_code == 200
                asked += 1
    assert came == []
    with socket.create_connection(("127.0.0.1", port)) as line:
        assert line.recv(1) == b""
    assert len(came) == 1
    figure("connections to a listener on loopback", f"0 in {len(urls)} spellings ({asked:,} requests)")


def test_s5_every_route_is_asked(tmp_path: Path) -> None:
    """The requests above are made from the gateway's own document; whatever has a body there has an example here."""
    with Process(tmp_path, {}) as gateway:
        gateway.wait_for("/openapi.json")
        document = httpx.get(f"{gateway.url}/openapi.json").json()
    described = {
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method, told in item.items()
        if "requestBody" in told
    }
    assert described == set(EXAMPLES)
