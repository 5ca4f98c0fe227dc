"""What is to be omitted is written nowhere: Parea's completions at every vendor, and the logs that clients post.

Marked content goes through a whole gateway, and then everything that it left behind is searched.
"""

from __future__ import annotations

import base64
import json
import uuid
from typing import Any

import pytest

from tests.canary.script import ENDINGS, scripted
from tests.canary.search import KEPT, MARK, Search, cached, client, finish, keyed, post, row_of, search
from tests.faults.plugin import Figure
from tests.gateway import Process
from tests.upstreams.fleet import MODELS, Fleet

pytestmark = pytest.mark.fault("S1")

FLAGS = ("log_omit", "log_omit_inputs", "log_omit_outputs")
VENDORS = tuple(MODELS)


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


CASES = [
    *((vendor, "log_omit", scenario) for vendor in VENDORS for scenario in ("answer", "refusal", "cut")),
    *(("openai", flag, scenario) for flag in FLAGS[1:] for scenario in ("answer", "refusal", "cut")),
    *(("openai", flag, scenario) for flag in FLAGS for scenario in ("tool", "garbage", "error", "left")),
]


@pytest.mark.fault("D11")
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


@pytest.mark.fault("D11")
def test_the_search_finds_what_may_be_kept(logging: Process, vendors: Fleet) -> None:
    """Without a flag every place of the prompt is in the log, and the answer in the log and in the cache."""
    body, prompt, answer = asked("openai", None)
    vendors["openai"].script = scripted(vendors["openai"], "answer", prompt, answer)
    assert post(logging, "kept", body) is not None
    database = b"".join(data for channel, data in search.channels(logging) if channel.startswith("traces.db"))
    for ending in (" first", " then", ' \\"\u00e9\\" in ', " described", "-property", " Rome", " key"):
        assert (prompt + ending).encode() in database, ending
    assert prompt.replace("-", "_").encode() in database
    assert answer.encode() in database
    assert cached(logging, answer)
    vendors["openai"].script = scripted(vendors["openai"], "refusal", prompt, answer)
    refused = post(logging, "kept refusal", body | {"cache": False}, stream=True)
    assert refused is not None
    assert (refused.status_code, prompt in refused.text) == (400, True)


@pytest.mark.parametrize("form", range(9))
def test_the_search_finds_every_form(gateways: dict[str, Process], form: int) -> None:
    text = f"ab{MARK}-told-0"
    coded = [text, text.encode().hex(), text.encode().hex().upper()]
    coded += [base64.b64encode(text[cut:].encode()).decode() for cut in range(3)]
    coded += ["".join(f"%{ord(one):02X}" for one in text), "".join(f"\\u{ord(one):04x}" for one in text)]
    coded += ["\0".join(text)]
    other = Search(told=[("it", f"surrounded by {coded[form]}".encode())])
    assert len(other.leaks(gateways["logging"])) == 1


@pytest.mark.fault("D11")
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


@pytest.mark.fault("D11")
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


@pytest.mark.fault("D11")
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


def datapoint(prompt: str, answer: str) -> dict[str, Any]:
    """A datapoint of Humanloop's with content wherever a client puts it."""
    return {
        "inputs": {"city": prompt, prompt: "x"},
        "messages": [{"role": "user", "content": prompt}],
        "output": answer,
        "output_message": {"role": "assistant", "content": answer},
        "judgment": answer,
        "error": f"ValueError: {prompt}",
        "stdout": answer,
        "source": prompt,
        "config": {
            "model": "m",
            "prompt_template": prompt,
            "tools": [{"name": prompt, "description": prompt}],
            "response_format": {"x": prompt},
            "other": {prompt: prompt},
        },
        "provider_request": {"messages": [prompt]},
        "provider_response": {"choices": [answer]},
        "a_field_that_nobody_knows": prompt,
    }


@pytest.mark.fault("D11")
@pytest.mark.parametrize("by", ["save", "config"])
def test_a_datapoint_that_is_not_saved_is_written_nowhere(
    gateways: dict[str, Process], vendors: Fleet, by: str
) -> None:
    """Neither what is logged, nor what is said of it afterwards."""
    gateway = gateways["logging" if by == "save" else "omitting"]
    gateway.wait_for("/ready")
    prompt, answer = search.marked("log-in"), search.marked("log-out")
    body = {"project": "canaries", "reference_id": f"r-{by}", **datapoint(prompt, answer)}
    body |= {"save": False} if by == "save" else {}
    url = f"{gateway.url}/v4"
    made = client.post(f"{url}/logs", json=body, headers=keyed())
    assert made.status_code == 200, made.text
    datapoint_id = made.json()["id"]
    later = {"inputs": {"city": prompt}, "output": answer, "error": prompt}
    said = [{"type": "correction", "value": answer, "data_id": datapoint_id}]
    said += [{"type": "comment", "value": prompt, "data_id": datapoint_id}]
    for method, path, sent in (
        ("PATCH", f"/logs/{datapoint_id}", later),
        ("PATCH", f"/logs?reference_id=r-{by}", later),
        ("POST", "/feedback", said),
    ):
        response = client.request(method, url + path, json=sent, headers=keyed())
        assert response.status_code in (200, 201), response.text
        search.note(f"{by} {method} {path}", response)
    shown = client.get(f"{url}/logs/{datapoint_id}", headers=keyed())
    assert shown.status_code == 200
    assert MARK not in shown.text
    assert row_of(gateway, datapoint_id)["trace_id"] == datapoint_id
    assert search.leaks(gateway) == []


def test_the_search_finds_a_datapoint_that_is_saved(logging: Process) -> None:
    logging.wait_for("/ready")
    prompt, answer = search.marked("log-in", KEPT), search.marked("log-out", KEPT)
    made = client.post(
        f"{logging.url}/v4/logs", json={"project": "canaries", **datapoint(prompt, answer)}, headers=keyed()
    )
    row = json.dumps(row_of(logging, made.json()["id"]))
    assert row.count(prompt) > 5
    assert row.count(answer) > 2


@pytest.mark.fault("D11")
def test_all_of_it(gateways: dict[str, Process], capsys: pytest.CaptureFixture[str], figure: Figure) -> None:
    finish(gateways, capsys, "omission", figure)
