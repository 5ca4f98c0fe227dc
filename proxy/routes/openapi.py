"""What the OpenAPI document says besides what FastAPI knows: the routes it does not serve, and what all may refuse.

The completion schemas are the pydantic models that decode the bodies, so the document cannot differ from the routes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic.json_schema import models_json_schema

from proxy.dialects.parea.schema import CompletionResponse, CompletionsSchema
from proxy.protocols import Operation, Surface

WHOLE = """Get a completion using either a deployed prompt, or details including prompt and inputs in the request.

A failure of the provider is a 200 with `status: error`, the reason in `error` and empty `content`, so that clients
which repeat whatever fails do not pay again. A request that cannot be carried out is refused with a status."""

STREAM = """The same, in pieces.

A failure before the first piece is a status. After it the connection breaks off without the body's last chunk."""

VALIDATION: dict[str, Any] = {
    "HTTPValidationError": {
        "title": "HTTPValidationError",
        "type": "object",
        "properties": {
            "detail": {"title": "Detail", "type": "array", "items": {"$ref": "#/components/schemas/ValidationError"}}
        },
    },
    "ValidationError": {
        "title": "ValidationError",
        "type": "object",
        "properties": {
            "loc": {
                "title": "Location",
                "type": "array",
                "items": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
            },
            "msg": {"title": "Message", "type": "string"},
            "type": {"title": "Error Type", "type": "string"},
        },
        "required": ["loc", "msg", "type"],
    },
}
"""What a 422 holds: FastAPI's shape without the values, which FastAPI's own component has."""

REF = "#/components/schemas/{model}"

EXAMPLE = {
    "llm_configuration": {
        "model": "default",
        "messages": [{"role": "user", "content": "What is the weather in {{city}}?"}],
    },
    "llm_inputs": {"city": "New York"},
}

EVENT = {
    "title": "Event",
    "description": "Each event of the stream.",
    "type": "object",
    "properties": {
        "data": {
            "description": 'A piece of the answer: `{"chunk": "..."}`.',
            "type": "string",
            "contentMediaType": "application/json",
        }
    },
    "required": ["data"],
}

REFUSALS = {
    "400": "The request cannot be carried out",
    "401": "The gateway's key is missing or wrong",
    "403": "Refused",
    "404": "There is no such thing",
    "413": "The body is too large",
    "415": "The body is not JSON",
}
"""What any route may answer besides what FastAPI knows of: the guard stands before all of them."""

FAILURES = {
    "401": "The gateway's key, or the provider's, is wrong",
    "402": "The provider asks for payment",
    "404": "No such deployment or model",
    "429": "The provider limits the rate",
    "502": "The provider failed or broke off",
    "503": "The provider is overloaded",
    "504": "The provider took too long",
}
"""What a stream may answer besides, before its first piece."""


def extend(document: dict[str, Any], prefix: str, surfaces: Iterable[Surface]) -> None:
    """Add the routes that FastAPI does not serve: completions (Parea's are under `prefix`), health and readiness.

    Parea's are described as its published document has them; of the others' bodies the schema is told, and their
    documents are their own.
    """
    others = [one for each in surfaces if each.prefixes != (prefix,) for one in each.operations]
    bodies, definitions = models_json_schema(
        [
            (CompletionsSchema, "validation"),
            (CompletionResponse, "serialization"),
            *((one.schema, "validation") for one in others if one.schema is not None),
        ],
        ref_template=REF,
    )
    components: dict[str, Any] = document.setdefault("components", {}).setdefault("schemas", {})
    components.update(definitions.get("$defs", {}), **VALIDATION)
    whole = {"application/json": {"schema": {"$ref": REF.format(model="CompletionResponse")}}}
    stream = {"text/event-stream": {"schema": EVENT}}
    document["paths"] = {
        f"{prefix}/completion": {"post": _operation("Completion", "completion", WHOLE, whole, {})},
        f"{prefix}/completion/stream": {
            "post": _operation("Stream Completion", "stream_completion", STREAM, stream, FAILURES)
        },
        **{
            one.path: {"post": _other(one, bodies[one.schema, "validation"] if one.schema else {"type": "object"})}
            for one in others
        },
        **document["paths"],
        "/health": {"get": _status("Whether the gateway lives, and what its log had to drop", {})},
        "/ready": {"get": _status("Whether every request could be served now", {"503": "Not yet, and why"})},
    }


DETAIL: dict[str, Any] = {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]}
"""FastAPI's shape of a refusal; other APIs have others."""


def refusals(meanings: Mapping[str, str], schema: dict[str, Any] = DETAIL) -> dict[int | str, dict[str, Any]]:
    """Responses of the shape `schema`, by their status and what it means."""
    error = {"schema": schema}
    return {
        status: {"description": meaning, "content": {"application/json": error}} for status, meaning in meanings.items()
    }


def _status(summary: str, failures: Mapping[str, str]) -> dict[str, Any]:
    content = {"application/json": {"schema": {"type": "object"}}}
    meanings = {"200": "Yes", "403": REFUSALS["403"], **failures}
    responses = {status: {"description": meaning, "content": content} for status, meaning in meanings.items()}
    return {"tags": ["status"], "summary": summary, "responses": responses}


def _other(operation: Operation, schema: dict[str, Any]) -> dict[str, Any]:
    """A completion route of another API than Parea's, with the schema of its body."""
    whole: dict[str, Any] = {"application/json": {"schema": {"type": "object"}}, "text/event-stream": {"schema": {}}}
    meanings = {**REFUSALS, **FAILURES, "422": "The body does not fit"}
    return {
        "tags": [operation.dialect.name],
        "summary": operation.summary or operation.path,
        "operationId": operation.path.strip("/").replace("/", "_").replace("-", "_"),
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema}}},
        "responses": {
            "200": {"description": "The answer; a stream when the body asks for one", "content": whole},
            **refusals(meanings, {"type": "object"}),
        },
    }


def _operation(
    summary: str, name: str, description: str, content: dict[str, Any], failures: Mapping[str, str]
) -> dict[str, Any]:
    invalid = {"application/json": {"schema": {"$ref": REF.format(model="HTTPValidationError")}}}
    return {
        "tags": ["completion"],
        "summary": summary,
        "description": description,
        "operationId": name,
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"$ref": REF.format(model="CompletionsSchema")}, "example": EXAMPLE}
            },
        },
        "responses": {
            "200": {"description": "Successful Response", "content": content},
            **refusals({**REFUSALS, **failures}),
            "422": {"description": "Validation Error", "content": invalid},
        },
    }
