"""U8: repetitions are the gateway's own. A call is made as often as the log says, within the deadline of the whole, and
never by a library below.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from proxy.app import PAREA
from tests.faults.plugin import Figure
from tests.faults.ways import WAYS, Answer, Client, Question, config, every
from tests.gateway import Local, rows
from tests.upstreams.connection import Thread
from tests.upstreams.fleet import MODELS, Fleet
from tests.upstreams.raw import CLOSE, Script, raw, whole
from tests.upstreams.scenario import SCENARIOS, Scenario

pytestmark = pytest.mark.fault("U8")

LIMIT = 2.2
RETRIES = 2
PASSING = ("e408", "e429", "e500", "e502", "e503", "e529", "reset", "close", "garbage", "badjson")
"""After which the same request may succeed."""
LASTING = ("e400", "e401", "e403", "e404", "redirect", "cutbody")


@pytest.fixture(scope="module")
def once(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with Local(tmp_path_factory.mktemp("once"), config(_fleet)) as running, Client(running) as client:
        running.wait_until_ready()
        yield client


@pytest.fixture(scope="module")
def client(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    settings = {"router_settings": {"num_retries": RETRIES, "timeout": LIMIT}}
    with Local(tmp_path_factory.mktemp("retries"), config(_fleet, **settings)) as running, Client(running) as client:
        running.wait_until_ready()
        yield client


def calls(answer: Answer) -> int:
    """How many calls the log says."""
    return sum(answer.row["notes"].get("calls", {"": 1}).values())


def test_u8_nothing_is_repeated_unless_it_is_asked_for(once: Client, fleet: Fleet, figure: Figure, full: bool) -> None:
    """By every vendor's client, after everything that some client repeats by itself."""
    made = 0
    for case in PASSING if full else ("e408", "e429", "e503", "close"):
        fleet.reset()
        for upstream in fleet.upstreams.values():
            upstream.script = SCENARIOS[case]
        questions = every()
        answers = once.ask_all(questions)
        assert all(answer.failed for answer in answers)
        assert {len(upstream.requests) for upstream in fleet.upstreams.values()} == {4}, case
        assert all(calls(answer) == 1 for answer in answers)
        made += len(questions)
    figure("calls that a library repeated", f"0 of {made:,}")


@pytest.mark.parametrize("way", WAYS)
def test_u8_a_connection_that_ends_as_it_is_used_again(fleet: Fleet, tmp_path: Path, figure: Figure, way: str) -> None:
    """A client may think that a kept connection was closed before its request came, and send it again."""
    answer = b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}'
    thread = Thread()
    scripts: list[Script] = [whole(answer, "content-type: application/json"), [CLOSE]]
    serving = raw(*scripts * 4)
    with ExitStack() as stack:
        stack.callback(thread.stop)
        wire = thread.run(serving.__aenter__())
        found = config(fleet)
        found["providers"]["openai"]["api_base"] = f"http://127.0.0.1:{wire.port}/v1"
        running = stack.enter_context(Local(tmp_path, found))
        running.wait_until_ready()
        client = stack.enter_context(Client(running))
        statuses = [client.ask(Question("openai", way)).status for _ in range(6)]
        assert statuses == [200, 502] * 3
        assert len(wire.heads) == 6
        thread.run(serving.__aexit__(None, None, None))
    figure(f"requests written twice on a connection that ended, by {way}", "0 of 3")


CASES: list[tuple[list[str], int]] = [
    *(([case, case, "ok"], 3) for case in ("e503", "e429", "reset", "badjson")),
    *(([case], RETRIES + 1) for case in ("e500", "close")),
    *(([case, "ok"], 1) for case in LASTING),
]
"""What comes one after the other, and how many calls are made; as many as there are vendors, for one at a time each."""


@pytest.mark.parametrize("way", WAYS)
def test_u8_the_row_says_how_often(client: Client, fleet: Fleet, figure: Figure, way: str) -> None:
    made = said = 0
    for stream in (False, True):
        fleet.reset()
        for vendor, (script, _) in zip(MODELS, CASES, strict=True):
            fleet[vendor].script = [SCENARIOS[each] for each in script]
        answers = client.ask_all([Question(vendor, way, stream) for vendor in MODELS], at_once=len(MODELS))
        for vendor, (script, expected), answer in zip(MODELS, CASES, answers, strict=True):
            requests = fleet[vendor].requests
            assert answer.good is (script[-1] == "ok" and expected > 1), (vendor, script)
            assert len(requests) == calls(answer) == expected, (vendor, script)
            assert len({request.body for request in requests}) == 1, "word for word the same"
            made, said = made + len(requests), said + calls(answer)
    figure(f"calls made, and what the log says, by {way}", f"{made}, {said}")


@pytest.mark.parametrize("way", WAYS)
def test_u8_a_stream_that_began_is_not_repeated(client: Client, fleet: Fleet, way: str) -> None:
    fleet["openai"].script = SCENARIOS["fin"]
    answer = client.ask(Question("openai", way, stream=True))
    assert (answer.text, answer.failed, calls(answer)) == ("Hello from", True, 1)
    assert len(fleet["openai"].requests) == 1


WAITS: list[tuple[Scenario, int, float, int]] = [
    (SCENARIOS["hang"], 504, LIMIT - 0.05, 1),
    (Scenario(status=503, headers={"retry-after": "1"}), 503, 2.0, 3),
    (Scenario(status=503, headers={"retry-after": "1.5"}), 503, 1.5, 2),
    (Scenario(status=503, headers={"retry-after": "9"}), 503, 0.0, 1),
    (Scenario(status=503, headers={"retry-after": "-1"}), 503, 0.5, 3),
    (Scenario(status=503, headers={"retry-after": "nan"}), 503, 0.5, 3),
    (Scenario(status=503, headers={"retry-after": "9" * 400}), 503, 0.5, 3),
]
"""What comes, the status in the end, the least time that it takes, and how many calls are made."""


def test_u8_the_deadline_is_for_all_attempts(client: Client, fleet: Fleet, figure: Figure, full: bool) -> None:
    latest = 0.0
    for way in WAYS if full else WAYS[:1]:
        fleet.reset()
        asked = list(zip(MODELS, WAITS, strict=False))
        for vendor, (scenario, *_) in asked:
            fleet[vendor].script = scenario
        answers = client.ask_all([Question(vendor, way) for vendor, _ in asked], at_once=len(asked))
        for (vendor, (scenario, status, least, made)), answer in zip(asked, answers, strict=True):
            assert (answer.status, calls(answer), len(fleet[vendor].requests)) == (status, made, made), scenario
            assert least <= answer.seconds < LIMIT + 0.5
            latest = max(latest, answer.seconds)
    figure(f"the longest of calls with repetitions, of {LIMIT} s", f"{latest:.2f} s")


@pytest.mark.parametrize("good", [True, False])
def test_u8_fallbacks_are_counted_each(client: Client, fleet: Fleet, good: bool) -> None:
    """The row of a hit counts none: what is cached is the answer."""
    fleet["openai"].script = SCENARIOS["e503"]
    fleet["mistral"].script = SCENARIOS["ok" if good else "e401"]
    gateway = client.gateway
    messages = [{"role": "user", "content": f"say {uuid.uuid4()}"}]
    models = ["openai by lean", "mistral by lean"]
    body = {"llm_configuration": {"model": models[0], "messages": messages}, "fallback_strategy": models[1:]}
    ids = [str(uuid.uuid4()) for _ in range(2)]
    for each in ids:
        client.post(f"{PAREA}/completion", {**body, "trace_id": each})
    first, again = (rows(gateway.data, "trace_id = ?", each)[0] for each in ids)
    assert first["notes"]["calls"] == {"openai": RETRIES + 1, "mistral": 1}
    assert (again["cache_hit"], "calls" in again["notes"]) == (good, not good)
