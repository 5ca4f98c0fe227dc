from __future__ import annotations

from typing import Any

import pytest

from proxy.middleware.omit import omit, omit_fields, restrict
from proxy.models import Call, CompletionRequest, LogPolicy, TraceContext
from proxy.record import Record

CONFIGURATION: dict[str, Any] = {
    "model": "m",
    "provider": "openai",
    "messages": [{"role": "user", "content": "secret in"}],
    "functions": [{"name": "secret in"}],
    "function_call": "auto",
    "model_params": {"temp": 0.5},
}


def record(policy: LogPolicy, **changes: Any) -> Record:
    given = {"inputs": {"a": "secret in"}, "configuration": CONFIGURATION, "output": "secret out", **changes}
    return Record("t", "r", policy=policy, target="wanted", metadata={"k": "v"}, **given)


def test_nothing_is_taken_from_a_record_that_may_be_kept() -> None:
    whole = record(LogPolicy())
    assert omit(whole) is whole


def test_inputs_take_messages_functions_and_parameters_with_them() -> None:
    kept = omit(record(LogPolicy(inputs=False)))
    assert kept.inputs is None
    assert kept.configuration == {"model": "m", "provider": "openai"}
    assert kept.output == "secret out"
    assert kept.notes["omitted"] == ["inputs"]


def test_outputs_take_the_answer() -> None:
    kept = omit(record(LogPolicy(outputs=False)))
    assert kept.output is None
    assert kept.inputs == {"a": "secret in"}
    assert kept.configuration == CONFIGURATION


@pytest.mark.parametrize("policy", [LogPolicy(inputs=False), LogPolicy(outputs=False), LogPolicy(False, False)])
def test_an_error_keeps_only_its_word(policy: LogPolicy) -> None:
    kept = omit(record(policy, error="the model said: secret", notes={"failure": "rate_limited"}))
    assert kept.error is not None
    assert kept.error.startswith("rate_limited")
    assert "secret" not in kept.error


def test_labels_stay() -> None:
    kept = omit(record(LogPolicy(False, False)))
    assert (kept.target, kept.metadata) == ("wanted", {"k": "v"})


def test_what_a_client_logs_besides_is_kept_only_if_it_quotes_nothing() -> None:
    kept = omit(record(LogPolicy(outputs=False), extra={"output_for_eval_metrics": "secret out", "depth": 1}))
    assert kept.extra == {"depth": 1}


def test_an_edit_brings_nothing_back() -> None:
    fields = {"inputs": {}, "configuration": {}, "output": "x", "error": "x", "extra": {}, "tags": ["t"]}
    assert omit_fields(fields, LogPolicy()) == fields
    assert set(omit_fields(fields, LogPolicy(inputs=False))) == {"output", "tags"}
    assert set(omit_fields(fields, LogPolicy(outputs=False))) == {"inputs", "configuration", "tags"}


def test_the_configured_policy_holds_every_call() -> None:
    call = Call(CompletionRequest("parea", TraceContext("t", "t"), policy=LogPolicy(inputs=False)))
    restrict(LogPolicy(outputs=False))(call)
    assert call.request.policy == LogPolicy(inputs=False, outputs=False)
