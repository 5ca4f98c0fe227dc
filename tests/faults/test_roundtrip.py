"""P6: what a client says reaches the provider and the log word for word, and what the provider says reaches the client
and the log, whatever it is; and equal requests, and no others, are answered with one call.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.faults.plugin import Figure
from tests.faults.ways import PATH, Client, Question, config
from tests.gateway import Local, rows
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import Reply, Scenario

pytestmark = pytest.mark.fault("P6")

Body = dict[str, Any]

# What is JSON in UTF-8: no half of a pair. Whatever else there is stands for itself, braces and NUL included.
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60) | st.sampled_from(
    [
        "{{name}}",
        "{{ name }}",
        "\0",
        "\u2028",
        "\r\n\r\ndata: x\n\n",
        "[DONE]",
        "</script>",
        "'; DROP TABLE traces; --",
        "\ufeff",
    ]
)
parts = st.lists(texts.map(lambda text: {"type": "text", "text": text}), min_size=1, max_size=3)
said = texts | parts
turns = st.lists(
    st.builds(
        lambda one, other: [{"role": "user", "content": one}, {"role": "assistant", "content": other}], said, texts
    ),
    max_size=2,
).map(lambda pairs: [turn for pair in pairs for turn in pair])
system = st.lists(texts.map(lambda text: {"role": "system", "content": text}), max_size=1)
messages = st.builds(lambda *each: [*each[0], *each[1], {"role": "user", "content": each[2]}], system, turns, said)
params = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.floats(0, 2, allow_nan=False) | st.integers(0, 2),
        "top_p": st.floats(0, 1, allow_nan=False),
        "max_tokens": st.integers(1, 4000),
        "presence_penalty": st.floats(-2, 2, allow_nan=False),
        "seed": st.integers(-(2**53), 2**53),
        "stop": texts | st.lists(texts, min_size=1, max_size=4),
        "user": texts,
        "logit_bias": st.dictionaries(st.integers(0, 99999).map(str), st.integers(-100, 100), min_size=1, max_size=3),
    },
)
DEFAULTS = {"temperature": 1, "top_p": 1, "presence_penalty": 0}
"""What a provider takes these for where they are not said: LiteLLM does not say them then."""

LOGGED = {"temperature": "temp", "max_tokens": "max_length"}
"""The log's names of parameters, where they are others."""


@pytest.fixture(scope="module")
def client(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with Local(tmp_path_factory.mktemp("roundtrip"), config(_fleet)) as running, Client(running) as client:
        running.wait_until_ready()
        yield client


def exactly(value: Any) -> str:
    """What JSON tells apart and Python does not: 1 is not 1.0 nor true."""
    return json.dumps(value, sort_keys=True)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_p6_what_is_said_arrives(client: Client, fleet: Fleet, figure: Figure, full: bool, stream: bool) -> None:
    examples = 0
    upstream = fleet["openai"]

    @settings(
        max_examples=500 if full else 30,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(messages, params, st.lists(texts, min_size=1, max_size=5))
    def arrives(messages: list[Body], params: Body, pieces: list[str]) -> None:
        nonlocal examples
        examples += 1
        upstream.reset()
        pieces = ["So:", *pieces]
        upstream.script = Scenario(Reply(tuple(pieces)))
        trace_id = str(uuid.uuid4())
        body = {"model": "openai by lean", "messages": messages, "stream": stream, "trace_id": trace_id, **params}
        answer = client.read(PATH, body)
        (sent,) = [request.json for request in upstream.requests]
        assert exactly(sent["messages"]) == exactly(messages)
        unsaid = {name for name, value in params.items() if name in DEFAULTS and value == DEFAULTS[name]}
        assert {**params, **sent} == {**params, **sent, **params}
        assert params.keys() - sent.keys() <= unsaid
        assert answer == ("".join(pieces), True)
        (row,) = rows(client.gateway.data, "trace_id = ?", trace_id)
        # a NUL would end a text for some readers of the log
        assert row["output"] == "".join(pieces).replace("\0", "\ufffd")
        assert exactly(row["configuration"]["messages"]) == exactly(messages)
        kept = {LOGGED.get(name, name): value for name, value in params.items()}
        assert exactly({name: row["configuration"]["model_params"].get(name) for name in kept}) == exactly(kept)

    arrives()
    figure(f"requests and answers word for word, {'streamed' if stream else 'whole'}", f"{examples} of {examples}")


@pytest.mark.timeout(200)
def test_p6_equal_requests_are_one_call(client: Client, fleet: Fleet, figure: Figure, full: bool) -> None:
    """A pair of requests is answered with one call if and only if the provider would be sent the same."""
    pairs = same = 0
    upstream = fleet["openai"]
    changes = st.sampled_from(["order", "form", "whole number", "text", "role", "parameter", "model"])

    @settings(max_examples=200 if full else 25, deadline=None, database=None)
    @given(messages, st.integers(0, 2), changes)
    def one_call(messages: list[Body], temperature: int, change: str) -> None:
        nonlocal pairs, same
        upstream.reset()
        unique = {"role": "user", "content": f"say {uuid.uuid4()}"}
        first: Body = {"model": "openai by lean", "messages": [*messages, unique], "temperature": temperature}
        second, equal = changed(first, change)
        for body in (first, second):
            client.read(PATH, {**body, "cache": True})
        assert len(upstream.requests) == (1 if equal else 2), change
        pairs, same = pairs + 1, same + equal

    one_call()
    figure("pairs of requests, equal ones by one call", f"{pairs} ({same} equal)")


def changed(body: Body, change: str) -> tuple[Body, bool]:
    """The same request in other words, or another one; and whether it is the same."""
    *before, last = body["messages"]
    match change:
        case "order":
            turned = [dict(reversed(message.items())) for message in body["messages"]]
            return dict(reversed({**body, "messages": turned}.items())), True
        case "form":
            return {**body, "stream": True}, True
        case "whole number":
            return {**body, "temperature": float(body["temperature"])}, True
        case "text":
            return {**body, "messages": [*before, {**last, "content": last["content"] + " "}]}, False
        case "role":
            return {**body, "messages": [*before, {**last, "role": "system"}]}, False
        case "parameter":
            return {**body, "top_p": 1}, False
        case _:
            return {**body, "max_tokens": 17}, False


def test_p6_questions_of_every_vendor_are_their_own(client: Client, fleet: Fleet) -> None:
    """The same words to another vendor are another request."""
    text = f"say {uuid.uuid4()}"
    answers = client.ask_all([Question(vendor, text=text) for vendor in fleet.upstreams])
    assert [answer.text for answer in answers] == [f"Hello from {vendor}" for vendor in fleet.upstreams]
