"""S9: line breaks and escape codes in what is logged: one record stays one line, and a terminal is not spoken to."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from tests.faults import everywhere
from tests.faults.plugin import FULL, Figure
from tests.gateway import Process, rows

pytestmark = pytest.mark.fault("S9")

ROOT = Path(__file__).parents[2]
FORGED = "ERROR:    forged by a client"

BREAKS = {
    "LF": "\n",
    "CR": "\r",
    "CRLF": "\r\n",
    "VT": "\x0b",
    "FF": "\x0c",
    "FS": "\x1c",
    "NEL": "\x85",
    "LS": "\u2028",
    "PS": "\u2029",
    "NUL": "\0",
    "backspace": "\b\b\b\b",
    "ANSI erase": "\x1b[2K\x1b[1A",
    "ANSI colour": "\x1b[31m",
    "ANSI title": "\x1b]0;owned\x07",
    "C1 CSI": "\x9b31m",
    "right to left": "\u202e",
    "isolate": "\u2066",
    "escaped": "%0d%0a",
    "as JSON": '\\n", "level": "error", "x": "',
}
USED = dict(BREAKS if FULL else list(BREAKS.items())[::3])
CONTROL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What must not reach a terminal; lines end in LF."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    config = {"model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}]}
    with Process(tmp_path_factory.mktemp("gateway"), config, PAREA_PROXY_LOG_LEVEL="debug") as gateway:
        gateway.wait_for("/ready" if FULL else "/openapi.json")
        yield gateway


def command(gateway: Process, *words: str) -> str:
    """What the command line prints of the log."""
    called = [sys.executable, "-m", "proxy", *words, "--data", str(gateway.data)]
    environ = {"PATH": os.environ["PATH"], "HOME": str(gateway.data.parent), "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(called, cwd=ROOT, env=environ, capture_output=True, check=True, timeout=30)
    return done.stdout.decode()


def raw(gateway: Process, request: bytes) -> bytes:
    """The answer to these very bytes."""
    with socket.create_connection(("127.0.0.1", gateway.port), 10) as line:
        line.sendall(request)
        return b"".join(iter(lambda: line.recv(65536), b""))


def test_s9_no_client_writes_a_line_of_the_server_s(gateway: Process, figure: Figure) -> None:
    before = gateway.output.read_bytes()
    sent = 0
    with httpx.Client(timeout=30) as client:
        for number, each in enumerate(USED.values()):
            text = f"a{each}{FORGED}{each}z"
            for asked in everywhere.requests(f"l-{number}", text):
                answered = everywhere.post(client, gateway.url, asked)
                assert answered.status_code < 500, (asked, answered.text)
                sent += 1
            for request in broken(text.encode()):
                said = raw(gateway, request)
                assert said.count(b"HTTP/1.1 ") <= 1, request
                assert FORGED.encode() not in said.partition(b"\r\n\r\n")[0]
                sent += 1
    told = gateway.output.read_bytes().removeprefix(before).decode()
    assert CONTROL.sub("", told) == told
    assert "forged" not in told
    lines = [line for line in told.splitlines() if line]
    assert [line for line in lines if not line.startswith(("INFO:", "WARNING:", "DEBUG:"))] == []
    figure("lines that clients wrote into the server's log", f"0 by {sent:,} requests")


def broken(text: bytes) -> Iterator[bytes]:
    """The text where HTTP has no place for it: in the path, in a header's value and name, as method and as host."""
    end = b"Host: 127.0.0.1\r\nConnection: close\r\n\r\n"
    yield b"GET /health?" + text + b" HTTP/1.1\r\n" + end
    yield b"GET /" + quote(text).encode() + b" HTTP/1.1\r\n" + end
    yield b"GET /health HTTP/1.1\r\nX-Trace-Name: " + text + b"\r\n" + end
    yield b"GET /health HTTP/1.1\r\n" + text + b": x\r\n" + end
    yield text + b" /health HTTP/1.1\r\n" + end
    yield b"GET /health HTTP/1.1\r\nHost: " + text + b"\r\nConnection: close\r\n\r\n"
    said = b'{"model":"echo","messages":[{"role":"user","content":"x"}]}'
    yield (
        b"POST /v1/chat/completions HTTP/1.1\r\nContent-Type: application/json\r\nX-Trace-Id: %b\r\n"
        b"Content-Length: %d\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n%b"
        % (quote(text).encode(), len(said), said)
    )


def test_s9_a_trace_is_a_line_of_the_command_and_valid_json(gateway: Process, figure: Figure) -> None:
    with httpx.Client(timeout=30) as client:
        for number, each in enumerate(USED.values()):
            body = everywhere.log(f"c{each}{FORGED}-{number}", f"a{each}{FORGED}")
            assert client.post(f"{gateway.parea}/trace_log", json=body).json()["logged"] is True
            below = body | {"trace_id": f"below-{number}", "parent_trace_id": body["trace_id"]}
            assert client.post(f"{gateway.parea}/trace_log", json=below).json()["logged"] is True
    listed = command(gateway, "traces", "--limit", "100")
    assert CONTROL.sub("", listed) == listed
    # a heading, a line for each trace, and how many there are
    traces = [row for row in rows(gateway.data) if row["trace_id"] == row["root_trace_id"]]
    assert len(listed.splitlines()) == 1 + min(len(traces), 100) + 1
    assert not re.search(rf"^{FORGED}", listed, re.MULTILINE)
    for number in range(len(USED)):
        tree = command(gateway, "traces", f"below-{number}") if FULL or number == 0 else ""
        assert CONTROL.sub("", tree) == tree
        assert not re.search(rf"^{FORGED}", tree, re.MULTILINE)
    told = command(gateway, "traces", "--json", "--limit", "100")
    assert CONTROL.sub("", told) == told
    records = json.loads(told)
    kept = rows(gateway.data)
    for column in ("inputs", "metadata", "tags", "scores", "configuration"):
        assert all(isinstance(row[column], dict | list) for row in kept if row[column] is not None)
    figure("records of the log that are valid JSON", f"{len(kept)} of {len(kept)}, {len(records)} of them listed")
