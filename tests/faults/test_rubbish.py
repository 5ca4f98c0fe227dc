"""U2: an upstream that resets, cuts, refuses or answers rubbish. The client gets the status that says so, never a 500;
the log has the same word; and the next one who asks the same is not answered with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace

import pytest

from tests.faults.plugin import Figure
from tests.faults.ways import WAYS, Answer, Client, Question, config, every
from tests.gateway import Local
from tests.upstreams.connection import Request, Thread
from tests.upstreams.fleet import MODELS, Fleet
from tests.upstreams.raw import CLOSE, RESET, Raw, Script, raw, whole
from tests.upstreams.scenario import HTML, SCENARIOS, Reply, Scenario
from tests.upstreams.server import Upstream, dump

pytestmark = pytest.mark.fault("U2")

Asked = Mapping[tuple[str, bool], Request]
"""A request as each vendor got it, whole and streamed."""


@dataclass(frozen=True)
class Rubbish:
    """What comes instead of an answer, and the codes that it may be told as: `good` where it can be read all the same.

    `scenario` is played as it is. Else the vendor's own answer is sent, its text `MARK` replaced by `mark`, and behind
    its first brace, where an object has its first field, `field`.
    """

    codes: tuple[str, ...]
    scenario: Scenario | None = None
    mark: bytes = b"MARK"
    field: bytes = b""
    status: int = 502


BAD = ("bad_answer",)
RUBBISH: dict[str, Rubbish] = {
    "a reset": Rubbish(("unreachable",), SCENARIOS["reset"]),
    "a close": Rubbish(("unreachable",), SCENARIOS["close"]),
    "no HTTP": Rubbish(("unreachable",), SCENARIOS["garbage"]),
    "half a body": Rubbish(("truncated",), SCENARIOS["cutbody"]),
    "half a document": Rubbish(BAD, SCENARIOS["badjson"]),
    "a list": Rubbish(BAD, SCENARIOS["array"]),
    "nothing": Rubbish(BAD, SCENARIOS["nothing"]),
    "not a number": Rubbish(BAD, SCENARIOS["nan"]),
    "HTML": Rubbish(("upstream_failed",), SCENARIOS["html502"]),
    "HTML as an answer": Rubbish(BAD, Scenario(raw=HTML, raw_type="text/html")),
    "a refusal that is no text": Rubbish(("unavailable",), Scenario(status=503, raw=b"\xff\x00{" * 99), status=503),
    "a limit": Rubbish(("rate_limit_exceeded",), SCENARIOS["e429after"], status=429),
    "a status that there is not": Rubbish((*BAD, "upstream_failed"), Scenario(status=799, raw=b"{}")),
    "brackets": Rubbish(BAD, Scenario(raw=b"[" * 200_000)),
    "a deep field": Rubbish((*BAD, "good"), field=b'"x":' + b"[" * 200_000 + b"]" * 200_000 + b","),
    "a field that is not a number": Rubbish((*BAD, "good"), field=b'"x":NaN,'),
    "a field beyond all numbers": Rubbish((*BAD, "good"), field=b'"x":[1e999,' + b"9" * 5000 + b"],"),
    "a field twice": Rubbish(("good",), field=b'"x":{},"x":0,'),
    "bytes that are no text": Rubbish(BAD, mark=b"\xc3\x28\xff"),
    "half a pair": Rubbish((*BAD, "good"), mark=b"\\ud83d"),
    "a zero": Rubbish(("good",), mark=b"\\u0000"),
}


@pytest.fixture(scope="module")
def client(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with Local(tmp_path_factory.mktemp("rubbish"), config(_fleet)) as running, Client(running) as client:
        running.wait_until_ready()
        yield client


@pytest.fixture(scope="module")
def asked(client: Client, _fleet: Fleet) -> Asked:
    _fleet.reset()
    assert all(answer.good for answer in client.ask_all(every(ways=["lean"])))
    return {(name, each.stream): each for name in MODELS for each in _fleet[name].requests}


@pytest.fixture(scope="module")
def counted() -> Counter[str]:
    """How many were told right, over all tests."""
    return Counter()


def spoiled(upstream: Upstream, request: Request, rubbish: Rubbish) -> Scenario:
    """The vendor's own answer with something wrong in it."""
    reply = Reply(("MARK", " and more"))
    if request.stream:
        body = b"".join(frame.data for frame in upstream.frames(request, reply))
    else:
        body = dump(upstream.whole(request, reply))
    assert body.count(b"MARK") == 1
    kind = upstream.stream_type if request.stream else "application/json"
    return Scenario(raw=body.replace(b"MARK", rubbish.mark).replace(b"{", b"{" + rubbish.field, 1), raw_type=kind)


def questions(case: str, stream: bool, full: bool) -> list[Question]:
    """Each with a text of its own: the cache tells neither the ways nor the forms apart."""
    found = [replace(each, text=f"{case}: {each}") for each in every(stream=[stream])]
    if stream and RUBBISH[case].scenario is None:
        # its events have checksums, and are no text
        found = [each for each in found if each.vendor != "aws_bedrock"]
    return [each for each in found if full or each.way == "lean" or each.vendor in ("openai", "cohere")]


def told(answer: Answer, rubbish: Rubbish) -> str | None:
    """What is wrong with an answer to rubbish."""
    word = "good" if answer.good else str(answer.code)
    if word not in rubbish.codes:
        return f"said {word}"
    if answer.good:
        text = {b"\\ud83d": "\ufffd", b"\\u0000": "\0"}.get(rubbish.mark, "MARK") + " and more"
        return None if answer.text == text else f"read {answer.text!r}"
    # of a stream what came before may have been told
    if not answer.failed or answer.status != (200 if answer.text else rubbish.status):
        return f"status {answer.status} with {answer.text!r}"
    return None if answer.row["status"] == "error" else f"logged {answer.logged}"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("case", RUBBISH)
def test_u2_rubbish(
    client: Client,
    fleet: Fleet,
    asked: Asked,
    counted: Counter[str],
    figure: Figure,
    full: bool,
    case: str,
    stream: bool,
) -> None:
    rubbish, found = RUBBISH[case], questions(case, stream, full)
    for name in MODELS:
        upstream = fleet[name]
        upstream.script = rubbish.scenario or spoiled(upstream, asked[name, stream], rubbish)
    answers = client.ask_all(found)
    wrong = {str(each): told(answer, rubbish) for each, answer in zip(found, answers, strict=True)}
    assert {each: why for each, why in wrong.items() if why is not None} == {}
    fleet.reset()
    again = client.ask_all(found)
    assert [answer.text.partition(" from ")[0] for answer in again if answer.cache == "miss"] == ["Hello"] * sum(
        not answer.good for answer in answers
    ), "failures are not kept, and answers are"
    counted["answers"] += len(found)
    figure("hostile answers told as what they are", "{0:,} of {0:,}".format(counted["answers"]))


# what is not even HTTP, or not as HTTP allows

ANSWER = b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}]}'
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
FRAMED: dict[str, Script] = {
    "a length that is too long": [HEAD + b"content-length: 999\r\n\r\n" + ANSWER, CLOSE],
    "a length that is too short": [HEAD + b"content-length: 20\r\n\r\n" + ANSWER, CLOSE],
    "a length that is none": [HEAD + b"content-length: -1\r\n\r\n" + ANSWER, CLOSE],
    "two lengths": [HEAD + b"content-length: 5\r\ncontent-length: 111\r\n\r\n" + ANSWER, CLOSE],
    "a length that is no number": [HEAD + b"content-length: 1e2\r\n\r\n" + ANSWER, CLOSE],
    "a chunk that is none": [HEAD + b"transfer-encoding: chunked\r\n\r\nzz\r\n" + ANSWER, CLOSE],
    "a chunk that is cut": [HEAD + b"transfer-encoding: chunked\r\n\r\n6f\r\n" + ANSWER[:50], CLOSE],
    "a chunk and a reset": [HEAD + b"transfer-encoding: chunked\r\n\r\n6f\r\n" + ANSWER[:50], RESET],
    "no last chunk": [HEAD + b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(ANSWER), ANSWER), CLOSE],
    "half a head": [HEAD, CLOSE],
    "a head without an end": [b"HTTP/1.1 200 OK\r\n" + b"x-y: z\r\n" * 100_000, CLOSE],
    "a header without an end": [b"HTTP/1.1 200 OK\r\nx: " + b"y" * 2**20, CLOSE],
    "another protocol": [
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n" + ANSWER,
        CLOSE,
    ],
    "another version": [b"HTTP/3.7 200 OK\r\n\r\n" + ANSWER, CLOSE],
    "promises without end": [b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000, CLOSE],
    "no content": [b"HTTP/1.1 204 No Content\r\n\r\n", CLOSE],
    "not modified": [b"HTTP/1.1 304 Not Modified\r\n\r\n", CLOSE],
    "another coding": [HEAD + b"content-encoding: zstd\r\ncontent-length: 111\r\n\r\n" + ANSWER, CLOSE],
}


@pytest.fixture(scope="module")
def wire() -> Iterator[Raw]:
    """A server that says what it is told to, byte by byte."""
    thread = Thread()
    serving = raw(b"")
    try:
        yield thread.run(serving.__aenter__())
        thread.run(serving.__aexit__(None, None, None))
    finally:
        thread.stop()


@pytest.fixture(scope="module")
def wired(wire: Raw, _fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    found = config(_fleet)
    found["providers"]["openai"]["api_base"] = f"http://127.0.0.1:{wire.port}/v1"
    with ExitStack() as stack:
        running = stack.enter_context(Local(tmp_path_factory.mktemp("wired"), found))
        running.wait_until_ready()
        yield stack.enter_context(Client(running))


@pytest.mark.parametrize("way", WAYS)
def test_u2_what_is_no_answer_of_http(
    wired: Client, wire: Raw, counted: Counter[str], figure: Figure, way: str
) -> None:
    wrong: dict[str, Answer] = {}
    for case, script in FRAMED.items():
        for stream in (False, True):
            question = Question("openai", way, stream, text=f"{case} {way} {stream}")
            wire.scripts = [script]
            asked = len(wire.heads)
            answer = wired.ask(question)
            if (answer.failed, answer.status) != (True, 502) or answer.code not in ("unreachable", *BAD, "truncated"):
                wrong[question.text] = answer
            assert len(wire.heads) == asked + 1, f"{case}: asked once"
            wire.scripts = [whole(ANSWER, "content-type: application/json")]
            again = wired.ask(replace(question, stream=False))
            if (again.text, again.cache) != ("Hello", "miss"):
                wrong[f"{question.text}, again"] = again
    assert wrong == {}
    counted["heads"] += 2 * len(FRAMED)
    figure("answers that are no HTTP", "{0:,} of {0:,}, and the next call answered".format(counted["heads"]))
