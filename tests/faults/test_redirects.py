"""U5: an upstream that redirects, by every vendor's protocol and both ways: not followed. No connection is made to the
other host, so that no key and no byte of a prompt can reach it.
"""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.faults.plugin import Figure
from tests.faults.ways import Client, config, every
from tests.gateway import Local
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import Scenario
from tests.upstreams.vertex import Vertex

pytestmark = pytest.mark.fault("U5")

STATUSES = (301, 302, 303, 307, 308)
PROMPT = "a prompt for this host alone"


@pytest.fixture
def other() -> Iterator[socket.socket]:
    """The other host: whoever comes waits in its backlog."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        yield listening


@pytest.fixture(scope="module")
def client(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with Local(tmp_path_factory.mktemp("redirects"), config(_fleet)) as running, Client(running) as client:
        running.wait_until_ready()
        yield client


def came(other: socket.socket) -> bool:
    """Whether anybody has connected."""
    return bool(select.select([other], [], [], 0.1)[0])


def test_u5_no_vendor_is_followed_elsewhere(
    client: Client, fleet: Fleet, other: socket.socket, figure: Figure, full: bool
) -> None:
    address = f"http://127.0.0.1:{other.getsockname()[1]}"
    told = 0
    for status in STATUSES if full else (302, 307):
        for upstream in fleet.upstreams.values():
            upstream.reset()
            upstream.script = Scenario(status=status, raw=b"{}", headers={"location": f"{address}/v1/chat/completions"})
        questions = [replace(each, text=f"{PROMPT}, {each}, {status}") for each in every()]
        for question, answer in zip(questions, client.ask_all(questions), strict=True):
            assert (answer.status, answer.code, answer.logged) == (502, "redirected", "redirected"), question
            told += 1
        sent = [request for upstream in fleet.upstreams.values() for request in upstream.requests]
        assert len(sent) == len(questions), "each is asked once"
        assert all(PROMPT.encode() in request.body for request in sent)
    assert not came(other)
    figure("redirects followed", f"0 of {told} (12 vendors by both ways, whole and streamed)")
    figure("keys and bytes of prompts at the other host", "0")


def test_u5_a_place_of_tokens_that_redirects(
    fleet: Fleet, other: socket.socket, tmp_path_factory: pytest.TempPathFactory, figure: Figure
) -> None:
    """Google's token is bought with an assertion that the account's key has signed."""
    vertex = fleet["vertexai"]
    assert isinstance(vertex, Vertex)
    vertex.elsewhere = f"http://127.0.0.1:{other.getsockname()[1]}/token"
    found = config(fleet)
    # a token that was bought for the same account is kept
    account = {**json.loads(vertex.credentials), "private_key_id": "of-this-test-alone"}
    found["providers"]["vertexai"]["vertex_credentials"] = json.dumps(account)
    try:
        with Local(tmp_path_factory.mktemp("token"), found) as running, Client(running) as client:
            running.wait_until_ready()
            questions = [each for each in every() if each.vendor == "vertexai"]
            answers = client.ask_all(questions)
    finally:
        vertex.elsewhere = ""
    assert all(answer.failed and answer.status < 500 or answer.status == 502 for answer in answers), answers
    assert vertex.requests == []
    assert not came(other)
    figure("redirects of Google's token followed", f"0 of {len(answers)}")
