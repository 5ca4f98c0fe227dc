"""kill -9 under load: is every row of an acknowledged answer in the log?

    python -m tests.bench.durability [--rounds 20] [--clients 8]

Each round starts the gateway on the same data folder, has several clients ask the `echo` provider, and kills the whole
process group at a random moment. An answer that has arrived in full is acknowledged: its row must be there, after this
round and after every later one, and SQLite must find the database intact.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import uvloop

from tests.bench import subject
from tests.bench.client import Connection, post
from tests.bench.load import NUMBER
from tests.bench.measure import say
from tests.bench.server import BenchError, Server, interruptible
from tests.bench.start import first

NO_UPSTREAM = 9
"""The model `echo` is the gateway's own and asks nobody."""

EARLIEST, LATEST = 0.02, 0.8
"""Seconds from the first answer under load to the kill."""

BODY = subject.parea("echo", cache=False).replace(NUMBER, "0" * len(NUMBER))
REQUEST = post("/api/parea/v1/completion", BODY.encode())


async def killed(server: Server, clients: int, seconds: float) -> set[str]:
    """The trace ids of all answers of `server`, which is killed so long after the first of them."""
    acknowledged: set[str] = set()
    loop = asyncio.get_running_loop()

    async def client(connection: Connection) -> None:
        while (answer := await connection.ask(REQUEST)).status:
            if answer.status != 200:
                raise server.broken(f"answered {answer.status} {answer.body[:300]!r}")
            if not acknowledged:
                loop.call_later(seconds, server.kill)
            acknowledged.add(json.loads(answer.body)["trace_id"])

    await first(server, REQUEST, lambda answer: answer.status == 200)
    connections = [await Connection.open(server.port) for _ in range(clients)]
    # Each ends when its connection breaks, and what had been sent by then is read before that.
    await asyncio.gather(*map(client, connections))
    return acknowledged


def present(database: Path) -> set[str]:
    """The trace ids in the log. Raises `BenchError` when SQLite finds it damaged."""
    with closing(sqlite3.connect(database)) as connection:
        verdict = connection.execute("PRAGMA integrity_check").fetchone()[0]
        if verdict != "ok":
            raise BenchError(f"the log is damaged: {verdict}")
        return {row[0] for row in connection.execute("SELECT trace_id FROM traces")}


def run(folder: Path, rounds: int, clients: int) -> tuple[int, int]:
    """How many acknowledged rows are present, of how many, at the worst check."""
    acknowledged: set[str] = set()
    lost: set[str] = set()
    for number in range(1, rounds + 1):
        seconds = random.uniform(EARLIEST, LATEST)
        with subject.gateway_server(folder, NO_UPSTREAM) as server:
            answered = uvloop.run(killed(server, clients, seconds))
        if not answered:
            raise server.broken("acknowledged nothing")
        acknowledged |= answered
        lost |= acknowledged - present(folder / "data/traces.db")
        say(f"round {number}: killed after {seconds:.2f} s, {len(answered)} acknowledged, {len(lost)} lost so far")
    return len(acknowledged) - len(lost), len(acknowledged)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.durability", description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--clients", type=int, default=8)
    arguments = parser.parse_args(argv)
    interruptible()
    with tempfile.TemporaryDirectory(prefix="durability-") as folder:
        try:
            rows, acknowledged = run(Path(folder), arguments.rounds, arguments.clients)
        except BenchError as error:
            say(str(error))
            return 1
        except KeyboardInterrupt:
            say("interrupted")
            return 130
    print(f"{rows} of {acknowledged} acknowledged rows present after {arguments.rounds} x kill -9; integrity ok")
    return 0 if rows == acknowledged else 1


if __name__ == "__main__":
    sys.exit(main())
