from __future__ import annotations

from json import dumps
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.dialects.controls import NAMES, Controls
from proxy.errors import BadRequest, RequestError
from proxy.models import LogPolicy

json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def controls(headers: dict[str, str] | None = None, **body: Any) -> Controls:
    sent = {name.encode(): value.encode() for name, value in (headers or {}).items()}
    return Controls.of(sent, body)


def test_without_any_a_call_is_a_root_that_is_logged_and_not_cached() -> None:
    found = controls()
    assert found.trace.root_trace_id == found.trace.trace_id
    assert found.trace.parent_trace_id is None
    assert found.policy == LogPolicy()
    assert found.cache is False


def test_headers_place_the_call_in_a_tree() -> None:
    headers = {"x-trace-id": "t", "x-parent-trace-id": "p", "x-root-trace-id": "r", "x-session-id": "s"}
    trace = controls(headers).trace
    assert (trace.trace_id, trace.parent_trace_id, trace.root_trace_id, trace.session_id) == ("t", "p", "r", "s")


def test_a_parent_without_a_root_is_the_root_until_the_log_knows_better() -> None:
    trace = controls({"x-parent-trace-id": "p"}).trace
    assert (trace.root_trace_id, trace.rooted) == ("p", False)


@pytest.mark.parametrize(
    "headers", [{}, {"x-parent-trace-id": "p", "x-root-trace-id": "r"}, {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01"}]
)
def test_otherwise_the_root_is_known(headers: dict[str, str]) -> None:
    assert controls(headers).trace.rooted


@pytest.mark.parametrize(("headers", "claimed"), [({}, False), ({"x-trace-id": "t"}, True)])
def test_an_id_of_the_clients_is_a_claim(headers: dict[str, str], claimed: bool) -> None:
    assert controls(headers).trace.claimed is claimed


def test_a_call_that_is_its_own_parent_is_a_root() -> None:
    trace = controls(trace_id="t", parent_trace_id="t").trace
    assert (trace.parent_trace_id, trace.root_trace_id) == (None, "t")


def test_a_header_wins_over_the_body_and_the_body_over_its_metadata() -> None:
    body = {"session_id": "body", "trace_name": "body", "metadata": {"session_id": "m", "trace_name": "m", "tags": "m"}}
    trace = controls({"x-session-id": "header"}, **body).trace
    assert (trace.session_id, trace.name, trace.tags) == ("header", "body", ["m"])


TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def test_traceparent_gives_parent_and_root() -> None:
    trace = controls({"traceparent": TRACEPARENT}).trace
    assert trace.parent_trace_id == "00f067aa0ba902b7"
    assert trace.root_trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"


def test_ids_that_are_said_win_over_traceparent() -> None:
    assert controls({"traceparent": TRACEPARENT}, parent_trace_id="p").trace.root_trace_id == "p"


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{'a' * 32}-{'0' * 16}-01",
        TRACEPARENT.upper(),
        f"ff{TRACEPARENT[2:]}",
    ],
)
def test_a_traceparent_that_is_none_is_ignored_as_its_standard_says(value: str) -> None:
    assert controls({"traceparent": value}).trace.parent_trace_id is None


@pytest.mark.parametrize(
    ("value", "policy"),
    [
        ("all", LogPolicy(False, False)),
        ("true", LogPolicy(False, False)),
        (True, LogPolicy(False, False)),
        ("inputs", LogPolicy(False, True)),
        ("Outputs", LogPolicy(True, False)),
        ("none", LogPolicy()),
        ("inputs, outputs", LogPolicy(False, False)),
        (False, LogPolicy()),
    ],
)
def test_omission(value: Any, policy: LogPolicy) -> None:
    assert controls(log_omit=value).policy == policy


def test_omission_field_by_field() -> None:
    assert controls(log_omit_inputs=True).policy == LogPolicy(inputs=False)
    assert controls(metadata={"log_omit_outputs": "true"}).policy == LogPolicy(outputs=False)


@pytest.mark.parametrize(("value", "rate"), [(0, 0.0), ("0.25", 0.25), (1, 1.0)])
def test_the_sample_rate(value: Any, rate: float) -> None:
    assert controls(log_sample_rate=value).policy.rate == rate


@pytest.mark.parametrize(("value", "cache"), [("true", True), ("1", True), ("FALSE", False), (True, True)])
def test_the_cache(value: Any, cache: bool) -> None:
    assert controls(cache=value).cache is cache
    assert controls({"x-continue": str(value)}).resume is controls(**{"continue": value}).resume is cache


@pytest.mark.parametrize(("value", "tags"), [("a, b,,c", ["a", "b", "c"]), (["a", "b"], ["a", "b"])])
def test_tags(value: Any, tags: list[str]) -> None:
    assert controls(tags=value).trace.tags == tags


def test_what_is_no_control_stays_in_the_metadata() -> None:
    found = controls({"x-metadata": '{"b": 2}'}, metadata={"a": "1", "trace_id": "t", "cache": "true"})
    assert found.trace.metadata == {"a": "1", "b": 2}


def test_controls_are_taken_out_of_the_body() -> None:
    body = {**dict.fromkeys(NAMES), "model": "m", "inputs": {"x": 1}}
    assert Controls.of({}, body).inputs == {"x": 1}
    assert body == {"model": "m"}


def test_what_the_api_says_itself_stands_where_no_control_does() -> None:
    assert Controls.of({}, {}, end_user="u", name="n").trace.end_user == "u"
    assert Controls.of({b"x-end-user": b"v"}, {}, end_user="u").trace.end_user == "v"


@pytest.mark.parametrize(
    ("headers", "body", "param"),
    [
        ({"x-log-omit": "everything"}, {}, "x-log-omit"),
        ({"x-log-sample-rate": "2"}, {}, "x-log-sample-rate"),
        ({"x-log-sample-rate": "nan"}, {}, "x-log-sample-rate"),
        ({"x-cache": "maybe"}, {}, "x-cache"),
        ({"x-metadata": "[1]"}, {}, "x-metadata"),
        ({"x-trace-id": "x" * 201}, {}, "x-trace-id"),
        ({"x-trace-name": "x" * 513}, {}, "x-trace-name"),
        ({"x-log-omit": "inputs, all but one"}, {}, "x-log-omit"),
        ({}, {"trace_id": "a\r\nb"}, "trace_id"),
        ({}, {"session_id": "caf\u00e9"}, "session_id"),
        ({}, {"trace_id": 5}, "trace_id"),
        ({}, {"metadata": {"tags": {}}}, "metadata.tags"),
        ({}, {"log_omit": []}, "log_omit"),
        ({}, {"inputs": []}, "inputs"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_name(headers: dict[str, str], body: dict[str, Any], param: str) -> None:
    with pytest.raises(BadRequest, match=f"^{param}: ") as refused:
        controls(headers, **body)
    assert refused.value.param == param


@given(
    st.dictionaries(st.sampled_from([*NAMES, "inputs", "metadata"]), json),
    st.dictionaries(st.sampled_from([*NAMES]), json),
)
def test_whatever_comes_is_read_or_refused(body: dict[str, Any], metadata: dict[str, Any]) -> None:
    headers = {header: dumps(metadata[name]).encode() for name, header in NAMES.items() if header and name in metadata}
    try:
        found = Controls.of(headers, {"metadata": metadata, **body})
    except RequestError:
        return
    assert found.trace.trace_id
    assert found.trace.parent_trace_id != found.trace.trace_id
    assert 0 <= found.policy.rate <= 1
