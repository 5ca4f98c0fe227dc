"""A dialect whose only answer is how many tasks the gateway's event loop has: `server.dialects` takes it by its name.

POST /tally {"say": ""}   ->   {"tasks": 5}
"""

from __future__ import annotations

import asyncio

import orjson

from proxy.models import Call, Completion
from proxy.protocols import Answer, Operation, Surface
from tests.toy import Toy, refuse


class Tally(Toy):
    name = "tally"

    def encode(self, call: Call, completion: Completion) -> Answer:
        return Answer(200, orjson.dumps({"tasks": len(asyncio.all_tasks())}))


def surface(max_depth: int) -> Surface:
    return Surface(("/tally",), (Operation("/tally", Tally(max_depth)),), refuse)
