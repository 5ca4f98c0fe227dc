"""Bodies that are larger than the limit, or say so, or do not: refused, and not kept."""

from __future__ import annotations

import gzip
import re
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.faults.plugin import Figure
from tests.gateway import Process
from tests.spoken import SPOKEN

pytestmark = pytest.mark.fault("P3")

LIMIT = 8 * 2**20
PIECE = b" " * 2**20
PATHS = [one.path for one in SPOKEN] + ["/api/parea/v1/trace_log", "/v1/embeddings", "/v4/logs", "/no/such/path"]
ENOUGH = 16 * 2**20


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    config = {
        "model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}],
        "server": {"max_body": LIMIT},
    }
    with Process(tmp_path_factory.mktemp("gateway"), config) as running:
        running.wait_for("/ready")
        for path in PATHS:
            httpx.post(running.url + path, json={}, timeout=20)
        yield running


def head(path: str, how: str) -> bytes:
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{how}\r\n\r\n".encode()


def say(gateway: Process, first: bytes, pieces: int = 0, *, chunked: bool = False) -> bytes:
    """All that the gateway answers to a head and so many MiB; it reads while it writes."""
    piece = b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as client:
        client.sendall(first)

        def write() -> None:
            try:
                for _ in range(pieces):
                    client.sendall(piece)
            except OSError:
                return  # it has been refused for a while

        writer = threading.Thread(target=write)
        writer.start()
        told = b""
        try:
            while more := client.recv(2**16):
                told += more
        except ConnectionResetError:
            assert told, "refused without a word"
        writer.join()
    return told


def statuses(told: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d+) ", told)]


def peak(gateway: Process, *, anew: bool = False) -> int:
    """The most bytes of memory that the gateway has had, from now on if it is asked for `anew`."""
    process = Path(f"/proc/{gateway.process.pid}")
    if anew:
        (process / "clear_refs").write_text("5")
    found = re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())
    assert found
    return int(found[1]) * 1024


def test_p3_a_large_body_is_refused_on_every_route(gateway: Process, full: bool, figure: Figure) -> None:
    pieces = 1024 if full else 64
    before = peak(gateway, anew=True)
    for path in PATHS:
        told = say(gateway, head(path, f"Content-Length: {pieces * len(PIECE)}"), pieces)
        assert statuses(told) == [413], (path, told)
        assert b"server.max_body" in told
    announced = peak(gateway) - before
    before = peak(gateway, anew=True)
    for path in PATHS[:-1] if full else PATHS[:3]:  # where nothing is, nothing is read either
        told = say(gateway, head(path, "Transfer-Encoding: chunked"), pieces, chunked=True)
        assert statuses(told) == [413], (path, told)
    chunks = peak(gateway) - before
    assert max(announced, chunks) < ENOUGH
    size = f"{pieces} MiB" if pieces < 1024 else "1 GiB"
    figure(f"bodies of {size} refused (413), announced and in chunks", f"on {len(PATHS)} of {len(PATHS)} routes")
    figure("memory they took, MB, announced and in chunks (limit 8 MiB)", f"{announced / 1e6:.1f}, {chunks / 1e6:.1f}")


@pytest.mark.parametrize(
    ("how", "pieces", "expected"),
    [
        (f"Content-Length: {LIMIT + 1}", 0, 413),
        (f"Content-Length: {LIMIT + 1}\r\nExpect: 100-continue", 0, 413),
        ("Content-Length: 1000000000000000000", 0, 413),
        # what comes behind the announced length is no request
        ("Content-Length: 10", 64, 400),
    ],
)
def test_p3_a_length_that_lies(gateway: Process, how: str, pieces: int, expected: int) -> None:
    before = peak(gateway, anew=True)
    assert set(statuses(say(gateway, head(PATHS[0], how), pieces))) == {expected}
    assert peak(gateway) - before < ENOUGH


def test_p3_the_largest_body_is_read(gateway: Process) -> None:
    body = b'{"model": "echo", "messages": [{"role": "user", "content": "hi"}]}'.ljust(LIMIT)
    answer = httpx.post(
        f"{gateway.url}/v1/chat/completions", content=body, headers={"content-type": "application/json"}, timeout=20
    )
    assert answer.status_code == 200, answer.text


def test_p3_nothing_is_unpacked(gateway: Process) -> None:
    bomb = gzip.compress(b" " * 2**28)
    before = peak(gateway, anew=True)
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    answer = httpx.post(f"{gateway.url}/v1/chat/completions", content=bomb, headers=headers, timeout=20)
    assert answer.status_code == 400
    assert peak(gateway) - before < ENOUGH


def test_p3_clients_that_read_only_when_all_is_sent_hear_why(gateway: Process) -> None:
    """What most of them do: the refusal must outlive the rest of the body."""
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=30) as client:
        client.sendall(head(PATHS[0], f"Content-Length: {64 * len(PIECE)}"))
        for _ in range(64):
            client.sendall(PIECE)
        assert client.recv(2**16).startswith(b"HTTP/1.1 413 ")
