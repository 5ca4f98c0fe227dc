"""Cached answers in process, for instruments that count instructions: the whole gateway on connections without sockets.

    python -m tests.bench.hit 20000 [--clients 16] [--distinct 100] [--stream]
    perf stat -e instructions:u -- env PYTHONHASHSEED=0 python -m tests.bench.hit 20000
    valgrind --tool=callgrind python -m tests.bench.hit 2000

Everything from the bytes of a request to the bytes of its answer is done as in `serve`: protocol, pipeline, cache on
disk, row committed before the answer. Only the kernel's part of a socket is missing. Bodies are fixed, and the clients
ask in turns, all in one turn of the loop, so two runs do the same; the difference of two numbers of requests is theirs,
without the start. Prints the requests, and the CPU microseconds of each, as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvicorn
import uvloop
from uvicorn.server import ServerState

from proxy.app import Gateway
from proxy.config import load
from proxy.http.connection import Connection
from proxy.http.door import Door
from proxy.process import prepare
from tests.bench.client import post
from tests.bench.load import NUMBER
from tests.bench.subject import parea

PATH = "/api/parea/v1/completion"


class Line(asyncio.Transport):
    """One client's connection: keeps what is written until the answer is whole."""

    def __init__(self) -> None:
        super().__init__()
        self.answered = asyncio.Event()
        self.written: list[bytes] = []

    def write(self, data: Any) -> None:
        self.written.append(data)
        if data.endswith((b"}", b"0\r\n\r\n")):
            self.answered.set()

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 4000) if name in ("sockname", "peername") else default

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        raise AssertionError(f"the server closed the connection: {self.written!r}")


async def run(data: Path, count: int, *, clients: int, distinct: int, stream: bool) -> float:
    """Fill the cache and ask for `count` cached answers; returns their CPU seconds."""
    gateway = Gateway(load(None, {}), data)
    config = uvicorn.Config(gateway.app, ws="none", log_level="warning", proxy_headers=False)
    state, door = ServerState(), Door()
    lines = [Line() for _ in range(clients)]
    protocols = [Connection(config, state, {}, door=door) for _ in lines]
    for line, served in zip(lines, protocols, strict=True):
        served.connection_made(line)
    head, tail = post(PATH + ("/stream" if stream else ""), parea("echo").encode()).split(NUMBER.encode())

    async def ask(numbers: Sequence[int]) -> None:
        for number, line, served in zip(numbers, lines, protocols, strict=False):
            line.written.clear()
            line.answered.clear()
            served.data_received(b"%b%020d%b" % (head, number % distinct, tail))
        for line in lines[: len(numbers)]:
            await line.answered.wait()

    for first in range(0, distinct, clients):
        await ask(range(first, min(first + clients, distinct)))
    begun = time.process_time()
    for first in range(0, count, clients):
        await ask(range(first, first + clients))
        assert b"HTTP/1.1 200" in lines[0].written[0], lines[0].written
    spent = time.process_time() - begun
    assert stream or b'"cache_hit":true' in lines[0].written[-1], lines[0].written
    await gateway.cache.close()
    await gateway.log.close()
    return spent


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.hit", description=__doc__)
    parser.add_argument("requests", type=int, help="cached answers to ask for")
    parser.add_argument("--clients", type=int, default=16, help="requests that arrive in one turn of the loop")
    parser.add_argument("--distinct", type=int, default=100, help="bodies that are cached")
    parser.add_argument("--stream", action="store_true", help="ask for streams")
    given = parser.parse_args(argv)
    prepare()
    with tempfile.TemporaryDirectory() as folder:
        asked = run(Path(folder), given.requests, clients=given.clients, distinct=given.distinct, stream=given.stream)
        spent = uvloop.run(asked)
    print(json.dumps({"requests": given.requests, "cpu_us": round(1e6 * spent / given.requests, 2)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
