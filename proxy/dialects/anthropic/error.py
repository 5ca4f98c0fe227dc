"""Failures in Anthropic's words: `{"type": "error", "error": {"type", "message"}}`.

A body that does not fit is a 400 there, not a 422, and a model that is overloaded a 529, for which its clients have an
exception of their own.
"""

from __future__ import annotations

import orjson

from proxy.errors import GatewayError, Unprocessable
from proxy.models import Json
from proxy.protocols import Answer

TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
"""Types by status; else it is an `api_error` from 500 on and an `invalid_request_error` below."""


def refuse(error: GatewayError) -> Answer:
    """A whole answer that tells of `error`."""
    return Answer(_status(error), orjson.dumps(envelope(error)))


def envelope(error: GatewayError) -> dict[str, Json]:
    """`error` as a JSON object, the same before a stream and in it."""
    status = _status(error)
    kind = TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {"type": "error", "error": {"type": kind, "message": error.message}}


def _status(error: GatewayError) -> int:
    if isinstance(error, Unprocessable):
        return 400
    return 529 if error.code == "overloaded" else error.status
