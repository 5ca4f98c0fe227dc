"""Whatever is sent, the gateway answers and never fails itself: cases made from its own OpenAPI document, and bodies
made from nothing or from a good one.

Of Schemathesis' checks those run that ask whether the document is true. Two it has besides do not hold on purpose: not
all that fits the schema can be carried out (a model that there is not), and a log is taken as it comes (a number where
text is expected is kept as text).
"""

from __future__ import annotations

import json
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

from tests.gateway import Local

PATHS = ("/completion", "/completion/stream")
REFUSALS = {400, 404, 413, 415, 422}
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
    "generation": {"max-examples": 80, "database": "none"},
    "phases": {"stateful": {"enabled": False}},
    "checks": {"enabled": False, **{name: {"enabled": True} for name in CHECKS}},
}
GOOD = {
    "llm_configuration": {
        "model": "echo",
        "provider": None,
        "messages": [{"role": "user", "content": "Hello {{name}}"}],
        "model_params": {"temp": 0.5, "max_length": 10, "response_format": {"type": "text"}},
        "functions": [{"name": "f", "parameters": {"type": "object", "properties": {}}}],
        "function_call": "auto",
    },
    "llm_inputs": {"name": "Ada"},
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


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    config = {
        "model_list": [{"model_name": name, "litellm_params": {"model": "echo/echo"}} for name in ("echo", "default")]
    }
    with Local(tmp_path_factory.mktemp("gateway"), config) as running:
        running.wait_until_ready()
        yield running


def test_the_document_is_true_and_nothing_fails(gateway: Local, capsys: pytest.CaptureFixture[str]) -> None:
    config = schemathesis.Config.from_dict(CONFIG)
    schema = schemathesis.openapi.from_url(f"{gateway.url}/openapi.json", config=config)
    methods = {(path, method) for path, item in schema.raw_schema["paths"].items() for method in item}
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
        print(f"\nschemathesis: {len(wrong)} failures in {cases} cases of {len(methods)} operations ({dict(phases)})")
    assert wrong == []
    assert methods <= routes
    assert min(phases[phase] for phase in ("EXAMPLES", "COVERAGE", "FUZZING")) > 0
    assert cases > 1000


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A good body in which some values are others, or are gone, and then perhaps some bytes are."""
    body = json.loads(json.dumps(GOOD))
    for _ in range(draw(st.integers(1, 4))):
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


@settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(body=st.one_of(st.binary(max_size=200), json_values.map(lambda value: json.dumps(value).encode()), mutated()))
def test_any_body_is_answered_or_refused(gateway: Local, body: bytes) -> None:
    for path in PATHS:
        response = gateway.client.post(path, content=body, headers={"content-type": "application/json"})
        assert response.status_code == 200 or response.status_code in REFUSALS, (path, body, response.text)
        if response.status_code == 200 and path == "/completion":
            assert response.json()["status"] == "success", response.text
        if response.status_code == 422:
            assert {key for item in response.json()["detail"] for key in item} == {"type", "loc", "msg"}


def test_a_good_body_is_good(gateway: Local) -> None:
    assert gateway.complete(GOOD)["content"] == "You said: Hello Ada"


def test_no_request_ends_the_gateway(gateway: Local) -> None:
    assert httpx.get(f"{gateway.url}/health").json()["status"] == "ok"
