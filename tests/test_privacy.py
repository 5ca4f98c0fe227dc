"""Redaction from outside: whole gateways, which send and answer the same bytes with rules as without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from click.testing import CliRunner

from proxy.cli import main
from proxy.config import load
from proxy.errors import ConfigError
from tests.collector import Collector
from tests.gateway import Local, rows
from tests.upstreams.fleet import Fleet
from tests.upstreams.scenario import Reply, Scenario, ToolUse

MAIL, TICKET, CARD = "ada@example.org", "T-4711", "4111 1111 1111 1111"
START = "2026-11-20T12:00:00.000000+00:00"
SECRETS = (MAIL, TICKET, CARD)
REDACT = ["emails", "cards", {"name": "ticket", "pattern": r"T-\d+"}]


def config(fleet: Fleet, redact: list[Any], **rest: Any) -> dict[str, Any]:
    models = [{"model_name": "gpt-4o-mini", "litellm_params": {"model": "openai/gpt-4o-mini"}}]
    providers = {"openai": fleet.providers["openai"]}
    return {"model_list": models, "providers": providers, "log": {"redact": redact}, **rest}


def asked(**more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": f"I am {MAIL}, about {TICKET}"}]
    tool = {"type": "function", "function": {"name": "pay", "description": f"with {CARD}", "parameters": {}}}
    return {"model": "gpt-4o-mini", "messages": messages, "tools": [tool], "user": MAIL, **more}


def bytes_of(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.glob("traces.db*")))


def exchanged(fleet: Fleet, folder: Path, redact: list[Any]) -> tuple[list[bytes], list[str], bytes]:
    """What a vendor was sent, what came back of it without its ids, and what was logged."""
    fleet.reset()
    reply = Reply((f"Hello {MAIL}, ", f"{TICKET[:3]}", f"{TICKET[3:]}"), (ToolUse("call_1", "pay", {"card": CARD}),))
    fleet["openai"].script = [
        Scenario(reply),
        Scenario(reply),
        Scenario(status=400, raw=json.dumps({"error": {"message": f"no {MAIL}"}}).encode()),
    ]
    folder.mkdir()
    answers = []
    with Local(folder, config(fleet, redact)) as gateway:
        url = f"{gateway.url}/v1/chat/completions"
        headers = {"x-tags": TICKET, "x-cache": "true"}
        for body in (asked(), asked(), asked(stream=True, seed=1), asked(temperature=0.5)):
            answer = httpx.post(url, json=body, headers=headers, timeout=20)
            answers.append(answer.text)
    return [one.body for one in fleet["openai"].requests], answers, bytes_of(gateway.data)


def test_what_is_sent_and_answered_is_the_same_with_rules_as_without(fleet: Fleet, tmp_path: Path) -> None:
    plain = exchanged(fleet, tmp_path / "plain", [])
    redacted = exchanged(fleet, tmp_path / "redacted", REDACT)
    assert redacted[0] == plain[0]
    assert len(plain[0]) == 3, "the second is a hit"
    for with_rules, without in zip(redacted[1], plain[1], strict=True):
        assert MAIL in without
        assert _timeless(with_rules) == _timeless(without)
    for secret in SECRETS:
        assert secret.encode() in plain[2], secret
        assert secret.encode() not in redacted[2], secret


def _timeless(answer: str) -> str:
    """An answer without what is another each time."""
    said = []
    for line in answer.splitlines():
        if line.removeprefix("data: ").startswith("{"):
            value = json.loads(line.removeprefix("data: "))
            for name in ("id", "created", "system_fingerprint"):
                value.pop(name, None)
            line = json.dumps(value)
        said.append(line)
    return "\n".join(said)


def test_whatever_a_client_logs_is_redacted(fleet: Fleet, tmp_path: Path) -> None:
    """Functions, edits, feedback, spans, and Humanloop's logs."""
    with Collector() as collector:
        settings = config(fleet, REDACT, otel={"endpoint": collector.url, "content": True})
        with Local(tmp_path, settings) as gateway:
            log = {"trace_id": "t-1", "trace_name": f"f {TICKET}", "inputs": {MAIL: TICKET}, "output": f"[{CARD}]"}
            more = {"metadata": {"a": [MAIL]}, "tags": [TICKET], "target": MAIL, "end_user_identifier": MAIL}
            edit = {"output": f"then {MAIL}", "metadata": {"b": CARD}, "latency": 1.5}
            sent = [
                ("POST", f"{gateway.parea}/trace_log", {**log, **more, "status": "error", "error": f"no {MAIL}"}),
                ("PUT", f"{gateway.parea}/trace_log", {"trace_id": "t-1", "field_name_to_value_map": edit}),
                ("POST", f"{gateway.parea}/feedback", {"trace_id": "t-1", "score": 1, "comment": f"by {MAIL}"}),
                ("POST", f"{gateway.url}/v4/logs", {"project": "p", "inputs": {"a": MAIL}, "output": TICKET}),
                ("POST", f"{gateway.url}/v1/traces", _span()),
                ("POST", f"{gateway.url}/v1/chat/completions", asked()),
            ]
            for method, url, body in sent:
                answer = httpx.request(method, url, json=body, headers={"x-session-id": "s-1"}, timeout=20)
                assert answer.status_code in (200, 201), answer.text
        assert sorted(one.name for one in collector.spans) == ["chat gpt-4o-mini", "f [ticket]", "log"]
        told = repr(collector.spans).encode() + bytes_of(gateway.data)
    for secret in SECRETS:
        assert secret.encode() not in told
    (row,) = rows(gateway.data, "trace_id = 't-1'")
    assert (row["name"], row["output"], row["end_user"]) == ("f [ticket]", "then [email]", "[email]")
    assert row["inputs"] == {"[email]": "[ticket]"}


def _span() -> dict[str, Any]:
    attributes = [{"key": "what", "value": {"stringValue": f"{MAIL} {TICKET} {CARD}"}}]
    ids = {"traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7"}
    span = {**ids, "name": TICKET, "startTimeUnixNano": "1795291701011708123", "attributes": attributes}
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def test_a_pattern_that_cannot_be_is_an_error_of_the_config(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        "log:\n  redact:\n    - emails\n    - {name: mine, pattern: 'my-secret(?=word)'}\n    - mails\n"
        "    - {name: cards, pattern: x}\n"
    )
    with pytest.raises(ConfigError) as error:
        load(path, {})
    said = error.value.message
    assert "line 4: log.redact[1].pattern: is no pattern of RE2's: invalid perl operator at character 10" in said
    assert "line 5: log.redact[2]: should be 'emails'" in said
    assert "line 6: log.redact[3].name: is a built-in pattern's name" in said
    assert len(said.splitlines()) == 4, "one line for each problem, and the head"
    assert "my-secret" not in said


def test_what_is_imported_is_redacted_too(tmp_path: Path) -> None:
    path, file = tmp_path / "config.yaml", tmp_path / "rows.jsonl"
    path.write_text(yaml.safe_dump({"log": {"redact": REDACT}}))
    said = {"trace_id": "t-1", "trace_name": TICKET, "inputs": {"a": MAIL}, "output": CARD, "start_timestamp": START}
    file.write_text(json.dumps(said))
    given = ["log", "import", str(file), "--config", str(path), "--data", str(tmp_path / "data")]
    found = CliRunner().invoke(main, given)
    assert found.exit_code == 0, found.output
    (row,) = rows(tmp_path / "data")
    assert (row["name"], row["inputs"], row["output"]) == ("[ticket]", {"a": "[email]"}, "[card]")
    assert not any(secret.encode() in bytes_of(tmp_path / "data") for secret in SECRETS)


def test_check_names_the_rules_that_are_on(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"log": {"redact": REDACT}}))
    assert "redacted: emails, cards, ticket." in CliRunner().invoke(main, ["check", "--config", str(path)]).output
    told = CliRunner().invoke(main, ["check", "--config", str(path), "--json"])
    assert json.loads(told.output)["redact"] == ["emails", "cards", "ticket"]
