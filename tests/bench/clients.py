"""HTTP clients beside each other: what one call to a fast loopback upstream costs the process that makes it.

    python -m tests.bench.clients [--only ours,aiohttp] [--calls 2000] [--instructions]

CPU microseconds (user and system, all threads) of a call that posts 1 kB and reads 1 kB of JSON, and of a chunk of a
stream of 100 events; each figure is the median of interleaved rounds, each round a process of its own on uvloop. A
stream is paced where each chunk is read by itself, as a model sends them; else it comes as fast as the upstream goes.
`--instructions` counts them with callgrind. Clients that are not installed are skipped: any Python that has this
project's dependencies and theirs can run it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import math
import re
import resource
import shutil
import ssl
import statistics
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, cast

import uvloop

from tests.bench.server import HOST
from tests.bench.upstream import CHUNKS, STREAM, Upstream
from tests.upstreams.authority import Authority

BODY = b'{"model": "bench", "messages": [{"role": "user", "content": "%s"}]}' % (b"x" * 950)
STREAMED = BODY[:-1] + b', "stream": true}'
PACED = BODY[:-1] + b', "stream":  true}'
HEADERS = {"authorization": "Bearer sk-bench", "content-type": "application/json", "accept": "application/json"}
PACE = 0.001
"""Seconds between the chunks of a paced stream."""

CASES = {
    "call": (BODY, 1, False),
    "16 calls": (BODY, 16, False),
    "chunk": (STREAMED, 16, False),
    "paced chunk": (PACED, 16, False),
    "call TLS": (BODY, 1, True),
    "16 calls TLS": (BODY, 16, True),
    "paced chunk TLS": (PACED, 16, True),
}
"""What is measured: the body that is sent, how many calls at a time, whether over TLS."""

Call = Callable[[str, bytes], Awaitable[int]]
"""Posts a body to a URL and gives how many bytes came back, read piece by piece when they are streamed."""


class Paced(Upstream):
    """The bench's upstream, and slower streams."""

    def on_message_complete(self) -> None:
        if b'"stream":  true' in self._body:
            self._step(0)
        else:
            super().on_message_complete()

    def _step(self, number: int) -> None:
        if not self._transport.is_closing():
            self._transport.write(STREAM[number])
            if number + 1 < len(STREAM):
                asyncio.get_running_loop().call_later(PACE, self._step, number + 1)


# the clients; each is made with the file of the authority that it shall trust


@contextlib.asynccontextmanager
async def ours(authority: str) -> AsyncIterator[Call]:
    import os

    from proxy.providers.wire.exchange import Exchange
    from proxy.providers.wire.pool import Pool

    os.environ["SSL_CERT_FILE"] = authority
    pool = Pool()

    async def call(url: str, body: bytes) -> int:
        reply = await pool.post(url, HEADERS, body, exchange=Exchange(2**30), timeout=60)
        if body is BODY:
            return len(await reply.read())
        return sum([len(piece) async for piece in reply])

    yield call
    await pool.close()


@contextlib.asynccontextmanager
async def aiohttp(authority: str) -> AsyncIterator[Call]:
    from aiohttp import ClientSession, TCPConnector

    context = ssl.create_default_context(cafile=authority)
    async with ClientSession(connector=TCPConnector(limit=0, ssl=context), auto_decompress=False) as session:

        async def call(url: str, body: bytes) -> int:
            async with session.post(url, data=body, headers=HEADERS, allow_redirects=False) as response:
                if body is BODY:
                    return len(await response.read())
                return sum([len(piece) async for piece in response.content.iter_any()])

        yield call


@contextlib.asynccontextmanager
async def httpcore(authority: str) -> AsyncIterator[Call]:
    from httpcore import AsyncConnectionPool

    context = ssl.create_default_context(cafile=authority)
    headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
    async with AsyncConnectionPool(ssl_context=context, max_connections=None) as pool:

        async def call(url: str, body: bytes) -> int:
            async with pool.stream("POST", url, headers=[(b"host", b"bench"), *headers], content=body) as response:
                return sum([len(piece) async for piece in response.aiter_stream()])

        yield call


@contextlib.asynccontextmanager
async def httpx(authority: str) -> AsyncIterator[Call]:
    import httpx

    context = ssl.create_default_context(cafile=authority)
    async with httpx.AsyncClient(verify=context, limits=httpx.Limits(max_connections=None)) as client:

        async def call(url: str, body: bytes) -> int:
            async with client.stream("POST", url, headers=HEADERS, content=body) as response:
                return sum([len(piece) async for piece in response.aiter_raw()])

        yield call


@contextlib.asynccontextmanager
async def pyreqwest(authority: str) -> AsyncIterator[Call]:
    from pyreqwest.client import ClientBuilder

    certificates = Path(authority).read_bytes()  # noqa: ASYNC240
    builder = ClientBuilder().follow_redirects(False).gzip(False).brotli(False).zstd(False).deflate(False)
    async with builder.add_root_certificate_pem(certificates).build() as client:

        async def call(url: str, body: bytes) -> int:
            request = client.post(url).headers(HEADERS).body_bytes(body)
            if body is BODY:
                return len(await (await request.build().send()).bytes())
            total = 0
            async with request.build_streamed() as response:
                while (piece := await response.body_reader.read_chunk()) is not None:
                    total += len(piece)
            return total

        yield call


@contextlib.asynccontextmanager
async def primp(authority: str) -> AsyncIterator[Call]:
    from primp import AsyncClient

    client = AsyncClient(follow_redirects=False, cookie_store=False, ca_cert_file=authority)

    async def call(url: str, body: bytes) -> int:
        if body is BODY:
            return len((await client.post(url, headers=HEADERS, content=body)).content)
        response = await client.post(url, headers=HEADERS, content=body, stream=True)
        return sum([len(piece) async for piece in response.aiter_bytes()])

    yield call


@contextlib.asynccontextmanager
async def rnet(authority: str) -> AsyncIterator[Call]:
    from rnet import Client

    client = Client(allow_redirects=False, verify=Path(authority))

    async def call(url: str, body: bytes) -> int:
        response = await client.post(url, headers=HEADERS, body=body)
        if body is BODY:
            return len(await response.bytes())
        async with response.stream() as pieces:
            return sum([len(piece) async for piece in pieces])

    yield call


@contextlib.asynccontextmanager
async def niquests(authority: str) -> AsyncIterator[Call]:
    from niquests import AsyncSession

    async with AsyncSession() as session:

        async def call(url: str, body: bytes) -> int:
            response = await session.post(
                url, data=body, headers=HEADERS, allow_redirects=False, stream=True, verify=authority
            )
            return sum([len(piece) async for piece in await response.iter_raw()])

        yield call


CLIENTS: dict[str, Any] = {
    client.__name__: client for client in (ours, pyreqwest, primp, rnet, aiohttp, httpcore, niquests, httpx)
}


# the upstream


async def serve(folder: Path) -> None:
    loop, context = asyncio.get_running_loop(), Authority(folder).server(HOST)
    servers = [await loop.create_server(Paced, HOST, 0, ssl=tls) for tls in (None, context)]
    print(*(server.sockets[0].getsockname()[1] for server in servers), flush=True)
    await asyncio.gather(*(server.serve_forever() for server in servers))


@contextlib.contextmanager
def upstream(folder: Path) -> Iterator[tuple[int, int]]:
    """The ports of the upstream, plain and TLS, in a process of its own."""
    argv = [sys.executable, "-m", "tests.bench.clients", "--serve", str(folder)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            plain, secure = process.stdout.readline().split()
            yield int(plain), int(secure)
        finally:
            process.kill()


# one figure


async def measure(name: str, case: str, ports: tuple[int, int], folder: Path, calls: int) -> float:
    """CPU seconds of so many calls, or of so many chunks."""
    body, clients, secure = CASES[case]
    url = f"{'https' if secure else 'http'}://{HOST}:{ports[secure]}/v1/chat/completions"
    async with CLIENTS[name](str(folder / "authority.pem")) as call:
        expected = await call(url, body)

        async def work(count: int) -> None:
            for _ in range(count):
                assert await call(url, body) == expected

        async def everybody(count: int) -> None:
            await asyncio.gather(*(work(max(1, count // clients)) for _ in range(clients)))

        count = calls if body is BODY else max(clients, calls // CHUNKS)
        await everybody(count // 10)
        before = resource.getrusage(resource.RUSAGE_SELF)
        await everybody(count)
        after = resource.getrusage(resource.RUSAGE_SELF)
    done = max(1, count // clients) * clients * (1 if body is BODY else CHUNKS)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / done


def once(name: str, case: str, ports: tuple[int, int], folder: Path, calls: int) -> float:
    """Microseconds of CPU, from a process that does nothing else; not a number where the client fails."""
    done = subprocess.run(_argv(name, case, ports, folder, calls), capture_output=True, text=True)
    if done.returncode:
        print(f"{name}, {case}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
    return math.nan if done.returncode else float(done.stdout) * 1e6


def instructions(name: str, case: str, ports: tuple[int, int], folder: Path) -> float:
    """Thousands of instructions, as the difference between a short and a longer run."""
    counts = []
    body, few = CASES[case][0], (160, 480)
    for calls in few:
        scaled = calls if body is BODY else calls * CHUNKS // 10
        argv = _argv(name, case, ports, folder, scaled)
        tool = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder / 'callgrind.out'}"]
        done = subprocess.run([*tool, *argv], check=True, capture_output=True, text=True)
        counts.append(int(cast(re.Match[str], re.search(r"Collected : (\d+)", done.stderr))[1]))
        last = (
            scaled
            if body is BODY
            else max(CASES[case][1], scaled // CHUNKS) // CASES[case][1] * CASES[case][1] * CHUNKS
        )
        counts.append(last + last // 10)
    return (counts[2] - counts[0]) / (counts[3] - counts[1]) / 1000


def _argv(name: str, case: str, ports: tuple[int, int], folder: Path, calls: int) -> list[str]:
    argv = [sys.executable, "-m", "tests.bench.clients", "--one", name, case, *map(str, ports), str(folder)]
    return [*argv, "--calls", str(calls)]


def _missing(name: str) -> str | None:
    try:
        importlib.import_module(name) if name != "ours" else None
    except ImportError as error:
        return str(error)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.clients", description=__doc__)
    parser.add_argument("--only", help="clients, by commas")
    parser.add_argument("--cases", default=",".join(CASES), help="what is measured, by commas")
    parser.add_argument("--calls", type=int, default=3000, help="of each figure")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--instructions", action="store_true", help="thousands of instructions instead, by callgrind")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--one", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        uvloop.run(serve(arguments.serve))
    if arguments.one:
        name, case, plain, secure, folder = arguments.one
        print(uvloop.run(measure(name, case, (int(plain), int(secure)), Path(folder), arguments.calls)))
        return 0
    if arguments.instructions and not shutil.which("valgrind"):
        parser.error("valgrind is not installed")
    names = arguments.only.split(",") if arguments.only else list(CLIENTS)
    cases = arguments.cases.split(",")
    skipped = {name: words for name in names if (words := _missing(name))}
    names = [name for name in names if name not in skipped]
    with tempfile.TemporaryDirectory() as made, upstream(Path(made)) as ports:
        found: dict[tuple[str, str], list[float]] = {(name, case): [] for name in names for case in cases}
        for _ in range(1 if arguments.instructions else arguments.rounds):
            for name, case in found:
                if arguments.instructions:
                    found[name, case].append(instructions(name, case, ports, Path(made)))
                else:
                    found[name, case].append(once(name, case, ports, Path(made), arguments.calls))
    print(f"{'':12}" + "".join(f"{case:>18}" for case in cases))
    for name in names:
        print(f"{name:12}" + "".join(f"{statistics.median(found[name, case]):18.1f}" for case in cases))
    for name, words in skipped.items():
        print(f"{name}: skipped, {words}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
