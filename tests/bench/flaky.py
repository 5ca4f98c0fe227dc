"""An upstream that fails: the answers of `upstream.py`, in a way that the command line says.

    python -m tests.bench.flaky PORT healthy|dead|slow|half|flapping

`dead` breaks the connection with each request, `slow` is silent for five seconds before its first piece, `half` answers
500 to every second request, `flapping` to all of two seconds in every four. `GET` tells how many completions were asked
for, of a dead one too: a port that nobody listens on could not say so.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop

from tests.bench.server import HOST
from tests.bench.upstream import Upstream

SILENCE = 5.0
PERIOD = 4.0
REFUSAL = (
    b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: application/json\r\ncontent-length: 62\r\n\r\n"
    b'{"error": {"message": "The server failed.", "type": "server"}}'
)


class Flaky(Upstream):
    """One connection to an upstream that fails in the way `behaviour` says."""

    behaviour = "healthy"

    def on_message_complete(self) -> None:
        if self._parser.get_method() == b"GET":
            super().on_message_complete()
            return
        loop, asked = asyncio.get_running_loop(), Upstream.asked
        match self.behaviour:
            case "dead":
                Upstream.asked += 1
                self._transport.abort()
            case "slow":
                Upstream.asked += 1
                loop.call_later(SILENCE, self._late)
            case "half" if asked % 2 == 0:
                self._refuse()
            case "flapping" if loop.time() % PERIOD < PERIOD / 2:
                self._refuse()
            case _:
                super().on_message_complete()

    def _late(self) -> None:
        if not self._transport.is_closing():
            Upstream.asked -= 1  # counted again where it is answered
            super().on_message_complete()

    def _refuse(self) -> None:
        Upstream.asked += 1
        self._transport.write(REFUSAL)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Flaky, HOST, port)
    await server.serve_forever()


if __name__ == "__main__":
    Flaky.behaviour = sys.argv[2]
    uvloop.run(serve(int(sys.argv[1])))
