"""No route keeps or tells a key, however it is asked: every operation of the OpenAPI document.

Each with a good body, no JSON, wrong types in every field, a wrong key, a wrong host, a wrong type of content, a method
that it has not, and with words in its query that do not fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.canary.search import client, finish, keyed, search
from tests.faults.plugin import Figure
from tests.gateway import Process
from tests.upstreams.server import dump

pytestmark = pytest.mark.fault("S1")

Body = dict[str, Any]
Operation = tuple[str, str]

MESSAGES = [{"role": "user", "content": "x"}]
PAREA: Body = {"llm_configuration": {"model": "echo", "messages": MESSAGES}}
CHAT: Body = {"model": "echo", "messages": MESSAGES, "max_tokens": 5}
TEXT: Body = {"model": "echo", "prompt": "x"}
CONFIGURED: Body = {"project": "p", "model_config_id": "p-hello", "inputs": {"name": "x"}}
DEPLOYED: Body = {"project": "p", "inputs": {"name": "x"}}
EXAMPLES: Mapping[Operation, Body] = {
    ("POST", "/api/parea/v1/completion"): PAREA,
    ("POST", "/api/parea/v1/completion/stream"): PAREA,
    ("POST", "/api/parea/v1/project"): {"name": "p"},
    ("POST", "/api/parea/v1/trace_log"): {"trace_id": "t-1"},
    ("PUT", "/api/parea/v1/trace_log"): {"trace_id": "t-1", "field_name_to_value_map": {"output": "x"}},
    ("POST", "/api/parea/v1/trace_log/{vendor}"): {"id": "r-1", "name": "r", "run_type": "chain"},
    ("POST", "/api/parea/v1/feedback"): {"trace_id": "t-1", "score": 1},
    ("POST", "/api/parea/v1/get_trace_logs"): {},
    ("POST", "/api/parea/v1/deployed-prompt"): {"deployment_id": "p-hello"},
    ("POST", "/v1/chat/completions"): CHAT,
    ("POST", "/v1/completions"): TEXT,
    ("POST", "/v1/embeddings"): {"model": "echo", "input": "x"},
    ("POST", "/v1/traces"): {"resourceSpans": []},
    ("POST", "/v1/messages"): CHAT,
    ("POST", "/v1/messages/count_tokens"): {"model": "echo", "messages": MESSAGES},
    ("POST", "/v1/responses"): {"model": "echo", "input": "x"},
    ("POST", "/v4/completion"): {"project": "p", "model_config": {"model": "echo", "prompt_template": "x"}},
    ("POST", "/v4/completion-deployed"): DEPLOYED,
    ("POST", "/v4/completion-model-config"): CONFIGURED,
    ("POST", "/v4/chat"): {"project": "p", "messages": MESSAGES, "model_config": {"model": "echo"}},
    ("POST", "/v4/chat-deployed"): {**DEPLOYED, "messages": MESSAGES},
    ("POST", "/v4/chat-model-config"): {**CONFIGURED, "messages": MESSAGES},
    ("POST", "/v4/feedback"): {"type": "rating", "value": "good", "data_id": "t-1"},
    ("POST", "/v4/logs"): {"project": "p", "inputs": {"a": "b"}, "output": "x", "reference_id": "r-1"},
    ("PATCH", "/v4/logs"): {"output": "y"},
    ("PATCH", "/v4/logs/{id}"): {"output": "y"},
    ("POST", "/v4/beta/completions"): TEXT,
    ("POST", "/v4/beta/chat/completions"): CHAT,
    ("POST", "/admin/explain"): CHAT,
    ("POST", "/v5/completions"): TEXT,
    ("POST", "/v5/chat/completions"): CHAT,
}
"""A good body for every operation that has one."""

PLACES = {"trace_id": "t-1", "vendor": "langchain", "model": "echo", "model_id": "echo", "id": "{id}"}
QUERIES = {
    ("PATCH", "/v4/logs"): "reference_id=r-1",
    ("GET", "/v4/logs"): "project_id={project}",
    ("GET", "/v4/sessions"): "project_id={project}",
    ("GET", "/admin/sql"): "query=select 1",
}
OPEN = {"/health", "/ready"}
GOOD = {("POST", "/v4/sessions"): 201, ("GET", "/nothing"): 404}
"""The status of a good request, where it is not 200."""

OUTSIDE = [("GET", "/docs"), ("GET", "/redoc"), ("GET", "/openapi.json"), ("GET", "/nothing")]

Hostile = tuple[str, int, str, bytes | None, dict[str, str]]


@pytest.fixture
def document(logging: Process) -> Body:
    logging.wait_for("/ready")
    found: Body = client.get(f"{logging.url}/openapi.json", headers=keyed()).json()
    return found


def operations(document: Body) -> list[Operation]:
    return [(method.upper(), path) for path, item in document["paths"].items() for method in item]


def test_every_operation_that_has_a_body_is_asked_with_one(document: Body) -> None:
    described = {
        (method, path)
        for method, path in operations(document)
        if "requestBody" in document["paths"][path][method.lower()]
    }
    assert described == set(EXAMPLES)


def test_no_route_tells_or_keeps_a_key(logging: Process, document: Body, capsys: pytest.CaptureFixture[str]) -> None:
    asked = [*OUTSIDE, *operations(document)]
    places = seeded(logging)
    for method, path in asked:
        url = logging.url + place(method, path, places)
        example = EXAMPLES.get((method, path))
        for case, expected, used, content, headers in hostile(method, path, example):
            response = client.request(used, url, content=content, headers=headers)
            if used == "DELETE" and path == "/nothing":
                expected = 404
            assert response.status_code == expected, (method, path, case, response.text)
            search.note(f"{used} {path} {case}", response)
    with capsys.disabled():
        print(f"\ncanary: {len(asked)} operations asked, {search.cases} requests")
    assert search.leaks(logging) == []


@pytest.mark.parametrize(("method", "path"), EXAMPLES, ids=["-".join(operation) for operation in EXAMPLES])
def test_no_refusal_repeats_what_stands_in_a_wrong_place(
    logging: Process, document: Body, method: str, path: str
) -> None:
    example = EXAMPLES[method, path]
    url = logging.url + place(method, path, seeded(logging))
    for name in names(document, path, method):
        for first, second in zip(mistyped(name, "x"), mistyped(name, search.marked("wrong-type")), strict=True):
            # what is accepted, or begins a call and so is in its row, is content and no key in a wrong place
            harmless = client.request(method, url, content=dump(example | first), headers=keyed())
            if harmless.status_code in (400, 422) and "x-trace-id" not in harmless.headers:
                response = client.request(method, url, content=dump(example | second), headers=keyed())
                assert response.status_code == harmless.status_code
                search.note(f"{method} {path} {name}", response)
    assert search.leaks(logging) == []


def test_no_refusal_repeats_a_query(logging: Process, document: Body) -> None:
    """A word for every parameter of a query."""
    places = seeded(logging)
    for method, path in operations(document):
        described = document["paths"][path][method.lower()]
        for parameter in described.get("parameters", ()):
            if parameter["in"] != "query":
                continue
            word = {parameter["name"]: search.marked("query")}
            response = client.request(
                method,
                logging.url + place(method, path, places).partition("?")[0],
                params=word,
                content=dump(EXAMPLES.get((method, path), {})) if method != "GET" else None,
                headers=keyed(),
            )
            assert response.status_code < 500
            search.note(f"{method} {path}?{parameter['name']}", response)
    assert search.leaks(logging) == []


def seeded(gateway: Process) -> dict[str, str]:
    """A row, a session and a project to ask for, and their ids."""
    made = client.post(f"{gateway.url}/v4/logs", json=EXAMPLES["POST", "/v4/logs"], headers=keyed()).json()
    session = client.post(f"{gateway.url}/v4/sessions", headers=keyed()).json()
    parea = client.post(f"{gateway.parea}/trace_log", json={"trace_id": "t-1"}, headers=keyed())
    assert parea.status_code == 200
    return {"log": made["id"], "project": made["project_id"], "session": session["id"]}


def place(method: str, path: str, made: Mapping[str, str]) -> str:
    """The path and query of an operation with every parameter filled."""
    kind = path.split("/")[2].removesuffix("s") if path.startswith(("/v4/", "/admin/")) else ""
    filled = path.format_map({**PLACES, "id": made.get(kind, "")})
    query = QUERIES.get((method, path), "").format_map(made)
    return f"{filled}?{query}" if query else filled


def hostile(method: str, path: str, example: Body | None) -> Iterator[Hostile]:
    """(case, status, method, body, headers) of requests to one operation, each full of keys."""
    good = None if example is None else dump(example | {"provider_api_key": search.marked("body-key")})
    yield "good", GOOD.get((method, path), 200), method, good, keyed() | {"x-openai-api-key": search.marked("own")}
    yield "host", 403, method, good, keyed() | {"host": f"{search.marked('host')}.example"}
    yield "origin", 403, method, good, keyed() | {"origin": f"http://{search.marked('origin')}.example"}
    yield "method", 405, "DELETE", None, keyed()
    wrong = keyed() | {"x-api-key": search.marked("wrong-master")}
    yield "unauthorized", 200 if path in OPEN else 401, method, good, wrong
    if example is None:
        return
    yield "media type", 415, method, good, keyed() | {"content-type": f"text/{search.marked('media')}"}
    key = search.marked("broken-json").encode()
    for broken in (b'{"provider_api_key": "%b', b'"%b', b"%b", b'{"%b": NaN}', b'{"%b": "\xff"}', b'{"%b": "\\ud800"}'):
        yield "no JSON", 400, method, broken % key, keyed()


def names(document: Body, path: str, method: str) -> list[str]:
    """The fields of an operation's body, and one that there is not."""
    body = document["paths"][path][method.lower()]["requestBody"]["content"]["application/json"]["schema"]
    one = body["anyOf"][0] if "anyOf" in body else body
    if "$ref" in one:
        one = document["components"]["schemas"][one["$ref"].rpartition("/")[2]]
    return [*one.get("properties", ()), "provider_api_key"]


def mistyped(name: str, text: str) -> Iterator[Body]:
    """Values of a field around a text that stands where it does not belong."""
    yield {name: [[text]]}
    yield {name: {text: [text]}}
    yield {name: text}


def test_all_of_it(gateways: dict[str, Process], capsys: pytest.CaptureFixture[str], figure: Figure) -> None:
    finish(gateways, capsys, "routes", figure)
