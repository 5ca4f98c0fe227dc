"""Privacy, proven by search: marked content and marked keys go through a whole gateway, and then everything it left
behind is searched for them: the database with its WAL, the cache, every other file of the data folder, what it printed
at debug level, every body that told of a failure, and every header.

A canary begins with `MARK`, so where no form of `MARK` is (plain, hex, base64 at each alignment), there is none. Its
characters are such that JSON, URLs and Python's `repr` leave them alone. What may be kept begins with `KEPT` instead,
and is found: the search can find.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.gateway import Process, rows
from tests.upstreams.bedrock import Bedrock
from tests.upstreams.fleet import MODELS, Fleet
from tests.upstreams.scenario import Reply, Scenario, ToolUse
from tests.upstreams.server import Upstream, dump
from tests.upstreams.vertex import Vertex

MARK = "canary0zQ7xWv"
KEPT = "kept0mD3yTn"
MASTER = f"{MARK}-master-key"
FLAGS = ("log_omit", "log_omit_inputs", "log_omit_outputs")
VENDORS = tuple(MODELS)
JSON = {"content-type": "application/json"}
numbers = itertools.count()


def forms(text: str) -> list[bytes]:
    """The bytes of `text` as they stand, in hex, and in base64 wherever in a longer text they begin."""
    raw = text.encode()
    found = [raw, raw.hex().encode(), raw.hex().upper().encode()]
    for shift in range(3):
        coded = base64.b64encode(b"\0" * shift + raw)
        # the characters at either end depend on the neighbours as well
        found.append(coded[(8 * shift + 5) // 6 : 8 * (shift + len(raw)) // 6])
    return found


@dataclass
class Search:
    """What was sent and what came back, and the count of what was searched for it."""

    canaries: set[str] = field(default_factory=set)
    secrets: set[str] = field(default_factory=set)
    """Keys that cannot begin with `MARK`; each is searched for by itself."""
    found: set[bytes] = field(default_factory=set)
    """What was found before; only the test that leaks is to fail."""
    told: list[tuple[str, bytes]] = field(default_factory=list)
    """Headers of every answer and bodies of failures, by case, that were not searched yet."""
    cases: int = 0
    searches: int = 0
    size: int = 0

    def marked(self, label: str, mark: str = MARK) -> str:
        text = f"{mark}-{label}-{next(numbers)}"
        if mark == MARK:
            self.canaries.add(text)
        return text

    def note(self, case: str, response: httpx.Response) -> None:
        """Keep what must hold no canary: always the headers, the body if it tells of a failure."""
        self.cases += 1
        headers = b"".join(name + b": " + value + b"\n" for name, value in response.headers.raw)
        self.told.append((f"headers of {case}", headers))
        if response.status_code >= 400 or b'"status":"error"' in response.content:
            self.told.append((f"failure of {case}", response.content))

    def channels(self, gateway: Process) -> Iterator[tuple[str, bytes]]:
        for path in sorted(gateway.data.rglob("*")):
            # SQLite and the cache may take a file away while it is looked for
            with contextlib.suppress(FileNotFoundError):
                if path.is_file():
                    yield str(path.relative_to(gateway.data)), path.read_bytes()
        yield "stdout and stderr", gateway.output.read_bytes()
        yield from self.told

    def leaks(self, gateway: Process) -> list[str]:
        """Every place where a canary or a secret is now and was not before, with its surroundings."""
        needles = [form for text in (MARK, *self.secrets) for form in forms(text)]
        pattern = re.compile(b"|".join(map(re.escape, needles)))
        leaks = []
        for channel, data in self.channels(gateway):
            self.searches += len(self.canaries) + len(self.secrets)
            self.size += len(data)
            if not any(needle in data for needle in needles):
                continue
            for match in pattern.finditer(data):
                at, end = match.span()
                if (text := data[at : end + 24]) not in self.found:
                    self.found.add(text)
                    leaks.append(f"{channel}: {data[max(0, at - 60) : end + 60]!r}")
        self.told.clear()
        return leaks


search = Search()
client = httpx.Client(verify=False, timeout=30)
"""Without what costs most about a client, the certificates: there are a thousand requests here."""


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    with client:
        yield


@pytest.fixture(scope="module")
def vendors() -> Iterator[Fleet]:
    """Twelve upstreams whose keys are canaries."""
    fleet = Fleet()
    for upstream in fleet.upstreams.values():
        upstream.key = search.marked(f"key-of-{upstream.name}")
    with fleet:
        vertex, bedrock = fleet["vertexai"], fleet["aws_bedrock"]
        assert isinstance(vertex, Vertex)
        assert isinstance(bedrock, Bedrock)
        vertex.token = "ya29." + search.marked("vertex-token")
        bedrock.secret = search.marked("aws-secret")
        search.secrets.add(json.loads(vertex.credentials)["private_key"].splitlines()[5])
        yield fleet


@pytest.fixture(scope="module")
def gateways(vendors: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Process]]:
    """One gateway that logs, and one whose config says that nothing is to be written down."""
    prompt = {"model": "echo", "messages": [{"role": "user", "content": "Hello {{name}}"}]}
    config: dict[str, Any] = {
        "model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}],
        "providers": vendors.providers,
        "deployments": {"p-hello": prompt},
        "general_settings": {"master_key": MASTER},
    }
    search.canaries.add(MASTER)
    made = {
        name: Process(tmp_path_factory.mktemp(name), config | {"log": {"omit": omit}}, PAREA_PROXY_LOG_LEVEL="debug")
        for name, omit in (("logging", "none"), ("omitting", "all"))
    }
    with contextlib.ExitStack() as running:
        yield {name: running.enter_context(process) for name, process in made.items()}


@pytest.fixture
def logging(gateways: dict[str, Process], vendors: Fleet) -> Process:
    vendors.reset()
    return gateways["logging"]


@pytest.fixture
def omitting(gateways: dict[str, Process], vendors: Fleet) -> Process:
    vendors.reset()
    return gateways["omitting"]


def keyed() -> dict[str, str]:
    """Headers with the gateway's key, and a key in every other place that a client may put one."""
    return JSON | {
        "x-api-key": MASTER,
        "x-user-id": search.marked("x-user-id"),
        "authorization": f"Bearer {search.marked('bearer')}",
        "api-key": search.marked("api-key"),
        "cookie": f"session={search.marked('cookie')}",
    }


def post(
    gateway: Process, case: str, body: dict[str, Any], *, stream: bool = False, patience: float = 30
) -> httpx.Response | None:
    """The answer to a completion; of one that is cut, or that the client leaves, as much as came, or None."""
    parts: list[bytes] = []
    path = "/completion/stream" if stream else "/completion"
    try:
        with client.stream("POST", gateway.parea + path, json=body, headers=keyed(), timeout=patience) as response:
            parts.extend(response.iter_raw())
    except (httpx.RemoteProtocolError, httpx.ReadTimeout):
        if not parts:
            return None
    answered = httpx.Response(response.status_code, headers=response.headers, content=b"".join(parts))
    search.note(case, answered)
    return answered


# content


def asked(vendor: str, flag: str | None, **fields: Any) -> tuple[dict[str, Any], str, str]:
    """A request with a canary in every place that holds content, the prompt it quotes, and the answer to give.

    What `flag` does not forbid to keep is marked as kept.
    """
    prompt = search.marked(f"in-{vendor}"[:30], MARK if flag in ("log_omit", "log_omit_inputs", "config") else KEPT)
    answer = search.marked(f"out-{vendor}"[:30], MARK if flag in ("log_omit", "log_omit_outputs", "config") else KEPT)
    schema = {"type": "object", "properties": {f"{prompt}-property": {"type": "string", "description": prompt}}}
    name = prompt.replace("_", "-")
    unfilled = "{{" + name.replace("-", "_") + "}}"
    configuration: dict[str, Any] = {
        "model": MODELS[vendor],
        "provider": vendor,
        "history": [{"role": "user", "content": f"{prompt} first"}, {"role": "assistant", "content": f"{prompt} then"}],
        "messages": [{"role": "user", "content": f'{prompt} "é" in {{{{city}}}}, {unfilled}'}],
        "functions": [{"name": name, "description": f"{prompt} described", "parameters": schema}],
        "model_params": {
            "temp": 0.4,
            "max_length": 50,
            "response_format": {"type": "json_schema", "json_schema": {"name": name, "schema": schema}},
        },
    }
    if vendor == "cohere":
        # which takes either tools or a form of its answer
        del configuration["model_params"]["response_format"]
    body: dict[str, Any] = {
        "llm_configuration": configuration,
        "llm_inputs": {"city": f"{prompt} Rome", f"{prompt} key": "x"},
        "trace_id": str(uuid.uuid4()),
    }
    if flag in FLAGS:
        body[flag] = True
    return body | fields, prompt, answer


def scripted(upstream: Upstream, scenario: str, prompt: str, answer: str) -> Scenario:
    reply = Reply((f"{answer} é ", answer, " end"))
    match scenario:
        case "answer":
            return Scenario(reply)
        case "tool":
            used = ToolUse("call00001", answer.replace("_", "-"), {"city": answer})
            return Scenario(Reply((answer,), (used,), finish="tool_calls"))
        case "refusal":
            refusal = upstream.refusal(400, message=f"cannot do: {prompt} é, nor {answer}")
            return Scenario(status=400, raw=dump(refusal.body), headers=refusal.headers)
        case "garbage":
            return Scenario(raw=f'{{"id": "{answer}", "choices": [{{"{prompt}'.encode())
        case "cut":
            return Scenario(reply, fault="fin")
        case "error":
            return Scenario(reply, fault="error")
        case _:
            return Scenario(reply, fault="stall")


ENDINGS = {"answer": "success", "tool": "success", "left": "cancelled"}


def row_of(gateway: Process, trace_id: str) -> dict[str, Any]:
    """The row of a call, once it is there: nobody waits for that of a client that has left."""
    end = time.monotonic() + 5
    while not (found := rows(gateway.data, "trace_id = ?", trace_id)) and time.monotonic() < end:
        time.sleep(0.01)
    return found[0]


CASES = [
    *((vendor, "log_omit", scenario) for vendor in VENDORS for scenario in ("answer", "refusal", "cut")),
    *(("openai", flag, scenario) for flag in FLAGS[1:] for scenario in ("answer", "refusal", "cut")),
    *(("openai", flag, scenario) for flag in FLAGS for scenario in ("tool", "garbage", "error", "left")),
]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("vendor", "flag", "scenario"), CASES)
def test_what_a_request_omits_is_written_nowhere(
    logging: Process, vendors: Fleet, vendor: str, flag: str, scenario: str, stream: bool
) -> None:
    body, prompt, answer = asked(vendor, flag)
    vendors[vendor].script = scripted(vendors[vendor], scenario, prompt, answer)
    case = f"{vendor} {flag} {scenario} {'stream' if stream else 'whole'}"
    for time_of_asking in range(1 if scenario == "left" else 2):
        body["trace_id"] = str(uuid.uuid4())
        patience = 0.4 if scenario == "left" else 30
        response = post(logging, f"{case} {time_of_asking}", body, stream=stream, patience=patience)
        assert row_of(logging, body["trace_id"])["status"] == ENDINGS.get(scenario, "error")
        if ENDINGS.get(scenario) == "success":
            assert response is not None
            assert answer.encode() in response.content
    assert prompt.encode() in vendors[vendor].requests[-1].body
    assert search.leaks(logging) == []


def test_the_search_finds_what_may_be_kept(logging: Process, vendors: Fleet) -> None:
    """Without a flag every place of the prompt is in the log, and the answer in the log and in the cache."""
    body, prompt, answer = asked("openai", None)
    vendors["openai"].script = scripted(vendors["openai"], "answer", prompt, answer)
    assert post(logging, "kept", body) is not None
    channels = list(search.channels(logging))
    database = b"".join(data for channel, data in channels if channel.startswith("traces.db"))
    for ending in (" first", " then", ' \\"\u00e9\\" in ', " described", "-property", " Rome", " key"):
        assert (prompt + ending).encode() in database, ending
    assert prompt.replace("-", "_").encode() in database
    cache = b"".join(data for channel, data in channels if channel.startswith("cache"))
    assert answer.encode() in database
    assert answer.encode() in cache
    vendors["openai"].script = scripted(vendors["openai"], "refusal", prompt, answer)
    refused = post(logging, "kept refusal", body | {"cache": False}, stream=True)
    assert refused is not None
    assert (refused.status_code, prompt in refused.text) == (400, True)


@pytest.mark.parametrize("form", range(6))
def test_the_search_finds_every_form(gateways: dict[str, Process], form: int) -> None:
    text = f"ab{MARK}-told-0"
    coded = [text, text.encode().hex(), text.encode().hex().upper()]
    coded += [base64.b64encode(text[cut:].encode()).decode() for cut in range(3)]
    other = Search(told=[("it", f"surrounded by {coded[form]}".encode())])
    assert len(other.leaks(gateways["logging"])) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("flag", FLAGS)
def test_a_hit_omits_as_well(logging: Process, vendors: Fleet, flag: str, stream: bool) -> None:
    """Another call's answer is served from the cache; the row of the one that omits holds nothing all the same."""
    body, prompt, answer = asked("openai", None)
    vendors["openai"].script = scripted(vendors["openai"], "answer", prompt, answer)
    post(logging, "first", body)
    trace_id = str(uuid.uuid4())
    hit = post(logging, f"hit {flag}", body | {flag: True, "trace_id": trace_id}, stream=stream)
    assert hit is not None
    assert (hit.headers["x-cache"], len(vendors["openai"].requests)) == ("hit", 1)
    row = json.dumps(row_of(logging, trace_id))
    assert (prompt in row) == (flag == "log_omit_outputs")
    assert (answer in row) == (flag == "log_omit_inputs")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("scenario", ["answer", "tool", "refusal", "garbage", "cut", "left"])
def test_what_the_config_omits_is_written_nowhere(
    omitting: Process, vendors: Fleet, scenario: str, stream: bool
) -> None:
    body, prompt, answer = asked("openai", "config")
    vendors["openai"].script = scripted(vendors["openai"], scenario, prompt, answer)
    post(omitting, f"config {scenario}", body, stream=stream, patience=0.4 if scenario == "left" else 30)
    assert row_of(omitting, body["trace_id"])["status"] == ENDINGS.get(scenario, "error")
    assert prompt.encode() in vendors["openai"].requests[-1].body
    assert search.leaks(omitting) == []


def logged(prompt: str, answer: str) -> dict[str, Any]:
    """A trace log with content wherever a client puts it."""
    return {
        "inputs": {"city": prompt, prompt: "x"},
        "configuration": {
            "model": "m",
            "messages": [{"role": "user", "content": prompt}],
            "functions": [{"name": prompt}],
            "function_call": prompt,
            "model_params": {"response_format": {"x": prompt}},
        },
        "output": answer,
        "output_for_eval_metrics": answer,
        "error": f"ValueError: {prompt}",
        "status": "error",
    }


def run(prompt: str, answer: str) -> dict[str, Any]:
    """A run of LangChain's tracer with content, and one below it."""
    message = {"kwargs": {"content": prompt, "type": "human"}, "id": ["HumanMessage"]}
    generation = {"text": answer, "message": {"kwargs": {"content": answer}}}
    below = {
        "id": str(uuid.uuid4()),
        "name": "model",
        "run_type": "llm",
        "inputs": {"messages": [[message]], "prompts": [prompt]},
        "outputs": {"generations": [[generation]], "llm_output": {"text": answer}},
        "extra": {"invocation_params": {"model": "m", "functions": [{"name": prompt}], "stop": [prompt]}},
        "error": prompt,
        "serialized": {"kwargs": {"prompt": prompt}},
    }
    return below | {"id": str(uuid.uuid4()), "run_type": "chain", "name": "chain", "child_runs": [below]}


@pytest.mark.parametrize("kind", ["POST", "PUT", "PUT before", "langchain"])
def test_what_the_config_omits_is_left_out_of_posted_logs(omitting: Process, kind: str) -> None:
    prompt, answer, trace_id = search.marked("log-in"), search.marked("log-out"), str(uuid.uuid4())
    requests: list[tuple[str, str, dict[str, Any]]] = [("POST", "", {"trace_id": trace_id, "trace_name": "f"})]
    match kind:
        case "POST":
            requests = [("POST", "", {"trace_id": trace_id, **logged(prompt, answer)})]
        case "langchain":
            body = run(prompt, answer)
            trace_id = body["id"]
            requests = [("POST", "/langchain", body)]
        case _:
            put = ("PUT", "", {"trace_id": trace_id, "field_name_to_value_map": logged(prompt, answer)})
            requests = [put, *requests] if kind == "PUT before" else [*requests, put]
    for method, path, body in requests:
        response = client.request(method, f"{omitting.parea}/trace_log{path}", json=body, headers=keyed())
        assert response.json()["logged"] is True
        search.note(f"{kind} trace_log", response)
    assert row_of(omitting, trace_id)["trace_id"] == trace_id
    assert search.leaks(omitting) == []


# keys


def own_key(upstream: Upstream) -> str:
    """A key that a request brings for this vendor, which the vendor takes from now on."""
    match upstream:
        case Vertex():
            return upstream.credentials
        case Bedrock():
            upstream.secret = search.marked("brought-secret")
            pair = {"aws_access_key_id": "AKIATESTTESTTESTTEST", "aws_secret_access_key": upstream.secret}
            return json.dumps(pair)
        case _:
            upstream.key = search.marked(f"brought-{upstream.name}")
            return upstream.key


def secret(upstream: Upstream) -> str:
    """What the vendor gets to see and could repeat; AWS only computes with it."""
    match upstream:
        case Vertex():
            return upstream.token
        case Bedrock():
            return upstream.secret
        case _:
            return upstream.key


def echoing(upstream: Upstream, said: str) -> Scenario:
    """The vendor refuses a key and says which, as many do."""
    refusal = upstream.refusal(401, message=f"Incorrect API key provided: {said}. You can find yours elsewhere.")
    return Scenario(status=401, raw=dump(refusal.body), headers={**refusal.headers, "x-key": secret(upstream)})


def question(vendor: str, **fields: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"question {next(numbers)}"}]
    configuration = {"model": MODELS[vendor], "provider": vendor, "messages": messages}
    return {"llm_configuration": configuration, "trace_id": str(uuid.uuid4()), **fields}


@pytest.fixture
def restored(vendors: Fleet) -> Iterator[None]:
    """The vendors take their configured keys again afterwards."""
    before = {name: dict(vars(upstream)) for name, upstream in vendors.upstreams.items()}
    yield
    for name, upstream in vendors.upstreams.items():
        upstream.key = before[name]["key"]
        if isinstance(upstream, Bedrock):
            upstream.secret = before[name]["secret"]


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("brought", [False, True], ids=["configured", "brought"])
@pytest.mark.parametrize("vendor", VENDORS)
def test_a_key_is_told_to_its_vendor_only(
    logging: Process, vendors: Fleet, vendor: str, brought: bool, stream: bool
) -> None:
    upstream = vendors[vendor]
    key = {"provider_api_key": own_key(upstream)} if brought else {}
    scenarios = {
        "answered": Scenario(),
        "refused": echoing(upstream, secret(upstream)),
        "cut": Scenario(fault="fin"),
        "garbage": Scenario(raw=b'{"key": "%b' % secret(upstream).encode()),
        # longer than any message that is passed on, so that one of these keys is cut in two
        **{f"at length {n}": echoing(upstream, "w" * (1880 + 15 * n) + " " + secret(upstream)) for n in range(8)},
    }
    for name, scenario in scenarios.items():
        upstream.script = scenario
        for time_of_asking in range(2 if name == "answered" else 1):
            body = question(vendor, **key)
            post(logging, f"{vendor} {name} {time_of_asking}", body, stream=stream)
            assert row_of(logging, body["trace_id"])["status"] == ("success" if name == "answered" else "error")
    assert search.leaks(logging) == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("vendor", VENDORS)
def test_a_wrong_key_is_told_to_nobody_else(logging: Process, vendors: Fleet, vendor: str, stream: bool) -> None:
    body = question(vendor, provider_api_key=search.marked(f"wrong-{vendor}"))
    refused = post(logging, f"{vendor} wrong key", body, stream=stream)
    assert refused is not None
    row = row_of(logging, body["trace_id"])
    assert (row["status"], row["notes"]["failure"]) == (
        "error",
        "permission" if vendor == "aws_bedrock" else "authentication",
    )
    assert search.leaks(logging) == []


# every route

ROUTES = {
    "/health": "GET",
    "/ready": "GET",
    "/docs": "GET",
    "/redoc": "GET",
    "/openapi.json": "GET",
    "/nothing": "GET",
}
EXAMPLES: Mapping[str, dict[str, Any]] = {
    "completion": {"llm_configuration": {"model": "echo", "messages": [{"role": "user", "content": "x"}]}},
    "completion/stream": {"llm_configuration": {"model": "echo", "messages": [{"role": "user", "content": "x"}]}},
    "project": {"name": "p"},
    "trace_log": {"trace_id": "t-1", "field_name_to_value_map": {"output": "x"}},
    "trace_log/{vendor}": {"id": "r-1", "name": "r", "run_type": "chain"},
    "feedback": {"trace_id": "t-1", "score": 1},
    "get_trace_logs": {},
    "deployed-prompt": {"deployment_id": "p-hello"},
}


def test_no_route_tells_or_keeps_a_key(logging: Process) -> None:
    """Each with good bodies, no JSON, wrong types, no key, a wrong host, a wrong type of content, a wrong method."""
    logging.wait_for("/ready")
    document = client.get(f"{logging.url}/openapi.json", headers=keyed()).json()
    operations = [(path, method.upper()) for path, item in document["paths"].items() for method in item]
    assert {path.partition("/v1/")[2] for path, method in operations if method != "GET"} == set(EXAMPLES)
    for path, method in [*ROUTES.items(), *operations]:
        url = logging.url + path.format(trace_id="t-1", vendor="langchain")
        example = EXAMPLES.get(path.partition("/v1/")[2], {}) if method != "GET" else None
        for case, expected, used, content, headers in hostile(method, example):
            response = client.request(used, url, content=content, headers=headers)
            if path == "/nothing" and expected in (200, 405):
                expected = 404
            elif path in ("/health", "/ready") and expected == 401:
                expected = 200
            assert response.status_code == expected, (path, case)
            search.note(f"{used} {path} {case}", response)
        if example is None:
            continue
        for name in names(document, path, method):
            harmless, marked = mistyped(name, "x"), mistyped(name, search.marked("wrong-type"))
            for first, second in zip(harmless, marked, strict=True):
                # what is accepted is content, not a key in a wrong place
                if client.request(method, url, content=dump(example | first), headers=keyed()).status_code in (
                    400,
                    422,
                ):
                    response = client.request(method, url, content=dump(example | second), headers=keyed())
                    assert response.status_code in (400, 422)
                    search.note(f"{method} {path} type", response)
    assert search.leaks(logging) == []


Hostile = tuple[str, int, str, bytes | None, dict[str, str]]


def hostile(method: str, example: dict[str, Any] | None) -> Iterator[Hostile]:
    """(case, status, method, body, headers) of requests to one operation, each full of keys."""
    good = None if example is None else dump(example | {"provider_api_key": search.marked("body-key")})
    yield "good", 200, method, good, keyed()
    yield "unauthorized", 401, method, good, keyed() | {"x-api-key": search.marked("wrong-master")}
    yield "host", 403, method, good, keyed() | {"host": f"{search.marked('host')}.example"}
    yield "origin", 403, method, good, keyed() | {"origin": f"http://{search.marked('origin')}.example"}
    yield "method", 405, "DELETE", None, keyed()
    if example is None:
        return
    yield "media type", 415, method, good, keyed() | {"content-type": f"text/{search.marked('media')}"}
    key = search.marked("broken-json").encode()
    for broken in (b'{"provider_api_key": "%b', b'"%b', b"%b", b'{"%b": NaN}', b'{"%b": "\xff"}', b'{"%b": "\\ud800"}'):
        yield "no JSON", 400, method, broken % key, keyed()


def names(document: dict[str, Any], path: str, method: str) -> list[str]:
    """The fields of an operation's body, and one that there is not."""
    body = document["paths"][path][method.lower()]["requestBody"]["content"]["application/json"]
    schema = document["components"]["schemas"][body["schema"]["$ref"].rpartition("/")[2]]
    return [*schema["properties"], "provider_api_key"]


def mistyped(name: str, text: str) -> Iterator[dict[str, Any]]:
    """Values of a field around a text that stands where it does not belong."""
    yield {name: [[text]]}
    yield {name: {text: [text]}}
    yield {name: text}


def test_all_of_it(gateways: dict[str, Process], capsys: pytest.CaptureFixture[str]) -> None:
    """Once more with the gateways stopped and everything flushed, and the count."""
    for gateway in gateways.values():
        gateway.__exit__(None, None, None)
        assert search.leaks(gateway) == []
    with capsys.disabled():
        print(
            f"\ncanary: {len(search.found)} of {search.searches:,} searches find one ({len(search.canaries)} canaries, "
            f"{search.cases} cases, {search.size / 2**20:,.0f} MiB searched)"
        )
    assert search.searches > 0
