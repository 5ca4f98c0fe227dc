"""Whatever is sent, the gateway answers and never fails itself: cases made from its own OpenAPI document, and bodies
made from nothing or from a good one.

Of Schemathesis' checks those run that ask whether the document is true. Two it has besides do not hold on purpose: not
all that fits the schema can be carried out (a model that there is not), and a log is taken as it comes (a number where
text is expected is kept as text).
"""

from __future__ import annotations

import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import engine
from schemathesis.engine import Status, events

from tests.canary.question import question
from tests.faults.plugin import FULL, Figure
from tests.gateway import Local
from tests.spoken import SPOKEN, Spoken
from tests.upstreams.fleet import MODELS, Fleet

pytestmark = [pytest.mark.fault("P5"), pytest.mark.timeout(600 if FULL else 60)]

Body = dict[str, Any]

EXAMPLES = 5 if FULL else 1
"""How many times as many cases the long form has."""

SURFACES = {
    "parea": "^/api/parea/v1/",
    "openai": "^/v1/(?!messages)",
    "anthropic": "^/v1/messages",
    "humanloop": "^/v4/(?!beta/)",
    "scale": "^/(v4/beta|v5)/",
    "admin": "^/admin/",
    "status": "^/(health|ready|metrics)$",
}
"""The paths of each API; every path of the document is of exactly one."""

REFUSALS = {400, 404, 413, 422}
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
CONFIG = {
    "seed": 1,
    "cache": {"enabled": False},
    "generation": {"max-examples": 40 * EXAMPLES, "database": "none"},
    "phases": {"stateful": {"enabled": FULL}},
    "checks": {"enabled": False, **{name: {"enabled": True} for name in CHECKS}},
}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    """Every model that a good body names is the offline one."""
    config = {
        "model_list": [{"model_name": name, "litellm_params": {"model": "echo/echo"}} for name in ("echo", "default")],
        "deployments": {"p-hello": {"model": "echo", "messages": [{"role": "user", "content": "Hello {{name}}"}]}},
        "projects": {"p": {"environments": {"production": "p-hello"}}},
    }
    with Local(tmp_path_factory.mktemp("gateway"), config) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="module")
def vendors(_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    with Local(tmp_path_factory.mktemp("vendors"), {"providers": _fleet.providers}) as running:
        running.wait_until_ready()
        yield running


def described(gateway: Local) -> Any:
    config = schemathesis.Config.from_dict(CONFIG)
    return schemathesis.openapi.from_url(f"{gateway.url}/openapi.json", config=config)


def test_every_path_is_of_one_surface(gateway: Local) -> None:
    for path in described(gateway).raw_schema["paths"]:
        assert sum(re.match(pattern, path) is not None for pattern in SURFACES.values()) == 1, path


@pytest.mark.parametrize("surface", SURFACES)
def test_the_document_is_true_and_nothing_fails(
    gateway: Local, surface: str, capsys: pytest.CaptureFixture[str], figure: Figure
) -> None:
    schema = described(gateway).include(path_regex=SURFACES[surface])
    methods = {
        (path, method)
        for path, item in schema.raw_schema["paths"].items()
        if re.match(SURFACES[surface], path)
        for method in item
    }
    cases, routes, phases, wrong = 0, set(), Counter[str](), []
    for event in engine.from_schema(schema).execute():
        assert not isinstance(event, events.NonFatalError | events.FatalError), event
        if not isinstance(event, events.ScenarioFinished):
            continue
        cases += len(event.recorder.cases)
        phases[event.phase.name] += len(event.recorder.cases)
        for case_id, node in event.recorder.cases.items():
            routes.add((node.value.path, node.value.method.lower()))
            for check in event.recorder.checks.get(case_id, ()):
                if check.status is not Status.SUCCESS:
                    answer = event.recorder.interactions[case_id].response
                    said = check.failure_info and check.failure_info.failure.message
                    wrong.append((check.name, said, node.value.as_curl_command(), answer and answer.status_code))
    with capsys.disabled():
        print(
            f"\nschemathesis, {surface}: {len(wrong)} failures in {cases} cases of {len(methods)} operations"
            f" ({dict(phases)})"
        )
    figure(f"failures, {surface}", f"{len(wrong)} in {cases:,} cases of {len(methods)} operations")
    assert wrong == []
    assert methods <= routes
    assert min(phases[phase] for phase in ("COVERAGE", "FUZZING")) > 0
    assert cases > (300 if surface != "status" else 10)


# bodies

SAID = "said0mW4x"
"""Stands in every text of a good body; no refusal repeats it."""

PAREA: Body = {
    "llm_configuration": {
        "model": "echo",
        "provider": None,
        "messages": [{"role": "user", "content": f"{SAID} {{{{name}}}}"}],
        "model_params": {"temp": 0.5, "max_length": 10, "response_format": {"type": "text"}},
        "functions": [{"name": "f", "parameters": {"type": "object", "properties": {}}}],
        "function_call": "auto",
    },
    "llm_inputs": {"name": SAID},
    "tags": ["t"],
    "metadata": {"k": "v"},
    "log_sample_rate": 1.0,
    "eval_metric_ids": [1],
    "fallback_strategy": ["echo"],
    "cache": True,
    "trace_id": "t-1",
    "parent_trace_id": None,
    "root_trace_id": "t-0",
}


MORE: Body = {"temperature": 0.5, "top_p": 0.9, "n": 2, "seed": 1, "user": SAID, "metadata": {"k": SAID}}
NAMED: Body = {"project": "p", "inputs": {"name": SAID}, "num_samples": 2, "metadata": {"k": SAID}, "save": True}
CHATTING = [{"role": "user", "content": SAID}, {"role": "assistant", "content": None, "tool_call": {"name": "f"}}]


def good(one: Spoken) -> Body:
    """A body of the route with most of what it may hold."""
    if one.name == "parea":
        return PAREA
    asked = question(one, SAID, stream=False)
    if one.dialect == "humanloop":
        config = {**asked["model_config"], "model": "echo", "provider": "mock", "temperature": 0.5, "seed": 1}
        return {**asked, "model_config": config, **{name: NAMED[name] for name in ("num_samples", "metadata", "save")}}
    return {**asked, "model": "echo", **MORE, "log_omit": "none", "tags": [SAID], "stream_options": None}


CONTROLLED = {one.path: good(one) for one in SPOKEN} | {"/api/parea/v1/completion/stream": PAREA}
BODIES: dict[str, Body] = CONTROLLED | {
    "/v1/embeddings": {
        "model": "echo",
        "input": [SAID, "b"],
        "dimensions": 3,
        "encoding_format": "base64",
        "user": SAID,
    },
    "/v1/messages/count_tokens": {name: CONTROLLED["/v1/messages"][name] for name in ("model", "messages", "tools")},
    "/v4/completion-deployed": {**NAMED, "environment": "production", "provider_api_keys": {"openai": SAID}},
    "/v4/completion-model-config": {**NAMED, "model_config_id": "p-hello"},
    "/v4/chat-deployed": {**NAMED, "messages": CHATTING, "tool_choice": "auto", "response_format": {"type": "text"}},
    "/v4/chat-model-config": {**NAMED, "model_config_id": "p-hello", "messages": CHATTING},
}
"""A good body of every route that completes, embeds or counts."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(SAID),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@st.composite
def mutated(draw: st.DrawFn, good: Body) -> bytes:
    """A good body in which some values are others, or are gone, and then perhaps some bytes are."""
    body = json.loads(json.dumps(good))
    for _ in range(draw(st.integers(1, 3))):
        holders = [holder for holder in containers(body) if holder]
        holder = draw(st.sampled_from(holders))
        place: Any = draw(st.sampled_from(list(holder) if isinstance(holder, dict) else list(range(len(holder)))))
        if draw(st.booleans()):
            holder[place] = draw(json_values)
        else:
            del holder[place]
        if not body:
            break
    # NaN, infinities and lone surrogates are written as they are
    raw = json.dumps(body, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    if draw(st.booleans()):
        return raw
    at = draw(st.integers(0, len(raw)))
    return raw[:at] + draw(st.binary(max_size=4)) + raw[draw(st.integers(at, len(raw))) :]


def containers(value: Any) -> Iterator[Any]:
    """Every object and list in a JSON value, itself included."""
    if isinstance(value, dict | list):
        yield value
        for inner in value.values() if isinstance(value, dict) else value:
            yield from containers(inner)


def shaped(path: str, status: int, answer: Body) -> bool:
    """Whether a refusal is in the words of the path's own API."""
    if path.startswith("/v1/messages"):
        return bool(answer["type"] == "error" and answer["error"].keys() == {"type", "message"})
    if path.startswith("/v1/"):
        return bool(answer.keys() == {"error"} and answer["error"].keys() == {"message", "type", "param", "code"})
    detail = answer["detail"]
    if status == 422:
        return {key for item in detail for key in item} == {"type", "loc", "msg"}
    if path.startswith("/v4/") and not path.startswith("/v4/beta/"):
        return bool(detail.keys() == {"type", "message", "code", "origin"})
    return isinstance(detail, str)


def asked(client: httpx.Client, url: str, path: str, body: bytes) -> httpx.Response:
    """The answer to a body: a good one, or a refusal as it should be."""
    response = client.post(url, content=body, headers={"content-type": "application/json"})
    assert response.status_code == 200 or response.status_code in REFUSALS, (body, response.text)
    if response.status_code != 200:
        assert shaped(path, response.status_code, response.json()), (body, response.text)
        # which model there is none of is told by its name
        assert response.status_code == 404 or SAID not in response.text, (body, response.text)
    elif path == "/api/parea/v1/completion" and response.headers["content-type"] == "application/json":
        assert response.json()["status"] == "success", (body, response.text)
    return response


@pytest.mark.fault("P4")
@pytest.mark.parametrize("path", BODIES)
def test_any_body_is_answered_or_refused(gateway: Local, path: str) -> None:
    @settings(
        max_examples=250 * EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(
        body=st.one_of(
            mutated(BODIES[path]),
            mutated({**BODIES[path], "stream": True}),
            json_values.map(lambda value: json.dumps(value).encode()),
            st.binary(max_size=200),
        )
    )
    def answered(body: bytes) -> None:
        asked(client, gateway.url + path, path, body)

    with httpx.Client(timeout=10) as client:
        answered()


ODD: tuple[Any, ...] = (None, True, -1, 10**30, 0.5, "", SAID, [], [SAID], [[SAID]], {}, {SAID: SAID}, {SAID: [SAID]})


@pytest.mark.fault("P4")
@pytest.mark.parametrize("path", BODIES)
def test_anything_may_stand_in_any_place(gateway: Local, path: str) -> None:
    """Every value of a good body, at whatever depth, is each of these once, whole or streamed in turn."""
    statuses = Counter[int]()
    with httpx.Client(timeout=10) as client:
        for number, (place, odd) in enumerate(itertools.product(places(BODIES[path]), ODD)):
            body = {**json.loads(json.dumps(BODIES[path])), "stream": number % 2 == 0}
            holder: Any = body
            for part in place[:-1]:
                holder = holder[part]
            holder[place[-1]] = odd
            statuses[asked(client, gateway.url + path, path, json.dumps(body).encode()).status_code] += 1
    assert min(statuses[200], statuses.total() - statuses[200]) > 5


@pytest.mark.parametrize("vendor", ["openai", "anthropic", "vertexai"])
def test_what_a_vendor_cannot_be_asked_is_the_requests_fault(vendors: Local, fleet: Fleet, vendor: str) -> None:
    """The same with vendors behind LiteLLM, which fails at odd values in ways of its own."""
    path = "/v1/chat/completions"
    good = {**BODIES[path], "model": f"{vendor}/{MODELS[vendor]}", "n": 1}
    statuses = Counter[int]()
    for place, odd in itertools.product(places(good), (-1, "", [], {SAID: SAID})):
        body = json.loads(json.dumps(good))
        holder: Any = body
        for part in place[:-1]:
            holder = holder[part]
        holder[place[-1]] = odd
        response = vendors.client.post(vendors.url + path, json=body)
        assert response.status_code == 200 or response.status_code in REFUSALS, (place, odd, response.text)
        statuses[response.status_code] += 1
    assert statuses[400] > 20


def places(value: Any, *above: str | int) -> Iterator[tuple[str | int, ...]]:
    """The way to every value in a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, one in inner:
        yield (*above, part)
        yield from places(one, *above, part)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", BODIES)
def test_a_good_body_is_good(gateway: Local, path: str, stream: bool) -> None:
    body = {**BODIES[path], **({"stream": True} if stream else {})}
    response = httpx.post(gateway.url + path, json=body)
    assert response.status_code == 200, response.text


def test_no_request_ends_the_gateway(gateway: Local) -> None:
    assert httpx.get(f"{gateway.url}/health").json()["status"] == "ok"
