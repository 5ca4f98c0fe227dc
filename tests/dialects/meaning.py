"""What a decoded request means, as JSON for golden files: everything that is not at its default."""

from __future__ import annotations

import json
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from proxy.models import CompletionRequest
from proxy.protocols import Dialect


def meaning(request: CompletionRequest) -> dict[str, Any]:
    """The request as plain JSON."""
    said: dict[str, Any] = json.loads(json.dumps(_said(request)))
    return said


def meant(dialect: Dialect, golden: dict[str, Any]) -> dict[str, Any]:
    """All that the request of a golden file means, without the ids that are new in each."""
    headers = {name.encode(): value.encode() for name, value in golden["headers"].items()}
    call = dialect.decode(json.dumps(golden["request"]).encode(), headers)
    found = meaning(call.request)
    if "x-trace-id" not in golden["headers"]:
        assert found["trace"]["trace_id"] == found["trace"]["root_trace_id"]
        found["trace"]["trace_id"] = found["trace"]["root_trace_id"] = "<new>"
    return {"call": found, "dropped": call.dropped}


def _said(thing: Any) -> dict[str, Any]:
    found = {}
    for field in fields(thing):
        value = getattr(thing, field.name)
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        if value != default:
            found[field.name] = _said(value) if is_dataclass(value) else value
    return found
