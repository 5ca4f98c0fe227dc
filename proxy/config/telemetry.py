"""Where spans are sent: the `otel` block, and what it leaves to OpenTelemetry's own variables of the environment.

The block turns it on; the variables alone do not. What must stay true: no value of a header is in any message.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import SecretStr

from proxy.config.document import Document
from proxy.config.settings import File

PATH = "/v1/traces"
DEFAULT = "http://127.0.0.1:4318"
"""Where OpenTelemetry looks for a collector."""

NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


@dataclass(slots=True, frozen=True, kw_only=True)
class Otel:
    """`endpoint` is the whole address; with `content` what was said goes there, too, as far as it is logged."""

    endpoint: str
    headers: Mapping[str, SecretStr] = field(default_factory=dict, repr=False)
    service_name: str = "parea-proxy"
    content: bool = False


def otel(document: Document, file: File) -> Otel | None:
    """The block, completed; None without one. Notes in the document what cannot be."""
    block = file.otel
    if block is None:
        return None
    if not all(map(_installed, NEEDED)):
        document.problem(("otel",), "needs OpenTelemetry, which is not installed: pip install 'parea-proxy[otel]'")
    environ = document.environ
    base = block.endpoint or environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or DEFAULT
    whole = base if base.endswith(PATH) else base.rstrip("/") + PATH
    if block.endpoint is None:
        whole = environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or whole
    return Otel(
        endpoint=whole,
        headers={name: value for name, value in block.headers.items() if value is not None},
        service_name=block.service_name or environ.get("OTEL_SERVICE_NAME") or "parea-proxy",
        content=block.content,
    )


def _installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
