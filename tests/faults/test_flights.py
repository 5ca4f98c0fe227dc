"""U7: equal requests at once whose first one fails or leaves: everybody is told, nobody hangs, no failure is kept; and
what one key has bought is nobody else's.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from proxy.app import PAREA
from tests.faults.plugin import Figure
from tests.faults.ways import WAYS, Client, Question, config
from tests.gateway import Local
from tests.upstreams.fleet import MODELS, Fleet
from tests.upstreams.scenario import SCENARIOS, Scenario

pytestmark = pytest.mark.fault("U7")

LIMIT = 0.9
MANY = 16
DELAY = 0.3
"""Seconds that an answer waits, for all to ask meanwhile."""
FAILURES = {
    "refused": Scenario(status=503, delay=DELAY),
    "cut": replace(SCENARIOS["cut"], delay=DELAY),
    "half": replace(SCENARIOS["half"], delay=DELAY),
    "an error in mid-stream": replace(SCENARIOS["serr"], delay=DELAY),
    "silent": SCENARIOS["hang"],
    "stalled": SCENARIOS["stall"],
}


@pytest.fixture(scope="module")
def client(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    settings = {"router_settings": {"timeout": LIMIT}}
    with Local(tmp_path_factory.mktemp("flights"), config(_fleet, **settings)) as running, Client(running) as client:
        running.wait_until_ready()
        _fleet.reset()
        client.warm([Question("openai", way, True) for way in WAYS])
        yield client


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", FAILURES)
def test_u7_a_failure_is_everybody_s_and_is_not_kept(
    client: Client, fleet: Fleet, figure: Figure, case: str, way: str
) -> None:
    fleet["openai"].script = [FAILURES[case], Scenario()]
    text = f"say {uuid.uuid4()}"
    questions = [Question("openai", way, True, text) for _ in range(MANY)]
    answers = client.ask_all(questions, at_once=MANY)
    shared = [answer for answer in answers if answer.failed]
    assert shared, "those who come after a failure ask anew"
    assert all(answer.good for answer in answers if not answer.failed)
    assert max(answer.seconds for answer in answers) < LIMIT + 0.8
    assert {answer.row["status"] for answer in shared} == {"error"}
    again = client.ask(questions[0])
    assert again.good
    assert again.cache == ("miss" if len(shared) == MANY else "hit")
    assert len(fleet["openai"].requests) == 2
    figure("equal requests that hung after their first one failed", "0")


def test_u7_answers_are_apart_by_key(client: Client, fleet: Fleet, figure: Figure, full: bool) -> None:
    """Asked at once and again, with the configured key, with the same one as a request's own, and with wrong ones."""
    right = fleet["openai"].key
    rounds, stolen = (20 if full else 3), 0
    for _ in range(rounds):
        fleet["openai"].reset()
        fleet["openai"].script = Scenario(delay=0.05)
        text = f"say {uuid.uuid4()}"
        keys = [None, right, "sk-somebody-else", "sk-another-one", right + "x", right[:-1]] * 4
        with ThreadPoolExecutor(len(keys)) as pool:
            answers = list(pool.map(lambda key, text=text: keyed(client, text, key), keys))
        for key, answer in zip(keys, answers, strict=True):
            good = key in (None, right)
            stolen += not good and answer["status"] != "error"
            assert (answer["status"], answer["content"]) == (
                ("success", "Hello from openai") if good else ("error", "")
            ), key
        used = Counter(request.headers["authorization"] for request in fleet["openai"].requests)
        assert used[f"Bearer {right}"] == 2, "once for whoever configured it, once for who brought it"
    figure("answers that another key had bought", f"{stolen} of {rounds * 16}")


def keyed(client: Client, text: str, key: str | None) -> dict[str, Any]:
    """An answer by Parea's API, where a request may bring its own key."""
    messages = [{"role": "user", "content": text}]
    body: dict[str, Any] = {
        "llm_configuration": {"model": MODELS["openai"], "provider": "openai", "messages": messages}
    }
    answer: dict[str, Any] = client.post(f"{PAREA}/completion", body | ({"provider_api_key": key} if key else {}))
    return answer
