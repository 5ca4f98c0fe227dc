"""What is to be omitted is written nowhere, whichever API asks: each in its own words, with the cache asked for too."""

from __future__ import annotations

import pytest

from tests.canary.asking import CACHED, OTHERS, ask, newest, streams
from tests.canary.question import MODEL, question, ways
from tests.canary.script import ENDINGS, scripted
from tests.canary.search import KEPT, MARK, cached, finish, search, send
from tests.faults.plugin import Figure
from tests.gateway import Process
from tests.spoken import Spoken
from tests.upstreams.fleet import Fleet

pytestmark = pytest.mark.fault("S1")

SCENARIOS = ("answer", "refusal", "cut")


def texts(one: Spoken, inputs: bool, outputs: bool) -> tuple[str, str]:
    """What is asked and what is answered; a canary where nothing may be kept."""
    return (
        search.marked(f"in-{one.name}", MARK if inputs else KEPT),
        search.marked(f"out-{one.name}", MARK if outputs else KEPT),
    )


omissions = pytest.mark.parametrize(
    ("one", "way", "scenario"),
    [
        (one, way, scenario)
        for one in OTHERS
        for way in ways(one)
        for scenario in SCENARIOS
        if scenario != "cut" or way in ("header", "save")
    ]
    + [(one, way, "tool") for one in OTHERS if one.tools for way in ("header", "header of outputs")]
    + [(one, "header", scenario) for one in OTHERS for scenario in ("garbage", "error", "left")],
    ids=lambda value: value.name if isinstance(value, Spoken) else value,
)


@streams
@omissions
def test_what_a_request_omits_is_written_nowhere(
    logging: Process, vendors: Fleet, one: Spoken, way: str, scenario: str, stream: bool
) -> None:
    fields, headers, inputs, outputs = ways(one)[way]
    said, answer = texts(one, inputs, outputs)
    vendors["openai"].script = scripted(vendors["openai"], scenario, said, answer)
    body = question(one, said, stream=stream) | fields
    case = f"{one.name} {way} {scenario} {'stream' if stream else 'whole'}"
    for _ in range(1 if scenario == "left" else 2):
        response, row = ask(
            logging,
            case,
            one,
            body,
            headers | CACHED,
            stream=stream,
            patience=0.3 if scenario == "left" else 30,
        )
        assert row["status"] == ENDINGS.get(scenario, "error"), response and response.text
        assert row["notes"]["omitted"] == ["inputs"] * inputs + ["outputs"] * outputs
        if ENDINGS.get(scenario) == "success":
            assert response is not None
            assert answer in response.text
            # nothing of it was left in the cache: the vendor is asked again
            assert response.headers["x-cache"] == "miss"
    assert said.encode() in vendors["openai"].requests[-1].body
    assert search.leaks(logging) == []


@streams
@pytest.mark.parametrize("one", OTHERS, ids=[one.name for one in OTHERS])
def test_the_search_finds_what_may_be_kept(logging: Process, vendors: Fleet, one: Spoken, stream: bool) -> None:
    """Without a word of omission the question is in the log, and the answer in the log and in the cache."""
    said, answer = texts(one, inputs=False, outputs=False)
    vendors["openai"].script = scripted(vendors["openai"], "answer", said, answer)
    body = question(one, said, stream=stream)
    ask(logging, f"{one.name} kept", one, body, CACHED, stream=stream)
    database = b"".join(data for channel, data in search.channels(logging) if channel.startswith("traces.db"))
    for ending in (' \\"é\\" in ', " Rome", *((" described", "-property", " then", " found") if one.tools else ())):
        assert (said + ending).encode() in database, ending
    assert answer.encode() in database
    assert cached(logging, answer)
    vendors["openai"].script = scripted(vendors["openai"], "refusal", said, answer)
    refused, _ = ask(logging, f"{one.name} kept refusal", one, body, {}, stream=stream)
    assert refused is not None
    assert said in one.refused(refused.json())


@streams
@pytest.mark.parametrize("one", OTHERS, ids=[one.name for one in OTHERS])
def test_a_hit_omits_as_well(logging: Process, vendors: Fleet, one: Spoken, stream: bool) -> None:
    """Another call's answer is served from the cache; the row of the one that omits holds nothing all the same."""
    said, answer = texts(one, inputs=False, outputs=False)
    vendors["openai"].script = scripted(vendors["openai"], "answer", said, answer)
    body = question(one, said, stream=stream)
    ask(logging, "first", one, body, CACHED, stream=stream)
    for way, (fields, headers, inputs, outputs) in ways(one).items():
        hit, row = ask(logging, f"hit {way}", one, body | fields, headers | CACHED, stream=stream)
        assert hit is not None
        assert (hit.headers["x-cache"], len(vendors["openai"].requests)) == ("hit", 1)
        assert (said in repr(row), answer in repr(row)) == (not inputs, not outputs), way


@streams
@pytest.mark.parametrize("scenario", ["answer", "refusal", "cut"])
@pytest.mark.parametrize("one", OTHERS, ids=[one.name for one in OTHERS])
def test_what_the_config_omits_is_written_nowhere(
    omitting: Process, vendors: Fleet, one: Spoken, scenario: str, stream: bool
) -> None:
    said, answer = texts(one, inputs=True, outputs=True)
    vendors["openai"].script = scripted(vendors["openai"], scenario, said, answer)
    body = question(one, said, stream=stream)
    _, row = ask(omitting, f"config {one.name} {scenario}", one, body, CACHED, stream=stream)
    assert row["status"] == ENDINGS.get(scenario, "error")
    assert said.encode() in vendors["openai"].requests[-1].body
    assert search.leaks(omitting) == []


@pytest.mark.parametrize("way", [None, "header", "header of inputs", "field", "metadata"])
@pytest.mark.parametrize("scenario", ["answer", "refusal"])
def test_texts_to_embed_are_omitted(logging: Process, vendors: Fleet, way: str | None, scenario: str) -> None:
    fields, headers, inputs, outputs = ways(OTHERS[0])[way] if way else ({}, {}, False, False)
    said = search.marked("in-embedding", MARK if inputs else KEPT)
    if scenario == "refusal":
        vendors["openai"].script = scripted(vendors["openai"], scenario, said, said)
    body = {"model": "openai/text-embedding-3-small", "input": [said, f"{said} too"], **fields}
    for _ in range(2):
        response = send(logging, f"embedding {way}", "/v1/embeddings", body, headers | CACHED)
        assert response is not None
        assert response.status_code == (200 if scenario == "answer" else 400), response.text
    assert said.encode() in vendors["openai"].requests[-1].body
    assert (said in repr(newest(logging))) == (way is None)
    assert search.leaks(logging) == []


def test_all_of_it(gateways: dict[str, Process], capsys: pytest.CaptureFixture[str], figure: Figure) -> None:
    finish(gateways, capsys, f"omission in {len(OTHERS)} routes of {MODEL}", figure)
