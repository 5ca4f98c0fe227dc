"""Two calls have one fingerprint if and only if their canonical requests are equal."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from proxy.middleware.fingerprint import fingerprint
from proxy.models import Call, Kind, LogPolicy, TraceContext
from proxy.target import Target
from tests.middleware.calls import TARGET, make_call

pytestmark = pytest.mark.fault("P6")

SECRET = b"secret"


def digest(call: Call, secret: bytes = SECRET) -> bytes:
    found = fingerprint(call, secret)
    assert found is not None
    assert len(found) == 32
    return found


def changed(**fields: Any) -> Call:
    """A call whose request differs from `make_call()` in `fields`."""
    call = make_call()
    return replace(call, request=replace(call.request, **fields))


def aimed(**fields: Any) -> Call:
    """A call whose target differs from `make_call()`'s in `fields`."""
    return make_call(targets=(replace(TARGET, **fields),))


scalar = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0.0, -0.0, 1.0, 2.0, 0.5, "", "1", "1.0", "true", "é", "e\u0301", "a\x00"])
)
value = st.recursive(
    scalar,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)
params = st.dictionaries(st.sampled_from(["temperature", "n", "stop", "tools"]), value, max_size=2)
messages = st.lists(st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": value}), max_size=2)
target = st.builds(
    Target,
    provider=st.sampled_from(["openai", "azure"]),
    model=st.sampled_from(["a", "b"]),
    api_key=st.sampled_from([None, SecretStr("1"), SecretStr("2")]),
    api_base=st.sampled_from([None, "http://a"]),
    settings=st.dictionaries(st.sampled_from(["api_version", "aws_secret_access_key"]), st.sampled_from("ab")),
    params=params,
)
call = st.builds(
    lambda target, params, history, messages, keys: replace(
        changed(params=params, history=history, messages=messages), targets=(target,), api_keys=keys
    ),
    target,
    params,
    messages,
    messages,
    st.dictionaries(st.sampled_from(["openai", ""]), st.sampled_from([SecretStr("1"), SecretStr("2")]), max_size=2),
)


def written(value: Any) -> str:
    """JSON by another writer, objects sorted."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True)


def canonical(call: Call) -> str:
    """What the fingerprint stands for, said another way than the code says it."""
    (target,) = call.targets
    params = dict(target.params)
    params.update(call.request.params)
    for name, found in params.items():
        if isinstance(found, float) and found == int(found) and abs(found) < 2**53:
            params[name] = int(found)
    return written(
        {
            "to": [target.provider, target.model, target.api_base, target.settings.get("api_version")],
            "messages": call.request.history + (call.request.messages or []),
            "params": params,
            "keys": {name: key.get_secret_value() for name, key in call.api_keys.items()},
        }
    )


@settings(deadline=None)
@given(call, call)
@example(changed(params={"n": 1}), changed(params={"n": 1.0}))
@example(changed(params={"n": 1}), changed(params={"n": True}))
@example(changed(params={"n": 0}), changed(params={"n": False}))
@example(changed(params={"n": 0}), changed(params={"n": None}))
@example(changed(params={"n": 0.0}), changed(params={"n": -0.0}))
@example(changed(params={}), changed(params={"n": None}))
@example(changed(params={"stop": "1"}), changed(params={"stop": ["1"]}))
def test_equal_if_and_only_if_the_canonical_request_is(one: Call, other: Call) -> None:
    assert (digest(one) == digest(other)) == (canonical(one) == canonical(other))


@settings(deadline=None)
@given(call)
def test_the_order_of_keys_does_not_matter(call: Call) -> None:
    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: turned(value[name]) for name in reversed(value)}
        return [turned(item) for item in value] if isinstance(value, list) else value

    request = call.request
    other = replace(
        call,
        request=replace(request, params=turned(request.params), messages=turned(request.messages)),
        api_keys=turned(dict(call.api_keys)),
    )
    assert digest(other) == digest(call)


@pytest.mark.parametrize(
    "same",
    [
        lambda: changed(stream=True),
        lambda: changed(dialect="openai"),
        lambda: changed(inputs={"name": "value"}),
        lambda: changed(policy=LogPolicy(inputs=False, outputs=False, rate=0.5)),
        lambda: changed(retry=True),
        lambda: changed(deployment_id="p-1"),
        lambda: changed(model="alias", provider="openai"),
        lambda: changed(trace=TraceContext("x", "y", "z", session_id="s", tags=["t"], metadata={"a": 1}, end_user="u")),
        lambda: changed(history=[{"role": "user", "content": "hello"}], messages=[]),
        lambda: aimed(timeout=3.0),
        lambda: aimed(api_key=SecretStr("sk-rotated")),
        lambda: aimed(settings={"aws_secret_access_key": "x", "azure_ad_token": "y", "vertex_credentials": "{}"}),
        lambda: aimed(settings={"organization_key": SecretStr("x"), "organization": SecretStr("y")}),
        lambda: aimed(input_cost_per_token=1.0),
        lambda: aimed(transport="litellm"),
    ],
)
def test_what_is_not_sent_does_not_count(same: Callable[[], Call]) -> None:
    assert digest(same()) == digest(make_call())


@pytest.mark.parametrize(
    "other",
    [
        lambda: make_call("hello "),
        lambda: changed(params={"n": 2}),
        lambda: changed(params={"temperature": 0.5}),
        lambda: changed(history=[{"role": "user", "content": "before"}]),
        lambda: changed(messages=[{"role": "system", "content": "hello"}]),
        lambda: aimed(provider="azure"),
        lambda: aimed(model="gpt-4o"),
        lambda: aimed(api_base="http://127.0.0.1:8000/v1"),
        lambda: aimed(settings={"api_version": "2025-02-01"}),
        lambda: aimed(settings={"vertex_project": "mine"}),
        lambda: aimed(settings={"aws_region_name": "us-east-1"}),
        lambda: aimed(params={"seed": 1}),
        lambda: make_call(targets=(TARGET, replace(TARGET, model="fallback"))),
        lambda: make_call(api_keys={"openai": SecretStr("sk-theirs")}),
        lambda: make_call(api_keys={"": SecretStr("sk-theirs")}),
    ],
)
def test_what_is_sent_counts(other: Callable[[], Call]) -> None:
    assert digest(other()) != digest(make_call())


def test_a_parameter_of_the_request_hides_the_targets_default() -> None:
    with_default = replace(changed(params={"seed": 2}), targets=(replace(TARGET, params={"seed": 1}),))
    assert digest(with_default) == digest(changed(params={"seed": 2}))


def test_a_key_is_told_apart_by_the_secret_only() -> None:
    one, other = (make_call(api_keys={"openai": SecretStr(key)}) for key in ("sk-one", "sk-two"))
    assert digest(one) != digest(other)
    assert digest(one, b"another secret") != digest(one)
    assert digest(make_call(), b"another secret") == digest(make_call())


@pytest.mark.parametrize("params", [{"seed": 2**70}, {"user": "half \ud83d"}, {"user": object()}, {1: "a"}])
def test_what_cannot_be_written_has_no_fingerprint(params: Any) -> None:
    assert fingerprint(changed(params=params), SECRET) is None


def test_a_deeply_nested_request_has_no_fingerprint() -> None:
    nested: Any = 1
    for _ in range(5000):
        nested = [nested]
    assert fingerprint(changed(params={"tools": nested}), SECRET) is None


def prompts(*texts: str, kind: Kind = "text", **more: Any) -> Call:
    return changed(kind=kind, messages=[{"role": "user", "content": text} for text in texts], **more)


def test_several_texts_to_complete_are_no_conversation() -> None:
    assert digest(prompts("a", "b")) != digest(prompts("a", "b", kind="chat"))
    assert digest(prompts("a", "b")) == digest(prompts("a", "b"))
    assert digest(prompts("a", "b")) != digest(prompts("b", "a"))
    history = [{"role": "user", "content": "a"}]
    assert digest(prompts("b", "c", history=history)) != digest(prompts("a", "b", "c"))


def test_one_text_to_complete_is_what_a_chat_model_gets() -> None:
    assert digest(prompts("a")) == digest(prompts("a", kind="chat"))
