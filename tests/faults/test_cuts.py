"""U3: a stream that is split anywhere is the identical text; one that is cut anywhere is an error, unless all that the
vendor had to say was there. Nothing else is ever cached.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.faults.plugin import Figure
from tests.faults.ways import WAYS, Answer, Client, Question, config, every
from tests.gateway import Local
from tests.upstreams.fleet import MODELS, Fleet
from tests.upstreams.scenario import UNICODE, Fault, Reply, Scenario

pytestmark = pytest.mark.fault("U3")

REPLY = Reply(UNICODE, usage=(6, 6))
PAUSE = 0.0005
"""Seconds between two pieces, so that they are read apart."""

ENDS: tuple[Fault, ...] = ("no_end", "fin", "cut")
"""A well-formed end of the body, the connection's end, and a reset."""


@pytest.fixture(scope="module")
def client(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with Local(tmp_path_factory.mktemp("cuts"), config(_fleet)) as running, Client(running) as client:
        running.wait_until_ready()
        yield client


@pytest.fixture(scope="module")
def lengths(client: Client, _fleet: Fleet) -> Mapping[str, int]:
    """How many bytes each vendor's stream of `REPLY` has."""
    _fleet.reset()
    assert all(answer.good for answer in client.ask_all(every(stream=[True], ways=["lean"])))
    requests = {name: _fleet[name].requests[0] for name in MODELS}
    return {
        name: sum(len(each.data) for each in _fleet[name].frames(request, REPLY)) for name, request in requests.items()
    }


@pytest.fixture(scope="module")
def counted() -> Counter[str]:
    return Counter()


def play(client: Client, fleet: Fleet, questions: list[Question], scripts: list[Scenario]) -> list[Answer]:
    """What a vendor's streams come to, one after the other. What failed is asked again: it is never cached."""
    name = questions[0].vendor
    fleet[name].script = scripts
    answers = [client.ask(question) for question in questions]
    fleet[name].script = Scenario(REPLY)
    for question, answer in zip(questions, answers, strict=True):
        if answer.failed:
            again = client.ask(question)
            assert (again.text, again.cache) == (REPLY.text, "miss"), question
    return answers


def side_by_side(
    client: Client, fleet: Fleet, lengths: Mapping[str, int], step: int, end: Fault
) -> Iterator[tuple[str, str, int, Answer]]:
    """Every vendor with a stream that is split, or ends, at every `step`th byte, and by the wrapper at a third of them:
    vendor, way, byte, answer.
    """

    def one(name: str) -> list[tuple[str, str, int, Answer]]:
        found = []
        for number, way in enumerate(WAYS):
            places = range(1 + number * step // 2, lengths[name], step * (1 + 2 * number))
            scripts = [Scenario(REPLY, cuts=(place,), fault=end, pause=0 if end else PAUSE) for place in places]
            questions = [Question(name, way, stream=True, text=f"{way} {end} {place}") for place in places]
            answers = play(client, fleet, questions, scripts)
            found += [(name, way, place, answer) for place, answer in zip(places, answers, strict=True)]
        return found

    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(one, MODELS):
            yield from found


@pytest.mark.timeout(400)
def test_u3_split_at_every_byte(
    client: Client, fleet: Fleet, lengths: Mapping[str, int], figure: Figure, full: bool
) -> None:
    wrong = []
    number = 0
    for name, way, place, answer in side_by_side(client, fleet, lengths, 8 if full else 300, ""):
        number += 1
        if not answer.good or answer.text != REPLY.text or answer.row["output"] != REPLY.text:
            wrong.append((name, way, place, answer))
    assert wrong == []
    figure("streams split at a byte", f"{number:,} of {number:,} with the identical text")


@pytest.mark.timeout(400)
@pytest.mark.parametrize("end", ENDS)
def test_u3_cut_at_every_byte(
    client: Client,
    fleet: Fleet,
    lengths: Mapping[str, int],
    figure: Figure,
    full: bool,
    counted: Counter[str],
    end: Fault,
) -> None:
    wrong = []
    for name, way, place, answer in side_by_side(client, fleet, lengths, 24 if full else 300, end):
        counted["all"] += 1
        counted["whole"] += answer.good
        if answer.good:
            right = (answer.text, answer.row["output"], answer.row["status"]) == (REPLY.text, REPLY.text, "success")
        else:
            right = answer.failed and REPLY.text.startswith(answer.text) and answer.row["status"] == "error"
        if not right:
            wrong.append((name, way, place, answer))
    assert wrong == []
    told = "{all:,} of {all:,} told as an error, or the whole text ({whole:,})".format(**counted)
    figure("streams cut at a byte", told)


@pytest.mark.timeout(400)
@pytest.mark.parametrize("way", WAYS)
def test_u3_split_anyhow(
    client: Client, fleet: Fleet, lengths: Mapping[str, int], figure: Figure, full: bool, way: str
) -> None:
    """Any number of pieces of any size, down to single bytes."""
    examples = 0

    @settings(max_examples=200 if full else 12, deadline=None, database=None)
    @given(st.sampled_from(sorted(MODELS)), st.lists(st.integers(1, min(lengths.values())), max_size=40, unique=True))
    def split(name: str, cuts: list[int]) -> None:
        nonlocal examples
        examples += 1
        fleet[name].script = Scenario(REPLY, cuts=tuple(sorted(cuts)), pause=PAUSE)
        answer = client.ask(Question(name, way, stream=True))
        assert answer.good
        assert answer.text == REPLY.text

    split()
    figure(f"streams split anyhow, by {way}", f"{examples} of {examples} with the identical text")
