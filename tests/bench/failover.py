"""Failover: a name with a primary that fails and a second that does not, asked by a few clients for some seconds.

The gateways are given the very same file, in LiteLLM's format: two retries, a cool-down, half a second until the first
token. Measured are the share of calls that are answered, the time to the end of an answer, and how often the primary is
called for each answer. Every call is a stream of ten pieces.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.bench.environment import Environment
from tests.bench.peer import litellm_server
from tests.bench.server import HOST, Server
from tests.bench.subject import KEY, write
from tests.bench.upstream import ENDING

CASES = {
    "dead": "breaks every connection",
    "slow": "first token after 5 s",
    "half": "500 to every second call",
    "flapping": "500 for 2 s of every 4",
}
"""How the primary fails."""

CLIENTS = 8
REST = 0.1
"""Seconds between two calls of a client, so that a gateway's speed is not what is measured."""

PATIENCE = 30.0
QUESTION = {"role": "user", "content": "pace=0 chunks=10"}
BODY = json.dumps({"model": "bench", "stream": True, "messages": [QUESTION]}).encode()


@dataclass(frozen=True, slots=True)
class Failover:
    """One gateway with one failing primary: of `asked` calls so many were `answered`, in milliseconds; `calls` is how
    often the primary was called for each answer.
    """

    case: str
    subject: str
    asked: int
    answered: int
    p50: float
    p99: float
    calls: float


def measure(folder: Path, env: Environment | None, seconds: float) -> list[Failover]:
    """All cases, for this gateway and, where its environment is there, the LiteLLM proxy."""
    found = []
    for case in CASES:
        where = folder / case
        where.mkdir(parents=True)
        with ExitStack() as stack:
            primary, second = (
                stack.enter_context(_upstream(where, behaviour)).wait() for behaviour in (case, "healthy")
            )
            path = write(where / "config.yaml", config(primary.port, second.port))
            servers = [("gateway", stack.enter_context(_gateway(where, path)))]
            if env is not None:
                servers.append(("LiteLLM", stack.enter_context(litellm_server(where, path, env))))
            for name, server in servers:
                server.wait()
                before = _asked(primary)
                times, asked = asyncio.run(_load(server.port, seconds))
                calls = (_asked(primary) - before) / max(1, len(times))
                found.append(_figure(case, name, asked, times, calls))
    return found


def config(primary: int, second: int) -> dict[str, Any]:
    """The file of both, in LiteLLM's format."""
    return {
        "model_list": [
            {
                "model_name": "bench",
                "litellm_params": {
                    "model": "openai/bench",
                    "api_base": f"http://{HOST}:{port}/v1",
                    "api_key": KEY,
                    "order": order,
                    "stream_timeout": 0.5,
                },
            }
            for order, port in ((1, primary), (2, second))
        ],
        "router_settings": {"num_retries": 2, "allowed_fails": 3, "cooldown_time": 5, "timeout": 20},
    }


def _upstream(folder: Path, behaviour: str) -> Server:
    argv = [sys.executable, "-m", "tests.bench.flaky", "{port}", behaviour]
    return Server(f"the {behaviour} upstream", argv, log=folder / f"{behaviour}.log", ready="/")


def _gateway(folder: Path, path: Path) -> Server:
    argv = [sys.executable, "-m", "proxy", "serve", "--config", str(path), "--data", str(folder / "data")]
    return Server("the gateway", [*argv, "--port", "{port}"], log=folder / "gateway.log", ready="/ready")


def _asked(upstream: Server) -> int:
    return int(upstream.get("/")[1])


async def _load(port: int, seconds: float) -> tuple[list[float], int]:
    """The seconds that each answered call took, and how many there were in all."""
    times: list[float] = []
    end = time.perf_counter() + seconds

    async def client() -> int:
        asked = 0
        while time.perf_counter() < end:
            begun = time.perf_counter()
            asked += 1
            if await _answered(port):
                times.append(time.perf_counter() - begun)
            await asyncio.sleep(REST)
        return asked

    return times, sum(await asyncio.gather(*(client() for _ in range(CLIENTS))))


async def _answered(port: int) -> bool:
    """Whether one call is answered to its end."""
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection(HOST, port)
            head = (
                f"POST /v1/chat/completions HTTP/1.1\r\nhost: {HOST}\r\nauthorization: Bearer {KEY}\r\n"
                f"content-type: application/json\r\nconnection: close\r\ncontent-length: {len(BODY)}\r\n\r\n"
            )
            writer.write(head.encode() + BODY)
            answer = await reader.read(-1)
            writer.close()
    except (OSError, TimeoutError):
        return False
    return answer.startswith(b"HTTP/1.1 200") and ENDING.encode() in answer


def _figure(case: str, name: str, asked: int, times: Sequence[float], calls: float) -> Failover:
    cuts = statistics.quantiles(times, n=100, method="inclusive") if len(times) > 1 else [float("nan")] * 99
    return Failover(case, name, asked, len(times), 1000 * cuts[49], 1000 * cuts[98], calls)
