"""U1: an upstream that hangs, stalls or drips ends in time, wherever it does so: a 504, or an error in mid-stream.

One limit serves all: each wait (for the connection, the head, the next piece) and the whole of the call.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.faults.plugin import Figure
from tests.faults.ways import WAYS, Answer, Client, Question, config, every
from tests.gateway import Local
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import SCENARIOS, Reply, Scenario

LIMIT = 0.6
TOLERANCE = 0.5

pytestmark = pytest.mark.fault("U1")

SLOW: dict[str, Scenario] = {
    "nothing": SCENARIOS["hang"],
    "a head": SCENARIOS["stall0"],
    "two tokens": SCENARIOS["stall"],
    "a token at a time": Scenario(Reply(tuple("endless" * 5)), pause=0.1),
    "a byte at a time": Scenario(Reply(tuple("endless" * 20)), split=1, pause=0.03),
}
"""What there is of an answer when no more comes, or too little to be done in time."""


@pytest.fixture(scope="module")
def client(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    settings = {"router_settings": {"timeout": LIMIT}}
    with Local(tmp_path_factory.mktemp("timeouts"), config(_fleet, **settings)) as running, Client(running) as client:
        running.wait_until_ready()
        _fleet.reset()
        client.warm(every())
        yield client


def late(answer: Answer) -> float:
    """Seconds after the limit."""
    return answer.seconds - LIMIT


@pytest.mark.parametrize("there", SLOW)
def test_u1_every_vendor_is_given_up_in_time(client: Client, fleet: Fleet, figure: Figure, there: str) -> None:
    for upstream in fleet.upstreams.values():
        upstream.script = SLOW[there]
    questions = every(stream=[True] if there == "a token at a time" else [False, True])
    answers = client.ask_all(questions, at_once=len(questions))
    for question, answer in zip(questions, answers, strict=True):
        assert (answer.code, answer.failed, answer.logged) == ("timeout", True, "timeout"), question
        assert answer.status == (200 if answer.text else 504), question
        assert -0.05 < late(answer) < TOLERANCE, question
        assert there != "two tokens" or answer.text == ("Hello from" if question.stream else "")
        assert there != "a token at a time" or 1 <= len(answer.text) <= 6, "what comes in time is told"
    worst = max(map(late, answers))
    figure(
        f"after {there}", f"{len(answers)} of {len(answers)} given up in time, at most {worst:.2f} s after the limit"
    )
    assert sum(len(upstream.requests) for upstream in fleet.upstreams.values()) == len(questions), "none is asked again"


@pytest.mark.parametrize("way", WAYS)
def test_u1_a_server_that_does_not_accept(
    fleet: Fleet, tmp_path_factory: pytest.TempPathFactory, figure: Figure, way: str
) -> None:
    """Its backlog is full: no connection comes about."""
    with ExitStack() as stack:
        deaf = stack.enter_context(socket.socket())
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(deaf.getsockname())
        found = config(fleet, router_settings={"timeout": LIMIT})
        found["providers"]["openai"]["api_base"] = f"http://127.0.0.1:{deaf.getsockname()[1]}/v1"
        running = stack.enter_context(Local(tmp_path_factory.mktemp("deaf"), found))
        client = stack.enter_context(Client(running))
        running.wait_until_ready()
        answers = client.ask_all([Question("openai", way), Question("openai", way, stream=True)])
    assert [(answer.status, answer.code) for answer in answers] == [(504, "timeout")] * 2
    assert all(late(answer) > -0.05 for answer in answers)
    assert all(late(answer) < TOLERANCE for answer in answers)
    figure(f"without a connection, by {way}", f"at most {max(map(late, answers)):.2f} s after the limit")
