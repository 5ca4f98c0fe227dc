"""Applications that OpenTelemetry and OpenInference instrument, unmodified: their spans and calls are one tree."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from proxy.cli import main
from tests.clients import environment
from tests.gateway import Local, rows

CALLS = {"openinference": "ChatCompletion", "opentelemetry": "chat echo"}
"""What each calls a call of the client."""


@pytest.mark.parametrize("form", ["protobuf", "json"])
@pytest.mark.parametrize("instrumented", CALLS)
def test_spans_and_calls_are_one_tree(instrumented: str, form: str, tmp_path: Path) -> None:
    with Local(tmp_path, {"model_list": [{"model_name": "echo", "litellm_params": {"model": "echo/echo"}}]}) as gateway:
        seen = environment.seen(
            "telemetry", "telemetry_script.py", instrumented, form, home=tmp_path,
            OPENAI_BASE_URL=f"{gateway.url}/v1", OPENAI_API_KEY="anything",
            OTEL_EXPORTER_OTLP_ENDPOINT=gateway.url, OTEL_EXPORTER_OTLP_COMPRESSION="gzip",
        )  # fmt: skip
        found = rows(gateway.data)
    assert seen["said"] == ["You said: Hello", "You said: Bye"]
    by_id = {row["trace_id"]: row for row in found}
    agent = by_id[seen["agent"]]
    assert {row["root_trace_id"] for row in found} == {agent["root_trace_id"]}
    assert (agent["name"], agent["parent_trace_id"], agent["session_id"]) == ("agent", None, "s-1")
    assert agent["extra"]["otel"]["attributes"]["turns"] == 2
    called = [row for row in found if row["name"] == "llm-echo"]
    assert [above(row, by_id) for row in called] == [["POST", CALLS[instrumented], "agent"]] * 2
    (tool,) = [row for row in found if row["name"] == "tool"]
    assert (tool["status"], tool["error"]) == ("error", "LookupError: there is no such city")
    (event,) = tool["extra"]["otel"]["events"]
    assert event["attributes"]["exception.type"] == "LookupError"
    assert len(found) == 8
    shown = tree(gateway.data, agent["trace_id"])
    assert [one["name"] for one in shown][0] == "agent"
    assert {one["trace_id"] for one in shown} == by_id.keys()


def above(row: dict[str, Any], by_id: dict[str, dict[str, Any]]) -> list[str]:
    """The names of what a row hangs below."""
    parent = by_id.get(row["parent_trace_id"])
    return [parent["name"], *above(parent, by_id)] if parent else []


def tree(data: Path, name: str) -> list[dict[str, Any]]:
    shown = CliRunner().invoke(main, ["log", "show", name, "--json", "--data", str(data)], prog_name="parea-proxy")
    assert shown.exit_code == 0, shown.output
    found: list[dict[str, Any]] = json.loads(shown.stdout)
    return found
