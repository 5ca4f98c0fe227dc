"""Targets that fail in every way, over real sockets: who answers, how soon, and what is told of it."""

from __future__ import annotations

import json
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from proxy.config import Config
from proxy.config.router import GroupSettings, RouterSettings
from tests.gateway import Local, rows
from tests.spoken import ANTHROPIC, PAREA, SPOKEN, Spoken, events
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import SCENARIOS, Scenario

FIRST, SECOND, OTHER = "openai", "groq", "mistral"
CHAT = next(each for each in SPOKEN if each.name == "openai")
DIALECTS = [CHAT, ANTHROPIC, PAREA]
FORMS = [False, True]
HELLO = "Hello from {}"


@dataclass(frozen=True)
class Answer:
    """What a client has got: the text as far as it came, and whether it came to its proper end."""

    status: int
    text: str
    whole: bool
    headers: httpx.Headers
    row: dict[str, Any]
    seconds: float

    @property
    def notes(self) -> dict[str, Any]:
        notes: dict[str, Any] = self.row["notes"]
        return notes

    @property
    def ended(self) -> list[tuple[str, str, str]]:
        """Each attempt: the name that led to it, the target, and why it ended."""
        return [(each["model"], each["target"], each["ended"]) for each in self.notes["attempts"]]


@contextmanager
def gateway(folder: Path, fleet: Fleet, *, first: dict[str, Any] | None = None, **settings: Any) -> Iterator[Local]:
    """One where `m` has two targets in order, and `other` one of a third vendor. No target is ever cooled down.

    `first` changes the first target, `settings` those of the router; `own` among them is what `m` says for itself.
    """
    targets = {name: replace(fleet.target(name), id=name) for name in (FIRST, SECOND, OTHER)}
    targets[FIRST] = replace(targets[FIRST], **(first or {}))
    own = GroupSettings(**settings.pop("own", {}))
    common = {"strategy": "ordered", "timeout": 10.0, "num_retries": 1, "cooldown_time": 0.0}
    config = Config(
        models={"m": (targets[FIRST], targets[SECOND]), "alone": (targets[FIRST],), "other": (targets[OTHER],)},
        groups={"m": own},
        router=RouterSettings(**{**common, **settings}),
    )
    with Local(folder, config) as running:
        running.wait_until_ready()
        yield running


def ask(running: Local, spoken: Spoken, *, stream: bool, model: str = "m", **headers: str) -> Answer:
    body = spoken.body(model, f"say {uuid.uuid4()}", stream=stream)
    trace_id = str(uuid.uuid4())
    if spoken is PAREA:
        del body["llm_configuration"]["provider"]
        body |= {"cache": False, "trace_id": trace_id}
    else:
        body["model"] = model  # the providers of its targets are not one and the same
    begun, pieces, complete = time.monotonic(), bytearray(), False
    sent = {"x-trace-id": trace_id, **{name.replace("_", "-"): value for name, value in headers.items()}}
    url = running.url + spoken.route(stream=stream)
    with (
        httpx.stream("POST", url, json=body, headers=sent, timeout=20) as response,
        suppress(httpx.RemoteProtocolError),
    ):
        for piece in response.iter_bytes():
            pieces += piece
        complete = True
    seconds = time.monotonic() - begun
    text = ""
    if response.status_code == 200:
        told = pieces.decode()
        text = spoken.pieces(list(events(told))) if stream else spoken.text(json.loads(told))
    (row,) = rows(running.data, "trace_id = ?", trace_id)
    return Answer(response.status_code, text, complete, response.headers, row, seconds)


@pytest.fixture
def closed() -> Iterator[str]:
    """An address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


def answered(answer: Answer, by: str, *ended: tuple[str, str, str]) -> None:
    """`answer` is that of target `by`, after attempts that ended so."""
    assert (answer.status, answer.text, answer.whole) == (200, HELLO.format(by), True)
    assert (answer.headers["x-target"], answer.headers["x-attempts"]) == (by, str(len(ended)))
    failed = ", ".join(f"{target}={how}" for _, target, how in ended[:-1])
    assert answer.headers.get("x-attempted", "").rpartition(f", {by}=")[0] == failed
    assert (answer.notes["target"], answer.row["provider"], answer.ended) == (by, by, list(ended))


TURNED = ("m", SECOND, "success")


@pytest.mark.parametrize("stream", FORMS)
@pytest.mark.parametrize("spoken", DIALECTS, ids=lambda spoken: spoken.name)
def test_a_dead_target_costs_nobody_an_answer(
    tmp_path: Path, fleet: Fleet, closed: str, spoken: Spoken, stream: bool
) -> None:
    with gateway(tmp_path, fleet, first={"api_base": closed}) as running:
        answer = ask(running, spoken, stream=stream)
    answered(answer, SECOND, ("m", FIRST, "unreachable"), TURNED)
    assert answer.seconds < 2


@pytest.mark.parametrize(
    ("scenario", "ended"),
    [
        (SCENARIOS["e500"], "upstream_failed"),
        (SCENARIOS["e429after"], "rate_limited"),
        (SCENARIOS["e401"], "authentication"),
        (SCENARIOS["e404"], "model_not_found"),
        (SCENARIOS["reset"], "unreachable"),
        (SCENARIOS["garbage"], "unreachable"),
    ],
)
def test_whatever_is_the_target_s_fault_is_made_good_at_once(
    tmp_path: Path, fleet: Fleet, scenario: Scenario, ended: str
) -> None:
    with gateway(tmp_path, fleet) as running:
        for spoken in DIALECTS:
            for stream in FORMS:
                fleet[FIRST].script = scenario
                answer = ask(running, spoken, stream=stream)
                answered(answer, SECOND, ("m", FIRST, ended), TURNED)
                assert answer.seconds < 2
    assert len(fleet[FIRST].requests) == len(fleet[SECOND].requests) == 2 * len(DIALECTS)


@pytest.mark.parametrize("spoken", DIALECTS, ids=lambda spoken: spoken.name)
def test_a_refused_request_is_refused_once(tmp_path: Path, fleet: Fleet, spoken: Spoken) -> None:
    fleet[FIRST].script = SCENARIOS["e400"]
    with gateway(tmp_path, fleet, num_retries=3) as running:
        answers = [ask(running, spoken, stream=stream) for stream in FORMS]
    assert all(answer.row["status"] == "error" for answer in answers)
    assert [answer.ended for answer in answers] == [[("m", FIRST, "invalid_request")]] * 2
    assert fleet[SECOND].requests == []


@pytest.mark.parametrize("spoken", DIALECTS, ids=lambda spoken: spoken.name)
def test_a_first_token_that_is_late_is_not_waited_for(tmp_path: Path, fleet: Fleet, spoken: Spoken) -> None:
    fleet[FIRST].script = Scenario(delay=5)
    limits = {"first_token_timeout": 0.3}
    with gateway(tmp_path, fleet, own=limits) as running:
        answer = ask(running, spoken, stream=True)
    answered(answer, SECOND, ("m", FIRST, "timeout"), TURNED)
    assert 0.3 <= answer.seconds < 2


@pytest.mark.parametrize("stream", FORMS)
def test_a_target_s_own_time_limit_leaves_the_others_theirs(tmp_path: Path, fleet: Fleet, stream: bool) -> None:
    fleet[FIRST].script = Scenario(delay=5)
    with gateway(tmp_path, fleet, first={"timeout": 0.3}) as running:
        answer = ask(running, CHAT, stream=stream)
    answered(answer, SECOND, ("m", FIRST, "timeout"), TURNED)
    assert 0.3 <= answer.seconds < 2


def test_a_provider_that_says_when_to_come_back_is_asked_then(tmp_path: Path, fleet: Fleet) -> None:
    fleet[FIRST].script = [Scenario(status=429, headers={"retry-after": "1"}), Scenario()]
    with gateway(tmp_path, fleet) as running:
        answer = ask(running, CHAT, stream=False, model="alone")
    answered(answer, FIRST, ("alone", FIRST, "rate_limited"), ("alone", FIRST, "success"))
    assert 1 <= answer.seconds < 3


BREAKS = [("cut", "truncated"), ("fin", "truncated"), ("stall", "timeout")]


@pytest.mark.parametrize(("fault", "code"), BREAKS)
@pytest.mark.parametrize("spoken", DIALECTS, ids=lambda spoken: spoken.name)
def test_a_stream_that_broke_stays_broken(tmp_path: Path, fleet: Fleet, spoken: Spoken, fault: str, code: str) -> None:
    fleet[FIRST].script = SCENARIOS[fault]
    settings: dict[str, Any] = {"own": {"idle_timeout": 0.3}, "num_retries": 3, "fallbacks": {"m": ("other",)}}
    with gateway(tmp_path, fleet, **settings) as running:
        answer = ask(running, spoken, stream=True)
    assert (answer.status, answer.text, answer.whole) == (200, "Hello from", False)
    assert (answer.row["status"], answer.notes["failure"]) == ("error", code)
    assert answer.ended == [("m", FIRST, code)]
    assert fleet[SECOND].requests == fleet[OTHER].requests == []


@pytest.mark.parametrize(("fault", "code"), BREAKS)
@pytest.mark.parametrize("spoken", DIALECTS, ids=lambda spoken: spoken.name)
def test_a_stream_that_broke_is_gone_on_with_where_that_is_wanted(
    tmp_path: Path, fleet: Fleet, spoken: Spoken, fault: str, code: str
) -> None:
    fleet[FIRST].script = SCENARIOS[fault]
    asked = {} if spoken is PAREA else {"x_continue": "true"}
    with gateway(tmp_path, fleet, own={"idle_timeout": 0.3}, continue_streams=not asked) as running:
        answer = ask(running, spoken, stream=True, **asked)
    assert (answer.status, answer.text, answer.whole) == (200, "Hello from" + HELLO.format(SECOND), True)
    assert answer.row["output"] == answer.text
    assert (answer.notes["continued"], answer.notes["usage_estimated"]) == (1, True)
    assert answer.row["input_tokens"] > 6
    assert answer.ended == [("m", FIRST, code), TURNED]
    *_, said, instruction = fleet[SECOND].requests[0].json["messages"]
    assert (said, instruction["role"]) == ({"role": "assistant", "content": "Hello from"}, "user")


@pytest.mark.parametrize("stream", FORMS)
@pytest.mark.parametrize("spoken", DIALECTS, ids=lambda spoken: spoken.name)
@pytest.mark.parametrize(
    ("case", "ended", "kind"),
    [
        ("context", "context_length_exceeded", "context_window_fallbacks"),
        ("filter", "content_filter", "content_policy_fallbacks"),
        ("e503", "overloaded", "fallbacks"),
    ],
)
def test_the_failure_says_which_name_is_next(
    tmp_path: Path, fleet: Fleet, spoken: Spoken, stream: bool, case: str, ended: str, kind: str
) -> None:
    fleet[FIRST].script = fleet[SECOND].script = SCENARIOS[case]
    wrong = {name: {"m": ("alone",)} for name in ("context_window_fallbacks", "content_policy_fallbacks")}
    with gateway(tmp_path, fleet, **{**wrong, kind: {"m": ("other",)}}) as running:
        answer = ask(running, spoken, stream=stream)
    both = [("m", FIRST, ended)] + ([("m", SECOND, ended)] if case == "e503" else [])
    answered(answer, OTHER, *both, ("other", OTHER, "success"))


def test_when_all_have_failed_the_last_failure_is_told(tmp_path: Path, fleet: Fleet, closed: str) -> None:
    fleet[SECOND].script = SCENARIOS["e503"]
    fleet[OTHER].script = SCENARIOS["e429after"]
    settings: dict[str, Any] = {"own": {"num_retries": 1}, "num_retries": 0, "fallbacks": {"*": ("other",)}}
    with gateway(tmp_path, fleet, first={"api_base": closed}, **settings) as running:
        answer = ask(running, CHAT, stream=False)
    assert (answer.status, answer.headers["retry-after"], answer.headers["x-attempts"]) == (429, "7", "3")
    assert answer.ended == [
        ("m", FIRST, "unreachable"), ("m", SECOND, "overloaded"), ("other", OTHER, "rate_limited"),
    ]  # fmt: skip
    assert (answer.row["provider"], answer.row["status"]) == (OTHER, "error")


def test_the_answer_of_a_fallback_is_kept_for_nobody(tmp_path: Path, fleet: Fleet) -> None:
    fleet[FIRST].script = fleet[SECOND].script = SCENARIOS["e503"]
    body = {"model": "m", "messages": [{"role": "user", "content": "the same"}], "cache": True}
    with gateway(tmp_path, fleet, fallbacks={"m": ("other",)}) as running:

        def post() -> tuple[str, str]:
            response = httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=20)
            return response.json()["choices"][0]["message"]["content"], response.headers["x-cache"]

        assert [post() for _ in range(2)] == [(HELLO.format(OTHER), "miss")] * 2
        fleet.reset()
        assert post() == (HELLO.format(FIRST), "miss")
        assert post() == (HELLO.format(FIRST), "hit")


def test_one_deadline_is_for_all_of_it(tmp_path: Path, fleet: Fleet) -> None:
    for name in (FIRST, SECOND, OTHER):
        fleet[name].script = Scenario(delay=5)
    settings: dict[str, Any] = {"num_retries": 5, "fallbacks": {"m": ("other",)}, "first_token_timeout": 0.3}
    with gateway(tmp_path, fleet, timeout=1.0, **settings) as running:
        answer = ask(running, CHAT, stream=True)
    assert (answer.status, {ended for *_, ended in answer.ended}) == (504, {"timeout"})
    assert 0.9 <= answer.seconds < 1.6
    assert 2 <= len(answer.ended) <= 4
