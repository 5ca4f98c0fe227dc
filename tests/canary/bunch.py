"""The vendors' keys: those that a request brings, and vendors that repeat them."""

from __future__ import annotations

import json

from tests.canary.search import search
from tests.upstreams.bedrock import Bedrock
from tests.upstreams.scenario import Scenario
from tests.upstreams.server import Upstream, dump
from tests.upstreams.vertex import Vertex


def own_key(upstream: Upstream) -> str:
    """A key that a request brings for this vendor, which the vendor takes from now on."""
    match upstream:
        case Vertex():
            return upstream.credentials
        case Bedrock():
            upstream.secret = search.marked("brought-secret")
            pair = {"aws_access_key_id": "AKIATESTTESTTESTTEST", "aws_secret_access_key": upstream.secret}
            return json.dumps(pair)
        case _:
            upstream.key = search.marked(f"brought-{upstream.name}")
            return upstream.key


def secret(upstream: Upstream) -> str:
    """What the vendor gets to see and could repeat; AWS only computes with it."""
    match upstream:
        case Vertex():
            return upstream.token
        case Bedrock():
            return upstream.secret
        case _:
            return upstream.key


def echoing(upstream: Upstream, said: str) -> Scenario:
    """The vendor refuses a key and says which, as many do."""
    refusal = upstream.refusal(401, message=f"Incorrect API key provided: {said}. You can find yours elsewhere.")
    return Scenario(status=401, raw=dump(refusal.body), headers={**refusal.headers, "x-key": secret(upstream)})
