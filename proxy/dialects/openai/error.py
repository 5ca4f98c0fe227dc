"""Failures in OpenAI's envelope, `{"error": {"message", "type", "param", "code"}}`, by the words of its own API where
it has one for the case.

A body that does not fit is a 400 there, not a 422; what comes from a provider keeps the status that tells whose fault
it was.
"""

from __future__ import annotations

import orjson

from proxy.errors import GatewayError, NotFound, NotServed, RequestError, Unprocessable
from proxy.models import Json
from proxy.protocols import Answer

CODES: dict[str, str | None] = {
    "bad_request": None,
    "not_found": None,
    "invalid_request": None,
    "unauthorized": "invalid_api_key",
    "authentication": "invalid_api_key",
    "payment_required": "insufficient_quota",
    "over_budget": "insufficient_quota",
    "rate_limited": "rate_limit_exceeded",
}
"""OpenAI's codes for ours; any other of ours stays as it is."""

TYPES = {
    "payment_required": "insufficient_quota",
    "over_budget": "insufficient_quota",
    "rate_limited": "rate_limit_error",
    "forbidden": "permission_error",
    "permission": "permission_error",
}
"""The types of refusals that are not `invalid_request_error`."""

PARAMS = {"context_length_exceeded": "messages", "model_not_found": "model"}
"""The field that a provider's refusal is about."""

FIELDS = {"llm_inputs": "inputs", "deployment_id": "model"}
"""What this API calls fields that have another name in the gateway."""


def refuse(error: GatewayError) -> Answer:
    """A whole answer that tells of `error`."""
    status = 400 if isinstance(error, Unprocessable) else error.status
    return Answer(status, orjson.dumps(envelope(error)))


def envelope(error: GatewayError) -> dict[str, Json]:
    """`error` as a JSON object, the same before a stream and in it."""
    if isinstance(error, Unprocessable):
        return _told(*_misfit(error), "invalid_request_error")
    if isinstance(error, NotServed):
        return _told(f"Invalid URL ({error.asked})", None, None, "invalid_request_error")
    kind = "server_error" if error.status >= 500 else TYPES.get(error.code, "invalid_request_error")
    code = CODES.get(error.code, error.code)
    param = error.param if isinstance(error, RequestError) else PARAMS.get(error.code)
    param = FIELDS.get(param or "", param)
    if isinstance(error, NotFound) and param == "model":
        code = "model_not_found"
    return _told(error.message, param, code, kind)


def _misfit(error: Unprocessable) -> tuple[str, str | None, str]:
    """Message, field and code of the first thing that does not fit."""
    kind = str(error.detail[0].get("type", "")) if error.detail else ""
    if kind == "missing":
        return f"Missing required parameter: '{error.param}'.", error.param, "missing_required_parameter"
    code = "invalid_type" if kind.endswith("_type") else "invalid_value"
    return error.message, error.param, code


def _told(message: str, param: str | None, code: str | None, kind: str) -> dict[str, Json]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}
