"""Spans in MLflow: it is sent what a gateway sends, and asked by its own API what it has stored."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.collector import said
from tests.collectors import scene as scenes
from tests.collectors.environment import free, program, served, until
from tests.collectors.scene import Scene, Stored
from tests.upstreams.fleet import Fleet

pytestmark = pytest.mark.timeout(600)

EXPERIMENT = "0"


@pytest.fixture(scope="module")
def mlflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder, port = tmp_path_factory.mktemp("mlflow"), free()
    argv: list[str | Path] = [program("mlflow", "bin/mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)]
    stores = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--default-artifact-root", str(folder)]
    alone = {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with served([*argv, *stores, "--workers", "1"], folder, port, "/health", **alone) as url:
        yield url


@pytest.fixture(scope="module")
def scene(mlflow: str, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    with Fleet() as fleet:
        headers = {"x-mlflow-experiment-id": EXPERIMENT}
        scene = scenes.play(tmp_path_factory.mktemp("gateway"), fleet, mlflow, headers)
    until(lambda: len(stored(mlflow)) == len(scene.rows) + scenes.OWN)
    return scene


@pytest.fixture(scope="module")
def spans(mlflow: str, scene: Scene) -> dict[str, Stored]:
    return scenes.spans_of(scene, stored(mlflow))


def traces(mlflow: str) -> dict[str, dict[str, Any]]:
    """What it knows of traces, by their ids."""
    where = [{"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": EXPERIMENT}}]
    answer = httpx.post(f"{mlflow}/api/3.0/mlflow/traces/search", json={"locations": where, "max_results": 100})
    assert answer.status_code == 200, answer.text
    return {one["trace_id"].removeprefix("tr-"): one for one in answer.json().get("traces", [])}


def stored(mlflow: str) -> list[Stored]:
    def one(told: dict[str, Any]) -> Stored:
        span = ParseDict(told, Span(), ignore_unknown_fields=True)
        begun = datetime.fromtimestamp(span.start_time_unix_nano / 1e9, UTC).isoformat()
        took = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
        return Stored(
            span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex() or None,
            span.status.code == 2, span.status.message, begun, took, said(span.attributes),
        )  # fmt: skip

    ids = [f"tr-{name}" for name in traces(mlflow)]
    if not ids:
        return []
    answer = httpx.get(f"{mlflow}/api/3.0/mlflow/traces/batchGet", params={"trace_ids": ids})
    assert answer.status_code == 200, answer.text
    return [one(span) for trace in answer.json()["traces"] for span in trace["spans"]]


def test_it_has_every_call_as_the_log_has_it(scene: Scene, spans: dict[str, Stored]) -> None:
    for what, row in scene.rows.items():
        scenes.agrees(what, spans[what], row, scene)


def test_messages_are_there_where_they_may_be(spans: dict[str, Stored]) -> None:
    scenes.conversation(spans)


def test_what_is_redacted_does_not_get_there(spans: dict[str, Stored]) -> None:
    scenes.redaction(spans)


def test_a_call_hangs_in_the_application_s_tree(mlflow: str, scene: Scene) -> None:
    scenes.tree(scene, stored(mlflow))


def test_it_understands_them(mlflow: str, scene: Scene) -> None:
    """It adds up what a trace has cost in tokens, and knows a session and a failure."""
    told = traces(mlflow)
    whole, failed = (told[scene.rows[what]["trace_id"].replace("-", "")] for what in ("whole", "failed"))
    assert (whole["state"], failed["state"]) == ("OK", "ERROR")
    used = json.loads(whole["trace_metadata"]["mlflow.trace.tokenUsage"])
    assert (used["input_tokens"], used["output_tokens"]) == (6, 5)
    assert whole["trace_metadata"]["mlflow.trace.session"] == "s-1"
    assert json.loads(whole["response_preview"])[0]["parts"][0]["content"] == "Hello from openai"


def test_nothing_that_was_omitted_is_there(mlflow: str, scene: Scene) -> None:
    assert scenes.CANARY not in repr(stored(mlflow)) + repr(traces(mlflow))
